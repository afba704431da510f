/* SPDX-License-Identifier: MIT */
/* An epoll set with the pipe and a timerfd. What is ready in it is never asked
   for: both are read in any case. */
#include "ticker.h"

#include "linux/set.h"

#include <errno.h>
#include <sys/timerfd.h>

static int open_all(struct exitfd *x)
{
    x->fd = epoll_create1(EPOLL_CLOEXEC);
    if (x->fd < 0)
        return -errno;
    x->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (x->timer_fd < 0 || timerfd_settime(x->timer_fd, 0, &(struct itimerspec){ 0 }, NULL) < 0)
        return -errno;
    int error = xfd_set_add(x, x->pipe_end, EPOLLIN, TOKEN_WAKE);
    return error < 0 ? error : xfd_set_add(x, x->timer_fd, EPOLLIN, TOKEN_TIMER);
}

int xfd_ticker_open(struct exitfd *x)
{
    int error = open_all(x);
    if (error < 0)
        xfd_ticker_close(x);
    return error;
}

void xfd_ticker_set(struct exitfd *x)
{
    xfd_set_recheck(x);
}

bool xfd_ticker_drain(struct exitfd *x)
{
    bool drained = x->subscription.recheck_ms > 0 && wake_drain(x->timer_fd);

    if (drained)
        xfd_scan_set_due(&x->scan);
    return drained;
}

void xfd_ticker_close(struct exitfd *x)
{
    xfd_close_fd(&x->timer_fd);
    xfd_close_fd(&x->fd);
}
