/* SPDX-License-Identifier: MIT */
/*
 * For tests that are programs of their own: those for ThreadSanitizer, which cannot run Criterion, and those that must
 * be PID 1. Exit status 0 is a pass, 77 a skip, anything else a failure. CHECK may be used in forked children too.
 */
#ifndef EXITFD_TESTS_PLAIN_H
#define EXITFD_TESTS_PLAIN_H

#include <errno.h>
#include <exitfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);                          \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

#define CHECK_RESULT(call, wanted)                                                                                     \
    do {                                                                                                               \
        int result_ = (call), wanted_ = (wanted);                                                                      \
        if (result_ != wanted_) {                                                                                      \
            fprintf(stderr, "%s:%d: %s gave %d, wanted %d\n", __FILE__, __LINE__, #call, result_, wanted_);            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static inline void skip(const char *why)
{
    printf("SKIP: %s\n", why);
    fflush(stdout);
    _exit(77);
}

/* To be called first: no test hangs, and the signalfd back end gets what it needs before there is a second thread. */
static inline void begin(void)
{
    const char *backend = getenv("EXITFD_BACKEND");
    alarm(300);
    if (backend != NULL && strcmp(backend, "signalfd") == 0) {
        sigset_t sigchld;
        sigemptyset(&sigchld);
        sigaddset(&sigchld, SIGCHLD);
        CHECK(sigprocmask(SIG_BLOCK, &sigchld, NULL) == 0);
    }
}

static inline struct exitfd *open_or_skip(void)
{
    struct exitfd *x;
    int ret = exitfd_open(&x, 0);
    if (ret == -ENOTSUP)
        skip("the back end of EXITFD_BACKEND is not in this kernel");
    CHECK_RESULT(ret, 0);
    return x;
}

static inline struct exitfd_event next_event(struct exitfd *x)
{
    struct exitfd_event event;
    int ret;
    while ((ret = exitfd_wait(x, &event, 1, -1)) == -EINTR)
        ;
    CHECK_RESULT(ret, 1);
    return event;
}

static inline pid_t fork_exiting(int status)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        _exit(status);
    return pid;
}

static inline pid_t fork_paused(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(300);
        for (;;)
            pause();
    }
    return pid;
}

static inline int exit_status_of(pid_t pid)
{
    int status;
    pid_t ret;
    while ((ret = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    CHECK(ret == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Seen dead, not reaped. */
static inline void wait_for_zombie(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
        CHECK(errno == EINTR);
}

#endif
