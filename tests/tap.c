/* SPDX-License-Identifier: MIT */
/*
 * The harness of plain programs. It uses only POSIX, because they also run
 * where there is no more.
 */
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_bool all_well;

void soft_check(bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    printf("# %s:%d: not so: %s\n", file, line, what);
    all_well = false;
}

void report_failure(const char *message)
{
    printf("Bail out! %s\n", message);
    exit(1);
}

struct exitfd *open_exitfd(void)
{
    struct exitfd *x = NULL;
    CHECK_EQ(exitfd_open(&x, 0), 0);
    return x;
}

pid_t fork_guarded(void)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        alarm(120);
    return pid;
}

pid_t start_exit(int status)
{
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(status);
    return pid;
}

pid_t start_sleeper(void)
{
    pid_t pid = fork_guarded();
    while (pid == 0)
        pause();
    return pid;
}

int status_of_a_stop(void)
{
    siginfo_t info = { .si_code = 0 };
    pid_t pid = start_sleeper();
    kill(pid, SIGSTOP);
    while (waitid(P_PID, (id_t)pid, &info, WSTOPPED) < 0 && errno == EINTR)
        ;
    kill_and_reap(pid);
    return info.si_code == CLD_STOPPED ? SIGSTOP : 0;
}

bool is_readable(struct exitfd *x, int timeout_ms)
{
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    int ret;
    do
        ret = poll(&item, 1, timeout_ms);
    while (ret < 0 && errno == EINTR);
    return ret == 1 && (item.revents & POLLIN);
}

struct exitfd_event next_event(struct exitfd *x)
{
    struct exitfd_event event;
    memset(&event, 0, sizeof(event));
    for (int ret = 0; ret == 0;) {
        bool in_time = is_readable(x, DEADLINE_MS);
        SOFT_CHECK(in_time);
        ret = in_time ? exitfd_wait(x, &event, 1, 0) : -ETIMEDOUT;
        SOFT_CHECK(ret >= 0);
    }
    return event;
}

bool is_quiet(struct exitfd *x)
{
    struct exitfd_event event;
    return exitfd_wait(x, &event, 1, 0) == 0 && !is_readable(x, 0);
}

bool is_event(const struct exitfd_event *event, pid_t pid, int code, int status, int origin)
{
    bool same = event->pid == pid && event->code == code && event->status == status && event->origin == origin;
    if (!same)
        printf("# pid %d code %d status %d origin %d, wanted pid %d code %d status %d origin %d\n", (int)event->pid,
               event->code, event->status, event->origin, (int)pid, code, status, origin);
    return same;
}

static int explain(const char *name, FILE *output)
{
    fprintf(output,
            "usage: %s [--help]\n"
            "Tests libexitfd and prints TAP. EXITFD_BACKEND=pidfd, io_uring, signalfd or self-pipe chooses what is\n"
            "tested; without it the library chooses. For signalfd SIGCHLD is blocked first.\n",
            name);
    return output == stderr ? 2 : 0;
}

static void block_sigchld_for_signalfd(void)
{
    const char *backend = getenv("EXITFD_BACKEND");
    sigset_t sigchld;
    if (backend == NULL || strcmp(backend, "signalfd") != 0)
        return;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &sigchld, NULL);
}

static bool have_backend(void)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, 0);
    if (ret == -ENOTSUP)
        printf("ok 1 - all # SKIP EXITFD_BACKEND=%s is not in this kernel or this build\n1..1\n",
               getenv("EXITFD_BACKEND"));
    if (ret == 0)
        printf("# back end: %s, version %s\n", exitfd_get_backend(x), exitfd_version());
    exitfd_close(x);
    return ret != -ENOTSUP;
}

int tap_main(int argc, char *argv[], const struct tap_case *cases, size_t count)
{
    size_t failed = 0;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return explain(argv[0], stdout);
    if (argc > 1)
        return explain(argv[0], stderr);
    block_sigchld_for_signalfd();
    if (!have_backend())
        return 0;
    for (size_t i = 0; i < count; i++) {
        all_well = true;
        cases[i].run();
        printf("%sok %zu - %s\n", all_well ? "" : "not ", i + 1, cases[i].name);
        failed += !all_well;
        fflush(stdout);
    }
    printf("1..%zu\n", count);
    return failed > 0;
}
