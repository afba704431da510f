/* SPDX-License-Identifier: MIT */
/*
 * EXITFD_AUTOKILL. The kernel kills such a child when the last reference to one
 * open file goes, the pidfd from its birth (Linux 7.1, CLONE_PIDFD_AUTOKILL).
 * That file is kept here until the child has exited or its exitfd is closed, so
 * that removing the watch does not kill. The watch has another pidfd.
 */
#ifndef EXITFD_AUTOKILL_H
#define EXITFD_AUTOKILL_H

#include <stdbool.h>
#include <sys/types.h>

struct exitfd;

struct autokill {
    const struct exitfd *x;
    int fd;       /* the kernel writes it, before any other thread can see that there is a child; -1: none any more */
    int spare_fd; /* for the pidfd of the watch */
    struct autokill *next, *previous;
    struct autokill *next_ended;
};

/* All that can fail before there is a child. 0 or a negative errno. */
int xfd_autokill_begin(const struct exitfd *x, struct autokill **ret);

/* There is no child. */
void xfd_autokill_cancel(struct autokill *a);

/*
 * The child is born, and (*a)->fd is its pidfd. *pidfd is then one for the
 * watch. *a is NULL if it has exited already. -EMFILE, -ENFILE: all fds were
 * taken meanwhile. The child is killed, and *a is gone.
 */
int xfd_autokill_keep(struct autokill **a, pid_t pid, int *pidfd);

/* The child has exited. No lock is taken. */
void xfd_autokill_end(struct autokill *a);

struct record;

/* Its status, which no other pidfd of the process need have. */
bool xfd_autokill_get_record(const struct autokill *a, struct record *record);

/* The exitfd is closed: its children are killed. In a forked child: none is. */
void xfd_autokill_close(const struct exitfd *x);

/* In a forked child, which must not keep the parent's children alive. */
void xfd_autokill_forked(void);

#endif
