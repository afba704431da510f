/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_TESTS_PID_NAMESPACE_H
#define EXITFD_TESTS_PID_NAMESPACE_H

#include "plain.h"

#include <sched.h>
#include <sys/prctl.h>

/* Returns as PID 1 of a new pid namespace. This process waits for it and ends as it did; without the right to, skips. */
static inline void become_pid_1(void)
{
    pid_t parent = fork();
    CHECK(parent >= 0);
    if (parent > 0)
        _exit(exit_status_of(parent));
    if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
        skip("no pid namespace may be made here");
    pid_t pid = fork();
    if (pid < 0)
        skip("no process can be made in a pid namespace of its own here");
    if (pid > 0)
        _exit(exit_status_of(pid));
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(300);
    CHECK(getpid() == 1);
}

#endif
