/* SPDX-License-Identifier: MIT */
/* What exitfd_open says where there is no io_uring, or none that will do. */
#include "stand_in.h"
#include "uring_support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Between the library and liburing. 0: not at all. */
static int setup_error, eventfd_error;
static bool no_polls, no_timers, flag_stays;

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    FIND_NEXT(io_uring_queue_init);
    return setup_error != 0 ? setup_error : next(entries, ring, flags);
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
    FIND_NEXT(io_uring_register_eventfd);
    return eventfd_error != 0 ? eventfd_error : next(ring, fd);
}

/* An operation that there is not: the kernel refuses it as one that a
   restriction forbids, at its submission. */
static void refuse(struct io_uring *ring)
{
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
        if ((no_polls && sqe->opcode == IORING_OP_POLL_ADD) || (no_timers && sqe->opcode == IORING_OP_TIMEOUT))
            sqe->opcode = UINT8_MAX;
    }
}

int io_uring_submit(struct io_uring *ring)
{
    FIND_NEXT(io_uring_submit);
    refuse(ring);
    return next(ring);
}

/* Linux 6.18: a flag that the kernel sets late stays set when its work was done
   before. */
int io_uring_submit_and_get_events(struct io_uring *ring)
{
    FIND_NEXT(io_uring_submit_and_get_events);
    refuse(ring);
    int submitted = next(ring);
    if (flag_stays)
        *ring->sq.kflags |= IORING_SQ_TASKRUN;
    return submitted;
}

static int fstatfs_error;

/* The kernel does not say whether a pidfd is of a process that is reaped:
   before Linux 6.9, or under a filter. */
int fstatfs(int fd, struct statfs *buffer)
{
    FIND_NEXT(fstatfs);
    errno = fstatfs_error;
    return fstatfs_error != 0 ? -1 : next(fd, buffer);
}

static void expect_open(int wanted)
{
    struct exitfd *x = (struct exitfd *)&x;
    int result = exitfd_open(&x, EXITFD_URING);
    CHECK_EQ(result, wanted, "exitfd_open: %s, wanted %s", strerror(-result), strerror(-wanted));
    CHECK_EQ(x, (struct exitfd *)&x, "written on failure");
    result = exitfd_open(&x, 0);
    CHECK_EQ(result, wanted, "EXITFD_BACKEND: %s, wanted %s", strerror(-result), strerror(-wanted));
}

/* sysctl kernel.io_uring_disabled gives EPERM, seccomp any of the others, a
   kernel before 6.1 EINVAL. */
TEST(uring_absence, absent_or_forbidden_is_enotsup)
{
    const int errors[] = { -ENOSYS, -EPERM, -EACCES, -EINVAL };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        setup_error = errors[i];
        expect_open(-ENOTSUP);
    }
}

/* RLIMIT_MEMLOCK and the like. */
TEST(uring_absence, a_shortage_is_what_the_kernel_says)
{
    const int errors[] = { -ENOMEM, -EMFILE, -ENFILE, -EAGAIN };
    exitfd_close(open_exitfd());
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        setup_error = errors[i];
        expect_open(errors[i]);
    }
}

/* As gVisor has it. */
TEST(uring_absence, a_ring_that_registers_nothing_is_enotsup)
{
    exitfd_close(open_exitfd());
    eventfd_error = -ENOSYS;
    expect_open(-ENOTSUP);
}

/* As under restrictions of the whole task, which a sandbox sets (Linux 7.0). */
TEST(uring_absence, a_ring_that_polls_nothing_is_enotsup)
{
    exitfd_close(open_exitfd());
    no_polls = true;
    expect_open(-ENOTSUP);
}

/* A wait with time-out 0 returns, and the exit is reported without a poll. */
TEST(uring_absence, a_poll_that_is_refused_after_the_open)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event event;
    no_polls = true;
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, 0, &gate), 0);
    int pidfd = exitfd_get_pidfd(x, pid);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), pidfd);
    CHECK_EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    let_through(&gate, 1);
    event = wait_event(x);
    expect_exited(&event, pid, 7, &gate);
    close_gate(&gate);
    exitfd_close(x);
}

/* A child of *child, so that no SIGCHLD of it is for us. *child ends when it
   has. */
static pid_t start_grandchild(struct gate *gate, pid_t *child)
{
    int pid_pipe[2];
    pid_t grandchild = 0;

    CHECK_EQ(pipe(pid_pipe), 0);
    *child = fork_guarded();
    if (*child == 0) {
        pid_t pid = start_child(gate, 7);
        _exit(write(pid_pipe[1], &pid, sizeof(pid)) != sizeof(pid) || reap(pid) != 7 << 8);
    }
    CHECK_EQ(read(pid_pipe[0], &grandchild, sizeof(grandchild)), (ssize_t)sizeof(grandchild));
    close(pid_pipe[0]);
    close(pid_pipe[1]);
    return grandchild;
}

