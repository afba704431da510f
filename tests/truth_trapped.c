/* SPDX-License-Identifier: MIT */
/*
 * A child that we trace ourselves and whose pidfd is readable though it has only stopped: before Linux 6.15 it is when the
 * leading thread exits while another one execs, and stops there under PTRACE_O_TRACEEXEC. A wait then gives CLD_TRAPPED.
 * Newer kernels do not, so the answer is made up here.
 */
#include "six_arguments.h"
#include "truth_support.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

static pid_t trapped;

READS_SIX_ARGUMENTS long syscall(long number, ...)
{
    static long (*next)(long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    if (number != SYS_waitid || a[3] & WNOWAIT || trapped == 0)
        return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    siginfo_t *info = (siginfo_t *)a[2];
    info->si_pid = trapped;
    info->si_code = CLD_TRAPPED;
    info->si_status = SIGTRAP;
    trapped = 0;
    return 0;
}

TEST(trapped, a_stop_of_our_own_tracee_is_no_exit)
{
    if (!follows_by_pidfd())
        SKIP("no pidfd: without one each wait looks before it takes (truth_ptrace)");
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(6);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    wait_until_zombie(pid);
    trapped = pid;
    struct exitfd_event event = wait_event(x);
    cr_assert_eq(trapped, 0, "no wait took anything");
    expect_exited(&event, pid, 6, x);
    expect_quiet(x);
    exitfd_close(x);
}
