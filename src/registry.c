/* SPDX-License-Identifier: MIT */
/*
 * One lock guards the list of open exitfds, the list of starts in progress and the holder of the catch-all watch. It is
 * taken before any x->lock, and never held while a child is started: an exec takes as long as a dead file server likes.
 */
#include "registry.h"

#include "object.h"
#include "platform.h"
#include "process.h"

#include <errno.h>
#include <stdatomic.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct exitfd *first_open, *catch_all;
static struct start_in_progress *oldest_start, *newest_start;
static _Atomic uint64_t start_seq;
static uint64_t wake_after; /* the holder waits for the starts up to this one; 0: for none */

void xfd_registry_lock(void)
{
    pthread_mutex_lock(&registry_lock);
}

void xfd_registry_unlock(void)
{
    pthread_mutex_unlock(&registry_lock);
}

void xfd_registry_add(struct exitfd *x)
{
    pthread_mutex_lock(&registry_lock);
    x->next_open = first_open;
    first_open = x;
    pthread_mutex_unlock(&registry_lock);
}

void xfd_registry_remove(struct exitfd *x)
{
    pthread_mutex_lock(&registry_lock);
    struct exitfd **link = &first_open;
    while (*link && *link != x)
        link = &(*link)->next_open;
    if (*link)
        *link = x->next_open;
    if (catch_all == x)
        catch_all = NULL;
    pthread_mutex_unlock(&registry_lock);
}

void xfd_registry_forked(void)
{
    pthread_mutex_init(&registry_lock, NULL);
    first_open = catch_all = NULL;
    oldest_start = newest_start = NULL;
    wake_after = 0;
}

void xfd_registry_wake_catch_all(void)
{
    int cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&registry_lock);
    if (catch_all)
        wake_up(&catch_all->wake);
    pthread_mutex_unlock(&registry_lock);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

void xfd_registry_begin_start(struct start_in_progress *start)
{
    pthread_mutex_lock(&registry_lock);
    *start = (struct start_in_progress){ .seq = atomic_fetch_add(&start_seq, 1) + 1, .previous = newest_start };
    *(newest_start ? &newest_start->next : &oldest_start) = start;
    newest_start = start;
    pthread_mutex_unlock(&registry_lock);
}

uint64_t xfd_registry_oldest_start(void)
{
    return oldest_start ? oldest_start->seq : NO_START;
}

void xfd_registry_wake_after_starts(uint64_t seq)
{
    wake_after = seq;
}

static bool is_wake_due(void)
{
    bool due = wake_after != 0 && xfd_registry_oldest_start() > wake_after;
    wake_after = due ? 0 : wake_after;
    return due;
}

void xfd_registry_end_start(struct start_in_progress *start)
{
    pthread_mutex_lock(&registry_lock);
    *(start->previous ? &start->previous->next : &oldest_start) = start->next;
    *(start->next ? &start->next->previous : &newest_start) = start->previous;
    bool due = is_wake_due();
    pthread_mutex_unlock(&registry_lock);
    if (due)
        xfd_registry_wake_catch_all();
}

uint64_t xfd_registry_start_seq(void)
{
    return atomic_load(&start_seq);
}

bool xfd_registry_is_older(const struct watch *w, uint64_t seq)
{
    return w->bound_seq < seq;
}

/* A start has one child. Only while that child lives, or is a zombie, can no other process have its pid. */
static bool has_later_child(const struct watch *w, uint64_t seq)
{
    bool is_later = w->flags & WATCH_STARTED && w->bound_seq > seq && !(w->flags & WATCH_PID_REUSED);
    return is_later && (w->pidfd < 0 || !xfd_platform_is_reaped(w->pidfd));
}

/* Another thread may have learned the pid from the child itself and have added it by now. */
bool xfd_registry_is_pid_reused(const struct exitfd *x, pid_t pid, uint64_t seq)
{
    int cancel_state;
    bool reused = false;

    pthread_mutex_lock(&registry_lock);
    for (struct exitfd *other = first_open; other; other = other->next_open) {
        if (other->owner != x->owner)
            continue;
        xfd_object_lock(other, &cancel_state);
        struct watch *found = xfd_watches_find(&other->watches, pid);
        if (found && found->pidfd < 0 && xfd_registry_is_older(found, seq))
            xfd_tracking_mark_pid_reused(other, found);
        reused |= found && has_later_child(found, seq);
        xfd_object_unlock(other, cancel_state);
    }
    pthread_mutex_unlock(&registry_lock);
    return reused;
}

/* The lock of x is held. No other function holds two. */
bool xfd_registry_is_watched(struct exitfd *x, pid_t pid)
{
    bool watched = false;

    for (struct exitfd *other = first_open; other && !watched; other = other->next_open) {
        if (other->owner != x->owner)
            continue;
        if (other != x)
            pthread_mutex_lock(&other->lock);
        watched = xfd_watches_find(&other->watches, pid) != NULL;
        if (other != x)
            pthread_mutex_unlock(&other->lock);
    }
    return watched;
}

int xfd_registry_claim_catch_all(struct exitfd *x, void (*set)(struct exitfd *, void *), void *data)
{
    pthread_mutex_lock(&registry_lock);
    /* One of another process is a copy, made by a fork that no pthread_atfork handler saw. */
    int error = catch_all && catch_all->owner == x->owner ? -EBUSY : 0;
    if (error == 0) {
        catch_all = x;
        set(x, data);
    }
    pthread_mutex_unlock(&registry_lock);
    return error;
}

int xfd_registry_give_up_catch_all(struct exitfd *x, void (*set)(struct exitfd *, void *))
{
    pthread_mutex_lock(&registry_lock);
    int error = catch_all == x ? 0 : -ENOENT;
    if (error == 0) {
        catch_all = NULL;
        set(x, NULL);
    }
    pthread_mutex_unlock(&registry_lock);
    return error;
}
