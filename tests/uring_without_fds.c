/* SPDX-License-Identifier: MIT */
/*
 * Children that get no pidfd are waited for in the ring: by no fd, no signal
 * and no timer. Linux 6.7. That the contract holds for them is shown by
 * contract and remove, which run with EXITFD_TEST_WITHOUT_FDS too.
 */
#include "uring_support.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct exitfd *open_silent_exitfd(void)
{
    exitfd_close(open_exitfd());
    return open_exitfd_flags(EXITFD_NO_SIGNALS);
}

static struct exitfd *open_where_fds_may_lack(void)
{
    struct exitfd *x = open_silent_exitfd();
    struct io_uring ring = open_ring(DEFERRED);
    bool has = has_waitid_requests(&ring);
    close_ring(&ring);
    if (!has)
        exitfd_close(x);
    if (!has)
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    return x;
}

static int add_without_fd(struct exitfd *x, pid_t pid, unsigned flags, void *data)
{
    struct rlimit before = forbid_new_fds();
    int result = exitfd_add(x, pid, flags, data);
    allow_new_fds(&before);
    return result;
}

/* A live child behind the gate, and watched without an fd. */
static pid_t watch_child(struct exitfd *x, const struct gate *gate, int ending, unsigned flags)
{
    pid_t pid = start_child(gate, ending);
    CHECK_EQ(add_without_fd(x, pid, flags, x), 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP, "it has a pidfd, so this shows nothing");
    CHECK_EQ(exitfd_is_default_handler(), 1, "SIGCHLD's handler was installed");
    return pid;
}

TEST(uring_without_fds, observed_it_stays_its_owners)
{
    struct exitfd *x = open_where_fds_may_lack(), *second = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, EXITFD_OBSERVE);
    CHECK_EQ(add_without_fd(second, pid, EXITFD_OBSERVE, second), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 7, EXITFD_PEEKED, x);
    event = wait_event(second);
    expect_event(&event, pid, CLD_EXITED, 7, EXITFD_PEEKED, second);
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 7);
    close_gate(&gate);
    exitfd_close(second);
    exitfd_close(x);
}

TEST(uring_without_fds, observing_what_is_no_child_takes_an_fd)
{
    struct exitfd *x = open_where_fds_may_lack();
    CHECK_EQ(add_without_fd(x, getppid(), EXITFD_OBSERVE, NULL), -EMFILE);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(uring_without_fds, stolen_it_is_unknown_and_at_once)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, 0);
    let_through(&gate, 1);
    reap(pid);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* The ring reports these, without SIGCHLD. */
TEST(uring_without_fds, reaped_by_the_kernel_it_is_unknown_and_at_once)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, 0);
    signal(SIGCHLD, SIG_IGN);
    let_through(&gate, 1);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, x);
    signal(SIGCHLD, SIG_DFL);
    close_gate(&gate);
    exitfd_close(x);
}

/* A live child of that very pid. */
static pid_t start_child_with_pid(pid_t pid, const struct gate *gate)
{
    struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
    pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (child != 0)
        return child;
    alarm(120);
    wait_behind(gate);
    _exit(9);
}

/* The new child with the pid of the stolen one. Ends the test. */
static void expect_unreaped(struct exitfd *x, pid_t pid, bool reused, struct gate *gate)
{
    if (reused)
        CHECK_EQ(WEXITSTATUS(reap(pid)), 9, "the new child was reaped in its place");
    close_gate(gate);
    exitfd_close(x);
    if (!reused)
        SKIP("clone3 may not choose a pid here: it takes CAP_CHECKPOINT_RESTORE");
}

/* It was seen dead, then stolen, then its pid given to another: who must not be
   mistaken for it. */
TEST(uring_without_fds, stolen_and_its_pid_used_again)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, 0);
    let_through(&gate, 1);
    reap(pid);
    pid_t second = start_child_with_pid(pid, &gate);
    bool reused = second == pid;
    if (reused)
        let_through(&gate, 1);
    if (reused)
        wait_until_zombie(pid);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, x);
    expect_unreaped(x, pid, reused, &gate);
}

/* After its event the child is held. Its pid is not its own, and no function
   waits for the new child. */
TEST(uring_without_fds, held_and_stolen_and_its_pid_used_again)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, EXITFD_HOLD);
    let_through(&gate, 1);
    reap(pid);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, x);
    pid_t second = start_child_with_pid(pid, &gate);
    bool reused = second == pid;
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), -ESRCH);
    let_through(&gate, 1);
    if (reused)
        wait_until_zombie(pid);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    CHECK_EQ(exitfd_count(x), 0);
    expect_unreaped(x, pid, reused, &gate);
}

