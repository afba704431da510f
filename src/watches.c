/* SPDX-License-Identifier: MIT */
/*
 * Slots in one array, and chains of slot numbers for each hash of a pid. A slot
 * keeps its number for life, so a token (number and generation) can be given to
 * the kernel. Pointers to slots are valid until the next xfd_watches_reserve.
 */
#include "watches.h"

#include "private.h"

#include <errno.h>

static uint32_t slot_number(const struct watches *ws, const struct watch *w)
{
    return (uint32_t)(w - ws->slots);
}

static uint32_t *bucket_of(const struct watches *ws, pid_t pid)
{
    return &ws->buckets[((uint32_t)pid * UINT32_C(2654435769)) >> 7 & (ws->bucket_count - 1)];
}

uint64_t xfd_watches_token(const struct watches *ws, const struct watch *w)
{
    return (uint64_t)w->generation << 32 | slot_number(ws, w);
}

struct watch *xfd_watches_by_token(const struct watches *ws, uint64_t token)
{
    uint32_t slot = (uint32_t)token;
    if (slot == SLOT_NONE || slot >= ws->fresh || ws->slots[slot].generation != token >> 32)
        return NULL;
    return &ws->slots[slot];
}

struct watch *xfd_watches_find(const struct watches *ws, pid_t pid)
{
    if (!ws->bucket_count)
        return NULL;
    uint32_t slot = *bucket_of(ws, pid);
    while (slot != SLOT_NONE && ws->slots[slot].pid != pid)
        slot = ws->slots[slot].chain;
    return slot == SLOT_NONE ? NULL : &ws->slots[slot];
}

static void push(struct watches *ws, uint32_t slot)
{
    uint32_t *bucket = bucket_of(ws, ws->slots[slot].pid);
    ws->slots[slot].chain = *bucket;
    *bucket = slot;
}

static uint32_t reversed(struct watches *ws, uint32_t slot)
{
    uint32_t head = SLOT_NONE;

    while (slot != SLOT_NONE) {
        uint32_t next = ws->slots[slot].chain;
        ws->slots[slot].chain = head;
        head = slot;
        slot = next;
    }
    return head;
}

/* Oldest first, so that of two watches of one pid the newer stays in front. */
static void rehash(struct watches *ws, const uint32_t *old_buckets, uint32_t old_count)
{
    for (uint32_t i = 0; i < old_count; i++) {
        uint32_t slot = reversed(ws, old_buckets[i]);
        while (slot != SLOT_NONE) {
            uint32_t next = ws->slots[slot].chain;
            push(ws, slot);
            slot = next;
        }
    }
}

static int grow_slots(struct watches *ws, uint32_t capacity)
{
    struct watch *slots = xfd_private_resize(ws->slots, ws->capacity * sizeof *slots, capacity * sizeof *slots);

    if (!slots)
        return -ENOMEM;
    if (ws->capacity == 0) {
        slots[SLOT_NONE] = (struct watch){ 0 };
        ws->fresh = SLOT_NONE + 1;
    }
    ws->slots = slots;
    ws->capacity = capacity;
    return 0;
}

static int grow_buckets(struct watches *ws, uint32_t bucket_count)
{
    uint32_t *old_buckets = ws->buckets, old_count = ws->bucket_count;
    uint32_t *buckets = xfd_private_alloc(0, bucket_count * sizeof *buckets);

    if (!buckets)
        return -ENOMEM;
    ws->buckets = buckets;
    ws->bucket_count = bucket_count;
    rehash(ws, old_buckets, old_count);
    xfd_private_free(old_buckets, 0, old_count * sizeof *old_buckets);
    return 0;
}

/* By a quarter once it is large: 50,000 children should not pay for 100,000. */
static int grow(struct watches *ws)
{
    uint32_t capacity = ws->capacity < 1024 ? 16 + 2 * ws->capacity : ws->capacity + ws->capacity / 4;
    uint32_t bucket_count = ws->bucket_count ? ws->bucket_count : 16;
    int error = 0;

    while (bucket_count < capacity)
        bucket_count *= 2;
    atomic_store(&ws->growing, true);
    if (bucket_count != ws->bucket_count)
        error = grow_buckets(ws, bucket_count);
    if (error == 0)
        error = grow_slots(ws, capacity);
    atomic_store(&ws->growing, false);
    return error;
}

int xfd_watches_reserve(struct watches *ws, struct watch **ret)
{
    struct watch *w;

    if (ws->free_slot != SLOT_NONE) {
        w = &ws->slots[ws->free_slot];
        ws->free_slot = w->chain;
    } else {
        if (ws->fresh == ws->capacity) {
            int error = grow(ws);
            if (error < 0)
                return error;
        }
        w = &ws->slots[ws->fresh++];
        w->generation = 0;
    }
    *w = (struct watch){ .pidfd = -1, .generation = w->generation, .next = SLOT_NONE, .prev = SLOT_NONE };
    *ret = w;
    return 0;
}

void xfd_watches_bind(struct watches *ws, struct watch *w, pid_t pid)
{
    w->pid = pid;
    ws->bound++;
    push(ws, slot_number(ws, w));
}

void xfd_watches_bind_behind(struct watches *ws, struct watch *w, pid_t pid)
{
    uint32_t *link = bucket_of(ws, pid);

    while (*link != SLOT_NONE)
        link = &ws->slots[*link].chain;
    *link = slot_number(ws, w);
    w->chain = SLOT_NONE;
    w->pid = pid;
    ws->bound++;
}

void xfd_watches_drop(struct watches *ws, struct watch *w)
{
    uint32_t slot = slot_number(ws, w);

    if (w->pid != 0) {
        ws->bound--;
        uint32_t *link = bucket_of(ws, w->pid);
        while (*link != slot && *link != SLOT_NONE)
            link = &ws->slots[*link].chain;
        *link = w->chain;
        ws->ended = true;
    }
    w->pid = 0;
    w->generation++;
    w->chain = ws->free_slot;
    ws->free_slot = slot;
}

struct watch *xfd_watches_iterate(const struct watches *ws, uint32_t *slot)
{
    while (*slot < ws->fresh) {
        struct watch *w = &ws->slots[(*slot)++];
        if (w->pid != 0)
            return w;
    }
    return NULL;
}

bool xfd_watches_take_ended(struct watches *ws)
{
    bool ended = ws->ended;
    ws->ended = false;
    return ended;
}

void xfd_watches_free(struct watches *ws)
{
    if (!atomic_load(&ws->growing)) {
        xfd_private_free(ws->slots, 0, ws->capacity * sizeof *ws->slots);
        xfd_private_free(ws->buckets, 0, ws->bucket_count * sizeof *ws->buckets);
    }
    *ws = (struct watches){ 0 };
}
