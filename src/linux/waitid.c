/* SPDX-License-Identifier: MIT */
/*
 * waitid(2) with its fifth argument, the rusage of the child, which no libc
 * passes on. So the kernel's struct is spelt out here.
 */
#include "linux/sys.h"
#include "status.h"

#include <errno.h>
#include <stddef.h>

/* clone(2) may give a child another one than SIGCHLD, or none. */
const int xfd_platform_any_exit_signal = __WALL;
const int xfd_platform_other_exit_signal = __WCLONE;

/* The kernel's struct rusage: what the libc's is laid out like wherever its
   time_t is a long. */
struct kernel_rusage {
    long utime_sec, utime_usec, stime_sec, stime_usec;
    long maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};

#define IS_KERNELS_RUSAGE                                                                                              \
    (sizeof(((struct rusage *)0)->ru_utime.tv_sec) == sizeof(long) &&                                                  \
     offsetof(struct rusage, ru_nivcsw) == offsetof(struct kernel_rusage, nivcsw))

/*
 * gVisor's waitid takes the 0x7f of a stopped child's wait status for a signal,
 * which it cannot be. It reports a stop as a death, and a continuation as one
 * with a core dump. Which signal stopped the child is lost.
 */
static void correct_impossible_death(siginfo_t *info)
{
    if (info->si_status != 0x7f || _NSIG > 0x7f) /* MIPS has a signal 127 */
        return;
    if (info->si_code == CLD_KILLED) {
        info->si_code = CLD_STOPPED;
        info->si_status = 0;
    } else if (info->si_code == CLD_DUMPED) {
        info->si_code = CLD_CONTINUED;
        info->si_status = SIGCONT;
    }
}

static void convert(struct rusage *rusage, const struct kernel_rusage *usage)
{
    *rusage = (struct rusage){
        .ru_utime = { .tv_sec = usage->utime_sec, .tv_usec = usage->utime_usec },
        .ru_stime = { .tv_sec = usage->stime_sec, .tv_usec = usage->stime_usec },
        .ru_maxrss = usage->maxrss,
        .ru_ixrss = usage->ixrss,
        .ru_idrss = usage->idrss,
        .ru_isrss = usage->isrss,
        .ru_minflt = usage->minflt,
        .ru_majflt = usage->majflt,
        .ru_nswap = usage->nswap,
        .ru_inblock = usage->inblock,
        .ru_oublock = usage->oublock,
        .ru_msgsnd = usage->msgsnd,
        .ru_msgrcv = usage->msgrcv,
        .ru_nsignals = usage->nsignals,
        .ru_nvcsw = usage->nvcsw,
        .ru_nivcsw = usage->nivcsw,
    };
}

/* The system call and not the libc's function, which hides the fifth
   argument. */
int xfd_platform_waitid(idtype_t type, id_t id, int options, siginfo_t *info, struct rusage *rusage)
{
    struct kernel_rusage usage = { 0 }; /* an older qemu-user does not fill it */
    void *place = IS_KERNELS_RUSAGE ? (void *)rusage : &usage;
    long result;

    /* A pidfd can name a child that clone(2) gave another exit signal than
       SIGCHLD, or none. */
    if (type == WAIT_PIDFD)
        options |= __WALL;
    do
        result = syscall(SYS_waitid, type, id, info, options, place);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return -1;
    correct_impossible_death(info);
    if (!IS_KERNELS_RUSAGE && info->si_pid != 0)
        convert(rusage, &usage);
    return 0;
}
