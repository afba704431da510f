/* SPDX-License-Identifier: MIT */
/* The private epoll set that is the pollable fd of the Linux back ends, with
   what wakes it besides children. */
#ifndef EXITFD_SET_H
#define EXITFD_SET_H

#include "backend.h"
#include "fds.h"

#include <sys/epoll.h>

/* No slot has these numbers (watches.h): a table of so many would not fit into
   memory. */
#define TOKEN_WAKE (UINT64_MAX)
#define TOKEN_TIMER (UINT64_MAX - 1)
#define TOKEN_SIGNAL (UINT64_MAX - 2)

/* x->fd, x->wake and x->timer_fd. */
int xfd_set_open(struct exitfd *x);
void xfd_set_close(struct exitfd *x);

int xfd_set_add(struct exitfd *x, int fd, uint32_t events, uint64_t token);

/* What is ready now: as epoll_wait(2) without a time-out, but a negative errno,
   and never -EINTR. */
int xfd_set_get_ready(struct exitfd *x, struct epoll_event *ready, int max);

void xfd_set_recheck(struct exitfd *x); /* of struct backend */

/* Reads away what made the fd of a TOKEN_WAKE or TOKEN_TIMER readable. False
   for any other token. */
bool xfd_set_drain(struct exitfd *x, uint64_t token);

#endif
