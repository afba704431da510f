/* SPDX-License-Identifier: MIT */
/* What the example programs share and what has nothing to do with children: the
   clock, SIGTERM, arguments. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    WRONG_USAGE = 2
};

static inline long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* First of all: one of 0 to 2 that is missing would become an exitfd's or a
   socket's, and a message would be written into that. */
static inline void settle_fds(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fd <= 2)
        continue;
    close(fd);
}

static int caught_signals_writer;
static volatile sig_atomic_t is_caught[NSIG];

/* The pipe only wakes. One that is full of other signals does that, too, and
   would have no room for this one. */
static inline void pass_signal_on(int sig)
{
    int saved_errno = errno;
    is_caught[sig] = 1;
    if (write(caught_signals_writer, "", 1) < 0) {
        /* Full: it wakes already. */
    }
    errno = saved_errno;
}

/*
 * Call it before any other fd is opened, with a list that ends with 0. Returns
 * an fd to poll, for next_caught_signal, or a negative errno. A signal that was
 * ignored, by nohup or a shell, stays ignored for us and for what we start.
 */
static inline int catch_signals(const int *signals)
{
    int fds[2];
    settle_fds();
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    caught_signals_writer = fds[1];
    struct sigaction action = { .sa_handler = pass_signal_on, .sa_flags = SA_RESTART };
    for (; *signals; signals++) {
        struct sigaction found;
        if (sigaction(*signals, NULL, &found) == 0 && found.sa_handler != SIG_IGN)
            sigaction(*signals, &action, NULL);
    }
    return fds[0];
}

/* Call it until it returns 0, which is: no more for now. Each signal comes once
   before that, so the loop ends even in a flood of signals. */
static inline int next_caught_signal(int fd)
{
    static int sig; /* the last one returned */
    char bytes[512];
    if (sig == 0 && read(fd, bytes, sizeof bytes) < 0) {
        /* Nothing has woken us. And what is left in the pipe wakes again. */
    }
    while (++sig < NSIG)
        if (is_caught[sig]) {
            is_caught[sig] = 0;
            return sig;
        }
    return sig = 0;
}

static inline bool parse_number(const char *text, int least, int most, int *ret)
{
    char *end;
    long number = strtol(text, &end, 10);
    *ret = (int)number;
    return end != text && !*end && number >= least && number <= most;
}

static inline int wrong_usage(const char *program, const char *what, const char *value)
{
    fprintf(stderr, "%s: %s%s%s\nTry '%s --help'.\n", program, what, value ? ": " : "", value ? value : "", program);
    return WRONG_USAGE;
}

#endif
