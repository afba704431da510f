/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <errno.h>

const int xfd_platform_any_exit_signal = 0; /* it is always SIGCHLD */
const int xfd_platform_other_exit_signal = 0;

/* wait4 is in no standard but on every system we know of, and has what POSIX's
   waitid lacks: the rusage. */
static int reap(pid_t pid, siginfo_t *info, struct rusage *rusage)
{
    int wait_status;
    pid_t reaped;

    do
        reaped = wait4(pid, &wait_status, WNOHANG, rusage);
    while (reaped < 0 && errno == EINTR);
    if (reaped <= 0)
        return (int)reaped;
    info->si_pid = reaped;
    if (WIFEXITED(wait_status)) {
        info->si_code = CLD_EXITED;
        info->si_status = WEXITSTATUS(wait_status);
    } else {
        info->si_code = WCOREDUMP(wait_status) ? CLD_DUMPED : CLD_KILLED;
        info->si_status = WTERMSIG(wait_status);
    }
    return 0;
}

int xfd_platform_waitid(idtype_t type, id_t id, int options, siginfo_t *info, struct rusage *rusage)
{
    int result;

    if (type == P_PID && options == (WEXITED | WNOHANG))
        return reap((pid_t)id, info, rusage);
    do
        result = waitid(type, id, info, options);
    while (result < 0 && errno == EINTR);
    return result;
}
