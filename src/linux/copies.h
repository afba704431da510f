/* SPDX-License-Identifier: MIT */
/* The pidfds of an exitfd in a forked child, which does not have the table. */
#ifndef EXITFD_COPIES_H
#define EXITFD_COPIES_H

#include "backend.h"

/*
 * Closes the copies that the epoll set of x still lists, up to some 1,000.
 * Where there is no /proc, no kcmp(2) or no epoll set, they stay open: they
 * could be fds of the child's own.
 */
void xfd_copies_close(const struct exitfd *x);

#endif
