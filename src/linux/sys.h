/* SPDX-License-Identifier: MIT */
/* Kernel names that a libc or its headers may lack. Numbers are the same on
   every architecture (alpha excepted). */
#ifndef EXITFD_SYS_H
#define EXITFD_SYS_H

#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define PIDFD_SIGNAL_GROUP 4 /* PIDFD_SIGNAL_PROCESS_GROUP */
#define PID_FS_MAGIC_NUMBER 0x50494446
#define PIDFD_IS_THREAD O_EXCL /* PIDFD_THREAD as fcntl(F_GETFL) shows it */
#define PIDFD_KILLS O_TRUNC    /* CLONE_PIDFD_AUTOKILL, likewise (Linux 7.1) */

/* linux/pidfd.h of Linux 6.15, its first version (64 bytes), which every later
   kernel accepts. */
struct pidfd_info_v0 {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
/* What Linux 6.19 added at its end. */
struct pidfd_info_dump {
    struct pidfd_info_v0 first;
    uint32_t coredump_mask, coredump_signal;
};
#define PIDFD_INFO_PID_BIT (UINT64_C(1) << 0)
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)
#define PIDFD_INFO_COREDUMP_BIT (UINT64_C(1) << 4)
#define PIDFD_INFO_COREDUMP_SIGNAL_BIT (UINT64_C(1) << 6)
#define PIDFD_GET_INFO_DUMP _IOWR(0xFF, 11, struct pidfd_info_dump)
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)

static inline int sys_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

#endif
