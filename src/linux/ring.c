/* SPDX-License-Identifier: MIT */
/*
 * A ring with SINGLE_ISSUER and DEFER_TASKRUN, the only kind that does not
 * interrupt system calls of the host. Everything that is known of kernels'
 * rings is here.
 */
#include "linux/ring.h"

#include "errnos.h"
#include "fds.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ENTRIES 128
#define TEAR_DOWN_MS 5000 /* far more than it takes, on a machine however busy */
#define EXEC_MS 200
#define SETUP_FLAGS (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

/*
 * Seen on 6.12.118, by a bare ring as well: work is left, TASKRUN is set, and
 * the eventfd is not signalled. Not so on 6.1, nor from 6.16 on; those between
 * were not tried.
 */
bool xfd_ring_may_lose_a_wake_up(void)
{
    struct utsname name;
    unsigned major, minor;

    uname(&name);
    return sscanf(name.release, "%u.%u", &major, &minor) == 2 && major == 6 && minor > 1 && minor < 16;
}

/*
 * The poll of an fd that is ready completes at its submission. The restrictions
 * of a task (Linux 7.0) may forbid the request, and a filter to submit it.
 */
static int try_poll(struct io_uring *ring, int fd)
{
    struct io_uring_sqe *sqe = xfd_ring_sqe(ring);
    struct io_uring_cqe *cqe;

    io_uring_prep_poll_add(sqe, fd, POLLOUT);
    sqe->user_data = COMPLETION_IGNORED;
    if (xfd_ring_enter(ring) == -ENOTSUP)
        return -ENOTSUP;
    if (io_uring_cq_ready(ring) == 0) /* it is submitted later */
        return 0;
    io_uring_peek_cqe(ring, &cqe);
    int error = cqe->res < 0 ? xfd_not_here(-cqe->res) : 0;
    io_uring_cqe_seen(ring, cqe);
    return error;
}

/*
 * gVisor has a ring, which nothing can be registered with. A seccomp filter may
 * allow all calls of a ring but the one that enters it. The eventfd comes last:
 * no poll of ours is to signal it.
 */
static int try_out(struct io_uring *ring, int eventfd)
{
    int error = try_poll(ring, eventfd);
    return error < 0 ? error : io_uring_register_eventfd(ring, eventfd);
}

int xfd_ring_open(struct io_uring *ring, int eventfd)
{
    int error = io_uring_queue_init(ENTRIES, ring, SETUP_FLAGS);

    if (error < 0)
        return error;
    error = try_out(ring, eventfd);
    if (error < 0)
        xfd_ring_close(ring);
    return error;
}

/* The end of a pipe that hangs up when the ring is no more, or -1. */
static int open_tear_down_pipe(struct io_uring *ring)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    if (io_uring_register_files(ring, &ends[1], 1) < 0)
        xfd_close_fd(&ends[0]);
    close(ends[1]);
    return ends[0];
}

/* Whether a forked child may have a copy, which keeps the ring: an epoll set
   forgets a file with its last copy. */
static bool close_and_ask_for_copies(struct io_uring *ring)
{
    struct epoll_event ready = { .events = EPOLLOUT };
    int set = epoll_create1(EPOLL_CLOEXEC);
    bool asked = epoll_ctl(set, EPOLL_CTL_ADD, ring->ring_fd, &ready) == 0;

    io_uring_queue_exit(ring);
    bool copied = !asked || epoll_wait(set, &ready, 1, 0) != 0;
    xfd_close_fd(&set);
    return copied;
}

/*
 * Some ten milliseconds after the last copy of a ring is closed the kernel
 * interrupts its thread once more, as a signal would, and then lets go of the
 * files that were registered with the ring. Until then this sleeps with all
 * signals blocked, so that the host does not get that EINTR. A child that was
 * forked just now closes its copy with its exec. poll(2) goes on after the
 * interruption, and sigtimedwait(2) ends with it.
 */
void xfd_ring_close(struct io_uring *ring)
{
    const struct timespec limit = { .tv_nsec = EXEC_MS * 1000000 };
    sigset_t all, none, before;

    sigfillset(&all);
    sigemptyset(&none);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int pipe_end = open_tear_down_pipe(ring);
    bool copied = close_and_ask_for_copies(ring);
    if (pipe_end < 0)
        sigtimedwait(&none, NULL, &limit);
    else
        poll(&(struct pollfd){ .fd = pipe_end }, 1, copied ? EXEC_MS : TEAR_DOWN_MS);
    xfd_close_fd(&pipe_end);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool xfd_ring_knows(struct io_uring *ring, int operation)
{
    struct io_uring_probe *operations = io_uring_get_probe_ring(ring);
    bool known = operations && io_uring_opcode_supported(operations, operation);

    io_uring_free_probe(operations);
    return known;
}

struct io_uring_sqe *xfd_ring_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (!sqe && io_uring_submit(ring) > 0)
        sqe = io_uring_get_sqe(ring);
    return sqe;
}

int xfd_ring_enter(struct io_uring *ring)
{
    int submitted = io_uring_submit_and_get_events(ring);
    return submitted < 0 ? xfd_not_here(-submitted) : 0;
}

/*
 * The flag may stay set when the work is done: the kernel sets it after it has
 * put the work in place, and we may have done that in between. But it signals
 * the eventfd after that. So without a signal there is no work, or its signal
 * is still to come.
 */
bool xfd_ring_is_more_due(const struct io_uring *ring, bool signalled)
{
    unsigned flags = *(volatile unsigned *)ring->sq.kflags;

    return (signalled && flags & IORING_SQ_TASKRUN) || flags & IORING_SQ_CQ_OVERFLOW || io_uring_sq_ready(ring) > 0;
}
