/* SPDX-License-Identifier: MIT */
/* exitfd/uring.h: child exits in a ring of the caller's own, with each back
   end. */
#include "uring_support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

#define CHILDREN 77 /* the user_data of the poll */

static void poll_exitfd(struct io_uring *ring, struct exitfd *x)
{
    struct io_uring_sqe *sqe = get_sqe(ring, 0);
    CHECK_EQ(exitfd_uring_prep_poll(sqe, x), 0);
    io_uring_sqe_set_data64(sqe, CHILDREN);
    submit(ring);
}

/* One completion of the poll: how many events it brought. */
static int take_events(struct io_uring *ring, struct exitfd *x, struct exitfd_event *events, int max)
{
    struct __kernel_timespec limit = { .tv_sec = DEADLINE_MS / 1000 };
    struct io_uring_cqe *cqe;
    int count = 0, n, error;
    do
        error = io_uring_wait_cqe_timeout(ring, &cqe, &limit);
    while (error == -EINTR);
    CHECK_EQ(error, 0, "no completion: %s", strerror(-error));
    CHECK_EQ(cqe->user_data, CHILDREN);
    while (count < max && (n = exitfd_wait(x, events + count, max - count, 0)) > 0)
        count += n;
    CHECK_EQ(exitfd_uring_keep_polling(ring, cqe, x), 0);
    io_uring_cqe_seen(ring, cqe);
    submit(ring);
    return count;
}

static void take_all(struct io_uring *ring, struct exitfd *x, struct exitfd_event *events, int wanted)
{
    for (int got = 0; got < wanted;)
        got += take_events(ring, x, events + got, wanted - got);
}

TEST(uring_ring, one_exit_after_another)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    poll_exitfd(&ring, x);
    for (int i = 0; i < 20; i++) {
        struct exitfd_event event;
        pid_t pid = start_child_exit(i);
        CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
        take_all(&ring, x, &event, 1);
        expect_exited(&event, pid, i, x);
    }
    expect_quiet(x);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, many_exits_at_once)
{
    enum {
        children = 300
    };
    static struct exitfd_event events[children];
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    struct gate gate = open_gate();
    poll_exitfd(&ring, x);
    for (int i = 0; i < children; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, x), 0);
    let_through(&gate, children);
    take_all(&ring, x, events, children);
    expect_quiet(x);
    close_gate(&gate);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, an_event_that_was_due_before_the_poll)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    struct exitfd_event event;
    pid_t pid = start_child_exit(5);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    wait_readable(exitfd_get_fd(x));
    poll_exitfd(&ring, x);
    take_all(&ring, x, &event, 1);
    expect_exited(&event, pid, 5, x);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, an_exitfd_that_cannot_be_polled)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    struct io_uring_sqe *sqe = get_sqe(&ring, 3);
    CHECK_EQ(exitfd_uring_prep_poll(sqe, NULL), -EINVAL);
    CHECK(sqe->opcode == IORING_OP_NOP && sqe->user_data == 3, "the SQE was touched");
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, a_dropped_poll_and_a_full_queue)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    const struct io_uring_cqe dropped = { .user_data = CHILDREN, .res = POLLIN };
    while (io_uring_sq_space_left(&ring) > 0)
        io_uring_prep_nop(get_sqe(&ring, 0));
    CHECK_EQ(exitfd_uring_keep_polling(&ring, &dropped, x), -EAGAIN);
    submit(&ring);
    CHECK_EQ(exitfd_uring_keep_polling(&ring, &dropped, x), 0);
    CHECK_EQ(io_uring_sq_ready(&ring), 1);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, a_poll_that_is_still_armed_takes_no_sqe)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    const struct io_uring_cqe more = { .user_data = CHILDREN, .res = POLLIN, .flags = IORING_CQE_F_MORE };
    CHECK_EQ(exitfd_uring_keep_polling(&ring, &more, x), 0);
    CHECK_EQ(io_uring_sq_ready(&ring), 0);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, a_cancelled_poll_stays_so)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(0);
    poll_exitfd(&ring, x);
    io_uring_prep_cancel64(get_sqe(&ring, 0), CHILDREN, 0);
    submit(&ring);
    for (int i = 0; i < 2; i++) {
        struct completion done = next_completion(&ring);
        const struct io_uring_cqe cqe = { .user_data = done.user_data, .res = done.res, .flags = done.flags };
        if (done.user_data == CHILDREN)
            CHECK_EQ(exitfd_uring_keep_polling(&ring, &cqe, x), -ECANCELED);
    }
    CHECK_EQ(io_uring_sq_ready(&ring), 0);
    close_ring(&ring);
    exitfd_close(x);
}

