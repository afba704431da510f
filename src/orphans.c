/* SPDX-License-Identifier: MIT */
/*
 * A child is an orphan if no exitfd of this process watches it. While no child
 * is being started that is certain at once: the zombie at the front is asked
 * about, and all children where that one is watched, or may be no child of
 * ours.
 *
 * A wait also finds what this process traces, such as a thread, or the child of
 * another process. Its status is its tracer's. No orphan sends another signal
 * than SIGCHLD, so one call more tells it from these. No zombie is traced anew.
 *
 * A child that is being started is in no table for a moment. So while there are
 * such, a zombie that nothing watches is only a candidate. It is an orphan if
 * nothing watches it either once all starts have ended that had begun when it
 * was seen: a later start cannot have its pid. A pidfd keeps that true if other
 * code reaps it meanwhile.
 */
#include "orphans.h"

#include "event.h"
#include "object.h"
#include "platform.h"
#include "registry.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CANDIDATES 16

static atomic_bool hidden; /* a watched child was passed over at the last look, and others may be behind it */

/* With the registry locked. A fork may copy it at any moment: only what is open
   is counted. */
static struct {
    struct watch zombies[CANDIDATES];
    atomic_int count;
    uint64_t seen_at; /* the newest start when they were seen */
} candidates;

static struct watch pop_candidate(void)
{
    return candidates.zombies[atomic_fetch_sub(&candidates.count, 1) - 1];
}

static void drop_candidates(void)
{
    while (candidates.count > 0)
        close(pop_candidate().pidfd);
}

void xfd_orphans_forked(void)
{
    drop_candidates();
}

void xfd_orphans_close(const struct exitfd *x)
{
    xfd_registry_lock();
    if (x->orphans.claimed)
        drop_candidates();
    xfd_registry_unlock();
}

static void set_claimed(struct exitfd *x, void *data, bool claimed)
{
    int cancel_state;

    xfd_object_lock(x, &cancel_state);
    drop_candidates();
    x->orphans.claimed = claimed;
    x->orphans.data = data;
    xfd_subscription_sync(x);
    xfd_subscription_check(x);
    if (claimed)
        wake_up(&x->wake);
    xfd_object_unlock(x, cancel_state);
}

int xfd_orphans_claim(struct exitfd *x, void *data)
{
    xfd_registry_lock();
    int error = xfd_registry_claim_catch_all(x);
    if (error == 0)
        set_claimed(x, data, true);
    xfd_registry_unlock();
    return error;
}

int xfd_orphans_give_up(struct exitfd *x)
{
    xfd_registry_lock();
    int error = xfd_registry_give_up_catch_all(x);
    if (error == 0)
        set_claimed(x, NULL, false);
    xfd_registry_unlock();
    return error;
}

/* What is known to be a zombie needs no look before it is reaped. */
static int reap(struct exitfd *x, pid_t pid, bool is_zombie, struct exitfd_event *event)
{
    struct watch orphan = { .pid = pid, .pidfd = -1, .flags = WATCH_ORPHAN, .data = x->orphans.data };
    struct wait_result result;

    int found = is_zombie ? xfd_status_wait_watch(&orphan, WEXITED, &result) : xfd_status_reap_exit(&orphan, &result);
    if (found == 1)
        xfd_event_fill(event, &orphan, &result);
    return found;
}

/* How many events, or a negative errno: there is no list of the children. */
static int look_behind(struct exitfd *x, struct exitfd_event *events, int max)
{
    pid_t *children = NULL;
    int count = 0, number = xfd_platform_list_children(&children);

    if (number < 0)
        return number;
    for (int i = 0; i < number && count < max; i++)
        if (!xfd_registry_is_watched(x, children[i]) && reap(x, children[i], false, &events[count]) == 1)
            count++;
    free(children);
    return count;
}

