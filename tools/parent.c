/* SPDX-License-Identifier: MIT */
#include "parent.h"

#include <errno.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#ifdef __linux__
/* 0 stands for a parent outside this pid namespace: no number names it here. */
static int open_pidfd(pid_t pid)
{
    const long nr_pidfd_open = 434; /* the same on every architecture */
    return pid > 0 ? (int)syscall(nr_pidfd_open, pid, 0) : -1;
}

/*
 * A child has its parent's session or is the leader of its own. With any other session the parent is not the process
 * that started this one, it has inherited it.
 */
static bool is_inherited(pid_t parent)
{
    pid_t session = parent > 0 ? getsid(parent) : -1;
    return session >= 0 && session != getsid(0) && getsid(0) != getpid();
}

int parent_follow(struct parent *parent, int signo)
{
    pid_t pid = getppid();
    parent->pidfd = open_pidfd(pid);
    if (parent->pidfd < 0 && prctl(PR_SET_PDEATHSIG, signo) != 0) {
        return -errno;
    }
    parent->is_gone = getppid() != pid || is_inherited(pid);
    return 0;
}
#else
int parent_follow(struct parent *parent, int signo)
{
    (void)signo;
    parent->pidfd = -1;
    return -ENOTSUP;
}
#endif
