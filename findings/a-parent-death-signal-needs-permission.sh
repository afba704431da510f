#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU. Linux 6.18 does the same.
# Behaviour: the signal of PR_SET_PDEATHSIG is sent as if the dying parent
# called kill(2). If it may not, no signal comes, and nothing says so. A daemon
# that starts a child as root and drops its privileges afterwards leaves the
# child behind when it dies. So does one that sandboxes itself with Landlock's
# LANDLOCK_SCOPE_SIGNAL after the start, as the same user. CLONE_PIDFD_AUTOKILL
# (Linux 7.1) asks for no permission at the end.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum end { BY_SIGNAL, BY_PIDFD };
enum change { NOTHING, USER, LANDLOCK };

static int sandbox(void)
{
    struct { uint64_t files, network, scoped; } attr = { .scoped = 2 }; /* LANDLOCK_SCOPE_SIGNAL */
    long ruleset = syscall(444, &attr, sizeof attr, 0);                 /* landlock_create_ruleset */
    return ruleset < 0 ? -1 : (int)syscall(446, ruleset, 0);            /* landlock_restrict_self */
}

static pid_t start(enum end end)
{
    int pidfd;
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; }
        args = { .exit_signal = SIGCHLD };
    if (end == BY_PIDFD) {
        args.flags = CLONE_PIDFD | UINT64_C(1) << 34 | UINT64_C(1) << 36; /* CLONE_AUTOREAP, CLONE_PIDFD_AUTOKILL */
        args.exit_signal = 0;
        args.pidfd = (uintptr_t)&pidfd;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Whether the child of a parent that changes itself so outlives it. */
static bool outlives(enum end end, enum change change, const char *what)
{
    int life[2], ready[2], told[2], error = 0;
    char byte;
    pipe(life);
    pipe(ready);
    pipe(told);
    if (fork() == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        pid_t child = start(end);
        if (child == 0) {
            if (end == BY_SIGNAL)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
            write(ready[1], "", 1);
            pause();
        }
        close(life[1]);
        close(ready[1]);
        if (child < 0 || read(ready[0], &byte, 1) != 1 || (change == USER && setuid(1000) < 0) ||
            (change == LANDLOCK && sandbox() < 0))
            error = -errno;
        else if (kill(child, 0) < 0)
            error = errno;
        write(told[1], &error, sizeof error);
        write(told[1], &child, sizeof child);
        _exit(0);
    }
    close(life[1]);
    pid_t child;
    read(told[0], &error, sizeof error);
    read(told[0], &child, sizeof child);
    wait(NULL);
    struct pollfd end_of_pipe = { .fd = life[0], .events = POLLIN };
    bool lives = poll(&end_of_pipe, 1, 3000) == 0;
    printf("%s, %s: kill() before the end %s, the child %s\n", end == BY_SIGNAL ? "PR_SET_PDEATHSIG" : "CLONE_PIDFD_AUTOKILL",
           what, error < 0 ? "was not tried" : strerror(error), lives ? "lives on" : "is killed");
    if (lives)
        kill(child, SIGKILL);
    return error < 0 ? !(end == BY_SIGNAL && change != NOTHING) : lives; /* never as described if it was not tried */
}

int main(void)
{
    bool right = !outlives(BY_SIGNAL, NOTHING, "the parent stays as it is");
    right &= outlives(BY_SIGNAL, USER, "it changes its user");
    right &= outlives(BY_SIGNAL, LANDLOCK, "it enters a sandbox");
    right &= !outlives(BY_PIDFD, USER, "it changes its user");
    right &= !outlives(BY_PIDFD, LANDLOCK, "it enters a sandbox");
    puts(right ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
