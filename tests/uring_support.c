/* SPDX-License-Identifier: MIT */
/*
 * Rings that a test uses beside those of the library. close_ring blocks signals
 * until the kernel has taken the ring apart.
 */
#include "uring_support.h"

#include "stand_in.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TEAR_DOWN_MS 2000

static bool means_not_here(int error)
{
    return error == -ENOSYS || error == -EPERM || error == -EACCES || error == -EINVAL;
}

struct io_uring open_ring(unsigned setup_flags)
{
    struct io_uring ring;
    int error = io_uring_queue_init(64, &ring, setup_flags);
    if (means_not_here(error))
        SKIP("no io_uring with flags %#x in this kernel: %s", setup_flags, strerror(-error));
    CHECK_EQ(error, 0, "io_uring_setup: %s", strerror(-error));
    return ring;
}

void close_ring(struct io_uring *ring)
{
    sigset_t all, before;
    const sigset_t none = { 0 };
    struct timespec limit = { .tv_sec = TEAR_DOWN_MS / 1000 };

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    io_uring_queue_exit(ring);
    sigtimedwait(&none, NULL, &limit);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct io_uring open_ring_with_eventfd(unsigned setup_flags, int *event_fd)
{
    struct io_uring ring = open_ring(setup_flags);
    *event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(*event_fd >= 0);
    int error = io_uring_register_eventfd(&ring, *event_fd);
    if (error == -ENOSYS)
        SKIP("a ring that cannot register anything: gVisor");
    CHECK_EQ(error, 0, "IORING_REGISTER_EVENTFD: %s", strerror(-error));
    return ring;
}

bool no_waitid;

struct io_uring_probe *io_uring_get_probe_ring(struct io_uring *ring)
{
    FIND_NEXT(io_uring_get_probe_ring);
    return no_waitid ? NULL : next(ring);
}

bool has_waitid_requests(struct io_uring *ring)
{
    const int op_waitid = 50;
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool has = probe != NULL && io_uring_opcode_supported(probe, op_waitid);
    io_uring_free_probe(probe);
    return has;
}

struct io_uring_sqe *get_sqe(struct io_uring *ring, unsigned long long user_data)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    CHECK(sqe != NULL, "the submission queue is full");
    memset(sqe, 0, sizeof(*sqe));
    io_uring_sqe_set_data64(sqe, user_data);
    return sqe;
}

void submit(struct io_uring *ring)
{
    unsigned wanted = io_uring_sq_ready(ring);
    int submitted = io_uring_submit(ring);
    CHECK_EQ(submitted, (int)wanted, "io_uring_submit: %d of %u", submitted, wanted);
}

static struct completion take(struct io_uring *ring, struct io_uring_cqe *cqe)
{
    struct completion completion = { .user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags };
    io_uring_cqe_seen(ring, cqe);
    return completion;
}

bool take_completion(struct io_uring *ring, struct completion *completion)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(ring, &cqe) < 0)
        return false;
    *completion = take(ring, cqe);
    return true;
}

struct completion next_completion(struct io_uring *ring)
{
    struct __kernel_timespec limit = { .tv_sec = DEADLINE_MS / 1000 };
    struct io_uring_cqe *cqe;
    int error;
    do
        error = io_uring_wait_cqe_timeout(ring, &cqe, &limit);
    while (error == -EINTR);
    CHECK_EQ(error, 0, "no completion: %s", strerror(-error));
    return take(ring, cqe);
}

static bool sleeps_or_is_gone(const char *stat_path)
{
    char state = state_in(stat_path);
    return state == 'S' || state == '?';
}

pid_t start_child_that_awaits_sleep(void)
{
    char stat_path[64];
    snprintf(stat_path, sizeof(stat_path), "/proc/%d/task/%d/stat", (int)getpid(), (int)own_tid());
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    while (!sleeps_or_is_gone(stat_path))
        sched_yield();
    _exit(0);
}

int count_interruptions(struct io_uring *ring, int rounds)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC), interrupted = 0;
    struct epoll_event unused;
    CHECK(epfd >= 0);
    for (int i = 0; i < rounds; i++) {
        pid_t pid = start_child_that_awaits_sleep();
        int pidfd = open_pidfd(pid);
        io_uring_prep_poll_add(get_sqe(ring, 0), pidfd, POLLIN);
        submit(ring);
        int n = epoll_wait(epfd, &unused, 1, 50);
        interrupted += n < 0 && errno == EINTR;
        reap(pid);
        struct completion polled = next_completion(ring);
        CHECK(polled.res > 0 && polled.res & POLLIN, "poll of a pidfd: %d", polled.res);
        close(pidfd);
    }
    close(epfd);
    return interrupted;
}
