/* SPDX-License-Identifier: MIT */
/*
 * The behaviour of the kernel that src/linux/uring.c rests on, each trap with
 * what it shows. None of these tests calls the library: one that fails says
 * that the kernel has changed, and what may be simplified or must be mended.
 */
#include "uring_support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 10

static bool work_is_left(const struct io_uring *ring)
{
    return __atomic_load_n(ring->sq.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_TASKRUN;
}

static bool read_eventfd(int fd)
{
    uint64_t value;
    return read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value);
}

static int interruptions_by_ring(unsigned setup_flags)
{
    struct io_uring ring = open_ring(setup_flags);
    int interrupted = count_interruptions(&ring, ROUNDS);
    close_ring(&ring);
    return interrupted;
}

/* So the library cannot take a ring as it comes. */
TEST(uring_traps, an_ordinary_ring_interrupts_the_host)
{
    CHECK(interruptions_by_ring(0) > 0);
}

TEST(uring_traps, a_ring_with_coop_taskrun_does_so_too)
{
    CHECK(interruptions_by_ring(IORING_SETUP_COOP_TASKRUN) > 0);
}

TEST(uring_traps, a_ring_with_defer_taskrun_interrupts_no_call)
{
    CHECK_EQ(interruptions_by_ring(DEFERRED), 0);
}

static bool wakes_sleeping_poller(struct io_uring *ring, int fd)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event item = { .events = EPOLLIN };
    CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &item), 0);
    pid_t pid = start_child_that_awaits_sleep();
    int pidfd = open_pidfd(pid);
    io_uring_prep_poll_add(get_sqe(ring, 0), pidfd, POLLIN);
    submit(ring);
    int n = epoll_wait(epfd, &item, 1, 500);
    CHECK(n >= 0, "epoll_wait: %s", strerror(errno));
    reap(pid);
    CHECK(work_is_left(ring));
    close(pidfd);
    close(epfd);
    return n == 1;
}

static bool is_kernel(unsigned first_minor, unsigned last_minor) /* of Linux 6 */
{
    struct utsname name;
    unsigned major, minor;
    uname(&name);
    return sscanf(name.release, "%u.%u", &major, &minor) == 2 && major == 6 && minor >= first_minor &&
           minor <= last_minor;
}

/* So the pollable fd cannot be the ring's. 6.1, 6.12 and 7.3 were seen to wake,
   6.16 and 6.18 not to. */
TEST(uring_traps, deferred_work_does_not_wake_a_poll_of_the_ring)
{
    struct io_uring ring = open_ring(DEFERRED);
    bool wakes = wakes_sleeping_poller(&ring, ring.ring_fd);
    close_ring(&ring);
    if (wakes && !is_kernel(16, 18))
        SKIP("this kernel wakes who polls the ring (6.18 does not)");
    CHECK(!wakes);
}

TEST(uring_traps, deferred_work_wakes_a_poll_of_a_registered_eventfd)
{
    int event_fd;
    struct io_uring ring = open_ring_with_eventfd(DEFERRED, &event_fd);
    CHECK(wakes_sleeping_poller(&ring, event_fd));
    close(event_fd);
    close_ring(&ring);
}

/* The ring, with one child's exit left as work. */
static struct io_uring ring_with_work(int *event_fd)
{
    struct gate gate = open_gate();
    struct io_uring ring = open_ring_with_eventfd(DEFERRED, event_fd);
    pid_t pid = start_child(&gate, 0);
    int pidfd = open_pidfd(pid);
    io_uring_prep_poll_add(get_sqe(&ring, 0), pidfd, POLLIN);
    submit(&ring);
    let_through(&gate, 1);
    reap(pid);
    wait_readable(*event_fd);
    CHECK(work_is_left(&ring));
    close(pidfd);
    close_gate(&gate);
    return ring;
}

/* So the eventfd is read after the work and not before, or each event wakes the
   host twice. */
TEST(uring_traps, the_eventfd_is_signalled_for_the_work_and_again_for_its_completion)
{
    int event_fd;
    struct completion done;
    struct io_uring ring = ring_with_work(&event_fd);
    CHECK(read_eventfd(event_fd));
    CHECK(!is_readable(event_fd));
    io_uring_get_events(&ring);
    CHECK(take_completion(&ring, &done));
    CHECK(is_readable(event_fd), "the second wake-up is gone");
    close(event_fd);
    close_ring(&ring);
}

TEST(uring_traps, an_eventfd_read_after_the_work_stays_quiet)
{
    int event_fd;
    struct completion done;
    struct io_uring ring = ring_with_work(&event_fd);
    io_uring_get_events(&ring);
    CHECK(read_eventfd(event_fd));
    CHECK(take_completion(&ring, &done));
    CHECK(!is_readable(event_fd));
    CHECK(!work_is_left(&ring));
    close(event_fd);
    close_ring(&ring);
}

