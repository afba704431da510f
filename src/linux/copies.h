/* SPDX-License-Identifier: MIT */
/* The pidfds of an exitfd in a forked child, which does not have the table. */
#ifndef EXITFD_COPIES_H
#define EXITFD_COPIES_H

#include "backend.h"

/* Closes the copies that the epoll set of x still lists, up to some 1,000. What cannot be kept apart from an fd of the child's own stays open:
   where there is no /proc, no kcmp(2), or no epoll set. */
void xfd_copies_close(const struct exitfd *x);

#endif
