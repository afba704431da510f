/* SPDX-License-Identifier: MIT */
/*
 * EXITFD_AUTOKILL. The kernel kills such a child when the last reference to one
 * open file goes, the pidfd from its birth (Linux 7.1, CLONE_PIDFD_AUTOKILL).
 * That file is kept here until the child has exited or its exitfd is closed, so
 * that removing the watch does not kill. The watch has another pidfd.
 */
#ifndef EXITFD_AUTOKILL_H
#define EXITFD_AUTOKILL_H

#include <stdint.h>
#include <sys/types.h>

struct exitfd;

struct autokill {
    const struct exitfd *x;
    uint64_t token; /* of the watch */
    int fd;         /* the kernel writes it, before anybody can see that there is a child */
    int spare_fd;   /* for the pidfd of the watch */
    struct autokill *next, *previous;
};

/* All that can fail before there is a child. 0 or a negative errno. */
int xfd_autokill_begin(const struct exitfd *x, uint64_t token, struct autokill **ret);

/* There is no child. */
void xfd_autokill_cancel(struct autokill *a);

/* The child is born, and a->fd is its pidfd. *pidfd is then one for the watch. -EMFILE, -ENFILE: all fds were taken
   meanwhile, and the child is killed; a is gone. */
int xfd_autokill_keep(struct autokill *a, pid_t pid, int *pidfd);

/* The child of that watch has exited. x->lock may be held. */
void xfd_autokill_end(const struct exitfd *x, uint64_t token);

/* The exitfd is closed: its children are killed. In a forked child: none is. */
void xfd_autokill_close(const struct exitfd *x);

/* In a forked child, which must not keep the parent's children alive. */
void xfd_autokill_forked(void);

#endif
