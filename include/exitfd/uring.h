/* SPDX-License-Identifier: MIT */
/*
 * exitfd/uring.h: child exits as completions in an io_uring of your own.
 *
 * For a program whose loop is an io_uring ring itself. Optional: the functions are static inline, so that only the
 * program that includes this needs liburing (2.2), and the library needs none.
 *
 * There are two ways:
 *
 * The fd of an exitfd, polled. Any back end, all promises of exitfd.h, one poll for all children:
 *
 *     exitfd_uring_prep_poll(sqe, x);
 *     io_uring_sqe_set_data64(sqe, CHILDREN);
 *     ... a completion with user_data CHILDREN:
 *     while ((n = exitfd_wait(x, events, 16, 0)) > 0)
 *         ...
 *     exitfd_uring_keep_polling(ring, cqe, x);
 *
 * A child on its own, without an exitfd. No fd, one request, Linux 6.7:
 *
 *     exitfd_uring_prep_child(sqe, pid, 0);
 *     io_uring_sqe_set_data64(sqe, ONE_CHILD);
 *     ... a completion with user_data ONE_CHILD:
 *     n = exitfd_uring_take_child(cqe, pid, 0, data, &event);
 *
 * Which to take. The second costs a quarter of what a pidfd costs to set up and has no fd, but nothing tells the status
 * of a child that somebody else reaped, and the kernel walks all such requests of the process at each exit: it is for
 * tens of children rather than thousands (docs/uring.md in the source has the figures). It needs
 * wait4(2): _DEFAULT_SOURCE, which is there unless a strict standard was asked for.
 */
#ifndef EXITFD_URING_H
#define EXITFD_URING_H

#include <exitfd.h>

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * exitfd_uring_prep_poll - prepare a poll of the fd of x
 *
 * Set user_data afterwards. Like EPOLLET, the kernel tells of a change and not of a state: at each completion call
 * exitfd_wait(x, ..., 0) until it returns 0, then exitfd_uring_keep_polling. A multishot poll (Linux 5.13), unless x is
 * an io_uring exitfd: at the wake-up that comes from another ring Linux ends such a poll, and 6.16 says nevertheless
 * that it goes on.
 *
 * What exitfd_get_fd gives, and then sqe is untouched.
 */
static inline int exitfd_uring_prep_poll(struct io_uring_sqe *sqe, const struct exitfd *x)
{
    int fd = exitfd_get_fd(x);

    if (fd < 0)
        return fd;
    if (strcmp(exitfd_get_backend(x), "io_uring") == 0)
        io_uring_prep_poll_add(sqe, fd, POLLIN);
    else
        io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    return 0;
}

/*
 * exitfd_uring_keep_polling - at each completion of that poll, before io_uring_cqe_seen
 *
 * The kernel ends a multishot poll when it likes, as after a completion queue overflow, and one of an io_uring exitfd at
 * each completion. This takes a new SQE from ring, with the same user_data, if it did so; the next io_uring_submit arms
 * it, and nothing is missed meanwhile.
 *
 * -EAGAIN      no SQE is free: submit, and call again with the same cqe
 * -ECANCELED   the poll was cancelled, and stays so
 * and what exitfd_get_fd gives.
 */
static inline int exitfd_uring_keep_polling(struct io_uring *ring, const struct io_uring_cqe *cqe,
                                            const struct exitfd *x)
{
    struct io_uring_sqe *sqe;
    int error;

    if (cqe->flags & IORING_CQE_F_MORE)
        return 0;
    if (cqe->res == -ECANCELED)
        return -ECANCELED;
    error = exitfd_get_fd(x);
    if (error < 0)
        return error;
    sqe = io_uring_get_sqe(ring);
    if (!sqe)
        return -EAGAIN;
    error = exitfd_uring_prep_poll(sqe, x);
    sqe->user_data = cqe->user_data;
    return error;
}

/*
 * exitfd_uring_prep_child - prepare a request that completes when this child has exited
 *
 * Set user_data afterwards. The child is not reaped by the completion but by exitfd_uring_take_child, so a request that
 * is cancelled, or lost with its ring, loses no status, and the pid cannot be reused before. The request has no memory
 * of yours that it could write to. Do not watch the same child by an exitfd too, unless with EXITFD_OBSERVE.
 *
 * flags is 0, or EXITFD_OBSERVE: never reap.
 */
static inline void exitfd_uring_prep_child(struct io_uring_sqe *sqe, pid_t pid, unsigned flags)
{
    const unsigned op_waitid = 50; /* IORING_OP_WAITID, which liburing names from 2.6 on */

    (void)flags;
    io_uring_prep_rw((int)op_waitid, sqe, (int)pid, NULL, P_PID, 0);
    sqe->file_index = WEXITED | WNOWAIT;
}

static inline int exitfd_uring_peek(pid_t pid, struct exitfd_event *event)
{
    siginfo_t info;
    int error;

    memset(&info, 0, sizeof info);
    do
        error = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    while (error < 0 && errno == EINTR);
    if (error < 0)
        return -errno;
    /* Or a stop of a child that this process traces itself, of which the request tells too. */
    if (info.si_pid == 0 || (info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED))
        return 0;
    event->origin = EXITFD_PEEKED;
    event->code = info.si_code;
    event->status = info.si_status;
    return 1;
}

static inline int exitfd_uring_reap(pid_t pid, struct exitfd_event *event)
{
    int status;
    pid_t found = exitfd_uring_peek(pid, event);

    if (found != 1)
        return found;
    do
        found = wait4(pid, &status, WNOHANG, &event->rusage);
    while (found < 0 && errno == EINTR);
    if (found <= 0)
        return found < 0 ? -errno : 0;
    event->origin = EXITFD_REAPED;
    event->code = WIFEXITED(status) ? CLD_EXITED : WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED;
    event->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    return 1;
}

/*
 * exitfd_uring_take_child - the event of such a completion
 *
 * pid and flags as when it was prepared. 1: *event is filled, and without EXITFD_OBSERVE the child has been reaped by
 * this call. If somebody else was faster, it is EXITFD_UNKNOWN. rusage is all zero for EXITFD_OBSERVE. 0: it has not
 * exited after all, as where this process traces it and it has stopped: prepare and submit again, then after the tracer
 * has waited for the stop.
 *
 * -ECANCELED   the request was cancelled; the child is still yours
 * -EINVAL      this kernel has no such request; the child is still yours
 * -ENOMEM, and what else the kernel put into cqe->res
 */
static inline int exitfd_uring_take_child(const struct io_uring_cqe *cqe, pid_t pid, unsigned flags, void *data,
                                          struct exitfd_event *event)
{
    struct exitfd_event found;
    int result = cqe->res;

    memset(&found, 0, sizeof found);
    if (result == 0)
        result = flags & EXITFD_OBSERVE ? exitfd_uring_peek(pid, &found) : exitfd_uring_reap(pid, &found);
    if (result == -ECHILD) {
        memset(&found, 0, sizeof found);
        found.origin = EXITFD_UNKNOWN;
        result = 1;
    }
    if (result != 1)
        return result;
    found.pid = pid;
    found.data = data;
    *event = found;
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif
