/* SPDX-License-Identifier: MIT */
/* Filling an event. */
#ifndef EXITFD_EVENT_H
#define EXITFD_EVENT_H

#include "status.h"

/* event NULL: the child was discarded, and its event is not reported. */
void xfd_event_fill(struct exitfd_event *event, const struct watch *w, const struct wait_result *result);
void xfd_event_recorded(struct exitfd_event *event, const struct watch *w, const struct record *record);
void xfd_event_unknown(struct exitfd_event *event, const struct watch *w);

#endif
