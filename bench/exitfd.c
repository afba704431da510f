/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <errno.h>
#include <exitfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* The stack of a loop that forks is copy-on-write, too. Sixteen events fill
   another page of it. */
enum {
    EVENTS = 4
};

static struct exitfd *x;
static int outer_epoll;

static const char *open_backend(unsigned backend)
{
    static char why[96];
    int result = exitfd_open(&x, backend);

    if (result == 0)
        return NULL;
    snprintf(why, sizeof why, "exitfd_open: %s", strerror(-result));
    return why;
}

static const char *open_pidfd(void)
{
    return open_backend(EXITFD_PIDFD);
}

static const char *open_uring(void)
{
    return open_backend(EXITFD_URING);
}

static const char *open_selfpipe(void)
{
    return open_backend(EXITFD_SELFPIPE);
}

static const char *open_signalfd(void)
{
    block_sigchld();
    return open_backend(EXITFD_SIGNALFD);
}

static const char *open_nested(void)
{
    const char *obstacle = open_pidfd();
    struct epoll_event interest = { .events = EPOLLIN };

    if (obstacle != NULL)
        return obstacle;
    outer_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (outer_epoll < 0 || epoll_ctl(outer_epoll, EPOLL_CTL_ADD, exitfd_get_fd(x), &interest) < 0)
        die("epoll");
    return NULL;
}

static void die_unless_done(int result, const char *call)
{
    if (result >= 0)
        return;
    errno = -result;
    die("%s", call);
}

static void add(struct child *c)
{
    die_unless_done(exitfd_add(x, c->pid, 0, c), "exitfd_add");
}

static void spawn(struct child *c, char *const argv[])
{
    const struct exitfd_command command = { .size = sizeof(command), .file = argv[0], .argv = argv };
    die_unless_done(exitfd_start(x, &c->pid, &command, 0, c), "exitfd_start");
}

static void spawn_by_libc(struct child *c, char *const argv[])
{
    die_unless_done(exitfd_spawn(x, &c->pid, argv[0], NULL, NULL, argv, environ, 0, c), "exitfd_spawn");
}

static void spawn_by_fork(struct child *c, char *const argv[])
{
    pid_t pid = exitfd_fork(x, 0, c);

    die_unless_done(pid, "exitfd_fork");
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    c->pid = pid; /* not in the child, which shares the herd */
}

static void take_events(int timeout_ms)
{
    struct exitfd_event events[EVENTS];
    int n = exitfd_wait(x, events, EVENTS, timeout_ms);

    if (n != -EINTR)
        die_unless_done(n, "exitfd_wait");
    for (int i = 0; i < n; i++) {
        if (events[i].origin != EXITFD_REAPED)
            void_sample("pid %d has origin %d", (int)events[i].pid, events[i].origin);
        herd_report(events[i].data, events[i].pid, events[i].code, events[i].status);
    }
}

static void collect(bool block)
{
    take_events(block ? -1 : 0);
}

/* As a daemon's own event loop does it: one of the many fds in its epoll
   set. */
static void collect_nested(bool block)
{
    struct epoll_event ready[64];

    if (epoll_wait(outer_epoll, ready, 64, block ? -1 : 0) > 0)
        take_events(0);
}

static void close_exitfd(void)
{
    x = exitfd_close(x);
}

static void close_nested(void)
{
    close(outer_epoll);
    close_exitfd();
}

const struct implementation exitfd_pidfd = {
    .name = "exitfd pidfd",
    .open = open_pidfd,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn,
    .can_open_again = true,
};

const struct implementation exitfd_by_spawn = {
    .name = "exitfd_spawn",
    .open = open_pidfd,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn_by_libc,
    .only_starts = true,
};

const struct implementation exitfd_by_fork = {
    .name = "exitfd_fork, exec",
    .open = open_pidfd,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn_by_fork,
    .only_starts = true,
};

const struct implementation exitfd_pidfd_nested = {
    .name = "exitfd pidfd in a loop",
    .open = open_nested,
    .add = add,
    .collect = collect_nested,
    .close = close_nested,
    .can_open_again = true,
};

const struct implementation exitfd_uring = {
    .name = "exitfd io_uring",
    .open = open_uring,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn,
    .can_open_again = true,
};

const struct implementation exitfd_signalfd = {
    .name = "exitfd signalfd",
    .open = open_signalfd,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn,
    .can_open_again = true,
};

const struct implementation exitfd_selfpipe = {
    .name = "exitfd self-pipe",
    .open = open_selfpipe,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
    .spawn = spawn,
    .can_open_again = true,
};
