#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 6.12, in QEMU.
# Behaviour: waitid(2) with WNOWAIT shows a zombie, and its rusage. But a
# process is a zombie before it has left its processor for the last time. What
# it uses until then is still counted, so the same zombie has used more time
# when it is reaped a moment later. Who looks first and reaps afterwards has two
# different truths about a process that has ended.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long used(pid_t pid, int options) /* microseconds, or -1: it has not ended */
{
    siginfo_t info = { 0 };
    struct rusage usage;
    if (syscall(SYS_waitid, P_PID, pid, &info, WEXITED | options, &usage) < 0 || info.si_pid == 0)
        return -1;
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(void)
{
    int more = 0, less = 0;
    long most = 0;
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (volatile int n = 0; n < 300000; n++)
                ;
            _exit(0);
        }
        long at_the_look, at_the_reap;
        while ((at_the_look = used(pid, WNOHANG | WNOWAIT)) < 0)
            ;
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        at_the_reap = used(pid, 0);
        more += at_the_reap > at_the_look;
        less += at_the_reap < at_the_look;
        if (at_the_reap - at_the_look > most)
            most = at_the_reap - at_the_look;
    }
    printf("of 300 zombies %d had used more time at the reap than at the look, by up to %ld us, and %d less\n", more, most,
           less);
    printf("%s\n", more > 0 && less == 0 ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 6.12
