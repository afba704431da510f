/* SPDX-License-Identifier: MIT */
#include "jobs.h"

#include "process.h"
#include "status.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic unsigned job_observers; /* of all exitfds of this process */

void xfd_jobs_count(struct exitfd *x, const struct watch *w, unsigned change)
{
    if (!(w->flags & JOB_FLAGS))
        return;
    x->job_watches += change;
    if (w->flags & EXITFD_OBSERVE && x->epoch == xfd_process_epoch())
        atomic_fetch_add(&job_observers, change);
}

void xfd_jobs_forked(void)
{
    atomic_store(&job_observers, 0);
}

static uint32_t seen_flag(int code)
{
    return code == CLD_STOPPED ? WATCH_STOP_SEEN : code == CLD_CONTINUED ? WATCH_CONTINUE_SEEN : 0;
}

/*
 * A child has one such state, and what its owner takes no observer sees: while there are observers in this process, the
 * owner only peeks as they do. Peeking shows a state again and again, so what was told is marked, until it is gone.
 */
static bool job_changed(struct watch *w, struct wait_result *result)
{
    uint32_t wanted = w->flags & JOB_FLAGS;
    bool peeks = w->flags & EXITFD_OBSERVE || atomic_load(&job_observers) > 0;
    int options = peeks ? WSTOPPED | WCONTINUED | WNOWAIT
                        : (wanted & EXITFD_STOPPED ? WSTOPPED : 0) | (wanted & EXITFD_CONTINUED ? WCONTINUED : 0);
    /* Looked at first: with WSTOPPED a wait takes the ptrace stops of a child that this process traces itself. */
    int found = xfd_status_wait_watch(w, options | WNOWAIT, result);
    if (found == 1 && !peeks && seen_flag(result->code))
        found = xfd_status_wait_watch(w, options, result);
    if (found == -EPERM)
        return false;
    uint32_t seen = found == 1 ? seen_flag(result->code) : 0;
    bool is_new = seen && !(w->flags & seen);

    w->flags = (w->flags & ~(uint32_t)(WATCH_STOP_SEEN | WATCH_CONTINUE_SEEN)) | (peeks ? seen : 0);
    return is_new && wanted & (result->code == CLD_STOPPED ? EXITFD_STOPPED : EXITFD_CONTINUED);
}

int xfd_jobs_collect(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct wait_result result;
    int count = 0;

    if (x->job_watches == 0)
        return 0;
    for (uint32_t left = x->ring_size; left > 0 && count < max; left--) {
        struct watch *w = &x->watches.slots[x->jobs_next];
        x->jobs_next = w->next;
        if (w->flags & JOB_FLAGS && job_changed(w, &result))
            xfd_event_fill(&events[count++], w, &result);
    }
    return count;
}