TEST(uring_without_fds, sigchld_may_be_blocked)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    block_sigchld();
    pid_t pid = watch_child(x, &gate, 7, 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Traces the process, and holds on to its zombie until let through. Exits with
   0 if all went well. */
static pid_t start_tracer(pid_t traced, const struct gate *attached, const struct gate *gate)
{
    siginfo_t info;
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    if (ptrace(PTRACE_SEIZE, traced, NULL, NULL) != 0 || write(attached->go_end, "", 1) != 1)
        _exit(1);
    if (waitid(P_PID, (id_t)traced, &info, WEXITED | WNOWAIT) != 0 || write(attached->go_end, "", 1) != 1)
        _exit(2);
    wait_behind(gate);
    _exit(waitpid(traced, NULL, 0) == traced ? 0 : 3);
}

TEST(uring_without_fds, a_tracer_that_holds_the_zombie_makes_no_spin)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate(), attached = open_gate(), tracers = open_gate();
    pid_t pid = watch_child(x, &gate, 7, 0);
    pid_t tracer = start_tracer(pid, &attached, &tracers);
    wait_behind(&attached);
    let_through(&gate, 1);
    wait_behind(&attached);
    expect_quiet(x);
    let_through(&tracers, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    CHECK_EQ(WEXITSTATUS(reap(tracer)), 0);
    close_gate(&tracers);
    close_gate(&attached);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_without_fds, a_stop_of_our_own_tracee_is_no_exit_and_makes_no_spin)
{
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    pid_t pid = watch_child(x, &gate, 7, 0);
    CHECK_EQ(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
    CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    wait_readable(exitfd_get_fd(x)); /* the stop shows before the kernel reports it */
    expect_no_event(x);
    int status;
    CHECK_EQ(waitpid(pid, &status, WNOHANG), pid, "the stop was taken away");
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    close_gate(&gate);
    exitfd_close(x);
}

enum {
    MANY = 500
};

static pid_t fork_watched(struct exitfd *x, const struct gate *gate, int status, void *data)
{
    pid_t pid = exitfd_fork(x, 0, data);
    CHECK(pid >= 0);
    if (pid > 0)
        return pid;
    alarm(120);
    wait_behind(gate);
    _exit(status);
}

TEST(uring_without_fds, hundreds_beyond_the_fd_limit)
{
    static pid_t pids[MANY];
    static struct exitfd_event events[MANY];
    struct exitfd *x = open_where_fds_may_lack();
    struct gate gate = open_gate();
    struct rlimit before = forbid_new_fds();
    for (int i = 0; i < MANY; i++)
        pids[i] = fork_watched(x, &gate, i % 100, &pids[i]);
    let_through(&gate, MANY);
    wait_events(x, events, MANY);
    for (int i = 0; i < MANY; i++) {
        pid_t *pid = events[i].data;
        expect_exited(&events[i], *pid, (int)(pid - pids) % 100, pid);
    }
    allow_new_fds(&before);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Before Linux 6.7 such a child is tracked by SIGCHLD, as on the pidfd back
   end. */
TEST(uring_without_fds, a_kernel_without_waitid_requests_takes_sigchld)
{
    no_waitid = true;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(add_without_fd(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_is_default_handler(), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_without_fds, a_kernel_without_waitid_requests_and_no_signals)
{
    no_waitid = true;
    struct exitfd *x = open_silent_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(add_without_fd(x, pid, 0, x), -EMFILE);
    let_through(&gate, 1);
    reap(pid);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* SIGCHLD cannot reach it: the ring's own timer looks. */
TEST(uring_without_fds, a_kernel_without_waitid_requests_and_sigchld_blocked)
{
    no_waitid = true;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    block_sigchld();
    for (int i = 0; i < 3; i++) {
        pid_t pid = start_child(&gate, i);
        CHECK_EQ(add_without_fd(x, pid, 0, x), 0);
        let_through(&gate, 1);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, i, x);
    }
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_without_fds, stops_and_continues_still_take_sigchld)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(add_without_fd(x, pid, EXITFD_STOPPED | EXITFD_CONTINUED, x), 0);
    kill(pid, SIGSTOP);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, x);
    kill(pid, SIGCONT);
    event = wait_event(x);
    expect_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, x);
    let_through(&gate, 1);
    event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}
