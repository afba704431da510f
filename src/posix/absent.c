/* SPDX-License-Identifier: MIT */
/*
 * What there is no portable way to do, in a build without src/linux. These
 * calls of platform.h, orphans.h and ticker.h say -ENOTSUP, or that they do not
 * know. Their callers then do without.
 */
#include "orphans.h"
#include "platform.h"
#include "ticker.h"

#include <errno.h>
#include <unistd.h>

int xfd_platform_open_pidfd(pid_t pid)
{
    (void)pid;
    return -ENOTSUP;
}

pid_t xfd_platform_pid_of(int pidfd)
{
    (void)pidfd;
    return -ENOTSUP;
}

bool xfd_platform_is_thread(pid_t pid)
{
    (void)pid;
    return false;
}

pid_t xfd_platform_fork(int *pidfd)
{
    pid_t pid = fork();

    *pidfd = -1;
    return pid < 0 ? -errno : pid;
}

bool xfd_platform_is_same(int pidfd, int other)
{
    (void)pidfd, (void)other;
    return true;
}

int xfd_platform_duplicate_pidfd(int pidfd, pid_t pid)
{
    (void)pidfd, (void)pid;
    return -ENOTSUP;
}

int xfd_platform_kill(int pidfd, int signum)
{
    (void)pidfd, (void)signum;
    return -ENOTSUP;
}

bool xfd_platform_is_reaped(int pidfd)
{
    (void)pidfd;
    return false;
}

int xfd_platform_kill_group(int pidfd, int signum)
{
    (void)pidfd, (void)signum;
    return -ENOTSUP;
}

bool xfd_platform_get_record(int pidfd, struct record *record)
{
    (void)pidfd, (void)record;
    return false;
}

int xfd_platform_list_children(pid_t **ret)
{
    (void)ret;
    return -ENOTSUP;
}

int xfd_ticker_open(struct exitfd *x)
{
    (void)x;
    return -ENOTSUP;
}

void xfd_ticker_set(struct exitfd *x)
{
    (void)x;
}

bool xfd_ticker_drain(struct exitfd *x)
{
    (void)x;
    return false;
}

void xfd_ticker_close(struct exitfd *x)
{
    (void)x;
}
