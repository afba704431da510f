/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD is blocked in every thread and read from a signalfd. A pending
 * SIGCHLD is one for the whole process: whichever exitfd reads it wakes the
 * others, its siblings, through their listeners.
 */
#include "linux/set.h"
#include "linux/threads.h"
#include "posix/sigchld.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Another thread that has SIGCHLD not blocked takes it away from the signalfd.
   Who named this back end may know better. */
static int probe(unsigned flags, bool forced)
{
    if (xfd_sigchld_is_blocked())
        return forced || !xfd_threads_one_takes_sigchld() ? 0 : -ENOTSUP;
    return forced && !(flags & EXITFD_NO_SIGNALS) ? 0 : -ENOTSUP;
}

static void sigchld_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGCHLD);
}

/* Of the exitfds that this thread has opened, the last one to be closed
   unblocks what the first one blocked. */
static _Thread_local struct {
    unsigned open;
    bool blocked;
} here;

static void block_sigchld(struct exitfd *x)
{
    sigset_t set;

    x->opener = pthread_self();
    here.open++;
    if (xfd_sigchld_is_blocked())
        return;
    sigchld_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    here.blocked = true;
}

static void unblock_sigchld(const struct exitfd *x)
{
    sigset_t set;

    /* 0: a thread that has ended opened it, and its pthread_t is ours now. */
    if (!pthread_equal(x->opener, pthread_self()) || here.open == 0 || --here.open > 0 || !here.blocked)
        return;
    sigchld_set(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    here.blocked = false;
}

static void close_signalfd(struct exitfd *x)
{
    xfd_subscription_close(x);
    xfd_close_fd(&x->signal_fd);
    xfd_set_close(x);
    unblock_sigchld(x);
}

static int open_all(struct exitfd *x)
{
    sigset_t set;
    int error = xfd_set_open(x);

    if (error < 0)
        return error;
    sigchld_set(&set);
    x->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (x->signal_fd < 0)
        return -errno;
    error = xfd_set_add(x, x->signal_fd, EPOLLIN, TOKEN_SIGNAL);
    return error < 0 ? error : xfd_subscription_open(x);
}

static int open_signalfd(struct exitfd *x)
{
    block_sigchld(x);
    int error = open_all(x);
    if (error < 0)
        close_signalfd(x);
    return error;
}

static int add(struct exitfd *x, struct watch *w, int pidfd, bool started_by_us)
{
    int error = xfd_tracking_add(x, w, 0, started_by_us);

    if (error == 0)
        xfd_close_fd(&pidfd);
    return error;
}

static bool read_signal(struct exitfd *x, pid_t *sender)
{
    struct signalfd_siginfo info;

    if (read(x->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    xfd_listeners_write(x->listener);
    *sender = (pid_t)info.ssi_pid;
    return true;
}

/* Whatever the set says: a forked child that polls it asks for signals of its
   own, and finds the signalfd not ready. */
static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct epoll_event ready[3];
    int count = xfd_set_get_ready(x, ready, 3);
    pid_t hint = 0;

    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        xfd_set_drain(x, ready[i].data.u64);
    bool woken = read_signal(x, &hint) || count > 0;
    if (!woken) /* SIG_IGN, if only for a moment, makes the kernel forget the signal that was pending */
        xfd_orphans_set_due(&x->orphans);
    return woken ? xfd_scan_take(x, events, max, x->subscription.signal_lost, hint) : xfd_scan_one(x, events);
}

const struct backend xfd_signalfd_backend = {
    .name = "signalfd",
    .flag = EXITFD_SIGNALFD,
    .probe = probe,
    .open = open_signalfd,
    .close = close_signalfd,
    .add = add,
    .remove = xfd_tracking_remove,
    .take = take,
    .by_sigchld = true,
    .by_signalfd = true,
    .set_recheck = xfd_set_recheck,
};
