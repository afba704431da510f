#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU. Linux 6.18 does the same.
# Behaviour: PID 1 of a pid namespace gets SIGKILL, and its pidfd stays quiet.
# It does not end before every process of the namespace is reaped, and one that
# was started from outside (setns(2) and fork(2), as nsenter does) is reaped by
# nobody but its parent out there. So a manager that looks at the exits of its
# two children in the wrong order, first the PID 1 and then the command that it
# ran inside, waits for itself. As soon as it reaps the command, PID 1 is dead
# too.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool has_ended(int pidfd, int timeout_ms)
{
    struct pollfd item = { .fd = pidfd, .events = POLLIN };
    return poll(&item, 1, timeout_ms) == 1;
}

static pid_t start_init(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    while (pid == 0)
        pause();
    return pid;
}

/* A command in the namespace of init, which exits at once. Only children of ours enter it, never we ourselves. */
static pid_t start_inside(int init)
{
    int own = open_pidfd(getpid());
    setns(init, CLONE_NEWPID);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    setns(own, CLONE_NEWPID);
    close(own);
    return pid;
}

/* How the PID 1 of a namespace ends that has such a command, which is a zombie or was reaped. */
static bool ends_by_itself(bool reaped)
{
    siginfo_t info;
    pid_t init = start_init();
    int init_fd = open_pidfd(init);
    pid_t command = start_inside(init_fd);
    waitid(P_PID, (id_t)command, &info, WEXITED | (reaped ? 0 : WNOWAIT));
    kill(init, SIGKILL);
    bool ended = has_ended(init_fd, 2000);
    printf("PID 1 was killed, the command inside is %s: PID 1 has %s after 2 s\n", reaped ? "reaped" : "a zombie",
           ended ? "ended" : "not ended");
    if (!reaped)
        waitpid(command, NULL, 0);
    bool at_last = has_ended(init_fd, 20000);
    if (!ended)
        printf("the command is reaped: PID 1 has %s\n", at_last ? "ended" : "not ended");
    waitpid(init, NULL, 0);
    close(init_fd);
    return ended;
}

int main(void)
{
    bool with_it_reaped = ends_by_itself(true), with_a_zombie = ends_by_itself(false);
    puts(with_it_reaped && !with_a_zombie ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
