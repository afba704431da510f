/* SPDX-License-Identifier: MIT */
/* What makes an exitfd's fd readable by hand: an eventfd, or a pipe. Both are non-blocking; a full one is readable. And the
   sleep until it is. */
#ifndef EXITFD_WAKE_H
#define EXITFD_WAKE_H

#include "backend.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
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

/*
 * By poll(2): epoll_wait(2) gives EINTR also where no handler ran, as after SIGSTOP and SIGCONT. The signalfd as well, where
 * there is one: a forked child that polls an epoll set makes it forget that a signalfd in it is ready.
 *
 * Positive: readable; 0: time-out; -EINTR; -ESTALE: a handler forked, and it is its child that comes back here.
 */
static inline int wake_sleep(const struct exitfd *x, int timeout)
{
    struct pollfd items[] = { { .fd = x->fd, .events = POLLIN }, { .fd = x->signal_fd, .events = POLLIN } };
    nfds_t count = x->signal_fd < 0 ? 1 : 2; /* no more than there are: RLIMIT_NOFILE counts them */
    int ready = poll(items, count, timeout) < 0 ? -errno : items[0].revents || items[1].revents;

    return x->epoch == xfd_process_epoch() ? ready : -ESTALE;
}

#endif
