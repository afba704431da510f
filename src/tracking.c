/* SPDX-License-Identifier: MIT */
/*
 * A circular list through the slots of the pid table. A child enters it before
 * its state is asked for, so that what exits from then on is seen by SIGCHLD
 * and what exited before is seen by that question.
 */
#include "tracking.h"

#include "backend.h"
#include "platform.h"
#include "status.h"

#include <errno.h>

static unsigned is_reaped_elsewhere(const struct watch *w)
{
    return w->flags & WATCH_REAPED_ELSEWHERE ? 1 : 0;
}

static struct watch *slot(struct exitfd *x, uint32_t number)
{
    return &x->watches.slots[number];
}

static void insert(struct exitfd *x, struct watch *w)
{
    struct tracking *t = &x->tracking;
    uint32_t number = (uint32_t)(w - x->watches.slots);

    t->reaped_elsewhere += is_reaped_elsewhere(w);
    t->without_pidfd += w->pidfd < 0;
    xfd_stops_add(x, w);
    if (t->count++ == 0) {
        t->next_to_scan = t->next_for_stops = w->next = w->prev = number;
        return;
    }
    struct watch *first = slot(x, t->next_to_scan);
    w->next = t->next_to_scan;
    w->prev = first->prev;
    slot(x, first->prev)->next = number;
    first->prev = number;
}

void xfd_tracking_remove(struct exitfd *x, struct watch *w)
{
    struct tracking *t = &x->tracking;
    uint32_t number = (uint32_t)(w - x->watches.slots);

    if (!xfd_tracking_has(w))
        return;
    t->reaped_elsewhere -= is_reaped_elsewhere(w);
    t->without_pidfd -= w->pidfd < 0;
    xfd_stops_remove(x, w);
    slot(x, w->prev)->next = w->next;
    slot(x, w->next)->prev = w->prev;
    if (t->next_to_scan == number)
        t->next_to_scan = w->next;
    if (t->next_for_stops == number)
        t->next_for_stops = w->next;
    w->next = w->prev = SLOT_NONE;
    if (t->to_scan > --t->count)
        t->to_scan = t->count;
}

static void mark(struct exitfd *x, struct watch *w)
{
    x->tracking.reaped_elsewhere += xfd_tracking_has(w) && !is_reaped_elsewhere(w);
    w->flags |= WATCH_REAPED_ELSEWHERE;
}

void xfd_tracking_mark_reaped_elsewhere(struct exitfd *x, struct watch *w)
{
    mark(x, w);
    xfd_tracking_scan_all(&x->tracking);
    wake_up(&x->wake);
}

/* -ESRCH: no such process; -ECHILD: not our child; -EPERM: a wait for it is
   blocked; else it is tracked. */
static int look_at(const struct watch *w)
{
    return is_reaped_elsewhere(w) ? -ESRCH : xfd_status_check_child(w->pid);
}

/* No SIGCHLD comes of it. Where a pidfd would have done, the errno is why there
   is none. */
static int why_not_tracked(const struct watch *w, int why)
{
    if (w->flags & EXITFD_OBSERVE)
        return why ? why : -ENOTSUP;
    return why && xfd_status_is_special(w->pid) ? why : -ECHILD;
}

int xfd_tracking_add(struct exitfd *x, struct watch *w, int why, bool started_by_us)
{
    if (!started_by_us && xfd_platform_is_thread(w->pid))
        return -ESRCH;
    if (!started_by_us && !xfd_subscription_is_allowed(x))
        return why;
    bool was_needed = xfd_subscription_is_needed(x);
    if (started_by_us && why == -ESRCH) /* it cannot signal any more, and SIG_IGN, which made it so, may stay */
        mark(x, w);
    insert(x, w);
    xfd_subscription_sync(x);

    int state = look_at(w);
    if (state < 0 && !started_by_us) {
        xfd_tracking_remove(x, w);
        xfd_subscription_sync(x);
        return state == -ECHILD ? why_not_tracked(w, why) : state;
    }
    if (state < 0)
        xfd_tracking_scan_all(&x->tracking);
    bool arrives = xfd_subscription_check(x);
    /* Threads that sleep already have not asked whether SIGCHLD can reach them,
       and their mask may be another than ours. */
    bool news_for_sleepers = !was_needed && atomic_load(&x->sleepers) > 0;
    if (!arrives || news_for_sleepers || state != 0 || w->flags & STOP_FLAGS) /* it may be stopped already */
        wake_up(&x->wake);
    return 0;
}

void xfd_tracking_add_for_stops(struct exitfd *x, struct watch *w)
{
    insert(x, w);
    xfd_subscription_sync(x);
    xfd_subscription_check(x);
    wake_up(&x->wake);
}

void xfd_tracking_end_stops(struct exitfd *x, struct watch *w)
{
    if (!(w->flags & STOP_FLAGS))
        return;
    if (w->pidfd >= 0)
        xfd_tracking_remove(x, w);
    else
        xfd_stops_remove(x, w);
    w->flags &= ~(uint32_t)STOP_FLAGS;
}
