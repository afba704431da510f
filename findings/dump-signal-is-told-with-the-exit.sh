#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU.
# Behaviour: PIDFD_GET_INFO keeps the signal of a core dump
# (PIDFD_INFO_COREDUMP_SIGNAL, Linux 6.19) after the process was reaped. But who
# asks for it then gets ESRCH, as if there were nothing, unless PIDFD_INFO_EXIT
# is asked for as well.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signal of the dump, or a negative errno. */
static int ask(int pidfd, uint64_t mask)
{
    uint32_t info[18] = { 0 }; /* PIDFD_INFO_SIZE_VER1 */
    memcpy(info, &mask, sizeof mask);
    if (ioctl(pidfd, _IOC(_IOC_READ | _IOC_WRITE, 0xFF, 11, sizeof info), info) < 0)
        return -errno;
    return info[0] & 1 << 6 ? (int)info[17] : 0;
}

int main(void)
{
    mount("none", "/proc", "proc", 0, NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dump" };
    int server = socket(AF_UNIX, SOCK_STREAM, 0), pattern = open("/proc/sys/kernel/core_pattern", O_WRONLY);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 1) < 0 || write(pattern, "@/dump", 6) < 0)
        perror("socket, core_pattern");
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
        setrlimit(RLIMIT_CORE, &all);
        memset(mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 16 << 20);
        raise(SIGSEGV);
    }
    accept(server, NULL, NULL); /* the dump has begun, and waits for somebody to read it */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    int alone = ask(pidfd, 1 << 4 | 1 << 6), with_exit = ask(pidfd, 1 << 3 | 1 << 4 | 1 << 6);
    printf("reaped; the signal of its dump alone: %d, asked for with the exit: %d\n", alone, with_exit);
    printf("%s\n", alone == -ESRCH && with_exit == SIGSEGV ? "AS DESCRIBED" : "DIFFERENT");
    return 0;
}
C
boot 7.3
