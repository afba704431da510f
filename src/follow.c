/* SPDX-License-Identifier: MIT */
#include "follow.h"

#include "jobs.h"
#include "platform.h"
#include "posix/disposition.h"
#include "posix/sigchld.h"
#include "status.h"
#include "wake.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

static unsigned is_gone(const struct watch *w)
{
    return w->flags & WATCH_GONE ? 1 : 0;
}

static void mark_gone(struct exitfd *x, struct watch *w)
{
    x->gone += w->next != SLOT_NONE && !is_gone(w);
    w->flags |= WATCH_GONE;
}

static struct watch *slot(struct exitfd *x, uint32_t number)
{
    return &x->watches.slots[number];
}

static void ring_insert(struct exitfd *x, struct watch *w)
{
    uint32_t number = (uint32_t)(w - x->watches.slots);

    x->gone += is_gone(w);
    if (x->ring_size++ == 0) {
        x->ring = x->jobs_next = w->next = w->prev = number;
        return;
    }
    struct watch *first = slot(x, x->ring);
    w->next = x->ring;
    w->prev = first->prev;
    slot(x, first->prev)->next = number;
    first->prev = number;
}

static void ring_remove(struct exitfd *x, struct watch *w)
{
    uint32_t number = (uint32_t)(w - x->watches.slots);

    x->gone -= is_gone(w);
    slot(x, w->prev)->next = w->next;
    slot(x, w->next)->prev = w->prev;
    if (x->ring == number)
        x->ring = w->next;
    if (x->jobs_next == number)
        x->jobs_next = w->next;
    w->next = w->prev = SLOT_NONE;
    if (x->unchecked > --x->ring_size)
        x->unchecked = x->ring_size;
}

static bool may_listen(const struct exitfd *x)
{
    return x->backend->by_sigchld || !(x->flags & EXITFD_NO_SIGNALS);
}

static bool needs_sigchld(const struct exitfd *x)
{
    return x->ring_size > x->gone || x->any_child;
}

static int sync_listening(struct exitfd *x)
{
    bool to_stops = x->job_watches > 0;
    bool wanted = may_listen(x) && (x->backend->by_sigchld || needs_sigchld(x));
    int error = 0;

    if (wanted == x->listening && to_stops == x->listening_to_stops)
        return 0;
    if (wanted)
        error = xfd_sigchld_listen(x->listener, x->wake_fd, x->wake_size,
                                   x->signal_fd >= 0 ? LISTEN_TO_SIBLINGS
                                   : to_stops        ? LISTEN_STOPS
                                                     : LISTEN_EXITS);
    else if (x->listening)
        xfd_sigchld_unlisten(x->listener);
    x->listening = wanted && error == 0;
    x->listening_to_stops = to_stops;
    return error;
}

int xfd_follow_start(struct exitfd *x)
{
    xfd_status_foreign_reaps(&x->foreign_reaps);
    x->own_reaps = xfd_status_own_reaps();
    x->listener = xfd_sigchld_reserve();
    if (!x->listener)
        return -ENOMEM;
    int error = x->backend->by_sigchld ? sync_listening(x) : 0;
    if (error < 0)
        xfd_follow_stop(x);
    return error;
}

void xfd_follow_stop(struct exitfd *x)
{
    if (!x->listener)
        return;
    for (; x->ring_size > 0; x->ring_size--, x->ring = slot(x, x->ring)->next)
        xfd_jobs_count(x, slot(x, x->ring), UINT_MAX);
    xfd_sigchld_unlisten(x->listener);
    xfd_sigchld_release(x->listener);
    x->listener = NULL;
}

/* Who exited between the last look of a deaf time and its end was told of to nobody: one look at each. */
static void change_hearing(struct exitfd *x, bool reached)
{
    x->deaf = !reached;
    if (reached && needs_sigchld(x)) {
        x->unchecked = x->ring_size;
        wake(x);
    }
}

/* The fd of a back end that does without SIGCHLD is to tell of the few that need it whatever becomes of the handler. */
static void sync_tick(struct exitfd *x)
{
    int period = x->deaf ? DEAF_LOOK_MS : needs_sigchld(x) && !x->backend->by_sigchld ? HEARING_CHECK_MS : 0;

    if (!x->backend->tick || period == x->tick_period)
        return;
    x->tick_period = period;
    x->backend->tick(x);
}

