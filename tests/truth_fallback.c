/* SPDX-License-Identifier: MIT */
/* No pidfd for one child: that child, and only that one, is tracked by SIGCHLD
   behind the same fd. Injected errnos. */
#include "truth_inject.h"
#include "truth_support.h"

/* io_uring can wait for a child by its pid, without SIGCHLD, where the kernel
   has IORING_OP_WAITID. */
static bool handler_is(bool installed)
{
    bool is_default = exitfd_is_default_handler();
    return backend_is("io_uring") || is_default == !installed;
}

static void fail_once(struct injection *injection, int error)
{
    *injection = (struct injection){ .error = error, .times = 1 };
}

static void expect_tracked(struct exitfd *x, pid_t pid)
{
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP, "child %d has a pidfd", (int)pid);
    CHECK(handler_is(true));
}

static void expect_on_pidfd(struct exitfd *x, pid_t pid)
{
    CHECK(exitfd_get_pidfd(x, pid) >= 0, "child %d has no pidfd", (int)pid);
}

static void skip_where_it_never_happens(const struct injection *injection)
{
    skip_without_pidfds();
    if (injection == &inject_epoll_add && backend_is("io_uring"))
        SKIP("io_uring puts no child into an epoll set");
}

static void only_this_child_falls_back(struct injection *injection, int error)
{
    skip_where_it_never_happens(injection);
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = start_child(&gate, 100 + i);
        if (i == 1)
            fail_once(injection, error);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        CHECK_EQ(injection->failed, i >= 1, "the errno was not injected where it was meant");
    }
    expect_on_pidfd(x, pids[0]);
    expect_tracked(x, pids[1]);
    expect_on_pidfd(x, pids[2]);
    let_through(&gate, 3);
    expect_all_exited(x, pids, 3, 100);
    CHECK(handler_is(false), "the handler outlived the child that needed it");
    close_gate(&gate);
    exitfd_close(x);
}

static void no_signals_gets_the_errno(struct injection *injection, int error)
{
    skip_where_it_never_happens(injection);
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 103);
    fail_once(injection, error);
    int ret = exitfd_add(x, pid, 0, x);
    CHECK_EQ(injection->failed, 1);
    if (ret == 0) {
        CHECK(backend_is("io_uring"), "watched, and by what?");
        CHECK_EQ(exitfd_remove(x, pid), 0);
    }
    CHECK(ret == 0 || ret == -error, "exitfd_add: %s, wanted %s", strerror(-ret), strerror(error));
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    expect_on_pidfd(x, pid);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    let_through(&gate, 1);
    CHECK_EQ(reap(pid), 103 << 8);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

