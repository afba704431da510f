/* SPDX-License-Identifier: MIT */
/* exitfd_spawn where the world is against it: SIGCHLD ignored, fds used up, no
   signals allowed, a foreign reaper in the process. */
#include "life_support.h"
#include "truth_inject.h"

#include <malloc.h>
#include <stdatomic.h>
#include <sys/resource.h>

extern char **environ;

static int spawn_exit_7(struct exitfd *x, pid_t *pid)
{
    char *argv[] = { "sh", "-c", "exit 7", NULL };
    return exitfd_spawn(x, pid, "sh", NULL, NULL, argv, environ, 0, x);
}

/* Through posix_spawn, which gives no pidfd: it is opened afterwards. */
static int spawn_exit_7_with_actions(struct exitfd *x, pid_t *pid)
{
    char *argv[] = { "sh", "-c", "exit 7", NULL };
    posix_spawn_file_actions_t none;
    posix_spawn_file_actions_init(&none);
    int ret = exitfd_spawn(x, pid, "sh", &none, NULL, argv, environ, 0, x);
    posix_spawn_file_actions_destroy(&none);
    return ret;
}

static void expect_one_true_or_unknown(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = call_until_event(x);
    if (event.origin == EXITFD_UNKNOWN)
        expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, x);
    else
        expect_event(&event, pid, CLD_EXITED, 7, event.origin, x);
    CHECK(event.origin != EXITFD_PEEKED);
    CHECK_EQ(exitfd_kill(x, pid, 0), -ENOENT);
    expect_no_event(x);
}

TEST(spawn_adverse, where_sigchld_is_ignored_there_is_one_event)
{
    set_sigchld(SIG_IGN, 0);
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        CHECK_EQ(spawn_exit_7(x, &pid), 0);
        expect_one_true_or_unknown(x, pid);
    }
    exitfd_close(x);
}

TEST(spawn_adverse, where_sigchld_is_ignored_later_there_is_one_event)
{
    struct exitfd *x = open_exitfd();
    pid_t pid;
    set_sigchld(SIG_IGN, 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(spawn_exit_7(x, &pid), 0);
        expect_one_true_or_unknown(x, pid);
    }
    exitfd_close(x);
}

TEST(spawn_adverse, with_sa_nocldwait_there_is_one_event)
{
    struct exitfd *x = open_exitfd();
    set_sigchld(SIG_DFL, SA_NOCLDWAIT);
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        CHECK_EQ(spawn_exit_7(x, &pid), 0);
        expect_one_true_or_unknown(x, pid);
    }
    exitfd_close(x);
}

static void *steal_children(void *argument)
{
    atomic_bool *stop = argument;
    while (!atomic_load(stop))
        waitpid(-1, NULL, WNOHANG);
    return NULL;
}

TEST(spawn_adverse, where_another_thread_reaps_any_child_there_is_one_event)
{
    struct exitfd *x = open_exitfd();
    atomic_bool stop = false;
    struct helper reaper = start_helper(steal_children, &stop);
    for (int i = 0; i < 50; i++) {
        pid_t pid;
        CHECK_EQ(spawn_exit_7(x, &pid), 0);
        expect_one_true_or_unknown(x, pid);
    }
    atomic_store(&stop, true);
    join_helper(&reaper);
    exitfd_close(x);
}

TEST(spawn_adverse, with_no_fd_left_the_child_is_still_watched)
{
    struct exitfd *x = open_exitfd();
    struct rlimit before = forbid_new_fds();
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        CHECK_EQ(spawn_exit_7(x, &pid), 0);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 7, x);
        expect_quiet(x);
    }
    allow_new_fds(&before);
    exitfd_close(x);
}

static void skip_self_pipe(void)
{
    struct exitfd *x;
    int ret = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (ret == -ENOTSUP && backend_is("self-pipe"))
        SKIP("EXITFD_NO_SIGNALS: self-pipe cannot do without");
    CHECK_EQ(ret, 0);
    exitfd_close(x);
}

