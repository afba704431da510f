/* SPDX-License-Identifier: MIT */
/*
 * One lock guards the list of open exitfds, the list of starts in progress and
 * the holder of the catch-all watch. It is taken before any x->lock, and never
 * held while a child is started: an exec takes as long as a dead file server
 * likes.
 */
#include "registry.h"

#include "object.h"
#include "platform.h"
#include "private.h"

#include <errno.h>
#include <stdatomic.h>

struct registry {
    pthread_mutex_t lock;
    struct exitfd *first_open, *catch_all;
    struct start_in_progress *oldest_start, *newest_start;
    _Atomic uint64_t start_seq;
    uint64_t wake_after; /* the holder waits for the starts up to this one; 0: for none */
};

static void *_Atomic memory; /* private.h: each start writes to it */

static struct registry *registry(void)
{
    return atomic_load_explicit(&memory, memory_order_acquire);
}

static bool init(void *block)
{
    struct registry *r = block;
    return pthread_mutex_init(&r->lock, NULL) == 0;
}

int xfd_registry_init(void)
{
    return xfd_private_alloc_once(&memory, sizeof(struct registry), init) ? 0 : -ENOMEM;
}

void xfd_registry_lock(void)
{
    pthread_mutex_lock(&registry()->lock);
}

void xfd_registry_unlock(void)
{
    pthread_mutex_unlock(&registry()->lock);
}

void xfd_registry_add(struct exitfd *x)
{
    struct registry *r = registry();

    pthread_mutex_lock(&r->lock);
    x->next_open = r->first_open;
    r->first_open = x;
    pthread_mutex_unlock(&r->lock);
}

void xfd_registry_remove(struct exitfd *x)
{
    struct registry *r = registry();

    pthread_mutex_lock(&r->lock);
    struct exitfd **link = &r->first_open;
    while (*link && *link != x)
        link = &(*link)->next_open;
    if (*link)
        *link = x->next_open;
    if (r->catch_all == x)
        r->catch_all = NULL;
    pthread_mutex_unlock(&r->lock);
}

void xfd_registry_forked(void)
{
    struct registry *r = registry();

    pthread_mutex_init(&r->lock, NULL);
    r->first_open = r->catch_all = NULL;
    r->oldest_start = r->newest_start = NULL;
    r->wake_after = 0;
}

void xfd_registry_wake_catch_all(void)
{
    struct registry *r = registry();
    int cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&r->lock);
    if (r->catch_all)
        wake_up(&r->catch_all->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

void xfd_registry_begin_start(struct start_in_progress *start)
{
    struct registry *r = registry();

    pthread_mutex_lock(&r->lock);
    *start = (struct start_in_progress){ .seq = atomic_fetch_add(&r->start_seq, 1) + 1, .previous = r->newest_start };
    *(r->newest_start ? &r->newest_start->next : &r->oldest_start) = start;
    r->newest_start = start;
    pthread_mutex_unlock(&r->lock);
}

uint64_t xfd_registry_oldest_start(void)
{
    const struct registry *r = registry();
    return r->oldest_start ? r->oldest_start->seq : NO_START;
}

void xfd_registry_wake_after_starts(uint64_t seq)
{
    registry()->wake_after = seq;
}

static bool is_wake_due(void)
{
    struct registry *r = registry();
    bool due = r->wake_after != 0 && xfd_registry_oldest_start() > r->wake_after;
    r->wake_after = due ? 0 : r->wake_after;
    return due;
}

void xfd_registry_end_start(struct start_in_progress *start)
{
    struct registry *r = registry();

    pthread_mutex_lock(&r->lock);
    *(start->previous ? &start->previous->next : &r->oldest_start) = start->next;
    *(start->next ? &start->next->previous : &r->newest_start) = start->previous;
    bool due = is_wake_due();
    pthread_mutex_unlock(&r->lock);
    if (due)
        xfd_registry_wake_catch_all();
}

uint64_t xfd_registry_start_seq(void)
{
    return atomic_load(&registry()->start_seq);
}

bool xfd_registry_is_older(const struct watch *w, uint64_t seq)
{
    return w->bound_seq < seq;
}

/* A start has one child. Only while that child lives, or is a zombie, can no
   other process have its pid. */
static bool has_later_child(const struct watch *w, uint64_t seq)
{
    bool is_later = w->flags & WATCH_STARTED && w->bound_seq > seq && !(w->flags & WATCH_REAPED_ELSEWHERE);
    return is_later && (w->pidfd < 0 || !xfd_platform_is_reaped(w->pidfd));
}

/* Another thread may have learned the pid from the child itself and have added
   it by now. */
bool xfd_registry_is_pid_reused(const struct exitfd *x, pid_t pid, uint64_t seq)
{
    struct registry *r = registry();
    int cancel_state;
    bool reused = false;

    pthread_mutex_lock(&r->lock);
    for (struct exitfd *other = r->first_open; other; other = other->next_open) {
        if (other->owner != x->owner)
            continue;
        xfd_object_lock(other, &cancel_state);
        struct watch *found = xfd_watches_find(&other->watches, pid);
        if (found && found->pidfd < 0 && xfd_registry_is_older(found, seq))
            xfd_tracking_mark_reaped_elsewhere(other, found);
        reused |= found && has_later_child(found, seq);
        xfd_object_unlock(other, cancel_state);
    }
    pthread_mutex_unlock(&r->lock);
    return reused;
}

static bool has_lost_zombie(struct watch *w)
{
    struct wait_result ignored;
    return w->flags & WATCH_HELD && xfd_status_wait_watch(w, WEXITED | WNOWAIT, &ignored) == -ECHILD;
}

bool xfd_registry_may_be_reused(struct watch *w)
{
    return w->flags & WATCH_REAPED_ELSEWHERE || (w->pidfd >= 0 ? xfd_platform_is_reaped(w->pidfd) : has_lost_zombie(w));
}

/* A child that is held after other code has reaped it keeps its watch for as
   long as the caller likes. */
static bool is_held_without_zombie(struct watch *w)
{
    return w->flags & WATCH_HELD && xfd_registry_may_be_reused(w);
}

/* The lock of x is held. No other function holds two. */
bool xfd_registry_is_watched(struct exitfd *x, pid_t pid)
{
    struct registry *r = registry();
    bool watched = false;

    for (struct exitfd *other = r->first_open; other && !watched; other = other->next_open) {
        if (other->owner != x->owner)
            continue;
        if (other != x)
            pthread_mutex_lock(&other->lock);
        struct watch *found = xfd_watches_find(&other->watches, pid);
        watched = found && !is_held_without_zombie(found);
        if (other != x)
            pthread_mutex_unlock(&other->lock);
    }
    return watched;
}

/* One of another process is a copy: no pthread_atfork handler saw the fork. */
int xfd_registry_claim_catch_all(struct exitfd *x)
{
    struct registry *r = registry();

    if (r->catch_all && r->catch_all->owner == x->owner)
        return -EBUSY;
    r->catch_all = x;
    return 0;
}

int xfd_registry_give_up_catch_all(const struct exitfd *x)
{
    struct registry *r = registry();

    if (r->catch_all != x)
        return -ENOENT;
    r->catch_all = NULL;
    return 0;
}
