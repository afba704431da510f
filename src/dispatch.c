/* SPDX-License-Identifier: MIT */
/*
 * Which back end: a flag of the program, else EXITFD_BACKEND, else the first in
 * the table of this build that works on the running kernel. One that cannot be
 * opened after all is passed over, unless it was asked for.
 */
#include "dispatch.h"

#include "errnos.h"
#include "posix/compat.h"
#include "process.h"
#include "status.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Of every build, so that a name that only this build lacks is -ENOTSUP and no
   typing error. */
static const struct {
    const char *name;
    unsigned flag;
} names[] = {
    { "pidfd", EXITFD_PIDFD },
    { "io_uring", EXITFD_URING },
    { "signalfd", EXITFD_SIGNALFD },
    { "self-pipe", EXITFD_SELFPIPE },
};

static int flag_from_environment(unsigned *flag)
{
    const char *name = xfd_compat_getenv("EXITFD_BACKEND");

    if (!name || !*name)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name) == 0) {
            *flag = names[i].flag;
            return 0;
        }
    }
    return -EINVAL;
}

static int forbidden(int error)
{
    return xfd_not_here(error) == -ENOTSUP ? -ENOTSUP : 0;
}

/*
 * What every back end needs, whatever else it opens: to close what it holds,
 * to sleep, to wait. Asked with arguments that change nothing.
 */
static int probe_calls(void)
{
    int error = close(-1) < 0 ? forbidden(errno) : 0;

    if (error == 0 && poll(NULL, 0, 0) < 0)
        error = forbidden(errno);
    return error == 0 ? xfd_status_probe() : error;
}

/* What the probe has not asked for may be forbidden too: the timerfd, the
   eventfd, the epoll set. */
static int open_with(struct exitfd *x, const struct backend *backend)
{
    x->backend = backend;
    x->fd = x->wake.fd = x->timer_fd = x->signal_fd = -1;
    x->owner = xfd_process_id();
    xfd_foreign_reaps_open(&x->foreign_reaps);
    if (pthread_mutex_init(&x->lock, NULL) != 0)
        return -ENOMEM;
    int error = backend->open(x);
    if (error < 0)
        pthread_mutex_destroy(&x->lock);
    return error < 0 ? xfd_not_here(-error) : 0;
}

int xfd_dispatch(struct exitfd *x)
{
    unsigned forced = x->flags & BACKEND_FLAGS;

    if (forced & (forced - 1))
        return -EINVAL;
    int error = forced ? 0 : flag_from_environment(&forced);
    if (error == 0)
        error = probe_calls();
    if (error < 0)
        return error;
    for (const struct backend *const *backend = xfd_backends; *backend; backend++) {
        if (forced && (*backend)->flag != forced)
            continue;
        error = (*backend)->probe(x->flags, forced != 0);
        if (error == 0)
            error = open_with(x, *backend);
        if (error != -ENOTSUP)
            return error;
    }
    return -ENOTSUP;
}
