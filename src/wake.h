/* SPDX-License-Identifier: MIT */
/* What makes an exitfd's fd readable besides a pidfd: an eventfd, or the write
   end of a pipe. Both are non-blocking, and a full one is readable. */
#ifndef EXITFD_WAKE_H
#define EXITFD_WAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

struct wake {
    int fd;
    unsigned size; /* how much is written: 8 for an eventfd, 1 for a pipe */
};

static inline void wake_up(const struct wake *w)
{
    static const uint64_t one = 1;
    (void)!write(w->fd, &one, w->size);
}

/* Reads all that was written. Whether there was anything. */
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
