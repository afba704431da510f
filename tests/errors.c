/* SPDX-License-Identifier: MIT */
/* One errno, one cause, and nothing written on failure. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *const untouched = (void *)&untouched;

static int open_error(unsigned flags)
{
    struct exitfd *x = untouched;
    int ret = exitfd_open(&x, flags);
    if (ret == 0)
        exitfd_close(x);
    else
        CHECK_EQ((void *)x, untouched, "*ret was written on failure");
    return ret;
}

/* What exitfd_open gives with flags, "" if it fails. */
static const char *opened_backend(unsigned flags)
{
    struct exitfd *x;
    int ret = exitfd_open(&x, flags);
    if (ret < 0)
        return "";
    const char *name = exitfd_get_backend(x);
    exitfd_close(x);
    return name;
}

static pid_t reaped_pid(void)
{
    pid_t pid = start_child_exit(0);
    reap(pid);
    return pid;
}

TEST(errors, open_rejects_bad_arguments)
{
    CHECK_EQ(exitfd_open(NULL, 0), -EINVAL);
    const unsigned known = EXITFD_PIDFD | EXITFD_URING | EXITFD_SIGNALFD | EXITFD_SELFPIPE | EXITFD_NO_SIGNALS;
    for (int bit = 0; bit < 32; bit++)
        if ((known & 1u << bit) == 0)
            CHECK_EQ(open_error(1u << bit), -EINVAL, "flag bit %d", bit);
    CHECK_EQ(open_error(EXITFD_SELFPIPE | EXITFD_OBSERVE), -EINVAL);
}

TEST(errors, open_rejects_two_back_ends)
{
    const unsigned backends[] = { EXITFD_PIDFD, EXITFD_URING, EXITFD_SIGNALFD, EXITFD_SELFPIPE };
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            CHECK_EQ(open_error(backends[i] | backends[j]), -EINVAL, "back ends %d and %d", i, j);
}

TEST(errors, open_with_a_back_end_gives_that_one)
{
    CHECK_STR(opened_backend(EXITFD_SELFPIPE), "self-pipe");
    if (build_is_posix()) {
        CHECK_EQ(open_error(EXITFD_PIDFD), -ENOTSUP);
        CHECK_EQ(open_error(EXITFD_SIGNALFD), -ENOTSUP);
        CHECK_EQ(open_error(EXITFD_URING), -ENOTSUP);
        return;
    }
    CHECK_STR(opened_backend(EXITFD_SIGNALFD), "signalfd");
    CHECK_EQ(open_error(EXITFD_PIDFD), have_pidfd() ? 0 : -ENOTSUP);
    if (have_pidfd())
        CHECK_STR(opened_backend(EXITFD_PIDFD), "pidfd");
    int uring = open_error(EXITFD_URING);
    CHECK(uring == 0 || uring == -ENOTSUP, "io_uring: %s", strerror(-uring));
}

TEST(errors, no_signals_forbids_the_back_ends_that_need_sigchld)
{
    unsetenv("EXITFD_BACKEND");
    CHECK_EQ(open_error(EXITFD_SELFPIPE | EXITFD_NO_SIGNALS), -ENOTSUP);
    bool blocked = sigchld_is_blocked();
    CHECK_EQ(open_error(EXITFD_NO_SIGNALS), !build_is_posix() && (have_pidfd() || blocked) ? 0 : -ENOTSUP);
    if (build_is_posix())
        return;
    CHECK_EQ(open_error(EXITFD_SIGNALFD | EXITFD_NO_SIGNALS), blocked ? 0 : -ENOTSUP);
    CHECK_EQ(sigchld_is_blocked(), blocked);
    block_sigchld();
    CHECK_EQ(open_error(EXITFD_SIGNALFD | EXITFD_NO_SIGNALS), 0);
}