/* So the flag is looked at after the eventfd was read: it is what tells that a
   wake-up was just read away. */
TEST(uring_traps, work_between_io_uring_enter_and_the_read_shows_in_the_flag_alone)
{
    int event_fd;
    struct io_uring ring = ring_with_work(&event_fd);
    CHECK(read_eventfd(event_fd));
    CHECK(!is_readable(event_fd));
    CHECK_EQ(io_uring_cq_ready(&ring), 0);
    CHECK(work_is_left(&ring));
    close(event_fd);
    close_ring(&ring);
}

/* Since Linux 6.14 one io_uring_enter does some of the work (20 pieces on
   6.18). So it is called until the flag clears. */
TEST(uring_traps, what_one_enter_leaves_undone_shows_in_the_flag)
{
    enum {
        children = 60
    };
    int event_fd, pidfds[children], count = 0;
    pid_t pids[children];
    struct gate gate = open_gate();
    struct io_uring ring = open_ring_with_eventfd(DEFERRED, &event_fd);
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, 0);
        pidfds[i] = open_pidfd(pids[i]);
        io_uring_prep_poll_add(get_sqe(&ring, 0), pidfds[i], POLLIN);
    }
    submit(&ring);
    let_through(&gate, children);
    for (int i = 0; i < children; i++)
        wait_until_zombie(pids[i]);
    while (work_is_left(&ring)) {
        struct completion done;
        io_uring_get_events(&ring);
        while (take_completion(&ring, &done))
            count++;
    }
    CHECK_EQ(count, children);
    for (int i = 0; i < children; i++) {
        reap(pids[i]);
        close(pidfds[i]);
    }
    close(event_fd);
    close_gate(&gate);
    close_ring(&ring);
}

/* So a request for a child that died before it costs nothing but the
   submission. */
TEST(uring_traps, a_poll_of_a_dead_childs_pidfd_completes_at_its_submission)
{
    int event_fd;
    struct completion done;
    struct io_uring ring = open_ring_with_eventfd(DEFERRED, &event_fd);
    pid_t pid = start_child_exit(0);
    int pidfd = open_pidfd(pid);
    wait_until_zombie(pid);
    io_uring_prep_poll_add(get_sqe(&ring, 7), pidfd, POLLIN);
    submit(&ring);
    CHECK(is_readable(event_fd));
    CHECK(take_completion(&ring, &done));
    CHECK(done.user_data == 7 && done.res == POLLIN, "user_data %llu, res %#x", done.user_data, done.res);
    reap(pid);
    close(pidfd);
    close(event_fd);
    close_ring(&ring);
}

/* So what is found readable too early is polled again by a multishot request:
   one look at once, then only changes. */
TEST(uring_traps, a_multishot_poll_tells_of_the_state_once_and_then_of_changes)
{
    struct completion done;
    struct io_uring ring = open_ring(DEFERRED);
    pid_t pid = start_child_exit(0);
    int pidfd = open_pidfd(pid);
    wait_until_zombie(pid);
    io_uring_prep_poll_multishot(get_sqe(&ring, 0), pidfd, POLLIN);
    submit(&ring);
    done = next_completion(&ring);
    CHECK(done.res == POLLIN && done.flags & IORING_CQE_F_MORE);
    io_uring_get_events(&ring);
    CHECK(!take_completion(&ring, &done), "a readable pidfd was reported twice");
    reap(pid);
    if (!have_pidfs())
        SKIP("before Linux 6.9 a reap makes no edge on the pidfd");
    done = next_completion(&ring);
    CHECK(done.res & POLLIN && done.flags & IORING_CQE_F_MORE, "the reap, which makes an edge on the pidfd");
    close(pidfd);
    close_ring(&ring);
}

/* So exitfd_close waits that long, with all signals blocked: the EINTR is not
   left to the host. */
TEST(uring_traps, a_closed_ring_interrupts_its_thread_once_more)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC), interrupted = 0;
    struct epoll_event unused;
    for (int rings = 0; interrupted < 3; rings++) {
        CHECK(rings < 30, "only %d of %d rings", interrupted, rings);
        struct io_uring ring = open_ring(DEFERRED);
        io_uring_queue_exit(&ring);
        /* On a busy machine it may have come before the sleep, and then shows
           nowhere. */
        bool first = epoll_wait(epfd, &unused, 1, 1000) < 0 && errno == EINTR;
        bool second = epoll_wait(epfd, &unused, 1, 100) < 0 && errno == EINTR;
        CHECK(!(first && second), "a ring that interrupts twice");
        interrupted += first || second;
    }
    close(epfd);
}

static void *enter_as_stranger(void *argument)
{
    struct io_uring *ring = argument;
    int error = io_uring_get_events(ring);
    return (void *)(intptr_t)error;
}

