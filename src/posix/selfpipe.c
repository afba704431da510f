/* SPDX-License-Identifier: MIT */
#include "follow.h"
#include "posix/disposition.h"
#include "posix/pipe.h"
#include "posix/sigchld.h"
#include "status.h"
#include "wake.h"

#include <errno.h>

static int probe(unsigned flags, bool forced)
{
    (void)forced;
    return flags & EXITFD_NO_SIGNALS ? -ENOTSUP : 0;
}

static void close_selfpipe(struct exitfd *x)
{
    xfd_follow_stop(x);
    close(x->wake_fd);
    close(x->fd);
}

static int open_selfpipe(struct exitfd *x)
{
    int ends[2];
    int error = xfd_pipe_open(ends);

    if (error < 0)
        return error;
    x->fd = ends[0];
    x->wake_fd = ends[1];
    x->wake_size = 1;
    error = xfd_follow_start(x);
    if (error < 0)
        close_selfpipe(x);
    return error;
}

static int add(struct exitfd *x, struct watch *w, int pidfd, bool known_child)
{
    int error = xfd_follow_add(x, w, 0, known_child);

    if (error == 0 && pidfd >= 0)
        close(pidfd);
    return error;
}

/* Once for each time that the handler is found replaced. */
static bool tell_deaf(struct exitfd *x)
{
    bool told = x->told_deaf;

    x->told_deaf = (x->ring_size > 0 || x->any_child) && xfd_disposition_get().state != SIGCHLD_OURS;
    return x->told_deaf && !told;
}

struct found {
    int count, patience;
    bool orphans_due;
};

static struct found take(struct exitfd *x, struct exitfd_event *events, int max, int timeout)
{
    struct found found = { 0 };

    pthread_mutex_lock(&x->lock);
    bool reached = xfd_follow_check(x);
    bool woken = wake_drain(x->fd);
    if (woken || !reached)
        found.count = xfd_follow_collect(x, events, max, !reached, 0);
    else
        found.count = xfd_follow_audit(x, events);
    /* Deaf, each look is one for orphans too, and no reason not to sleep until the next one. */
    found.orphans_due = x->orphans_due && (woken || reached);
    if (found.count == 0 && !reached && tell_deaf(x))
        found.count = -EPIPE;
    found.patience = xfd_follow_patience(x, timeout);
    pthread_mutex_unlock(&x->lock);
    return found;
}

static int wait_selfpipe(struct exitfd *x, struct exitfd_event *events, int max, int timeout)
{
    struct found found = take(x, events, max, timeout);

    if (found.count != 0 || found.orphans_due || timeout == 0 || xfd_status_is_refused())
        return found.count;
    int ready = wake_sleep(x, found.patience);
    return ready < 0 ? ready : take(x, events, max, 0).count;
}

const struct backend xfd_selfpipe_backend = {
    .name = "self-pipe",
    .flag = EXITFD_SELFPIPE,
    .probe = probe,
    .open = open_selfpipe,
    .close = close_selfpipe,
    .add = add,
    .remove = xfd_follow_remove,
    .wait = wait_selfpipe,
    .by_sigchld = true,
};