TEST(errors, no_signals_watches_nothing_that_needs_sigchld)
{
    if (!backend_is("pidfd"))
        SKIP("EXITFD_NO_SIGNALS with a SIGCHLD back end: no exitfd to ask");
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_CONTINUED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(errors, environment_names_the_back_end)
{
    setenv("EXITFD_BACKEND", "self-pipe", 1);
    CHECK_STR(opened_backend(0), "self-pipe");
    if (build_is_posix()) {
        setenv("EXITFD_BACKEND", "pidfd", 1);
        CHECK_EQ(open_error(0), -ENOTSUP);
        setenv("EXITFD_BACKEND", "signalfd", 1);
        CHECK_EQ(open_error(0), -ENOTSUP);
        return;
    }
    setenv("EXITFD_BACKEND", "signalfd", 1);
    CHECK_STR(opened_backend(0), "signalfd");
    setenv("EXITFD_BACKEND", "pidfd", 1);
    CHECK_STR(opened_backend(0), have_pidfd() ? "pidfd" : "");
    setenv("EXITFD_BACKEND", "io_uring", 1);
    CHECK_EQ(open_error(0), open_error(EXITFD_URING));
}

TEST(errors, an_empty_environment_variable_is_as_good_as_none)
{
    char automatic[32];

    unsetenv("EXITFD_BACKEND");
    snprintf(automatic, sizeof(automatic), "%s", opened_backend(0));
    setenv("EXITFD_BACKEND", "", 1);
    CHECK_STR(opened_backend(0), automatic);
}

TEST(errors, environment_with_an_unknown_name)
{
    const char *const names[] = { "kqueue", "PIDFD", "pidfd ", "self_pipe", "selfpipe", "pidf" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("EXITFD_BACKEND", names[i], 1);
        CHECK_EQ(open_error(0), -EINVAL, "EXITFD_BACKEND='%s'", names[i]);
    }
}

TEST(errors, add_rejects_bad_arguments)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    const pid_t bad_pids[] = { 0, -2, -1000, INT_MIN };
    CHECK_EQ(exitfd_add(NULL, pid, 0, NULL), -EINVAL);
    for (size_t i = 0; i < sizeof(bad_pids) / sizeof(bad_pids[0]); i++)
        CHECK_EQ(exitfd_add(x, bad_pids[i], 0, NULL), -EINVAL, "pid %d", (int)bad_pids[i]);
    const unsigned known = EXITFD_OBSERVE | EXITFD_STOPPED | EXITFD_CONTINUED | EXITFD_HOLD;
    for (int bit = 0; bit < 32; bit++)
        if ((known & 1u << bit) == 0)
            CHECK_EQ(exitfd_add(x, pid, 1u << bit, NULL), -EINVAL, "flag bit %d", bit);
        else
            CHECK_EQ(exitfd_add(x, -1, 1u << bit, NULL), -EINVAL, "pid -1 with flag bit %d", bit);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT, "watched after a failed add");
    reap(pid);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(errors, add_twice)
{
    int first, second;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, &first), 0);
    CHECK_EQ(exitfd_add(x, pid, 0, &second), -EEXIST);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_add(x, pid, 0, &second), -EEXIST);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, &first);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(errors, add_of_no_process)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, reaped_pid(), 0, NULL), -ESRCH);
    CHECK_EQ(exitfd_add(x, reaped_pid(), EXITFD_OBSERVE, NULL), -ESRCH);
    CHECK_EQ(exitfd_add(x, INT_MAX, 0, NULL), -ESRCH);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(errors, add_of_a_process_that_is_no_child)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, getpid(), 0, NULL), -ECHILD);
    CHECK_EQ(exitfd_add(x, getppid(), 0, NULL), -ECHILD);
    CHECK_EQ(exitfd_add(x, 1, 0, NULL), -ECHILD);
    if (!backend_is("pidfd") && !backend_is("io_uring"))
        CHECK_EQ(exitfd_add(x, getppid(), EXITFD_OBSERVE, NULL), -ENOTSUP);
    expect_quiet(x);
    exitfd_close(x);
}

/* kill(2) answers EPERM, which is no ESRCH. */
TEST(errors, add_of_another_users_process_that_is_no_child)
{
    enum {
        no_other_user = 77,
        wrong = 78
    };
    exitfd_close(open_exitfd());
    pid_t pid = fork_guarded();
    if (pid == 0) {
        struct exitfd *x;
        if (exitfd_open(&x, 0) != 0)
            _exit(wrong);
        if (setuid(65534) != 0 || kill(1, 0) == 0 || errno != EPERM)
            _exit(no_other_user);
        int ret = exitfd_add(x, 1, 0, NULL);
        exitfd_close(x);
        _exit(ret == -ECHILD ? 0 : ret < 0 ? -ret : wrong);
    }
    int status = reap(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == no_other_user)
        SKIP("not root, or PID 1 is one's own: no process of another user");
    CHECK_EQ(status, 0, "wait status %#x, an exit status below 77 is an errno", status);
}

#ifdef __linux__
struct thread_id {
    pid_t tid;
    struct gate known, done;
};

static void *tell_thread_id(void *arg)
{
    struct thread_id *thread = arg;
    thread->tid = own_tid();
    if (write(thread->known.go_end, "", 1) == 1)
        wait_behind(&thread->done);
    return NULL;
}

TEST(errors, add_of_a_thread)
{
    struct exitfd *x = open_exitfd();
    struct thread_id thread = { .known = open_gate(), .done = open_gate() };
    pthread_t handle;
    CHECK_EQ(pthread_create(&handle, NULL, tell_thread_id, &thread), 0);
    wait_behind(&thread.known);
    CHECK_EQ(exitfd_add(x, thread.tid, 0, NULL), build_is_posix() ? -ECHILD : -ESRCH);
    let_through(&thread.done, 1);
    pthread_join(handle, NULL);
    close_gate(&thread.known);
    close_gate(&thread.done);
    exitfd_close(x);
}
#endif

