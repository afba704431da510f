/* SPDX-License-Identifier: MIT */
#include "parent.h"

#include "pidfd.h"

#include <errno.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#ifdef __linux__
/*
 * A child has its parent's session or is the leader of its own. With any other
 * session the parent is not the process that started this one, it has inherited
 * it.
 */
static bool is_inherited(pid_t parent)
{
    pid_t session = parent > 0 ? getsid(parent) : -1;
    return session >= 0 && session != getsid(0) && getsid(0) != getpid();
}

int parent_watch(struct parent *parent, int signo)
{
    pid_t pid = getppid();
    parent->pidfd = open_pidfd(pid);
    if (parent->pidfd < 0 && prctl(PR_SET_PDEATHSIG, signo) != 0)
        return -errno;
    parent->is_gone = getppid() != pid || is_inherited(pid);
    return 0;
}
#else
int parent_watch(struct parent *parent, int signo)
{
    (void)signo;
    parent->pidfd = -1;
    return -ENOTSUP;
}
#endif
