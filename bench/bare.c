/* SPDX-License-Identifier: MIT */
/*
 * The floor for pidfds. A loop that keeps nothing at all for a child, asks
 * nothing about it, and knows a child by the number of its pidfd. One epoll set
 * is that of the whole daemon. The other is a set of the children's own inside
 * it, which is what any library must have that gives a daemon one fd. In that
 * one the calls of exitfd can be made too, with nothing around them: it also
 * asks whether the process is a child, and for its rusage.
 */
#include "common.h"

#include <spawn.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int epoll_fd, outer_epoll;
static bool asks; /* for the rusage */

static const char *open_epoll(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? "no epoll" : NULL;
}

static const char *open_nested(void)
{
    struct epoll_event interest = { .events = EPOLLIN };

    if (open_epoll() != NULL)
        return "no epoll";
    outer_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (outer_epoll < 0 || epoll_ctl(outer_epoll, EPOLL_CTL_ADD, epoll_fd, &interest) < 0)
        die("epoll");
    return NULL;
}

static const char *open_asking(void)
{
    asks = true;
    return open_nested();
}

static void add(struct child *c)
{
    int pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    struct epoll_event interest = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = pidfd };

    if (pidfd < 0)
        die("pidfd_open");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pidfd, &interest) < 0)
        die("epoll_ctl");
}

static void add_child(struct child *c)
{
    siginfo_t info;
    struct rusage rusage;

    if (syscall(SYS_waitid, P_PID, c->pid, &info, WEXITED | WNOWAIT | WNOHANG, &rusage) < 0)
        die("waitid");
    add(c);
}

static void reap(int pidfd)
{
    siginfo_t info = { 0 };
    struct rusage rusage;

    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, asks ? &rusage : NULL) < 0)
        die("waitid");
    close(pidfd);
    herd_report(herd_find(info.si_pid), info.si_pid, info.si_code, info.si_status);
}

static void collect(bool block)
{
    struct epoll_event ready[64];
    int n = epoll_wait(epoll_fd, ready, 64, block ? -1 : 0);

    for (int i = 0; i < n; i++)
        reap(ready[i].data.fd);
}

static void collect_nested(bool block)
{
    struct epoll_event ready[64];

    if (epoll_wait(outer_epoll, ready, 64, block ? -1 : 0) > 0)
        collect(false);
}

static void close_epoll(void)
{
    close(epoll_fd);
}

static void close_nested(void)
{
    close(outer_epoll);
    close_epoll();
}

static void spawn(struct child *c, char *const argv[])
{
    int error = posix_spawn(&c->pid, argv[0], NULL, NULL, argv, environ);

    if (error != 0)
        die("posix_spawn gave %d", error);
    herd_name(c);
    add(c);
}

static void spawn_by_fork(struct child *c, char *const argv[])
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    c->pid = pid; /* not in the child, which shares the herd */
    herd_name(c);
    add(c);
}

const struct implementation bare_pidfd = {
    .name = "bare calls",
    .open = open_epoll,
    .add = add,
    .collect = collect,
    .close = close_epoll,
    .spawn = spawn,
    .can_open_again = true,
};

const struct implementation bare_pidfd_nested = {
    .name = "bare calls, nested",
    .open = open_nested,
    .add = add,
    .collect = collect_nested,
    .close = close_nested,
    .can_open_again = true,
};

const struct implementation bare_pidfd_asking = {
    .name = "bare calls, those of exitfd",
    .open = open_asking,
    .add = add_child,
    .collect = collect_nested,
    .close = close_nested,
    .can_open_again = true,
};

const struct implementation bare_fork = {
    .name = "fork, exec, bare calls",
    .open = open_epoll,
    .add = add,
    .collect = collect,
    .close = close_epoll,
    .spawn = spawn_by_fork,
    .only_starts = true,
};
