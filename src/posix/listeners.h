/* SPDX-License-Identifier: MIT */
/*
 * Whom the SIGCHLD handler writes to. The handler and the reader of a signalfd
 * walk this list without a lock. All other calls are made with the lock of
 * sigchld.h held.
 */
#ifndef EXITFD_LISTENERS_H
#define EXITFD_LISTENERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

enum listen_to {
    LISTEN_EXITS,      /* the handler is installed, with SA_NOCLDSTOP if no listener wants stops */
    LISTEN_STOPS,      /* the handler is installed, without */
    LISTEN_TO_SIBLINGS /* no handler: only xfd_listeners_write by a sibling counts */
};

struct listener {
    struct listener *next;
    atomic_int fd; /* -1: nothing is written */
    atomic_uint size;
    atomic_int users;
    _Atomic pid_t pid;
    enum listen_to to; /* this and reserved are for the lock's holder */
    bool reserved;
};

/* Writes to every active listener of this process except one.
   Async-signal-safe. */
void xfd_listeners_write(const struct listener *except);

/* A listener that is not in use, or NULL: no memory. */
struct listener *xfd_listeners_reserve(void);
void xfd_listener_release(struct listener *l);

/* Of this process from now on. Until then all is written to the fd before. */
void xfd_listener_set(struct listener *l, int fd, unsigned size, enum listen_to to);
void xfd_listener_set_fd(struct listener *l, int fd);

/* Whether it needs the handler. */
bool xfd_listener_is_active(const struct listener *l);
bool xfd_listeners_want_handler(bool *to_stops);

/* Until no handler that runs now has an fd of this listener. */
void xfd_listener_wait_for_users(const struct listener *l);

/* After the return nothing more is written to its fd, in no thread. */
void xfd_listener_silence(struct listener *l);

void xfd_listeners_forked(void); /* in the child */

#endif
