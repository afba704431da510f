/* SPDX-License-Identifier: MIT */
#include "orphans.h"

#include "follow.h"
#include "object.h"
#include "platform.h"
#include "process.h"
#include "status.h"
#include "wake.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/*
 * Who starts a child reads `naming` until the child has its name in a table; who looks for orphans writes it, and does not
 * wait for it: an exec takes as long as a dead file server likes. `listing` is for the list and the holder. They are taken
 * in this order, and before any x->lock.
 */
static pthread_rwlock_t naming = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t listing = PTHREAD_MUTEX_INITIALIZER;
static struct exitfd *first_open, *holder;
static _Atomic uint64_t starts;
static atomic_bool refused; /* somebody could not look, because a child was being started */
static atomic_bool hidden;  /* a watched child was passed over at the last look, and others may be behind it */

void xfd_orphans_enlist(struct exitfd *x)
{
    pthread_mutex_lock(&listing);
    x->next_open = first_open;
    first_open = x;
    pthread_mutex_unlock(&listing);
}

void xfd_orphans_delist(struct exitfd *x)
{
    pthread_mutex_lock(&listing);
    struct exitfd **link = &first_open;
    while (*link && *link != x)
        link = &(*link)->next_open;
    if (*link)
        *link = x->next_open;
    if (holder == x)
        holder = NULL;
    pthread_mutex_unlock(&listing);
}

void xfd_orphans_forked(void)
{
    pthread_rwlock_init(&naming, NULL);
    pthread_mutex_init(&listing, NULL);
    first_open = NULL;
    holder = NULL;
}

static void wake_holder(void)
{
    int cancel_state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&listing);
    if (holder)
        wake(holder);
    pthread_mutex_unlock(&listing);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

uint64_t xfd_orphans_hold(void)
{
    pthread_rwlock_rdlock(&naming);
    return atomic_fetch_add(&starts, 1) + 1;
}

void xfd_orphans_release(void)
{
    pthread_rwlock_unlock(&naming);
    if (atomic_exchange(&refused, false))
        wake_holder();
}

/* Asked again once `refused` is set: whoever let go before that has not seen it, and who lets go later does. */
static bool nobody_is_being_started(void)
{
    if (pthread_rwlock_trywrlock(&naming) == 0)
        return true;
    atomic_store(&refused, true);
    return pthread_rwlock_trywrlock(&naming) == 0;
}

uint64_t xfd_orphans_starts(void)
{
    return atomic_load(&starts);
}

bool xfd_orphans_is_older(const struct watch *w, uint64_t start)
{
    return w->age < start;
}

/* A start has one child. Only while that child lives, or is a zombie, can no other process have its pid. */
static bool has_later_child(const struct watch *w, uint64_t start)
{
    bool is_later = w->flags & WATCH_STARTED && w->age > start && !(w->flags & WATCH_GONE);
    return is_later && (w->pidfd < 0 || xfd_platform_kill(w->pidfd, 0) != -ESRCH);
}

/* Another thread may have learned the pid from the child itself and have added it by now. */
bool xfd_orphans_reborn(const struct exitfd *x, pid_t pid, uint64_t start)
{
    int cancel_state;
    bool is_gone = false;

    pthread_mutex_lock(&listing);
    for (struct exitfd *other = first_open; other; other = other->next_open) {
        if (other->epoch != x->epoch)
            continue;
        xfd_object_lock(other, &cancel_state);
        struct watch *found = xfd_watches_find(&other->watches, pid);
        if (found && found->pidfd < 0 && xfd_orphans_is_older(found, start))
            xfd_follow_gone(other, found);
        is_gone |= found && has_later_child(found, start);
        xfd_object_unlock(other, cancel_state);
    }
    pthread_mutex_unlock(&listing);
    return is_gone;
}

