#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU.
# Behaviour: cgroup.events says "populated 0" and cgroup.procs is empty when the
# last process of a cgroup has exited. But pids.current and pids.max still count
# it, until its parent has waited. A manager that takes "populated 0" as leave
# to start the next process there gets EAGAIN from clone3(2), and the file
# pids.events counts a fork too many, in an empty cgroup. rmdir of that cgroup
# is allowed all the same, and pids.current of the parent cgroup still counts
# the zombie of one that is gone.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOP "/sys/fs/cgroup/top"

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

static const char *get(const char *path)
{
    static char texts[4][200];
    static int next;
    char *text = texts[next++ % 4];
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, sizeof texts[0] - 1);
    close(fd);
    text[length < 0 ? 0 : length] = 0;
    text[strcspn(text, "\n")] = 0;
    return text;
}

static pid_t start_in(int cgroup)
{
    struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)cgroup };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? -errno : pid;
}

static void see_exit(pid_t pid)
{
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
}

int main(void)
{
    int right = 0;
    put("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
    mkdir(TOP, 0755);
    put(TOP "/cgroup.subtree_control", "+pids");
    mkdir(TOP "/one", 0755);
    put(TOP "/one/pids.max", "1");
    int cgroup = open(TOP "/one", O_RDONLY | O_DIRECTORY);

    pid_t zombie = start_in(cgroup);
    see_exit(zombie);
    for (int i = 0; i < 1000 && strcmp(get(TOP "/one/cgroup.events"), "populated 0") != 0; i++)
        usleep(1000); /* Linux 7 says so a moment later */
    const char *events = get(TOP "/one/cgroup.events"), *current = get(TOP "/one/pids.current");
    printf("a zombie: %s, cgroup.procs \"%s\", pids.current %s\n", events, get(TOP "/one/cgroup.procs"), current);
    right += strcmp(events, "populated 0") == 0 && strcmp(current, "1") == 0;
    int next = start_in(cgroup);
    printf("the next start: %s; pids.events: %s\n", strerror(next < 0 ? -next : 0), get(TOP "/one/pids.events"));
    right += next == -EAGAIN;

    int removed = rmdir(TOP "/one");
    current = get(TOP "/pids.current");
    printf("rmdir gives %d, pids.current above it is %s\n", removed, current);
    right += removed == 0 && strcmp(current, "1") == 0;
    waitpid(zombie, NULL, 0);
    current = get(TOP "/pids.current");
    printf("reaped: pids.current above it is %s\n", current);
    right += strcmp(current, "0") == 0;
    puts(right == 4 ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
