/* SPDX-License-Identifier: MIT */
/* The one SIGCHLD handler of the process, and whom it writes to. */
#ifndef EXITFD_SIGCHLD_H
#define EXITFD_SIGCHLD_H

#include <stdbool.h>

struct listener;

/* Reserves an entry, so that nothing needs memory when a child is already running. NULL: no memory. */
struct listener *xfd_sigchld_reserve(void);
void xfd_sigchld_release(struct listener *l);

enum listen_to {
    LISTEN_EXITS,      /* the handler is installed, with SA_NOCLDSTOP if nobody minds */
    LISTEN_STOPS,      /* the handler is installed, without */
    LISTEN_TO_SIBLINGS /* no handler: only sigchld_tell_siblings is heard */
};

/* From now on each SIGCHLD writes so many bytes (at most 8) to fd. May be called again with another `to`. -EAGAIN: the
   handler was buried too often, see sigchld.c; nothing is written then. */
int xfd_sigchld_listen(struct listener *l, int fd, unsigned size, enum listen_to to);

/* After the return nothing more is written, in no thread. */
void xfd_sigchld_unlisten(struct listener *l);

/* For the reader of a signalfd, who has consumed a SIGCHLD that was everybody's. */
void xfd_sigchld_tell_siblings(const struct listener *except);

bool xfd_sigchld_is_blocked(void); /* in this thread */

/* Around a fork, and in the child after it. */
void xfd_sigchld_lock(void);
void xfd_sigchld_unlock(void);
void xfd_sigchld_forked(void);

#endif
