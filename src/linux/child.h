/* SPDX-License-Identifier: MIT */
/* A process with a pidfd, whatever polls it: what the pidfd and io_uring back
   ends have in common. */
#ifndef EXITFD_CHILD_H
#define EXITFD_CHILD_H

#include "backend.h"

/* Whether there are pidfds: 0, -ENOTSUP or an error to report. Asks once. */
int xfd_child_probe(void);

/*
 * The add of struct backend. arm has the pidfd polled. track is for a child
 * without one, and why is the negative errno for which there is none. It always
 * gives 0 for a child that was started by us.
 */
int xfd_child_add(struct exitfd *x, struct watch *w, int given, bool started_by_us,
                  int (*arm)(struct exitfd *x, struct watch *w, int pidfd),
                  int (*track)(struct exitfd *x, struct watch *w, int why, bool started_by_us));

/*
 * After its pidfd turned readable. reaped: with POLLHUP. 1: it has exited, and
 * is reaped unless observed; 0: it has not, or the kernel does not say so yet;
 * -EPERM: it does not let this thread wait; -ESTALE.
 */
int xfd_child_take(struct exitfd *x, struct watch *w, bool reaped, struct exitfd_event *event);

void xfd_child_close(struct watch *w);

/* Closes the pidfds of all watches; in a forked child those copies of them that
   are known to be copies. */
void xfd_child_close_all(struct exitfd *x);

#endif
