/* SPDX-License-Identifier: MIT */
/*
 * A child that the library starts is reported truly from its birth: if SIGCHLD
 * is ignored, and beside a thread that reaps any child, by each of the three
 * calls. Without a record (before Linux 6.15, and on the SIGCHLD back ends) an
 * event may be EXITFD_UNKNOWN, but it is one, and never wrong.
 */
#include "start_support.h"

#include <stdatomic.h>

extern char **environ;

static pid_t by_start(struct exitfd *x)
{
    struct exitfd_command command = command_of((char *[]){ "false", NULL });
    pid_t pid;
    int error = exitfd_start(x, &pid, &command, 0, x);
    return error < 0 ? error : pid;
}

static pid_t by_spawn(struct exitfd *x)
{
    char *argv[] = { "false", NULL };
    pid_t pid;
    int error = exitfd_spawn(x, &pid, "false", NULL, NULL, argv, environ, 0, x);
    return error < 0 ? error : pid;
}

static pid_t by_fork(struct exitfd *x)
{
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0)
        _exit(1);
    return pid;
}

static void expect_true_statuses(struct exitfd *x, pid_t (*start)(struct exitfd *))
{
    int rounds = 2 * stress_rounds(), unknown = 0;
    for (int i = 0; i < rounds; i++) {
        pid_t pid = start(x);
        CHECK(pid > 0, "%s", strerror(-pid));
        struct exitfd_event event = call_until_event(x);
        CHECK_EQ(event.pid, pid);
        CHECK_EQ(event.data, x);
        unknown += event.origin == EXITFD_UNKNOWN;
        if (event.origin != EXITFD_UNKNOWN)
            CHECK(event.code == CLD_EXITED && event.status == 1, "code %d status %d", event.code, event.status);
    }
    cr_log_info("%d rounds, %d unknown", rounds, unknown);
    if (reports_stolen_status())
        CHECK_EQ(unknown, 0, "%d of %d statuses are lost", unknown, rounds);
    expect_no_event(x);
}

static void with_sigchld_ignored(pid_t (*start)(struct exitfd *))
{
    learn_what_is_recorded();
    struct exitfd *x = open_exitfd();
    set_sigchld(SIG_IGN, 0);
    expect_true_statuses(x, start);
    exitfd_close(x);
}

static void beside_foreign_reaps(pid_t (*start)(struct exitfd *))
{
    struct exitfd *x = open_for_truth();
    atomic_bool stop = false;
    struct helper reaper = start_helper(steal_children, &stop);
    expect_true_statuses(x, start);
    atomic_store(&stop, true);
    join_helper(&reaper);
    exitfd_close(x);
}

TEST(start_truth, start_with_sigchld_ignored)
{
    with_sigchld_ignored(by_start);
}

TEST(start_truth, spawn_with_sigchld_ignored)
{
    with_sigchld_ignored(by_spawn);
}

TEST(start_truth, fork_with_sigchld_ignored)
{
    with_sigchld_ignored(by_fork);
}

TEST(start_truth, start_beside_a_thread_that_reaps_any_child)
{
    beside_foreign_reaps(by_start);
}

TEST(start_truth, spawn_beside_a_thread_that_reaps_any_child)
{
    beside_foreign_reaps(by_spawn);
}

TEST(start_truth, fork_beside_a_thread_that_reaps_any_child)
{
    beside_foreign_reaps(by_fork);
}
