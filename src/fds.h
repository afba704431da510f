/* SPDX-License-Identifier: MIT */
/* Closing an fd that has a place of its own. */
#ifndef EXITFD_FDS_H
#define EXITFD_FDS_H

#include <unistd.h>

/*
 * The number goes before the fd does. A child that is forked in between must
 * not close what has the number next.
 */
static inline void xfd_close_fd(int *fd)
{
    int number = *fd;

    *fd = -1;
    if (number >= 0)
        close(number);
}

#endif
