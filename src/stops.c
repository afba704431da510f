/* SPDX-License-Identifier: MIT */
/*
 * A child has one such state, and an observer does not see what its owner
 * takes. So while there are observers in this process, in any exitfd, the owner
 * only peeks as they do. Peeking shows a state again and again, so what was
 * reported is marked until the state is gone.
 */
#include "stops.h"

#include "backend.h"
#include "event.h"
#include "object.h"
#include "status.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic unsigned all_observers; /* of all exitfds of this process */

void xfd_stops_add(struct exitfd *x, const struct watch *w)
{
    if (!(w->flags & STOP_FLAGS))
        return;
    x->stops.watches++;
    if (w->flags & EXITFD_OBSERVE) {
        x->stops.observers++;
        atomic_fetch_add(&all_observers, 1);
    }
}

void xfd_stops_remove(struct exitfd *x, const struct watch *w)
{
    if (!(w->flags & STOP_FLAGS))
        return;
    x->stops.watches--;
    if (w->flags & EXITFD_OBSERVE) {
        x->stops.observers--;
        atomic_fetch_sub(&all_observers, 1);
    }
}

void xfd_stops_close(struct exitfd *x)
{
    if (!xfd_object_is_stale(x))
        atomic_fetch_sub(&all_observers, x->stops.observers);
}

void xfd_stops_forked(void)
{
    atomic_store(&all_observers, 0);
}

static uint32_t seen_flag(int code)
{
    return code == CLD_STOPPED ? WATCH_STOP_SEEN : code == CLD_CONTINUED ? WATCH_CONTINUE_SEEN : 0;
}

static bool has_changed(struct watch *w, struct wait_result *result)
{
    uint32_t wanted = w->flags & STOP_FLAGS;
    bool peeks = w->flags & EXITFD_OBSERVE || atomic_load(&all_observers) > 0;
    int options = peeks ? WSTOPPED | WCONTINUED | WNOWAIT
                        : (wanted & EXITFD_STOPPED ? WSTOPPED : 0) | (wanted & EXITFD_CONTINUED ? WCONTINUED : 0);
    /* Looked at first: with WSTOPPED a wait takes the ptrace stops of a child
       that this process traces itself. */
    int found = xfd_status_wait_watch(w, options | WNOWAIT, result);
    if (found == 1 && !peeks && seen_flag(result->info.si_code))
        found = xfd_status_wait_watch(w, options, result);
    if (found == -EPERM)
        return false;
    uint32_t seen = found == 1 ? seen_flag(result->info.si_code) : 0;
    bool is_new = seen && !(w->flags & seen);

    w->flags = (w->flags & ~(uint32_t)(WATCH_STOP_SEEN | WATCH_CONTINUE_SEEN)) | (peeks ? seen : 0);
    return is_new && wanted & (result->info.si_code == CLD_STOPPED ? EXITFD_STOPPED : EXITFD_CONTINUED);
}

int xfd_stops_take(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct wait_result result;
    int count = 0;

    if (x->stops.watches == 0)
        return 0;
    for (uint32_t left = x->tracking.count; left > 0 && count < max; left--) {
        struct watch *w = xfd_tracking_next_for_stops(&x->tracking, &x->watches);
        if (w->flags & STOP_FLAGS && has_changed(w, &result))
            xfd_event_fill(&events[count++], w, &result);
    }
    return count;
}
