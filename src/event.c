/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <string.h>

static void event_start(struct exitfd_event *event, const struct watch *w, enum exitfd_origin origin)
{
    memset(event, 0, sizeof *event);
    event->pid = w->pid == PID_LOST ? 0 : w->pid;
    event->data = w->data;
    event->origin = origin;
}

void xfd_event_fill(struct exitfd_event *event, const struct watch *w, const struct wait_result *result)
{
    bool reaped = xfd_status_is_exit(result) && !(w->flags & (EXITFD_OBSERVE | EXITFD_HOLD));

    event_start(event, w, reaped ? EXITFD_REAPED : EXITFD_PEEKED);
    event->code = result->code;
    event->status = result->status;
    event->rusage = result->rusage;
}

void xfd_event_recorded(struct exitfd_event *event, const struct watch *w, int wait_status)
{
    event_start(event, w, EXITFD_RECORDED);
    if (WIFEXITED(wait_status)) {
        event->code = CLD_EXITED;
        event->status = WEXITSTATUS(wait_status);
    } else {
        event->code = WCOREDUMP(wait_status) ? CLD_DUMPED : CLD_KILLED;
        event->status = WTERMSIG(wait_status);
    }
}

void xfd_event_unknown(struct exitfd_event *event, const struct watch *w)
{
    event_start(event, w, EXITFD_UNKNOWN);
}
