/* SPDX-License-Identifier: MIT */
/*
 * Children that SIGCHLD tells of: all of them on the SIGCHLD back ends, on the others those without a pidfd and those
 * whose stops are asked for. They are in a ring; x->lock is held in every call.
 */
#ifndef EXITFD_FOLLOW_H
#define EXITFD_FOLLOW_H

#include "backend.h"

#define DEAF_LOOK_MS 100
#define HEARING_CHECK_MS 1000

/* At open and close of a back end that always listens. */
int xfd_follow_start(struct exitfd *x);
void xfd_follow_stop(struct exitfd *x);

/* why: the negative errno for which there is no pidfd, 0 on a back end without. With known_child it cannot fail. */
int xfd_follow_add(struct exitfd *x, struct watch *w, int why, bool known_child);

/* Its pid was given to a new child, so somebody else has reaped it: it must not be waited for by that pid. */
void xfd_follow_gone(struct exitfd *x, struct watch *w);

/* For a watch with a pidfd, whose stops or continues are asked for. */
void xfd_follow_jobs(struct exitfd *x, struct watch *w);

/* Stops and continues are no longer asked for. */
void xfd_follow_end_jobs(struct exitfd *x, struct watch *w);

void xfd_follow_remove(struct exitfd *x, struct watch *w);

/* After x->any_child changed. */
void xfd_follow_orphans(struct exitfd *x);

/* Before a wait: sees to it that somebody looks where SIGCHLD does not reach. True if it does, or nobody needs it. */
bool xfd_follow_check(struct exitfd *x);

/* After that: how long the wait may sleep, for nobody tells us when SIGCHLD ceases to reach us meanwhile. */
int xfd_follow_patience(const struct exitfd *x, int timeout);

/* One child in turn, against what no sign tells of: SIGCHLD ignored for a moment. How many events, 0 or 1. */
int xfd_follow_audit(struct exitfd *x, struct exitfd_event *event);

/* After a wake-up, drained before. all: SIGCHLD may have been missed, look at each. hint: 0, or who probably exited. */
int xfd_follow_collect(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint);

#endif
