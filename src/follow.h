/* SPDX-License-Identifier: MIT */
/*
 * Children that SIGCHLD tells of: all of them on the SIGCHLD back ends, on the others those without a pidfd and those
 * whose stops are asked for. They are in a ring; x->lock is held in every call.
 */
#ifndef EXITFD_FOLLOW_H
#define EXITFD_FOLLOW_H

#include "backend.h"

/* At open and close of a back end that always listens. */
int follow_start(struct exitfd *x);
void follow_stop(struct exitfd *x);

/* why: the negative errno for which there is no pidfd, 0 on a back end that needs none. With known_child it cannot fail. */
int follow_add(struct exitfd *x, struct watch *w, int why, bool known_child);

/* For a watch with a pidfd, whose stops or continues are asked for. */
void follow_jobs(struct exitfd *x, struct watch *w);

/* Stops and continues are no longer asked for. */
void follow_end_jobs(struct exitfd *x, struct watch *w);

void follow_remove(struct exitfd *x, struct watch *w);

/* After x->any_child changed. */
void follow_orphans(struct exitfd *x);

/* Before a wait: sees to it that somebody looks where SIGCHLD does not reach. True if it does reach, or nobody needs it. */
bool follow_check(struct exitfd *x);

/* After a wake-up, drained before. all: SIGCHLD may have been missed, look at each child. hint: 0, or who probably exited. */
int follow_collect(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint);

#endif
