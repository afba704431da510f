/* SPDX-License-Identifier: MIT */
/* What the running kernel can do, asked without the library. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/vfs.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

static const int idtype_pidfd = 3; /* P_PIDFD, which musl 1.2.3 does not name */

static int try_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int open_pidfd(pid_t pid)
{
    int pidfd = try_pidfd_open(pid);
    if (pidfd < 0 && !have_pidfd())
        SKIP("no pidfd_open in this kernel");
    CHECK(pidfd >= 0, "pidfd_open(%d): %s", (int)pid, strerror(errno));
    return pidfd;
}

bool have_pidfd(void)
{
    int pidfd = try_pidfd_open(getpid());
    if (pidfd < 0)
        return false;
    close(pidfd);
    return waitid(idtype_pidfd, INT_MAX, NULL, WEXITED | WNOHANG) < 0 && errno == EBADF;
}

bool have_pidfs(void)
{
    const long pidfs_magic = 0x50494446;
    int pidfd = try_pidfd_open(getpid());
    if (pidfd < 0)
        return false;
    struct statfs fs;
    bool found = fstatfs(pidfd, &fs) == 0 && fs.f_type == pidfs_magic;
    close(pidfd);
    return found;
}

/* The kernel looks at the flags first, and then for the cgroup. */
bool have_autoreap(void)
{
    const uint64_t pidfd = 0x1000, into_cgroup = 1ULL << 33, autoreap = 1ULL << 34, autokill = 1ULL << 36;
    int fd;
    uint64_t arguments[11] = { pidfd | into_cgroup | autoreap | autokill, (uintptr_t)&fd, [10] = INT_MAX };
    long pid = syscall(SYS_clone3, arguments, sizeof arguments);
    if (pid == 0)
        _exit(1);
    return pid < 0 && (errno == EBADF || errno == EPERM);
}

bool have_exit_record(void)
{
    struct {
        unsigned long long mask;
        unsigned char rest[56];
    } info = { .mask = 1 << 3 };
    const unsigned long get_info = _IOWR(0xFF, 11, info);
    pid_t pid = start_child_exit(0);
    int pidfd = try_pidfd_open(pid);
    reap(pid);
    if (pidfd < 0)
        return false;
    bool found = ioctl(pidfd, get_info, &info) == 0 && (info.mask & 1 << 3) != 0;
    close(pidfd);
    return found;
}

pid_t own_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

bool wait_until_asleep(pid_t tid)
{
    char stat_path[64];
    snprintf(stat_path, sizeof(stat_path), "/proc/self/task/%d/stat", (int)tid);
    for (long long end = now_ms() + DEADLINE_MS; now_ms() < end; sched_yield())
        if (state_in(stat_path) == 'S')
            return true;
    return false;
}
#else
int open_pidfd(pid_t pid)
{
    (void)pid;
    SKIP("no pidfd_open in this system");
}

bool have_pidfd(void)
{
    return false;
}

bool have_pidfs(void)
{
    return false;
}

bool have_exit_record(void)
{
    return false;
}
#endif
