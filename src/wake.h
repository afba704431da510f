/* SPDX-License-Identifier: MIT */
/* What makes an exitfd's fd readable by hand: an eventfd, or a pipe. Both are non-blocking; a full one is readable. */
#ifndef EXITFD_WAKE_H
#define EXITFD_WAKE_H

#include "backend.h"

#include <stdint.h>
#include <unistd.h>

static inline void wake(struct exitfd *x)
{
    static const uint64_t one = 1;
    (void)!write(x->wake_fd, &one, x->wake_size);
}

/* Whether there was anything. */
static inline bool wake_drain(int fd)
{
    char buffer[512];
    bool any = false;
    ssize_t got;

    do {
        got = read(fd, buffer, sizeof buffer);
        any |= got > 0;
    } while (got == (ssize_t)sizeof buffer);
    return any;
}

#endif
