/* SPDX-License-Identifier: MIT */
/*
 * Children that are tracked by SIGCHLD: all on the SIGCHLD back ends, and on
 * the others those without a pidfd and those whose stops are asked for.
 * Membership only. Whether SIGCHLD arrives is subscription.h, which have exited
 * is scan.h. x->lock is held in every call.
 */
#ifndef EXITFD_TRACKING_H
#define EXITFD_TRACKING_H

#include "watches.h"

#include <stddef.h>

struct exitfd;

struct tracking {
    uint32_t count;            /* in the list */
    uint32_t without_pidfd;    /* of these: their exit is found by a scan */
    uint32_t reaped_elsewhere; /* of these: no SIGCHLD is to come of them */
    uint32_t next_to_scan, next_for_stops;
    uint32_t to_scan; /* so many from next_to_scan on are still to be scanned */
};

/* why: the negative errno for which there is no pidfd, 0 on a back end without.
   With started_by_us it cannot fail. */
int xfd_tracking_add(struct exitfd *x, struct watch *w, int why, bool started_by_us);

/* For a watch with a pidfd, whose stops or continues are asked for. */
void xfd_tracking_add_for_stops(struct exitfd *x, struct watch *w);

/* Stops and continues are no longer asked for. */
void xfd_tracking_end_stops(struct exitfd *x, struct watch *w);

/* Does nothing for one that is not tracked. The caller calls
   xfd_subscription_sync when all is removed. */
void xfd_tracking_remove(struct exitfd *x, struct watch *w);

/* Its pid was given to a new child, so other code has reaped it: it must not be
   waited for by that pid. */
void xfd_tracking_mark_reaped_elsewhere(struct exitfd *x, struct watch *w);

static inline bool xfd_tracking_has(const struct watch *w)
{
    return w->next != SLOT_NONE;
}

static inline bool xfd_tracking_is_scanned(const struct watch *w)
{
    return xfd_tracking_has(w) && w->pidfd < 0;
}

static inline void xfd_tracking_scan_all(struct tracking *t)
{
    t->to_scan = t->count;
}

/* Begins a scan of so many at most, unless a scan is under way. */
static inline bool xfd_tracking_scan_some(struct tracking *t, uint32_t most)
{
    if (t->without_pidfd == 0 || t->to_scan > 0)
        return false;
    t->to_scan = t->count < most ? t->count : most;
    return true;
}

static inline void xfd_tracking_end_scan(struct tracking *t)
{
    t->to_scan = 0;
}

/* The next to be scanned, or NULL. It may be removed before the next call. */
static inline struct watch *xfd_tracking_next_to_scan(struct tracking *t, const struct watches *ws)
{
    if (t->to_scan == 0)
        return NULL;
    struct watch *w = &ws->slots[t->next_to_scan];
    t->next_to_scan = w->next;
    t->to_scan--;
    return w;
}

/* The next in the list, which must not be empty. */
static inline struct watch *xfd_tracking_next_for_stops(struct tracking *t, const struct watches *ws)
{
    struct watch *w = &ws->slots[t->next_for_stops];
    t->next_for_stops = w->next;
    return w;
}

#endif