static void listen_to_stops_again(struct exitfd *x)
{
    x->listening_to_stops = false;
    sync_listening(x);
    wake(x);
}

bool xfd_follow_check(struct exitfd *x)
{
    bool reached = true;

    if (needs_sigchld(x)) {
        struct sigchld_disposition now = xfd_disposition_get();
        if (x->signal_fd >= 0)
            reached = now.state != SIGCHLD_IGNORED && xfd_sigchld_is_blocked();
        else
            reached = x->listening && now.state == SIGCHLD_OURS && !xfd_sigchld_is_blocked();
        if (reached && x->signal_fd < 0 && x->listening_to_stops && now.hides_stops)
            listen_to_stops_again(x);
    }
    if (x->deaf == reached)
        change_hearing(x, reached);
    sync_tick(x);
    return reached;
}

int xfd_follow_patience(const struct exitfd *x, int timeout)
{
    int most = x->deaf && !x->backend->tick ? DEAF_LOOK_MS : HEARING_CHECK_MS;

    return needs_sigchld(x) && (timeout < 0 || timeout > most) ? most : timeout;
}

int xfd_follow_add(struct exitfd *x, struct watch *w, int why, bool known_child)
{
    if (!known_child && xfd_platform_is_thread(w->pid))
        return -ESRCH;
    if (!known_child && !may_listen(x))
        return why;
    bool was_needed = needs_sigchld(x);
    ring_insert(x, w);
    x->followed++;
    xfd_jobs_count(x, w, 1);
    if (known_child && why == -ESRCH) /* it cannot signal any more, and SIG_IGN, which made it so, may stay */
        mark_gone(x, w);
    sync_listening(x);

    /* Only now: what dies from here on is told by SIGCHLD, what died before is seen here. */
    int dead = is_gone(w) ? -ESRCH : xfd_status_is_child(w->pid);
    if (dead < 0 && !known_child) {
        xfd_follow_remove(x, w);
        return dead == -ECHILD && w->flags & EXITFD_OBSERVE ? (why ? why : -ENOTSUP) : dead;
    }
    if (dead < 0)
        x->unchecked = x->ring_size;
    bool reached = xfd_follow_check(x);
    /* Who sleeps already has not asked whether SIGCHLD can reach it, and its mask may be another than ours. */
    bool news_for_sleepers = !was_needed && atomic_load(&x->sleepers) > 0;
    if (!reached || news_for_sleepers || dead || w->flags & JOB_FLAGS) /* it may be stopped already */
        wake(x);
    return 0;
}

void xfd_follow_gone(struct exitfd *x, struct watch *w)
{
    mark_gone(x, w);
    x->unchecked = x->ring_size;
    wake(x);
}

void xfd_follow_jobs(struct exitfd *x, struct watch *w)
{
    ring_insert(x, w);
    xfd_jobs_count(x, w, 1);
    sync_listening(x);
    xfd_follow_check(x);
    wake(x);
}

void xfd_follow_end_jobs(struct exitfd *x, struct watch *w)
{
    if (!(w->flags & JOB_FLAGS))
        return;
    if (w->pidfd >= 0) {
        xfd_follow_remove(x, w);
    } else {
        xfd_jobs_count(x, w, UINT_MAX);
        sync_listening(x);
    }
    w->flags &= ~(uint32_t)JOB_FLAGS;
}

void xfd_follow_remove(struct exitfd *x, struct watch *w)
{
    if (w->next == SLOT_NONE)
        return;
    ring_remove(x, w);
    x->followed -= w->pidfd < 0;
    xfd_jobs_count(x, w, UINT_MAX);
    sync_listening(x);
    xfd_follow_check(x);
}

void xfd_follow_orphans(struct exitfd *x)
{
    sync_listening(x);
    xfd_follow_check(x);
}

static void settle_as(struct exitfd *x, struct watch *w, const struct wait_result *result, struct exitfd_event *events,
                      int *count)
{
    if (!(w->flags & WATCH_DISCARDED)) {
        struct exitfd_event *event = &events[(*count)++];
        if (result)
            xfd_event_fill(event, w, result);
        else
            xfd_event_unknown(event, w);
    }
    xfd_follow_remove(x, w);
    if (w->flags & EXITFD_HOLD)
        w->flags |= WATCH_HELD;
    else
        xfd_watches_drop(&x->watches, w);
}