static int look(struct exitfd *x, struct exitfd_event *events, int max)
{
    const int options = WEXITED | WNOWAIT | xfd_platform_any_exit_signal;
    struct wait_result result;
    int found = 1, count = 0;

    /* Set before the tables are asked, so that a watch that ends just after
       that is not missed. */
    atomic_store(&hidden, true);
    while (count < max && (found = xfd_status_wait(P_ALL, 0, options, &result)) == 1) {
        pid_t pid = result.info.si_pid;
        bool passed_over = !xfd_status_is_exit(&result) || xfd_registry_is_watched(x, pid);
        int behind = passed_over || xfd_status_is_special(pid) ? look_behind(x, events + count, max - count) : -ENOTSUP;
        if (passed_over || behind != -ENOTSUP) /* else there is no way to know, and it counts as a child */
            return behind > 0 ? count + behind : count;
        found = reap(x, pid, true, &events[count]);
        if (found == -EPERM)
            break;
        count += found == 1;
    }
    if (found == -EPERM)
        xfd_status_note_blocked();
    else
        atomic_store(&hidden, false);
    return count;
}

/* 0, or a negative errno: it cannot be kept apart from a later child with its
   pid. */
static int add_candidate(struct exitfd *x, pid_t pid)
{
    struct watch zombie = { .pid = pid, .data = x->orphans.data };
    struct wait_result result;

    if (xfd_registry_is_watched(x, pid))
        return 0;
    zombie.pidfd = xfd_platform_open_pidfd(pid);
    if (zombie.pidfd < 0)
        return zombie.pidfd;
    if (xfd_status_wait_watch(&zombie, WEXITED | WNOWAIT, &result) != 1 || !xfd_status_is_exit(&result)) {
        close(zombie.pidfd);
        return 0;
    }
    candidates.zombies[candidates.count] = zombie;
    atomic_fetch_add(&candidates.count, 1);
    return 0;
}

/* Whether it was possible for all children. */
static bool add_candidates(struct exitfd *x)
{
    pid_t *children = NULL;
    int number = xfd_platform_list_children(&children);
    bool all = number >= 0;

    candidates.seen_at = xfd_registry_start_seq();
    for (int i = 0; i < number && candidates.count < CANDIDATES; i++)
        all &= add_candidate(x, children[i]) == 0;
    free(children);
    return all;
}

static int reap_candidates(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct wait_result result;
    int count = 0;

    while (candidates.count > 0 && count < max) {
        struct watch zombie = pop_candidate();
        if (!xfd_registry_is_watched(x, zombie.pid) && xfd_status_reap_exit(&zombie, &result) == 1)
            xfd_event_fill(&events[count++], &zombie, &result);
        close(zombie.pidfd);
    }
    return count;
}

static int look_beside_starts(struct exitfd *x, struct exitfd_event *events, int max)
{
    int count = 0;
    bool all = true;

    atomic_store(&hidden, true);
    if (candidates.seen_at < xfd_registry_oldest_start())
        count = reap_candidates(x, events, max);
    if (candidates.count == 0)
        all = add_candidates(x);
    if (candidates.count > 0 || !all)
        xfd_registry_wake_after_starts(candidates.seen_at);
    return count;
}

static int look_alone(struct exitfd *x, struct exitfd_event *events, int max)
{
    drop_candidates();
    return look(x, events, max);
}

static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    int count = 0;

    xfd_registry_lock();
    pthread_mutex_lock(&x->lock);
    xfd_orphans_take_due(&x->orphans);
    if (x->orphans.claimed)
        count =
            xfd_registry_oldest_start() == NO_START ? look_alone(x, events, max) : look_beside_starts(x, events, max);
    if (count == max)
        wake_up(&x->wake);
    pthread_mutex_unlock(&x->lock);
    xfd_registry_unlock();
    return count;
}

int xfd_orphans_take_first(struct exitfd *x, struct exitfd_event *events, int max)
{
    /* Read first: this is asked at each call, and a write costs more. */
    bool first = atomic_load(&x->orphans.first) && atomic_exchange(&x->orphans.first, false);

    return first ? take(x, events, max) : 0;
}

int xfd_orphans_take(struct exitfd *x, struct exitfd_event *events, int max)
{
    if (max == 0) {
        atomic_store(&x->orphans.first, true);
        wake_up(&x->wake);
        return 0;
    }
    return take(x, events, max);
}

void xfd_orphans_look_again(void)
{
    /* Read first: after a fork the first write to a page costs a fault, and
       this is asked at each event. */
    if (atomic_load(&hidden) && atomic_exchange(&hidden, false))
        xfd_registry_wake_catch_all();
}
