/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD's handler and mask, for the suites about them. Each test is a process
 * of its own, so what is changed here is not put back.
 */
#include "signals.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wakeup open_wakeup(void)
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0, "pipe: %s", strerror(errno));
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    return (struct wakeup){ .read_end = ends[0], .write_end = ends[1] };
}

void close_wakeup(struct wakeup *wakeup)
{
    close(wakeup->read_end);
    close(wakeup->write_end);
}

int take_bytes(const struct wakeup *wakeup)
{
    char bytes[4096];
    int total = 0;
    for (ssize_t got; (got = read(wakeup->read_end, bytes, sizeof(bytes))) > 0;)
        total += (int)got;
    return total;
}

int install(int fd)
{
    int old_fd = -2;
    int ret = exitfd_install_handler(fd, &old_fd);
    CHECK_EQ(ret, 0, "exitfd_install_handler(%d): %s", fd, strerror(-ret));
    return old_fd;
}

struct sigaction current_disposition(void)
{
    struct sigaction action;
    CHECK_EQ(sigaction(SIGCHLD, NULL, &action), 0);
    return action;
}

void send_sigchld(void)
{
    unblock_sigchld();
    kill(getpid(), SIGCHLD);
}

void expect_served(struct exitfd *x, int status)
{
    pid_t pid = start_child_exit(status);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, status, NULL);
    expect_quiet(x);
}

void diagnose(const char *format, ...)
{
    const char *report = getenv("EXITFD_TEST_REPORT");
    FILE *output = fopen(report != NULL ? report : "/dev/stdout", "ae");
    CHECK(output != NULL, "%s: %s", report, strerror(errno));
    va_list arguments;
    va_start(arguments, format);
    vfprintf(output, format, arguments);
    va_end(arguments);
    fputc('\n', output);
    fclose(output);
}
