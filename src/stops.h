/* SPDX-License-Identifier: MIT */
/*
 * Stops and continues, of those children of tracking.h that they are asked for.
 * x->lock is held, except at close and in a forked child.
 */
#ifndef EXITFD_STOPS_H
#define EXITFD_STOPS_H

#include "exitfd.h"
#include "watches.h"

#define STOP_FLAGS (EXITFD_STOPPED | EXITFD_CONTINUED)

struct stops {
    uint32_t watches;   /* how many watches ask for them */
    uint32_t observers; /* of these, with EXITFD_OBSERVE */
};

/* w is tracked from now on, or no longer. */
void xfd_stops_add(struct exitfd *x, const struct watch *w);
void xfd_stops_remove(struct exitfd *x, const struct watch *w);

int xfd_stops_take(struct exitfd *x, struct exitfd_event *events, int max);

void xfd_stops_close(struct exitfd *x);
void xfd_stops_forked(void);

#endif
