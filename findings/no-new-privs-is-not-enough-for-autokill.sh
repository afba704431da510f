#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU.
# Behaviour: clone3(2) with CLONE_PIDFD_AUTOKILL (Linux 7.1) wants a child that
# cannot gain privileges, or CAP_SYS_ADMIN. A process without that capability
# that has set no_new_privs, which every child of its inherits, gets EPERM
# nevertheless. It has to pass CLONE_NNP as well, which changes nothing for such
# a child.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long start(uint64_t more)
{
    int fd = -1;
    uint64_t arguments[11] = { CLONE_PIDFD | 1ULL << 34 | 1ULL << 36 | more, (uintptr_t)&fd }; /* AUTOREAP, AUTOKILL */
    long pid = syscall(435, arguments, sizeof arguments);
    if (pid == 0)
        _exit(0);
    return pid < 0 ? -errno : 0;
}

int main(void)
{
    if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        perror("uid, no_new_privs");
    long without = start(0), with = start(1ULL << 35); /* CLONE_NNP */
    printf("with no_new_privs set: clone3 without CLONE_NNP gives %s, with it %s\n", strerror(-without), strerror(-with));
    printf("%s\n", without == -EPERM && with == 0 ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
