/* SPDX-License-Identifier: MIT */
/* The pid table alone: no system calls, so no back ends. */
#include "support.h"

#include "private.h"
#include "watches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int allocations_left = -1; /* -1: no limit */

static bool allocation_fails(void)
{
    if (allocations_left == 0)
        return true;
    if (allocations_left > 0)
        allocations_left--;
    return false;
}

/* In place of those of the library, which src/watches.c is built here
   without. */
void *xfd_private_alloc(size_t kept, size_t size)
{
    (void)kept;
    return allocation_fails() ? NULL : calloc(1, size);
}

void xfd_private_free(void *memory, size_t kept, size_t size)
{
    (void)kept, (void)size;
    free(memory);
}

void *xfd_private_resize(void *memory, size_t old_size, size_t size)
{
    (void)old_size;
    return allocation_fails() ? NULL : realloc(memory, size);
}

static struct watch *take(struct watches *ws)
{
    struct watch *w = NULL;
    CHECK_EQ(xfd_watches_reserve(ws, &w), 0);
    return w;
}

static uint64_t watch_pid(struct watches *ws, pid_t pid)
{
    struct watch *w = take(ws);
    xfd_watches_bind(ws, w, pid);
    return xfd_watches_token(ws, w);
}

static void drop_pid(struct watches *ws, pid_t pid)
{
    xfd_watches_drop(ws, xfd_watches_find(ws, pid));
}

static int count(const struct watches *ws)
{
    int n = 0;
    for (uint32_t slot = 0; xfd_watches_iterate(ws, &slot) != NULL;)
        n++;
    return n;
}

TEST(watches, empty_table_finds_nothing)
{
    struct watches ws = { 0 };
    CHECK(xfd_watches_find(&ws, 1) == NULL);
    CHECK(xfd_watches_by_token(&ws, 0) == NULL);
    CHECK_EQ(count(&ws), 0);
    xfd_watches_free(&ws);
}

TEST(watches, a_taken_slot_is_clean_and_has_no_pid)
{
    struct watches ws = { 0 };
    for (int i = 0; i < 2; i++) {
        struct watch *w = take(&ws);
        CHECK(w->pid == 0 && w->pidfd == -1 && w->flags == 0 && w->data == NULL);
        CHECK_EQ(count(&ws), 0, "a slot without a process is none to iterate over");
        xfd_watches_bind(&ws, w, 5);
        w->pidfd = 3;
        w->flags = ~0u;
        w->data = w;
        CHECK_EQ(count(&ws), 1);
        xfd_watches_drop(&ws, w);
    }
    xfd_watches_drop(&ws, take(&ws));
    CHECK(xfd_watches_find(&ws, 5) == NULL);
    xfd_watches_free(&ws);
}

TEST(watches, bound_pid_is_found_until_dropped)
{
    struct watches ws = { 0 };
    uint64_t token = watch_pid(&ws, 1234);
    struct watch *w = xfd_watches_find(&ws, 1234);
    CHECK(w != NULL);
    CHECK_EQ(w->pid, 1234);
    CHECK_EQ(xfd_watches_by_token(&ws, token), w);
    CHECK(xfd_watches_find(&ws, 1235) == NULL);
    xfd_watches_drop(&ws, w);
    CHECK(xfd_watches_find(&ws, 1234) == NULL);
    CHECK(xfd_watches_by_token(&ws, token) == NULL);
    xfd_watches_free(&ws);
}

TEST(watches, stale_token_finds_nothing_in_a_slot_used_again)
{
    struct watches ws = { 0 };
    uint64_t tokens[100];
    for (int i = 0; i < 100; i++) {
        tokens[i] = watch_pid(&ws, 77);
        for (int old = 0; old < i; old++)
            CHECK(xfd_watches_by_token(&ws, tokens[old]) == NULL, "token %d of %d", old, i);
        drop_pid(&ws, 77);
    }
    xfd_watches_free(&ws);
}

TEST(watches, tokens_and_pids_survive_growth)
{
    enum {
        children = 5000
    };
    static uint64_t tokens[children + 1];
    struct watches ws = { 0 };
    for (pid_t pid = 1; pid <= children; pid++)
        tokens[pid] = watch_pid(&ws, pid);
    CHECK_EQ(count(&ws), children);
    for (pid_t pid = 1; pid <= children; pid++) {
        struct watch *w = xfd_watches_find(&ws, pid);
        CHECK(w != NULL);
        CHECK_EQ(w->pid, pid);
        CHECK_EQ(xfd_watches_by_token(&ws, tokens[pid]), w);
    }
    xfd_watches_free(&ws);
}

TEST(watches, dropped_slots_are_used_again)
{
    struct watches ws = { 0 };
    for (int round = 0; round < 100; round++) {
        for (pid_t pid = 1; pid <= 10; pid++)
            watch_pid(&ws, pid);
        for (pid_t pid = 1; pid <= 10; pid++)
            drop_pid(&ws, pid);
    }
    CHECK(ws.capacity <= 32, "grew to %u slots for 10 at a time", ws.capacity);
    xfd_watches_free(&ws);
}

/* A pid that the kernel gave again while the event of its former bearer is
   still to be taken. */