int xfd_orphans_claim(struct exitfd *x, void *data)
{
    int cancel_state;

    pthread_mutex_lock(&listing);
    /* One of another process is a copy, made by a fork that no pthread_atfork handler saw. */
    int error = holder && holder->epoch == x->epoch ? -EBUSY : 0;
    if (error == 0) {
        holder = x;
        xfd_object_lock(x, &cancel_state);
        x->any_child = true;
        x->any_data = data;
        xfd_follow_orphans(x);
        wake(x);
        xfd_object_unlock(x, cancel_state);
    }
    pthread_mutex_unlock(&listing);
    return error;
}

int xfd_orphans_give_up(struct exitfd *x)
{
    int cancel_state;

    pthread_mutex_lock(&listing);
    int error = holder == x ? 0 : -ENOENT;
    if (error == 0) {
        holder = NULL;
        xfd_object_lock(x, &cancel_state);
        x->any_child = false;
        xfd_follow_orphans(x);
        xfd_object_unlock(x, cancel_state);
    }
    pthread_mutex_unlock(&listing);
    return error;
}

/* x, which looks, is locked already; nobody else locks two. */
static bool is_watched(struct exitfd *x, pid_t pid)
{
    bool watched = false;

    for (struct exitfd *other = first_open; other && !watched; other = other->next_open) {
        if (other->epoch != x->epoch)
            continue;
        if (other != x)
            pthread_mutex_lock(&other->lock);
        watched = xfd_watches_find(&other->watches, pid) != NULL;
        if (other != x)
            pthread_mutex_unlock(&other->lock);
    }
    return watched;
}

static int reap(struct exitfd *x, pid_t pid, struct exitfd_event *event)
{
    struct watch orphan = { .pid = pid, .pidfd = -1, .data = x->any_data };
    struct wait_result result;

    int found = xfd_status_settle(&orphan, &result);
    if (found == 1)
        xfd_event_fill(event, &orphan, &result);
    return found;
}

static int look_behind(struct exitfd *x, struct exitfd_event *events, int max)
{
    pid_t *children = NULL;
    int count = 0, number = xfd_platform_list_children(&children);

    for (int i = 0; i < number && count < max; i++)
        if (!is_watched(x, children[i]) && reap(x, children[i], &events[count]) == 1)
            count++;
    free(children);
    return count;
}

static int collect(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct wait_result result;
    int found = 1, count = 0;

    /* Set before the tables are asked, so that a watch that ends just after that is not missed. */
    atomic_store(&hidden, true);
    while (count < max && (found = xfd_status_wait(P_ALL, 0, WEXITED | WNOWAIT, &result)) == 1) {
        if (!xfd_status_is_exit(&result) || is_watched(x, result.pid))
            return count + look_behind(x, events + count, max - count);
        found = reap(x, result.pid, &events[count]);
        if (found == -EPERM)
            break;
        count += found == 1;
    }
    if (found == -EPERM)
        xfd_status_note_refusal();
    else
        atomic_store(&hidden, false);
    return count;
}

static int collect_locked(struct exitfd *x, struct exitfd_event *events, int max)
{
    int count = 0;

    pthread_mutex_lock(&listing);
    pthread_mutex_lock(&x->lock);
    if (x->any_child)
        count = collect(x, events, max);
    if (count == max)
        wake(x);
    pthread_mutex_unlock(&x->lock);
    pthread_mutex_unlock(&listing);
    return count;
}

int xfd_orphans_collect(struct exitfd *x, struct exitfd_event *events, int max)
{
    pthread_mutex_lock(&x->lock);
    x->orphans_due = false;
    pthread_mutex_unlock(&x->lock);
    if (!nobody_is_being_started())
        return 0;
    int count = collect_locked(x, events, max);
    xfd_orphans_release();
    return count;
}

void xfd_orphans_look_again(void)
{
    /* Read first: after a fork the first write to a page costs a fault, and this is asked at each event. */
    if (atomic_load(&hidden) && atomic_exchange(&hidden, false))
        wake_holder();
}
