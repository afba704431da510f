/* SPDX-License-Identifier: MIT */
/*
 * A child that we trace ourselves, and whose pidfd is readable although it has
 * only stopped. Before Linux 6.15 this happens when the leading thread exits
 * while another one execs and stops there under PTRACE_O_TRACEEXEC. A wait then
 * gives CLD_TRAPPED. Newer kernels do not, so the answer is made up here.
 */
#include "stand_in.h"
#include "truth_support.h"

#include <sys/syscall.h>

static pid_t trapped;

STAND_IN_FOR_SYSCALL(answer)

static long answer(long number, const long a[6])
{
    if (number != SYS_waitid || a[3] & WNOWAIT || trapped == 0)
        return next_syscall(number, a);
    siginfo_t *info = (siginfo_t *)a[2];
    info->si_pid = trapped;
    info->si_code = CLD_TRAPPED;
    info->si_status = SIGTRAP;
    trapped = 0;
    return 0;
}

TEST(trapped, a_stop_of_our_own_tracee_is_no_exit)
{
    if (!tracks_by_pidfd())
        SKIP("no pidfd: without one each wait looks before it takes (truth_ptrace)");
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(6);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    wait_until_zombie(pid);
    trapped = pid;
    struct exitfd_event event = wait_event(x);
    CHECK_EQ(trapped, 0, "no wait took anything");
    expect_exited(&event, pid, 6, x);
    expect_quiet(x);
    exitfd_close(x);
}