TEST(errors, second_catch_all_watch)
{
    struct exitfd *x = open_exitfd();
    struct exitfd *other = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), -EBUSY);
    CHECK_EQ(exitfd_add(other, -1, 0, NULL), -EBUSY);
    CHECK_EQ(exitfd_remove(other, -1), -ENOENT);
    CHECK_EQ(exitfd_remove(x, -1), 0);
    CHECK_EQ(exitfd_remove(x, -1), -ENOENT);
    CHECK_EQ(exitfd_add(other, -1, 0, NULL), 0);
    exitfd_close(other);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    exitfd_close(x);
}

TEST(errors, remove_of_what_is_not_watched)
{
    struct exitfd *x = open_exitfd();
    struct exitfd *other = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(other, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_remove(NULL, pid), -EINVAL);
    CHECK_EQ(exitfd_remove(x, 0), -EINVAL);
    CHECK_EQ(exitfd_remove(x, -2), -EINVAL);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    CHECK_EQ(exitfd_remove(x, INT_MAX), -ENOENT);
    struct exitfd_event event = wait_event(other);
    expect_exited(&event, pid, 0, NULL);
    exitfd_close(other);
    exitfd_close(x);
}

TEST(errors, wait_rejects_bad_arguments_and_writes_nothing)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event, pattern;
    memset(&pattern, 0xa5, sizeof(pattern));
    event = pattern;
    CHECK_EQ(exitfd_wait(NULL, &event, 1, 0), -EINVAL);
    CHECK_EQ(exitfd_wait(x, NULL, 1, 0), -EINVAL);
    CHECK_EQ(exitfd_wait(x, &event, 0, 0), -EINVAL);
    CHECK_EQ(exitfd_wait(x, &event, -1, 0), -EINVAL);
    CHECK_EQ(exitfd_wait(x, &event, INT_MIN, -1), -EINVAL);
    CHECK_EQ(memcmp(&event, &pattern, sizeof(event)), 0, "an event was written on failure");
    event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    exitfd_close(x);
}

TEST(errors, wait_writes_no_more_than_it_returns)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event events[3], pattern;
    memset(&pattern, 0xa5, sizeof(pattern));
    events[1] = events[2] = pattern;
    CHECK_EQ(exitfd_wait(x, events, 2, 0), 1);
    CHECK_EQ(memcmp(&events[2], &pattern, sizeof(pattern)), 0, "written beyond max");
    exitfd_close(x);
}

TEST(errors, get_fd_and_get_backend_of_null)
{
    CHECK_EQ(exitfd_get_fd(NULL), -EINVAL);
    CHECK(exitfd_get_backend(NULL) == NULL);
}

/* Under -EMFILE an exitfd is not made, and nothing of it stays. */
static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(errors, an_exitfd_has_four_fds_at_most)
{
    struct gate gate = open_gate();
    exitfd_close(open_exitfd());
    int before = count_fds();
    struct exitfd *x = open_exitfd();
    int opened = count_fds() - before;
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, NULL), 0);
    expect_no_event(x);
    bool has_pidfd = exitfd_get_pidfd(x, pid) >= 0;
    int watching = count_fds() - before - has_pidfd;
    CHECK(opened >= 1 && opened <= 4, "%d fds after the open", opened);
    CHECK(watching >= opened && watching <= 4, "%d fds besides that of the child", watching);
    let_through(&gate, 1);
    wait_event(x);
    int after = count_fds() - before;
    CHECK(after <= 4, "%d fds after the event", after);
    exitfd_close(x);
    CHECK_EQ(count_fds(), before);
    close_gate(&gate);
}

TEST(errors, open_without_fds_left)
{
    exitfd_close(open_exitfd());
    struct rlimit before = forbid_new_fds();
    int ret = open_error(0);
    allow_new_fds(&before);
    CHECK_EQ(ret, -EMFILE, "exitfd_open: %s", strerror(-ret));
    exitfd_close(open_exitfd());
}

#ifdef BUILD_IS_POSIX
TEST(errors, no_pidfds_in_this_build)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add_pidfd(x, 0, 0, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    exitfd_close(x);
}
#else
TEST(errors, flag_wins_over_the_environment)
{
    setenv("EXITFD_BACKEND", "signalfd", 1);
    CHECK_STR(opened_backend(EXITFD_SELFPIPE), "self-pipe");
    setenv("EXITFD_BACKEND", "self-pipe", 1);
    CHECK_STR(opened_backend(EXITFD_SIGNALFD), "signalfd");
}
#endif

TEST(errors, version_is_that_of_the_header)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%d.%d.%d", EXITFD_VERSION_MAJOR, EXITFD_VERSION_MINOR, EXITFD_VERSION_PATCH);
    CHECK_STR(exitfd_version(), wanted);
}
