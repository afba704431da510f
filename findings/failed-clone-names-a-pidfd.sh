#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU. Linux 6.18 does the same.
# Behaviour: clone(2) with CLONE_PIDFD writes the number of a pidfd although it
# then fails. The limit of a pids cgroup is checked after the number was given.
# The kernel frees it again, and leaves it written where the caller reads it. A
# caller that closes it "to leak nothing" closes whatever another thread has
# opened by then.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

int main(void)
{
    int fd = -1;
    put("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
    mkdir("/sys/fs/cgroup/one", 0755);
    put("/sys/fs/cgroup/one/cgroup.procs", "0");
    put("/sys/fs/cgroup/one/pids.max", "1");
    long pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, 0);
    if (pid == 0)
        _exit(0);
    const char *why = pid < 0 ? strerror(errno) : "it was born";
    int is_open = fd >= 0 && fcntl(fd, F_GETFD) >= 0;
    printf("clone: %s. The pidfd is written as %d, and is %s\n", why, fd, is_open ? "open" : "not open");
    printf("%s\n", pid < 0 && fd >= 0 && !is_open ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