#define FALLBACK_TESTS(errno_name, injected)                                                                           \
    TEST(fallback, errno_name##_from_##injected)                                                                       \
    {                                                                                                                  \
        only_this_child_falls_back(&inject_##injected, errno_name);                                                    \
    }                                                                                                                  \
    TEST(fallback, errno_name##_from_##injected##_with_NO_SIGNALS)                                                     \
    {                                                                                                                  \
        no_signals_gets_the_errno(&inject_##injected, errno_name);                                                     \
    }

FALLBACK_TESTS(EMFILE, pidfd_open)
FALLBACK_TESTS(ENFILE, pidfd_open)
FALLBACK_TESTS(ENOMEM, pidfd_open)
FALLBACK_TESTS(EPERM, pidfd_open)
FALLBACK_TESTS(EACCES, pidfd_open)
FALLBACK_TESTS(ENOSYS, pidfd_open)
FALLBACK_TESTS(ENOMEM, epoll_add)
FALLBACK_TESTS(ENOSPC, epoll_add)
FALLBACK_TESTS(EPERM, epoll_add)
FALLBACK_TESTS(EACCES, epoll_add)
FALLBACK_TESTS(ENOSYS, epoll_add)

static pid_t add_tracked(struct exitfd *x, const struct gate *gate, int ending, unsigned flags)
{
    pid_t pid = start_child(gate, ending);
    fail_once(&inject_pidfd_open, EMFILE);
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    CHECK_EQ(inject_pidfd_open.failed, 1);
    expect_tracked(x, pid);
    return pid;
}

static void expect_tracked_event(void (*between)(pid_t), int code, int status, int origin)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_tracked(x, &gate, 104, 0);
    between(pid);
    expect_no_event(x); /* the next call, which notices */
    let_through(&gate, 1);
    if (origin == EXITFD_UNKNOWN)
        CHECK(steal(pid) == 104 << 8 || errno == ECHILD);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, code, status, origin, x);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

static void nothing(pid_t pid)
{
    (void)pid;
}

static void ignore_sigchld(pid_t pid)
{
    (void)pid;
    set_sigchld(SIG_IGN, 0);
}

static void replace_handler(pid_t pid)
{
    (void)pid;
    set_sigchld(SIG_DFL, 0);
}

static void block_mask(pid_t pid)
{
    (void)pid;
    block_sigchld();
}

TEST(fallback, a_tracked_child_is_reaped_with_its_status)
{
    expect_tracked_event(nothing, CLD_EXITED, 104, EXITFD_REAPED);
}

TEST(fallback, a_tracked_child_that_is_stolen_is_UNKNOWN)
{
    expect_tracked_event(nothing, 0, 0, EXITFD_UNKNOWN);
}

TEST(fallback, a_tracked_child_under_SIG_IGN_is_UNKNOWN)
{
    expect_tracked_event(ignore_sigchld, 0, 0, EXITFD_UNKNOWN);
}

/* No signal comes for it. Calls find it, because each checks one child. */
TEST(fallback, a_tracked_child_that_died_in_a_moment_of_SIG_IGN_is_UNKNOWN)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_tracked(x, &gate, 113, 0);
    expect_no_event(x);
    struct sigaction found;
    sigaction(SIGCHLD, NULL, &found);
    set_sigchld(SIG_IGN, 0);
    let_through(&gate, 1);
    CHECK_EQ(steal(pid), -1);
    sigaction(SIGCHLD, &found, NULL);
    int epipes = 0;
    struct exitfd_event event = wait_event_by_calling(x, &epipes);
    expect_unknown(&event, pid, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(fallback, a_tracked_child_when_the_handler_was_replaced)
{
    expect_tracked_event(replace_handler, CLD_EXITED, 104, EXITFD_REAPED);
}

TEST(fallback, a_tracked_child_when_SIGCHLD_is_blocked)
{
    expect_tracked_event(block_mask, CLD_EXITED, 104, EXITFD_REAPED);
}

TEST(fallback, a_child_added_when_SIGCHLD_is_blocked)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    block_sigchld();
    pid_t pid = start_child(&gate, 105);
    fail_once(&inject_pidfd_open, ENOSYS);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 105, x);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(fallback, a_zombie)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(106);
    wait_until_zombie(pid);
    fail_once(&inject_pidfd_open, EMFILE);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 106, x);
    expect_quiet(x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    exitfd_close(x);
}

TEST(fallback, an_observed_child)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_tracked(x, &gate, 107, EXITFD_OBSERVE);
    let_through(&gate, 1);
    expect_peeked(x, pid, CLD_EXITED, 107);
    expect_no_spin(x);
    CHECK_EQ(reap(pid), 107 << 8);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(fallback, a_process_that_is_no_child_gets_the_errno)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    fail_once(&inject_pidfd_open, EMFILE);
    CHECK_EQ(exitfd_add(x, getppid(), EXITFD_OBSERVE, x), -EMFILE);
    CHECK_EQ(exitfd_remove(x, getppid()), -ENOENT);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(fallback, killed_removed_and_discarded)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t killed = add_tracked(x, &gate, 0, 0);
    CHECK_EQ(exitfd_kill(x, killed, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, killed, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    pid_t removed = add_tracked(x, &gate, 108, 0);
    CHECK_EQ(exitfd_remove(x, removed), 0);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    let_through(&gate, 1);
    CHECK_EQ(reap(removed), 108 << 8);
    pid_t discarded = add_tracked(x, &gate, 109, 0);
    CHECK_EQ(exitfd_discard(x, discarded), 0);
    let_through(&gate, 1);
    for (long long end = now_ms() + DEADLINE_MS; is_child(discarded) && now_ms() < end;) {
        wait_readable(exitfd_get_fd(x));
        expect_no_event(x);
    }
    expect_quiet(x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(fallback, several_exitfds_each_with_a_tracked_child)
{
    skip_without_pidfds();
    struct exitfd *xs[2] = { open_for_truth(), open_for_truth() };
    struct gate gate = open_gate();
    pid_t pids[2] = { add_tracked(xs[0], &gate, 110, 0), add_tracked(xs[1], &gate, 110, 0) };
    let_through(&gate, 2);
    for (int i = 0; i < 2; i++) {
        struct exitfd_event event = wait_event(xs[i]);
        expect_exited(&event, pids[i], 110, xs[i]);
        exitfd_close(xs[i]);
    }
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&gate);
}

TEST(fallback, the_hosts_own_handler_still_runs_and_comes_back)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    set_sigchld(host_handler, SA_RESTART);
    pid_t pid = add_tracked(x, &gate, 111, 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 111, x);
    CHECK_EQ(host_calls, 1);
    struct sigaction action;
    sigaction(SIGCHLD, NULL, &action);
    CHECK_EQ(action.sa_handler, host_handler);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(fallback, a_spawned_and_a_forked_child)
{
    skip_without_pidfds();
    static const unsigned flags[2] = { 0, EXITFD_NO_SIGNALS };
    posix_spawn_file_actions_t none; /* with any, posix_spawn starts the child and gives no pidfd */
    posix_spawn_file_actions_init(&none);
    for (int i = 0; i < 2; i++) {
        struct exitfd *x = open_exitfd_flags(flags[i]);
        char *const argv[] = { "sh", "-c", "exit 112", NULL };
        pid_t pid;
        inject_pidfd_open = (struct injection){ .error = EMFILE, .times = 8 };
        CHECK_EQ(exitfd_spawn(x, &pid, argv[0], &none, NULL, argv, environ, 0, x), 0);
        CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP, "it has a pidfd, so this shows nothing");
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 112, x);
        pid = exitfd_fork(x, 0, x);
        if (pid == 0)
            _exit(113);
        CHECK(pid > 0, "exitfd_fork: %s", strerror(-pid));
        CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP, "it has a pidfd, so this shows nothing");
        event = wait_event(x);
        expect_exited(&event, pid, 113, x);
        CHECK(inject_pidfd_open.failed >= 2);
        expect_no_spin(x);
        inject_pidfd_open.times = 0;
        exitfd_close(x);
    }
    posix_spawn_file_actions_destroy(&none);
}

/* SIGCHLD was ignored, so it was reaped before its pidfd was opened. SIGCHLD
   cannot report it any more. */
TEST(fallback, a_started_child_that_is_gone_already_installs_no_handler)
{
    skip_without_pidfds();
    struct sigaction now;
    struct exitfd *x = open_for_truth();
    set_sigchld(SIG_IGN, 0);
    inject_pidfd_open = (struct injection){ .error = ESRCH, .times = 2 };
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0)
        _exit(3);
    CHECK(pid > 0);
    CHECK_EQ(inject_pidfd_open.failed, 2);
    sigaction(SIGCHLD, NULL, &now);
    CHECK_EQ(now.sa_handler, SIG_IGN, "SIG_IGN was replaced");
    struct exitfd_event event = wait_event(x);
    expect_unknown(&event, pid, x);
    expect_quiet(x);
    CHECK(waitpid(pid, NULL, 0) < 0 && errno == ECHILD);
    exitfd_close(x);
}