/* One child on an SQE of its own, up to what its completion says. */
static int wait_for_child(pid_t pid, unsigned flags, struct exitfd_event *event)
{
    struct io_uring ring = open_ring(0);
    if (!has_waitid_requests(&ring))
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    struct io_uring_sqe *sqe = get_sqe(&ring, 0);
    exitfd_uring_prep_child(sqe, pid, flags);
    io_uring_sqe_set_data64(sqe, 9);
    submit(&ring);
    struct completion done = next_completion(&ring);
    const struct io_uring_cqe cqe = { .user_data = done.user_data, .res = done.res, .flags = done.flags };
    CHECK_EQ(cqe.user_data, 9);
    close_ring(&ring);
    return exitfd_uring_take_child(&cqe, pid, flags, event, event);
}

TEST(uring_ring, one_child_that_exits)
{
    struct exitfd_event event;
    pid_t pid = start_child_that_awaits_sleep();
    CHECK_EQ(wait_for_child(pid, 0, &event), 1);
    expect_exited(&event, pid, 0, &event);
    CHECK(event.rusage.ru_minflt > 0);
    CHECK(!is_child(pid));
}

TEST(uring_ring, one_child_that_is_dead_already)
{
    struct exitfd_event event;
    pid_t pid = start_child_exit(200);
    wait_until_zombie(pid);
    CHECK_EQ(wait_for_child(pid, 0, &event), 1);
    expect_exited(&event, pid, 200, &event);
}

TEST(uring_ring, one_child_that_is_killed)
{
    struct exitfd_event event;
    pid_t pid = start_child_killed(SIGTERM);
    CHECK_EQ(wait_for_child(pid, 0, &event), 1);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, &event);
}

TEST(uring_ring, one_child_observed)
{
    struct exitfd_event event;
    pid_t pid = start_child_exit(4);
    CHECK_EQ(wait_for_child(pid, EXITFD_OBSERVE, &event), 1);
    expect_event(&event, pid, CLD_EXITED, 4, EXITFD_PEEKED, &event);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 4);
}

TEST(uring_ring, one_child_stolen_before)
{
    struct exitfd_event event;
    pid_t pid = start_child_exit(4);
    reap(pid);
    CHECK_EQ(wait_for_child(pid, 0, &event), 1);
    expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, &event);
}

TEST(uring_ring, one_child_stolen_after_the_completion)
{
    const struct io_uring_cqe cqe = { .res = 0 };
    const unsigned flags[] = { 0, EXITFD_OBSERVE };
    for (int i = 0; i < 2; i++) {
        struct exitfd_event event;
        pid_t pid = start_child_exit(4);
        reap(pid);
        CHECK_EQ(exitfd_uring_take_child(&cqe, pid, flags[i], NULL, &event), 1);
        expect_event(&event, pid, 0, 0, EXITFD_UNKNOWN, NULL);
    }
}

/* A ring for polled devices refuses each poll of anything else, as restrictions
   refuse any. */
TEST(uring_ring, a_refused_poll_is_not_made_again)
{
    struct exitfd *x = open_exitfd();
    struct io_uring ring = open_ring(IORING_SETUP_IOPOLL);
    poll_exitfd(&ring, x);
    struct completion done = next_completion(&ring);
    const struct io_uring_cqe cqe = { .user_data = done.user_data, .res = done.res, .flags = done.flags };
    CHECK(done.res < 0, "res %d", done.res);
    CHECK_EQ(exitfd_uring_keep_polling(&ring, &cqe, x), done.res);
    CHECK_EQ(io_uring_sq_ready(&ring), 0);
    close_ring(&ring);
    exitfd_close(x);
}

