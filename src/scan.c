/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD says that some child has exited, not which. One waitid finds it among
 * any number (reap_front). If a zombie that is not ours stands in front of it,
 * or other code reaps our children, each child is checked instead (scan). A
 * scan that max cut short goes on at the next take.
 */
#include "scan.h"

#include "autokill.h"
#include "backend.h"
#include "event.h"
#include "posix/disposition.h"
#include "status.h"

#include <errno.h>

#define AT_ONCE 256 /* so many once in a second cost nothing that can be measured */

static void finish(struct exitfd *x, struct watch *w, const struct wait_result *result, struct exitfd_event *events,
                   int *count)
{
    if (xfd_watch_is_reported(w)) {
        struct exitfd_event *event = &events[(*count)++];
        if (result)
            xfd_event_fill(event, w, result);
        else if (w->flags & WATCH_RECORDED)
            xfd_event_recorded(event, w, &w->record);
        else if (w->autokill && xfd_autokill_get_record(w->autokill, &w->record))
            xfd_event_recorded(event, w, &w->record);
        else
            xfd_event_unknown(event, w);
    }
    xfd_tracking_remove(x, w);
    if (w->autokill)
        xfd_autokill_end(w->autokill);
    if (w->flags & EXITFD_HOLD)
        w->flags |= WATCH_HELD | (result ? 0 : WATCH_REAPED_ELSEWHERE);
    else
        xfd_watches_drop(&x->watches, w);
}

static void reap_or_unknown(struct exitfd *x, struct watch *w, struct exitfd_event *events, int *count)
{
    struct wait_result result;
    int found = xfd_status_reap_exit(w, &result);

    if (found != 0 && found != -EPERM)
        finish(x, w, found == 1 ? &result : NULL, events, count);
}

/* True if each child has to be asked for. */
static bool reap_front(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    struct wait_result result;

    while (*count < max && x->tracking.without_pidfd > 0) {
        int found = xfd_status_wait(P_ALL, 0, WEXITED | WNOWAIT, &result);
        if (found == 0)
            return false;
        bool exited = found == 1 && xfd_status_is_exit(&result);
        struct watch *w = exited ? xfd_watches_find(&x->watches, result.info.si_pid) : NULL;
        if (!w || w->pidfd >= 0 || xfd_status_is_peeked(w))
            return true;
        found = xfd_status_wait_watch(w, WEXITED, &result);
        if (found == 0 || found == -EPERM)
            return true;
        finish(x, w, found == 1 ? &result : NULL, events, count);
    }
    return false;
}

/* What other exitfds of this process have reaped. True if each child has to be
   asked for. */
static bool finish_reaped(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    pid_t pid;
    int found;

    while (*count < max && (found = xfd_foreign_reaps_next_own(&x->foreign_reaps, &pid)) != 0) {
        if (found < 0)
            return true;
        struct watch *w = xfd_watches_find(&x->watches, pid);
        if (w && xfd_tracking_is_scanned(w))
            reap_or_unknown(x, w, events, count);
    }
    return false;
}

/* Whether others reap our children, so that each has to be asked for: other
   code, the kernel, another exitfd. */
static bool others_reap(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    return xfd_foreign_reaps_since(&x->foreign_reaps) || xfd_disposition_get().no_zombies ||
           finish_reaped(x, events, max, count);
}

/* Without room for more the front may never leave any, and would hide what
   others have reaped. It costs two system calls. */
static bool is_others_turn(const struct scan *s)
{
    return s->full > 0 && s->full % 2 == 0;
}

/* Else the front first: a child that others reap before that is not seen there,
   and one that they reap later was. */
static bool must_scan(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    if (x->tracking.to_scan > 0 || (is_others_turn(&x->scan) && others_reap(x, events, max, count)))
        return true;
    if (reap_front(x, events, max, count))
        return true;
    return *count < max && others_reap(x, events, max, count);
}

static void scan(struct exitfd *x, struct exitfd_event *events, int max, int *count)
{
    struct watch *w;

    while (*count < max && (w = xfd_tracking_next_to_scan(&x->tracking, &x->watches)))
        if (w->pidfd < 0)
            reap_or_unknown(x, w, events, count);
}

/* Where one child made no sign, others may have made none. */
static bool one_is_unknown(const struct exitfd_event *events, int count)
{
    while (count > 0)
        if (events[--count].origin == EXITFD_UNKNOWN)
            return true;
    return false;
}

int xfd_scan_one(struct exitfd *x, struct exitfd_event *event)
{
    int count = 0;

    if (!xfd_tracking_scan_some(&x->tracking, 1))
        return 0;
    scan(x, event, 1, &count);
    xfd_tracking_end_scan(&x->tracking);
    if (one_is_unknown(event, count)) {
        xfd_tracking_scan_all(&x->tracking);
        wake_up(&x->wake);
    }
    return count;
}

/* At each tick of the timer. To check one at a time would find children without
   a sign at one a second. */
static int scan_some(struct exitfd *x, struct exitfd_event *events, int max)
{
    int count = 0;

    if (xfd_tracking_scan_some(&x->tracking, AT_ONCE))
        scan(x, events, max, &count);
    if (one_is_unknown(events, count)) {
        xfd_tracking_scan_all(&x->tracking);
        scan(x, events, max, &count);
    }
    return count;
}

static int take_exits(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    int count = 0;
    bool is_due = x->scan.is_due;
    struct watch *hinted = hint > 0 ? xfd_watches_find(&x->watches, hint) : NULL;

    x->scan.is_due = false;
    if (hinted && xfd_tracking_is_scanned(hinted))
        reap_or_unknown(x, hinted, events, &count);
    /* A scan that max cut short starts again: this wake-up may be about a child
       that it had passed. */
    if (all || must_scan(x, events, max, &count))
        xfd_tracking_scan_all(&x->tracking);
    if (x->tracking.to_scan > 0)
        scan(x, events, max, &count);
    else if (count < max)
        count += is_due ? scan_some(x, events + count, max - count) : xfd_scan_one(x, events + count);
    return count;
}

/* In turn: children that stop and go on all the time must not hide that another
   one has exited, nor the reverse. */
static int take_in_turn(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    int count = 0;
    bool exits_first = x->scan.exits_first;

    x->scan.exits_first = !exits_first;
    if (!exits_first)
        count = xfd_stops_take(x, events, max);
    if (count < max && x->tracking.without_pidfd > 0)
        count += take_exits(x, events + count, max - count, all, hint);
    if (exits_first)
        count += xfd_stops_take(x, events + count, max - count);
    return count;
}

int xfd_scan_take(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint)
{
    xfd_orphans_set_due(&x->orphans);
    int count = take_in_turn(x, events, max, all, x->scan.full > 0 ? 0 : hint);
    x->scan.full = count == max ? x->scan.full + 1 : 0;
    if (count == max)
        wake_up(&x->wake);
    /* What this thread may not wait for is asked for by the next one that
       may. */
    if (xfd_status_is_blocked())
        xfd_tracking_scan_all(&x->tracking);
    return count;
}
