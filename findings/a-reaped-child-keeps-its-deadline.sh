#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU.
# Behaviour: a SCHED_DEADLINE process reserves a share of the processors. When
# it has exited and wait(2) has reaped it, the share is still taken, until the
# point in its period up to which it had used its time in advance. With a period
# of 4 s that is seconds. A supervisor that starts it again at once gets EBUSY
# from sched_setattr(2), for a process that is gone. One that had used nothing
# of its time gives its share back at once.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static int reserve(uint64_t runtime_ms, uint64_t period_ms)
{
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period; }
        attr = { .size = 48, .policy = 6, .runtime = runtime_ms * MS, .deadline = period_ms * MS, .period = period_ms * MS };
    return syscall(SYS_sched_setattr, 0, &attr, 0) < 0 ? errno : 0;
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A child that reserves, tells the errno, and uses some of its time. It then stays, or ends. */
static pid_t start(uint64_t runtime_ms, uint64_t period_ms, double use, bool stay, int *error)
{
    int told[2], none;
    pipe(told);
    pid_t pid = fork();
    if (pid == 0) {
        none = reserve(runtime_ms, period_ms);
        write(told[1], &none, sizeof none);
        while (none == 0 && now(CLOCK_PROCESS_CPUTIME_ID) < use)
            ;
        while (none == 0 && stay)
            pause();
        _exit(0);
    }
    read(told[0], error, sizeof *error);
    close(told[0]);
    close(told[1]);
    return pid;
}

/* Seconds from the reap of such a child until the same can be started again. */
static double held(double use)
{
    int error;
    waitpid(start(2000, 4000, use, false, &error), NULL, 0);
    if (error != 0)
        return -1;
    double reaped = now(CLOCK_MONOTONIC);
    for (int refused = 0;; refused++) {
        pid_t next = start(2000, 4000, 0, false, &error);
        waitpid(next, NULL, 0);
        if (error == 0 || refused > 1000) {
            printf("used %.1f s of 2 in a period of 4: refused %d times\n", use, refused);
            return refused == 0 ? 0 : now(CLOCK_MONOTONIC) - reaped;
        }
        if (refused == 0)
            printf("used %.1f s of 2 in a period of 4: %s\n", use, strerror(error));
        nanosleep(&(struct timespec){ .tv_nsec = 10 * MS }, NULL);
    }
}

int main(void)
{
    /* Two processors, of which 0.95 may be reserved each. These leave half a processor. */
    int errors[2];
    pid_t others[] = { start(900, 1000, 0, true, &errors[0]), start(450, 1000, 0, true, &errors[1]) };
    if (errors[0] != 0 || errors[1] != 0)
        printf("the others: %s, %s\n", strerror(errors[0]), strerror(errors[1]));
    double idle = held(0), busy = held(1.5);
    printf("free again %.2f s and %.2f s after the reap\n", idle, busy);
    puts(idle == 0 && busy > 0.5 ? "AS DESCRIBED" : "DIFFERENT");
    kill(others[0], SIGKILL);
    kill(others[1], SIGKILL);
    return 0;
}
C
boot 7.3
