/* SPDX-License-Identifier: MIT */
#include "event.h"

#include <string.h>

static const struct rusage not_known;

/* An event is large, so each member is written once, and it is not cleared
   before. */
static void event_start(struct exitfd_event *event, const struct watch *w, enum exitfd_origin origin,
                        const struct rusage *rusage)
{
    event->pid = w->pid == PID_LOST ? 0 : w->pid;
    event->code = event->status = 0;
    event->origin = origin;
    event->data = w->data;
    event->rusage = *rusage;
    event->crash_signal = 0;
    memset(event->reserved, 0, sizeof event->reserved);
}

void xfd_event_fill(struct exitfd_event *event, const struct watch *w, const struct wait_result *result)
{
    bool reaped = xfd_status_is_exit(result) && !xfd_status_is_peeked(w);

    if (!event)
        return;
    event_start(event, w, reaped ? EXITFD_REAPED : EXITFD_PEEKED, &result->rusage);
    event->code = result->info.si_code;
    event->status = result->info.si_status;
}

void xfd_event_recorded(struct exitfd_event *event, const struct watch *w, const struct record *record)
{
    const int wait_status = record->wait_status;

    if (!event)
        return;
    event_start(event, w, EXITFD_RECORDED, &not_known);
    event->crash_signal = record->crash_signal;
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
    if (event)
        event_start(event, w, EXITFD_UNKNOWN, &not_known);
}
