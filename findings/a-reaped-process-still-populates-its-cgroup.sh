#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernels of series 7.3 (seen with 7.3.4+deb13-cloud-amd64)
# and 6.12, in QEMU.
# Behaviour: on Linux 6.12 a process has left its control group when wait(2)
# reports it. On Linux 7.3 it leaves when its processor has switched away from
# it for the last time, which may be later: wait(2) has reaped it, its pid is
# free, and cgroup.events still says "populated 1", although cgroup.procs lists
# nobody. rmdir(2) waits for it and succeeds. So a manager that reaps its child
# and then looks whether anything is left in the group finds something, now and
# then, and there is nothing to find and nothing to kill. The end comes as an
# event of the file, as always.
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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP "/sys/fs/cgroup/group"

static ssize_t get(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length < 0 ? 0 : length] = 0;
    return length;
}

static pid_t start_in(const char *path)
{
    int cgroup = open(path, O_RDONLY | O_DIRECTORY);
    struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)cgroup };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    close(cgroup);
    return pid;
}

int main(void)
{
    int populated = 0, listed = 0, busy = 0;
    struct utsname name;
    char text[256];
    uname(&name);
    for (int i = 0; i < 3000; i++) {
        mkdir(GROUP, 0755);
        pid_t pid = start_in(GROUP);
        while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0)
            ;
        get(GROUP "/cgroup.events", text, sizeof text);
        populated += strncmp(text, "populated 1", 11) == 0;
        listed += get(GROUP "/cgroup.procs", text, sizeof text) > 0;
        busy += rmdir(GROUP) < 0;
    }
    printf("of 3000 groups whose process was reaped, %d were populated, %d listed a process, %d could not be removed\n",
           populated, listed, busy);
    bool is_old = atoi(name.release) < 7;
    puts(listed == 0 && busy == 0 && (populated > 0) == !is_old ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
(boot 6.12) && boot 7.3