static intptr_t run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    CHECK_EQ(pthread_create(&thread, NULL, body, argument), 0);
    pthread_join(thread, &result);
    return (intptr_t)result;
}

/* So -EXDEV: there is no other way for another thread. */
TEST(uring_traps, no_other_thread_may_enter_the_ring)
{
    struct io_uring ring = open_ring(DEFERRED);
    CHECK_EQ(run_thread(enter_as_stranger, &ring), -EEXIST);
    close_ring(&ring);
}

struct orphaned {
    struct io_uring ring;
    int event_fd, pidfd, error;
};

static void *submit_and_end(void *argument)
{
    struct orphaned *orphan = argument;
    struct io_uring_sqe *sqe;
    orphan->error = io_uring_queue_init(8, &orphan->ring, DEFERRED);
    if (orphan->error < 0)
        return NULL;
    orphan->error = io_uring_register_eventfd(&orphan->ring, orphan->event_fd);
    sqe = io_uring_get_sqe(&orphan->ring);
    io_uring_prep_poll_add(sqe, orphan->pidfd, POLLIN);
    io_uring_submit(&orphan->ring);
    return NULL;
}

/* So a ring does not outlive its thread silently. A poll of the fd wakes up,
   and the library returns -EXDEV. */
TEST(uring_traps, the_eventfd_is_signalled_after_the_submitter_has_died_too)
{
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    struct orphaned orphan = { .pidfd = open_pidfd(pid), .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    run_thread(submit_and_end, &orphan);
    let_through(&gate, 1);
    reap(pid);
    if (orphan.error == 0) {
        wait_readable(orphan.event_fd);
        CHECK_EQ(io_uring_get_events(&orphan.ring), -EEXIST);
        io_uring_queue_exit(&orphan.ring);
    }
    close(orphan.pidfd);
    close(orphan.event_fd);
    close_gate(&gate);
    if (orphan.error < 0)
        SKIP("no deferred io_uring in this kernel: %s", strerror(-orphan.error));
}

/* So the poll of an io_uring exitfd in the caller's own ring is not multishot:
   exitfd/uring.h. */
TEST(uring_traps, a_multishot_poll_is_dropped_when_another_ring_signals_the_eventfd)
{
    int event_fd;
    struct io_uring ring = open_ring_with_eventfd(DEFERRED, &event_fd), callers = open_ring(0);
    pid_t pid = start_child_that_awaits_sleep();
    int pidfd = open_pidfd(pid);
    io_uring_prep_poll_add(get_sqe(&ring, 0), pidfd, POLLIN);
    submit(&ring);
    io_uring_prep_poll_multishot(get_sqe(&callers, 0), event_fd, POLLIN);
    submit(&callers);
    struct completion done = next_completion(&callers);
    CHECK_EQ(done.res, POLLIN);
    reap(pid);
    if (done.flags & IORING_CQE_F_MORE && is_kernel(16, 17))
        SKIP("this kernel says that the dropped poll goes on (seen on Linux 6.16)");
    CHECK(!(done.flags & IORING_CQE_F_MORE));
    close(pidfd);
    close(event_fd);
    close_ring(&callers);
    close_ring(&ring);
}

static struct io_uring ring_waiting_for(pid_t pid)
{
    struct io_uring ring = open_ring(DEFERRED);
    if (!has_waitid_requests(&ring))
        SKIP("no IORING_OP_WAITID in this kernel: Linux 6.7");
    exitfd_uring_prep_child(get_sqe(&ring, 0), pid, 0);
    submit(&ring);
    return ring;
}

TEST(uring_traps, waitid_leaves_the_zombie_and_needs_no_siginfo)
{
    pid_t pid = start_child_that_awaits_sleep();
    struct io_uring ring = ring_waiting_for(pid);
    CHECK_EQ(next_completion(&ring).res, 0);
    CHECK(is_zombie(pid));
    reap(pid);
    close_ring(&ring);
}

/* So without a pidfd a foreign reap loses the status, but not the event. */
TEST(uring_traps, waitid_tells_of_a_stolen_child_by_echild)
{
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 3);
    struct io_uring ring = ring_waiting_for(pid);
    let_through(&gate, 1);
    reap(pid);
    CHECK_EQ(next_completion(&ring).res, -ECHILD);
    close_gate(&gate);
    close_ring(&ring);
}

/* SIG_IGN makes no SIGCHLD: the SIGCHLD back ends learn of it late, this one at
   once. */
TEST(uring_traps, waitid_tells_of_a_child_that_the_kernel_reaped_by_echild)
{
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = start_child_that_awaits_sleep();
    struct io_uring ring = ring_waiting_for(pid);
    CHECK_EQ(next_completion(&ring).res, -ECHILD);
    close_ring(&ring);
    signal(SIGCHLD, SIG_DFL);
}
