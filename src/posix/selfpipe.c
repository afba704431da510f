/* SPDX-License-Identifier: MIT */
/* The SIGCHLD handler writes a byte to a pipe, whose read end is the fd. For every POSIX system. */
#include "backend.h"
#include "posix/compat.h"

#include <errno.h>

static int probe(unsigned flags, bool forced)
{
    (void)forced;
    return flags & EXITFD_NO_SIGNALS ? -ENOTSUP : 0;
}

static void close_selfpipe(struct exitfd *x)
{
    xfd_subscription_close(x);
    close(x->wake.fd);
    close(x->fd);
}

static int open_selfpipe(struct exitfd *x)
{
    int ends[2];
    int error = xfd_compat_pipe(ends);

    if (error < 0)
        return error;
    x->fd = ends[0];
    x->wake.fd = ends[1];
    x->wake.size = 1;
    error = xfd_subscription_open(x);
    if (error < 0)
        close_selfpipe(x);
    return error;
}

static int add(struct exitfd *x, struct watch *w, int pidfd, bool started_by_us)
{
    int error = xfd_tracking_add(x, w, 0, started_by_us);

    if (error == 0 && pidfd >= 0)
        close(pidfd);
    return error;
}

/* Some exits write nothing to the pipe: one child in turn, and the orphans, of which some have another exit signal. */
static int take_without_sign(struct exitfd *x, struct exitfd_event *events)
{
    xfd_orphans_set_due(&x->orphans);
    return xfd_scan_one(x, events);
}

/* Where SIGCHLD does not arrive nothing writes to the pipe, so every take is a scan. */
static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    bool lost = x->subscription.signal_lost, woken = wake_drain(x->fd);
    int count = woken || lost ? xfd_scan_take(x, events, max, lost, 0) : take_without_sign(x, events);

    return count == 0 && lost && xfd_subscription_report_loss(x) ? -EPIPE : count;
}

const struct backend xfd_selfpipe_backend = {
    .name = "self-pipe",
    .flag = EXITFD_SELFPIPE,
    .probe = probe,
    .open = open_selfpipe,
    .close = close_selfpipe,
    .add = add,
    .remove = xfd_tracking_remove,
    .take = take,
    .by_sigchld = true,
};
