#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU.
# Behaviour: two places tell whether a crashed child dumped its core, and they
# say the opposite. With a core in a file or in a pipe, WCOREDUMP of the wait
# status is true, and PIDFD_GET_INFO (PIDFD_INFO_COREDUMP) has nothing to say of
# a dump. With a socket as the pattern and nobody who listens there is no core:
# WCOREDUMP is false, and the pidfd says PIDFD_COREDUMPED. The pidfd tells that
# the kernel tried a socket, and only that.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INFO_EXIT = 1 << 3, INFO_COREDUMP = 1 << 4, COREDUMPED = 1 << 0 };

/* True if the pidfd of this reaped child says that it dumped its core. */
static bool pidfd_says_core(int pidfd)
{
    uint32_t info[18] = { INFO_EXIT | INFO_COREDUMP }; /* PIDFD_INFO_SIZE_VER1 */
    if (ioctl(pidfd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, sizeof info), info) < 0 || !(info[0] & INFO_EXIT))
        perror("PIDFD_GET_INFO");
    return info[0] & INFO_COREDUMP && info[16] & COREDUMPED;
}

/* True if a child that crashes is told in this way. */
static bool crash(const char *pattern, bool of_the_status, bool of_the_pidfd)
{
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY), status;
    if (write(fd, pattern, strlen(pattern)) < 0)
        perror(pattern);
    close(fd);
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
        setrlimit(RLIMIT_CORE, &all);
        raise(SIGSEGV);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    waitpid(pid, &status, 0);
    bool status_says = WCOREDUMP(status), pidfd_says = pidfd_says_core(pidfd);
    printf("%-22s status: %-7s pidfd: %s\n", pattern, status_says ? "core" : "no core", pidfd_says ? "core" : "no core");
    return status_says == of_the_status && pidfd_says == of_the_pidfd;
}

int main(void)
{
    mount("none", "/proc", "proc", 0, NULL);
    bool file = crash("/core", true, false), pipe = crash("|/bin/busybox cat", true, false);
    bool no_file = crash("/missing/core", false, false), no_socket = crash("@/missing", false, true);
    printf("%s\n", file && pipe && no_file && no_socket ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