static bool settle(struct exitfd *x, struct watch *w, struct exitfd_event *events, int *count)
{
    struct wait_result result;
    int found = xfd_status_settle(w, &result);

    if (found == 0 || found == -EPERM)
        return false;
    settle_as(x, w, found == 1 ? &result : NULL, events, count);
    return true;
}

/*
 * One call finds a finished child among any number, unless one that is not ours to reap stands in front of it: then
 * each must be asked for. True if that is so.
 */
static bool peek(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    struct wait_result result;

    while (*count < max && x->followed > 0) {
        int found = xfd_status_wait(P_ALL, 0, WEXITED | WNOWAIT, &result);
        if (found == 0)
            return false;
        bool exited = found == 1 && xfd_status_is_exit(&result);
        struct watch *w = exited ? xfd_watches_find(&x->watches, result.pid) : NULL;
        if (!w || w->pidfd >= 0 || w->flags & (EXITFD_OBSERVE | EXITFD_HOLD))
            return true;
        found = xfd_status_wait_watch(w, WEXITED, &result);
        if (found == 0 || found == -EPERM)
            return true;
        settle_as(x, w, found == 1 ? &result : NULL, events, count);
    }
    return false;
}

/* After the peek: a child stolen before it was not seen there, and one stolen later was. */
static bool somebody_else_reaps(struct exitfd *x)
{
    unsigned long before = x->foreign_reaps;
    bool known = xfd_status_foreign_reaps(&x->foreign_reaps);

    return !known || x->foreign_reaps != before || xfd_disposition_get().no_zombies;
}

/* What other exitfds of this process have reaped since the last look. True if that is not known of each. */
static bool settle_reaped(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    uint64_t now = xfd_status_own_reaps();

    for (; x->own_reaps != now && *count < max; x->own_reaps++) {
        pid_t pid = xfd_status_reaped(x->own_reaps);
        struct watch *w = xfd_watches_find(&x->watches, pid);
        if (pid == 0) {
            x->own_reaps = now;
            return true;
        }
        if (w && w->next != SLOT_NONE && w->pidfd < 0)
            settle(x, w, events, count);
    }
    return false;
}

static void look(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    while (x->unchecked > 0 && *count < max) {
        struct watch *w = slot(x, x->ring);
        x->ring = w->next;
        x->unchecked--;
        if (w->pidfd < 0)
            settle(x, w, events, count);
    }
}

int xfd_follow_audit(struct exitfd *x, struct exitfd_event *event)
{
    int count = 0;

    if (x->followed == 0 || x->unchecked > 0)
        return 0;
    x->unchecked = 1;
    look(x, event, 1, &count);
    x->unchecked = 0;
    return count;
}

static int collect_exits(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    int count = 0;
    struct watch *hinted = hint > 0 ? xfd_watches_find(&x->watches, hint) : NULL;

    if (hinted && hinted->next != SLOT_NONE && hinted->pidfd < 0)
        settle(x, hinted, events, &count);
    /* A round that max cut short starts again: this wake-up may be about one that it had passed. */
    if (all || x->unchecked > 0 || peek(x, events, max, &count) ||
        (count < max && (somebody_else_reaps(x) || settle_reaped(x, events, max, &count))))
        x->unchecked = x->ring_size;
    if (x->unchecked > 0)
        look(x, events, max, &count);
    else if (count < max)
        count += xfd_follow_audit(x, events + count);
    return count;
}

/* In turn: children that stop and go on all the time must not hide that another one has exited, nor the reverse. */
static int collect_in_turn(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    int count = 0;
    bool exits_first = x->exits_first;

    x->exits_first = !exits_first;
    if (!exits_first)
        count = xfd_jobs_collect(x, events, max);
    if (count < max && x->followed > 0)
        count += collect_exits(x, events + count, max - count, all, hint);
    if (exits_first)
        count += xfd_jobs_collect(x, events + count, max - count);
    return count;
}

int xfd_follow_collect(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    x->orphans_due = x->any_child;
    int count = collect_in_turn(x, events, max, all, hint);
    if (count == max)
        wake(x);
    /* What this thread may not wait for is looked at by the next one that may. */
    if (xfd_status_is_refused())
        x->unchecked = x->ring_size;
    return count;
}