TEST(watches, newest_of_two_with_one_pid_is_found)
{
    struct watches ws = { 0 };
    uint64_t old = watch_pid(&ws, 9);
    uint64_t new = watch_pid(&ws, 9);
    CHECK_EQ(xfd_watches_find(&ws, 9), xfd_watches_by_token(&ws, new));
    xfd_watches_drop(&ws, xfd_watches_by_token(&ws, new));
    CHECK_EQ(xfd_watches_find(&ws, 9), xfd_watches_by_token(&ws, old));
    new = watch_pid(&ws, 9);
    xfd_watches_drop(&ws, xfd_watches_by_token(&ws, old));
    CHECK_EQ(xfd_watches_find(&ws, 9), xfd_watches_by_token(&ws, new));
    xfd_watches_free(&ws);
}

TEST(watches, newest_of_two_with_one_pid_is_found_after_growth)
{
    struct watches ws = { 0 };
    uint64_t first = watch_pid(&ws, 100);
    watch_pid(&ws, 9);
    xfd_watches_drop(&ws, xfd_watches_by_token(&ws, first));
    uint64_t new = watch_pid(&ws, 9);
    for (pid_t pid = 1000; pid < 3000; pid++) {
        watch_pid(&ws, pid);
        CHECK_EQ(xfd_watches_find(&ws, 9), xfd_watches_by_token(&ws, new), "with %d watches", (int)pid - 997);
    }
    xfd_watches_free(&ws);
}

TEST(watches, iteration_may_drop_as_it_goes)
{
    struct watches ws = { 0 };
    for (pid_t pid = 1; pid <= 50; pid++)
        watch_pid(&ws, pid);
    uint32_t slot = 0;
    for (struct watch *w; (w = xfd_watches_iterate(&ws, &slot)) != NULL;)
        if (w->pid % 2 == 0)
            xfd_watches_drop(&ws, w);
    CHECK_EQ(count(&ws), 25);
    slot = 0;
    for (struct watch *w; (w = xfd_watches_iterate(&ws, &slot)) != NULL;)
        CHECK_EQ(w->pid % 2, 1);
    xfd_watches_free(&ws);
}

TEST(watches, anything_in_any_order_as_a_plain_array_has_it)
{
    enum {
        pids = 700,
        steps = 60000
    };
    static uint64_t tokens[pids + 1];
    static bool watched[pids + 1];
    struct watches ws = { 0 };
    int live = 0;
    uint32_t seed = 1;
    for (int step = 0; step < steps; step++) {
        seed = seed * 1664525 + 1013904223;
        pid_t pid = (pid_t)(seed >> 8) % pids + 1;
        struct watch *w = xfd_watches_find(&ws, pid);
        CHECK_EQ(w != NULL, watched[pid], "pid %d at step %d", (int)pid, step);
        CHECK_EQ(tokens[pid] != 0 || watched[pid] ? xfd_watches_by_token(&ws, tokens[pid]) : NULL, w);
        if (w != NULL)
            xfd_watches_drop(&ws, w);
        else
            tokens[pid] = watch_pid(&ws, pid);
        watched[pid] = w == NULL;
        live += w == NULL ? 1 : -1;
    }
    CHECK_EQ(count(&ws), live);
    xfd_watches_free(&ws);
}

/* A handler that forks may have interrupted any call, which its child goes on
   with. */
TEST(watches, memory_that_a_fork_has_wiped_holds_no_watch_and_no_endless_list)
{
    struct watches ws = { 0 };
    uint64_t token = 0;
    for (pid_t pid = 1; pid <= 50; pid++)
        token = watch_pid(&ws, pid);
    struct watch *last = xfd_watches_by_token(&ws, token);
    memset(ws.slots, 0, ws.capacity * sizeof(*ws.slots));
    memset(ws.buckets, 0, ws.bucket_count * sizeof(*ws.buckets));
    memset(&ws.free_slot, 0, sizeof(ws) - offsetof(struct watches, free_slot));
    CHECK(xfd_watches_find(&ws, 50) == NULL);
    CHECK(xfd_watches_by_token(&ws, token) == NULL);
    CHECK_EQ(count(&ws), 0);
    last->pid = 50;
    xfd_watches_drop(&ws, last);
    xfd_watches_free(&ws);
}

/* Fails each allocation in turn: the watch that could not be taken is missing,
   and nothing else. */
TEST(watches, out_of_memory_loses_nothing)
{
    enum {
        children = 300
    };
    struct watches ws = { 0 };
    int failures = 0;
    for (pid_t pid = 1; pid <= children; pid++) {
        struct watch *const untouched = (struct watch *)&failures;
        struct watch *w = untouched;
        for (allocations_left = 0; xfd_watches_reserve(&ws, &w) == -ENOMEM; allocations_left = failures % 3) {
            CHECK_EQ(w, untouched, "*ret was written on failure");
            CHECK_EQ(count(&ws), pid - 1);
            for (pid_t known = 1; known < pid; known++)
                CHECK(xfd_watches_find(&ws, known) != NULL);
            failures++;
        }
        xfd_watches_bind(&ws, w, pid);
    }
    allocations_left = -1;
    CHECK(failures > 5, "nothing was failed");
    CHECK_EQ(count(&ws), children);
    xfd_watches_free(&ws);
}
