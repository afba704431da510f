/* SPDX-License-Identifier: MIT */
/*
 * The SIGCHLD handler writes a byte to a pipe. For every POSIX system.
 *
 * Some exits write nothing: the handler was away for a moment, or the signal
 * waits for a thread that sleeps in vfork. So where the platform has a timer
 * that can be polled, the fd is readable for the pipe and for the timer.
 * Elsewhere it is the read end itself.
 */
#include "backend.h"
#include "errnos.h"
#include "posix/compat.h"
#include "ticker.h"

#include <errno.h>

static int probe(unsigned flags, bool forced)
{
    (void)forced;
    return flags & EXITFD_NO_SIGNALS ? -ENOTSUP : 0;
}

static const struct backend without_ticker;

static void close_selfpipe(struct exitfd *x)
{
    xfd_subscription_close(x);
    if (x->backend != &without_ticker)
        xfd_ticker_close(x);
    close(x->wake.fd);
    close(x->pipe_end);
}

static int open_ticker(struct exitfd *x)
{
    int error = xfd_ticker_open(x);

    if (error == 0 || xfd_not_here(-error) != -ENOTSUP)
        return error;
    x->backend = &without_ticker;
    x->fd = x->pipe_end;
    return 0;
}

static int open_selfpipe(struct exitfd *x)
{
    int ends[2];
    int error = xfd_compat_pipe(ends);

    if (error < 0)
        return error;
    x->pipe_end = ends[0];
    x->wake.fd = ends[1];
    x->wake.size = 1;
    error = open_ticker(x);
    if (error == 0)
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

/* Some exits write nothing to the pipe: one child in turn, and the orphans, of
   which some have another exit signal. */
static int take_without_sign(struct exitfd *x, struct exitfd_event *events)
{
    xfd_orphans_set_due(&x->orphans);
    return xfd_scan_one(x, events);
}

/* Where SIGCHLD does not arrive nothing writes to the pipe, so every take is a
   scan. */
static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    bool lost = x->subscription.signal_lost, woken = wake_drain(x->pipe_end);
    woken |= xfd_ticker_drain(x);
    int count = woken || lost ? xfd_scan_take(x, events, max, lost, 0) : take_without_sign(x, events);

    return count == 0 && lost && xfd_subscription_report_loss(x) ? -EPIPE : count;
}

#define SELFPIPE                                                                                                       \
    .name = "self-pipe", .flag = EXITFD_SELFPIPE, .probe = probe, .open = open_selfpipe, .close = close_selfpipe,      \
    .add = add, .remove = xfd_tracking_remove, .take = take, .by_sigchld = true

static const struct backend without_ticker = { SELFPIPE };
const struct backend xfd_selfpipe_backend = { SELFPIPE, .set_recheck = xfd_ticker_set };
