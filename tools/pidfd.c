/* SPDX-License-Identifier: MIT */
#include "pidfd.h"

#include <errno.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>

/* A libc may be older than the calls. These are their numbers on all but two
   old architectures, whose headers have them. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int open_pidfd(pid_t pid)
{
    return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

int signal_by_pidfd(int pidfd, int signo)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signo, (void *)0, 0) == 0 ? 0 : -errno;
}
#else
int open_pidfd(pid_t pid)
{
    (void)pid;
    return -1;
}

int signal_by_pidfd(int pidfd, int signo)
{
    (void)pidfd;
    (void)signo;
    return -ENOSYS;
}
#endif
