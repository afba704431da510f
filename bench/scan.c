/* SPDX-License-Identifier: MIT */
/*
 * The classic that reaps only its own children. SIGCHLD writes a byte to a
 * pipe. The loop asks for each of its children in turn. Twisted's
 * reapAllProcesses, in C.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int pipe_fds[2];
static struct child **watched;
static size_t watched_count, capacity;

static void write_byte(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    /* A full pipe is as good as one byte. */
    if (write(pipe_fds[1], "", 1) < 0)
        errno = saved;
}

static const char *open_pipe(void)
{
    struct sigaction action = { .sa_handler = write_byte, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0 || sigaction(SIGCHLD, &action, NULL) < 0)
        die("pipe and sigaction");
    return NULL;
}

static void add(struct child *c)
{
    if (watched_count == capacity) {
        capacity = capacity > 0 ? 2 * capacity : 64;
        watched = realloc(watched, capacity * sizeof(struct child *));
        if (watched == NULL)
            die("realloc");
    }
    watched[watched_count++] = c;
}

static void ask_for_each(void)
{
    for (size_t i = 0; i < watched_count;) {
        int status;
        pid_t pid = waitpid(watched[i]->pid, &status, WNOHANG);

        if (pid < 0)
            die("waitpid");
        if (pid > 0) {
            herd_report_wait_status(watched[i], pid, status);
            watched[i] = watched[--watched_count];
        } else {
            i++;
        }
    }
}

static void collect(bool block)
{
    struct pollfd readable = { .fd = pipe_fds[0], .events = POLLIN };
    char bytes[1024];

    poll(&readable, 1, block ? -1 : 0);
    if (read(pipe_fds[0], bytes, sizeof bytes) > 0)
        ask_for_each();
}

static void close_pipe(void)
{
    signal(SIGCHLD, SIG_DFL);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    free(watched);
}

const struct implementation self_pipe_scan = {
    .name = "hand-written self-pipe + scan",
    .open = open_pipe,
    .add = add,
    .collect = collect,
    .close = close_pipe,
};