TEST(spawn_adverse, without_signals_it_is_watched_all_the_same)
{
    skip_self_pipe();
    struct sigaction before, after;
    sigaction(SIGCHLD, NULL, &before);
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    pid_t pid;
    CHECK_EQ(spawn_exit_7(x, &pid), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    sigaction(SIGCHLD, NULL, &after);
    CHECK_EQ(after.sa_handler, before.sa_handler);
    exitfd_close(x);
}

TEST(spawn_adverse, without_signals_and_with_no_fd_left_it_is_watched_or_not_started)
{
    skip_self_pipe();
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    struct rlimit before = forbid_new_fds();
    pid_t pid = -77;
    int ret = spawn_exit_7(x, &pid);
    if (ret == 0) {
        struct exitfd_event event = call_until_event(x);
        expect_exited(&event, pid, 7, x);
    } else {
        CHECK_EQ(ret, -EMFILE);
        CHECK_EQ(pid, -77);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    }
    expect_quiet(x);
    allow_new_fds(&before);
    exitfd_close(x);
}

TEST(spawn_adverse, without_signals_stops_are_refused_before_anything_starts)
{
    skip_self_pipe();
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    char *argv[] = { "true", NULL };
    CHECK_EQ(exitfd_spawn(x, NULL, "true", NULL, NULL, argv, environ, EXITFD_STOPPED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_spawn(x, NULL, "true", NULL, NULL, argv, environ, EXITFD_CONTINUED, NULL), -ENOTSUP);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    exitfd_close(x);
}

TEST(spawn_adverse, where_no_pidfd_is_given_for_the_child_it_is_still_watched)
{
    struct exitfd *x = open_for_truth();
    int refusals[] = { EPERM, EACCES, ENOSYS, EMFILE, ENFILE, ENOMEM };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        pid_t pid;
        inject_pidfd_open = (struct injection){ .error = refusals[i], .times = 1 };
        CHECK_EQ(spawn_exit_7_with_actions(x, &pid), 0);
        CHECK_EQ(inject_pidfd_open.failed, tracks_by_pidfd());
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 7, x);
        expect_quiet(x);
    }
    exitfd_close(x);
}

TEST(spawn_adverse, without_signals_a_started_child_is_watched_also_without_a_pidfd)
{
    skip_self_pipe();
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    inject_pidfd_open = (struct injection){ .error = EPERM, .times = 1 };
    pid_t pid = -77;
    int ret = spawn_exit_7_with_actions(x, &pid);
    inject_pidfd_open.times = 0;
    CHECK_EQ(inject_pidfd_open.failed, tracks_by_pidfd());
    if (ret == 0) {
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 7, x);
    } else {
        CHECK_EQ(pid, -77);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "started, and not watched");
    }
    expect_quiet(x);
    exitfd_close(x);
}

/* mallinfo2 is of glibc 2.33; under a sanitizer it counts nothing. */
static size_t allocated(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

static void fail_to_fork(struct exitfd *x, int times)
{
    for (int i = 0; i < times; i++) {
        pid_t pid = exitfd_fork(x, 0, x);
        if (pid >= 0)
            _exit(CHECK_SKIPPED);
        CHECK(pid == -EAGAIN);
    }
}

static void forks_that_fail(void)
{
    const struct rlimit none = { 0, 0 };
    struct exitfd *x;
    CHECK(exitfd_open(&x, 0) == 0);
    if (setrlimit(RLIMIT_NPROC, &none) != 0 || (getuid() == 0 && setuid(65534) != 0))
        _exit(CHECK_SKIPPED);
    fail_to_fork(x, 100);
    size_t before = allocated();
    fail_to_fork(x, 10000);
    CHECK(allocated() == before);
    struct exitfd_event event;
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    exitfd_close(x);
}

TEST(spawn_adverse, forks_that_fail_leave_nothing)
{
    exitfd_close(open_exitfd());
    run_in_process(forks_that_fail, "RLIMIT_NPROC keeps nobody from forking here");
}
