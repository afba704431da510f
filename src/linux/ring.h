/* SPDX-License-Identifier: MIT */
/* A ring of our own for one thread, which signals an eventfd when there is
   work. How that goes: uring.c. */
#ifndef EXITFD_RING_H
#define EXITFD_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#define COMPLETION_IGNORED UINT64_MAX /* no slot has this number (watches.h) */

bool xfd_ring_may_lose_a_wake_up(void);

/* 0 or a negative errno. */
int xfd_ring_open(struct io_uring *ring, int eventfd);

/* Not in a forked child, which has io_uring_queue_exit. */
void xfd_ring_close(struct io_uring *ring);

bool xfd_ring_knows(struct io_uring *ring, int operation);

/* NULL: all are taken, and the kernel accepts none of them now. */
struct io_uring_sqe *xfd_ring_sqe(struct io_uring *ring);

/* Has requests accepted and completions made. 0; -ENOTSUP: forbidden, by a
   seccomp filter; else it may succeed later. */
int xfd_ring_enter(struct io_uring *ring);

/* Whether it must be entered once more before the eventfd is relied upon. */
bool xfd_ring_is_more_due(const struct io_uring *ring, bool signalled);

#endif