static void expect_observed_without_poll(int timeout_ms)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event event;
    pid_t child;
    no_polls = true;
    pid_t pid = start_grandchild(&gate, &child);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, &gate), 0);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    let_through(&gate, 1);
    CHECK_EQ(reap(child), 0);
    CHECK_EQ(exitfd_wait(x, &event, 1, timeout_ms), 1);
    CHECK_EQ(event.pid, pid);
    CHECK(event.data == &gate, "data of another watch");
    CHECK(event.origin != EXITFD_REAPED, "origin: %d", event.origin);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    close_gate(&gate);
    exitfd_close(x);
}

/* No signal is to come of it: a timer of the ring has it looked at. */
TEST(uring_absence, a_poll_of_an_observer_that_is_refused_after_the_open)
{
    expect_observed_without_poll(-1);
}

TEST(uring_absence, polls_and_timers_that_are_refused_after_the_open)
{
    no_timers = true;
    expect_observed_without_poll(0);
    no_polls = false;
    expect_observed_without_poll(-1);
}

TEST(uring_absence, a_poll_that_is_refused_where_signals_are_not_allowed)
{
    struct exitfd *x = open_exitfd_flags(EXITFD_URING | EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    struct exitfd_event event;
    no_polls = true;
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_HOLD, &gate), 0);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    let_through(&gate, 1);
    event = wait_event(x);
    CHECK_EQ(event.pid, pid);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    expect_quiet(x);
    CHECK_EQ(waitpid(pid, NULL, WNOHANG), -1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_absence, an_observed_process_that_lives_is_not_reported_where_its_poll_is_refused)
{
    fstatfs_error = EPERM;
    expect_observed_without_poll(-1);
}

/* One failure ends neither the looks nor the timer that makes the fd readable
   for them. */
TEST(uring_absence, requests_that_are_refused_for_a_while)
{
    struct exitfd *x = open_exitfd_flags(EXITFD_URING | EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    struct exitfd_event event;
    no_polls = no_timers = true;
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, 0, &gate), 0);
    for (int call = 0; call < 3; call++)
        CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    no_polls = no_timers = false;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    let_through(&gate, 1);
    wait_readable(exitfd_get_fd(x));
    event = wait_event(x);
    expect_exited(&event, pid, 7, &gate);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_absence, a_flag_of_pending_work_that_stays_set)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    flag_stays = true;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    for (int i = 0; i < 20; i++)
        expect_report(x);
    CHECK_EQ(exitfd_wait(x, &event, 1, 20), 0);
    exitfd_close(x);
}

TEST(uring_absence, no_fds_left)
{
    struct exitfd *x;
    exitfd_close(open_exitfd());
    struct rlimit before = forbid_new_fds();
    CHECK_EQ(exitfd_open(&x, EXITFD_URING), -EMFILE);
    allow_new_fds(&before);
}

TEST(uring_absence, it_is_never_the_default)
{
    struct exitfd *x;
    unsetenv("EXITFD_BACKEND");
    CHECK_EQ(exitfd_open(&x, 0), 0);
    CHECK(strcmp(exitfd_get_backend(x), "io_uring") != 0);
    exitfd_close(x);
}

static void answer_system_call(long number, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = sizeof(filter) / sizeof(filter[0]), .filter = filter };
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        SKIP("no seccomp filters here: %s", strerror(errno));
}

TEST(uring_absence, seccomp_that_forbids_io_uring)
{
    answer_system_call(SYS_io_uring_setup, EPERM);
    expect_open(-ENOTSUP);
}

TEST(uring_absence, seccomp_that_forbids_registering)
{
    exitfd_close(open_exitfd());
    answer_system_call(SYS_io_uring_register, ENOSYS);
    expect_open(-ENOTSUP);
}

TEST(uring_absence, seccomp_that_forbids_entering)
{
    exitfd_close(open_exitfd());
    answer_system_call(SYS_io_uring_enter, EPERM);
    expect_open(-ENOTSUP);
}

TEST(uring_absence, seccomp_that_forbids_entering_after_the_open)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    answer_system_call(SYS_io_uring_enter, EPERM);
    let_through(&gate, 1);
    CHECK_EQ(exitfd_wait(x, &event, 1, -1), -ENOTSUP);
    CHECK(is_readable(exitfd_get_fd(x)), "reported once, and silent from then on");
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), -ENOTSUP);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    reap(pid);
    close_gate(&gate);
    exitfd_close(x);
}

/* Without pidfds the ring's own waitid carries all children, without
   signals. */
TEST(uring_absence, seccomp_that_forbids_pidfds)
{
    exitfd_close(open_exitfd());
    answer_system_call(SYS_pidfd_open, EPERM);
    struct io_uring ring = open_ring(DEFERRED);
    bool has_waitid = has_waitid_requests(&ring);
    close_ring(&ring);
    if (!has_waitid)
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    struct exitfd *x = open_exitfd_flags(EXITFD_URING | EXITFD_NO_SIGNALS);
    expect_report(x);
    expect_quiet(x);
    exitfd_close(x);
}

/* No exitfd before that: what the kernel said of pidfds is remembered. */
TEST(uring_absence, neither_pidfds_nor_waitid_requests_is_enotsup)
{
    struct io_uring ring = open_ring(DEFERRED);
    close_ring(&ring);
    answer_system_call(SYS_pidfd_open, EPERM);
    no_waitid = true;
    expect_open(-ENOTSUP);
}
