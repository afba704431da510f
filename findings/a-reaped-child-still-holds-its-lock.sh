#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: the Debian kernel of series 7.3 (seen with 7.3.4+deb13-cloud-amd64),
# in QEMU. Linux 6.18 does the same.
# Behaviour: when wait(2) has reported a process, its fds are closed. Not so
# those that it had registered with an io_uring (IORING_REGISTER_FILES). The
# kernel lets go of them later, in a worker of its own: the lock of a dead and
# reaped child is refused to others, its pipe has no end, and its port is in
# use, for tens of milliseconds. Who starts the next child as soon as the last
# one has exited meets all three. A ring without registered files holds up
# nothing.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# qemu-system-x86, busybox-static, cpio, gcc.
set -u -o pipefail
# shellcheck source=findings/boot
. "$(dirname "$0")/boot"

cat > "$folder/program.c" << 'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 20 };
enum ring { NO_RING, RING, RING_WITH_FILES };

static int lock(void)
{
    int fd = open("/dev/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

static int listen_on_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7000), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0)
        return fd;
    close(fd);
    return -1;
}

static void child(enum ring ring, int pipe_end)
{
    int fds[] = { lock(), listen_on_port(), pipe_end };
    struct io_uring_params params = { 0 };
    if (fds[0] < 0 || fds[1] < 0)
        _exit(1);
    int ring_fd = ring == NO_RING ? -1 : (int)syscall(SYS_io_uring_setup, 1, &params);
    if (ring != NO_RING && ring_fd < 0)
        _exit(2);
    if (ring == RING_WITH_FILES && syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_FILES, fds, 3) < 0)
        _exit(3);
    _exit(0);
}

static bool lock_is_free(void)
{
    int fd = lock();
    return fd >= 0 && close(fd) == 0;
}

static bool port_is_free(void)
{
    int fd = listen_on_port();
    return fd >= 0 && close(fd) == 0;
}

static void try(enum ring ring, const char *what, int held[3])
{
    memset(held, 0, 3 * sizeof *held);
    for (int i = 0; i < TIMES; i++) {
        int pipe_fds[2], status;
        char byte;
        pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC);
        pid_t pid = fork();
        if (pid == 0)
            child(ring, pipe_fds[1]);
        close(pipe_fds[1]);
        if (waitpid(pid, &status, 0) != pid || status != 0)
            printf("the child ended with %#x\n", status);
        held[0] += !lock_is_free();
        held[1] += !port_is_free();
        held[2] += read(pipe_fds[0], &byte, 1) < 0;
        while (!lock_is_free() || !port_is_free())
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        close(pipe_fds[0]);
    }
    printf("%s: of %d reaped children %d still held their lock, %d their port, %d their pipe\n", what, TIMES, held[0], held[1],
           held[2]);
}

int main(void)
{
    int none[3], alone[3], with_files[3];
    struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &loopback);
    try(NO_RING, "no ring", none);
    try(RING, "a ring", alone);
    try(RING_WITH_FILES, "a ring with registered files", with_files);
    for (int i = 0; i < 3; i++)
        if (none[i] > 0 || alone[i] > 0 || with_files[i] == 0)
            return puts("DIFFERENT");
    puts("AS DESCRIBED");
    return 0;
}
C
boot 7.3
