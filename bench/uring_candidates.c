/* SPDX-License-Identifier: MIT */
/*
 * What the io_uring back end could have been built on, each hand-written and as
 * lean as it gets: a poll request for each pidfd, and a waitid request for each
 * child. Requests are submitted in full queues.
 */
#include "common.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#define OP_WAITID 50
#define SETUP_FLAGS (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

struct watched {
    struct child *child;
    int pidfd; /* -1: none */
};

static struct io_uring ring;
static int event_fd;

static const char *open_ring(void)
{
    if (io_uring_queue_init(128, &ring, SETUP_FLAGS) < 0)
        return "no io_uring with DEFER_TASKRUN here: Linux 6.1";
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return io_uring_register_eventfd(&ring, event_fd) < 0 ? "a ring that registers nothing" : NULL;
}

static const char *open_ring_with_waitid(void)
{
    const char *obstacle = open_ring();
    struct io_uring_probe *probe = obstacle == NULL ? io_uring_get_probe_ring(&ring) : NULL;
    bool has_waitid = probe != NULL && io_uring_opcode_supported(probe, OP_WAITID);

    io_uring_free_probe(probe);
    return obstacle != NULL ? obstacle : has_waitid ? NULL : "no IORING_OP_WAITID here: Linux 6.7";
}

static struct io_uring_sqe *get_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (sqe == NULL && io_uring_submit(&ring) > 0)
        sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL)
        die("io_uring_submit");
    return sqe;
}

static struct watched *watch(struct child *c, int pidfd)
{
    struct watched *w = malloc(sizeof *w);

    if (w == NULL)
        die("malloc");
    *w = (struct watched){ .child = c, .pidfd = pidfd };
    return w;
}

static void add_poll(struct child *c)
{
    int pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);

    if (pidfd < 0)
        die("pidfd_open");
    struct io_uring_sqe *sqe = get_sqe();
    io_uring_prep_poll_add(sqe, pidfd, POLLIN);
    io_uring_sqe_set_data(sqe, watch(c, pidfd));
}

static void add_waitid(struct child *c)
{
    struct io_uring_sqe *sqe = get_sqe();

    io_uring_prep_rw(OP_WAITID, sqe, c->pid, NULL, P_PID, 0);
    sqe->file_index = WEXITED | WNOWAIT;
    io_uring_sqe_set_data(sqe, watch(c, -1));
}

static void reap(struct watched *w)
{
    siginfo_t info = { 0 };
    struct rusage rusage;
    long type = w->pidfd >= 0 ? P_PIDFD : P_PID, id = w->pidfd >= 0 ? w->pidfd : w->child->pid;

    if (syscall(SYS_waitid, type, id, &info, WEXITED | WNOHANG, &rusage) < 0)
        die("waitid");
    if (w->pidfd >= 0)
        close(w->pidfd);
    herd_report(w->child, info.si_pid, info.si_code, info.si_status);
    free(w);
}

static void take_completions(void)
{
    struct io_uring_cqe *cqe;

    while (io_uring_cq_ready(&ring) > 0) {
        io_uring_peek_cqe(&ring, &cqe);
        if (cqe->res < 0) {
            errno = -cqe->res;
            die("a request failed");
        }
        reap(io_uring_cqe_get_data(cqe));
        io_uring_cqe_seen(&ring, cqe);
    }
}

static bool is_work_left(void)
{
    return __atomic_load_n(ring.sq.kflags, __ATOMIC_ACQUIRE) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Submits first: what is held back may be about one that has exited. */
static void collect(bool block)
{
    struct pollfd readable = { .fd = event_fd, .events = POLLIN };
    uint64_t value;

    if (block && io_uring_sq_ready(&ring) == 0 && poll(&readable, 1, -1) < 0 && errno != EINTR)
        die("poll");
    do {
        if (io_uring_submit_and_get_events(&ring) < 0)
            die("io_uring_enter");
        take_completions();
        if (read(event_fd, &value, sizeof value) < 0 && errno != EAGAIN)
            die("read of the eventfd");
    } while (is_work_left());
}

static void close_ring(void)
{
    io_uring_queue_exit(&ring);
    close(event_fd);
}

const struct implementation ring_poll = {
    .name = "hand-written poll on pidfds",
    .open = open_ring,
    .add = add_poll,
    .collect = collect,
    .close = close_ring,
};

const struct implementation ring_waitid = {
    .name = "hand-written waitid requests",
    .open = open_ring_with_waitid,
    .add = add_waitid,
    .collect = collect,
    .close = close_ring,
};