TEST(uring_ring, one_child_with_another_exit_signal)
{
    struct io_uring ring = open_ring(0);
    if (!has_waitid_requests(&ring))
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    for (unsigned flags = 0; flags <= EXITFD_OBSERVE; flags += EXITFD_OBSERVE) {
        struct gate gate = open_gate();
        struct exitfd_event event;
        pid_t pid = start_child_signalling(flags ? SIGCONT : 0, &gate, 8);
        struct io_uring_sqe *sqe = get_sqe(&ring, 0);
        exitfd_uring_prep_child(sqe, pid, flags);
        submit(&ring);
        CHECK_EQ(io_uring_cq_ready(&ring), 0, "it lives");
        let_through(&gate, 1);
        struct completion done = next_completion(&ring);
        const struct io_uring_cqe cqe = { .res = done.res };
        CHECK_EQ(exitfd_uring_take_child(&cqe, pid, flags, &gate, &event), 1);
        expect_event(&event, pid, CLD_EXITED, 8, flags ? EXITFD_PEEKED : EXITFD_REAPED, &gate);
        CHECK_EQ(waitpid(pid, NULL, __WALL | WNOHANG), flags ? pid : -1);
        close_gate(&gate);
    }
    close_ring(&ring);
}

TEST(uring_ring, one_child_that_lives_on)
{
    const struct io_uring_cqe early = { .res = 0 }, cancelled = { .res = -ECANCELED }, unknown = { .res = -EINVAL };
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    struct exitfd_event event = { .pid = 1 };
    CHECK_EQ(exitfd_uring_take_child(&early, pid, 0, NULL, &event), 0);
    CHECK_EQ(exitfd_uring_take_child(&early, pid, EXITFD_OBSERVE, NULL, &event), 0);
    CHECK_EQ(exitfd_uring_take_child(&cancelled, pid, 0, NULL, &event), -ECANCELED);
    CHECK_EQ(exitfd_uring_take_child(&unknown, pid, 0, NULL, &event), -EINVAL);
    CHECK_EQ(event.pid, 1, "written without an event");
    let_through(&gate, 1);
    reap(pid);
    close_gate(&gate);
}

TEST(uring_ring, one_child_that_we_trace_and_that_has_stopped)
{
    const struct io_uring_cqe reported = { .res = 0 };
    struct gate gate = open_gate();
    struct exitfd_event event = { .pid = 1 };
    siginfo_t info;
    int status;
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
    CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    CHECK_EQ(exitfd_uring_take_child(&reported, pid, 0, NULL, &event), 0);
    CHECK_EQ(exitfd_uring_take_child(&reported, pid, EXITFD_OBSERVE, NULL, &event), 0);
    CHECK_EQ(event.pid, 1, "written without an event");
    CHECK_EQ(waitpid(pid, &status, WNOHANG), pid, "the stop was taken away");
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_uring_take_child(&reported, pid, 0, &gate, &event), 1);
    expect_exited(&event, pid, 7, &gate);
    close_gate(&gate);
}

/* The status is not lost with the request. */
TEST(uring_ring, one_child_whose_request_is_cancelled)
{
    struct io_uring ring = open_ring(0);
    struct gate gate = open_gate();
    if (!has_waitid_requests(&ring))
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    pid_t pid = start_child(&gate, 6);
    struct io_uring_sqe *sqe = get_sqe(&ring, 0);
    exitfd_uring_prep_child(sqe, pid, 0);
    io_uring_sqe_set_data64(sqe, 9);
    submit(&ring);
    sqe = get_sqe(&ring, 0);
    io_uring_prep_cancel64(sqe, 9, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    submit(&ring);
    struct completion done = next_completion(&ring);
    CHECK(done.user_data == 9 && done.res == -ECANCELED, "user_data %llu, res %d", done.user_data, done.res);
    close_ring(&ring);
    let_through(&gate, 1);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 6);
    close_gate(&gate);
}
