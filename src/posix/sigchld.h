/* SPDX-License-Identifier: MIT */
/* The one SIGCHLD handler of the process, and who wants it. */
#ifndef EXITFD_SIGCHLD_H
#define EXITFD_SIGCHLD_H

#include "posix/listeners.h"

#include <stdbool.h>

int xfd_sigchld_init(void); /* before all others; 0 or -ENOMEM */

/* Reserves an entry, so that nothing needs memory when a child is already
   running. NULL: no memory. */
struct listener *xfd_sigchld_reserve(void);
void xfd_sigchld_release(struct listener *l);

/*
 * From now on each SIGCHLD writes so many bytes (at most 8) to fd. May be
 * called again with another `to`. -EAGAIN: the handler was buried too often,
 * see disposition.c; nothing is written then.
 */
int xfd_sigchld_listen(struct listener *l, int fd, unsigned size, enum listen_to to);

/* After the return nothing more is written, in no thread. */
void xfd_sigchld_unlisten(struct listener *l);

/* For exitfd_install_handler, with the lock held. fd -1: none from now on. 0,
   -ENOMEM or -EAGAIN. */
int xfd_sigchld_replace_user_fd(int fd, int *old_fd);

bool xfd_sigchld_is_blocked(void); /* in this thread */

/*
 * Around a fork: locked before it, and unlocked after it. In between, in the
 * child, forked. In the child of a fork that was not seen coming, reset_lock
 * comes first.
 */
void xfd_sigchld_lock(void);
void xfd_sigchld_unlock(void);

/* The two halves of unlock: between them signals are still blocked. */
void xfd_sigchld_unlock_alone(void);
void xfd_sigchld_restore_thread(void);

void xfd_sigchld_forked(void);
void xfd_sigchld_reset_lock(void);
void xfd_sigchld_unlock_in_child(void);

#endif
