/* SPDX-License-Identifier: MIT */
/*
 * The epoll set of the pidfd and signalfd back ends, an eventfd that wakes it
 * and a timer. All three are opened at once, so that none is missing when a
 * child without a pidfd comes to need it. In a forked child the set is the
 * parent's, and nothing here touches it.
 */
#include "linux/set.h"
#include "object.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

int xfd_set_add(struct exitfd *x, int fd, uint32_t events, uint64_t token)
{
    struct epoll_event event = { .events = events, .data.u64 = token };
    return epoll_ctl(x->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* A filter may allow what opens the three and forbid what uses them. */
static int try_out(struct exitfd *x)
{
    struct epoll_event ready;

    if (timerfd_settime(x->timer_fd, 0, &(struct itimerspec){ 0 }, NULL) < 0)
        return -errno;
    int count = xfd_set_get_ready(x, &ready, 1);
    return count < 0 ? count : 0;
}

static int open_all(struct exitfd *x)
{
    x->fd = epoll_create1(EPOLL_CLOEXEC);
    if (x->fd < 0)
        return -errno;
    x->wake.size = sizeof(uint64_t);
    x->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (x->wake.fd < 0)
        return -errno;
    x->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (x->timer_fd < 0)
        return -errno;
    int error = xfd_set_add(x, x->wake.fd, EPOLLIN, TOKEN_WAKE);
    if (error == 0)
        error = xfd_set_add(x, x->timer_fd, EPOLLIN, TOKEN_TIMER);
    return error < 0 ? error : try_out(x);
}

int xfd_set_open(struct exitfd *x)
{
    int error = open_all(x);
    if (error < 0)
        xfd_set_close(x);
    return error;
}

void xfd_set_close(struct exitfd *x)
{
    xfd_close_fd(&x->timer_fd);
    xfd_close_fd(&x->wake.fd);
    xfd_close_fd(&x->fd);
}

int xfd_set_get_ready(struct exitfd *x, struct epoll_event *ready, int max)
{
    int count;

    if (xfd_object_is_stale(x)) /* the set is the parent's, and a one-shot entry is shown once */
        return -ESTALE;
    do
        count = epoll_wait(x->fd, ready, max, 0);
    while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : count;
}

void xfd_set_recheck(struct exitfd *x)
{
    int period_ms = x->subscription.recheck_ms;
    struct timespec time = { .tv_sec = period_ms / 1000, .tv_nsec = period_ms % 1000 * 1000000 };
    timerfd_settime(x->timer_fd, 0, &(struct itimerspec){ time, time }, NULL);
}

bool xfd_set_drain(struct exitfd *x, uint64_t token)
{
    if (token != TOKEN_WAKE && token != TOKEN_TIMER)
        return false;
    bool drained = wake_drain(token == TOKEN_WAKE ? x->wake.fd : x->timer_fd);
    if (drained && token == TOKEN_TIMER)
        xfd_scan_set_due(&x->scan);
    return true;
}
