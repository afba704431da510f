/* SPDX-License-Identifier: MIT */
/*
 * exitfd/uring.h: child exits as completions in an io_uring of your own.
 *
 * For a program whose loop is an io_uring itself. The functions are static
 * inline. Only the program that includes this needs liburing (2.2). There are
 * two ways.
 *
 * Poll the fd of an exitfd. This works on any back end, with all that exitfd.h
 * promises, and takes one poll for all children:
 *
 *     exitfd_uring_prep_poll(sqe, x);
 *     io_uring_sqe_set_data64(sqe, CHILDREN);
 *     ... a completion with user_data CHILDREN:
 *     while ((n = exitfd_wait(x, events, 16, 0)) > 0)
 *         ...
 *     exitfd_uring_keep_polling(ring, cqe, x);
 *
 * Wait for a child on its own, without an exitfd. This takes one request and no
 * fd, and needs Linux 6.7:
 *
 *     exitfd_uring_prep_child(sqe, pid, 0);
 *     io_uring_sqe_set_data64(sqe, ONE_CHILD);
 *     ... a completion with user_data ONE_CHILD:
 *     n = exitfd_uring_take_child(cqe, pid, 0, data, &event);
 *
 * The second way costs a fifth of a pidfd to set up. But the status is lost
 * if other code reaps the child. And the kernel walks all such requests of the
 * process at each exit. So use it for up to some 1,000 children.
 * docs/uring.md in the source has the figures. It needs wait4(2), which a
 * strict C standard hides. _DEFAULT_SOURCE shows it.
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
 * Set user_data afterwards. Like EPOLLET, the poll completes at a change. At
 * each completion call exitfd_wait(x, ..., 0) until it returns 0, and then
 * exitfd_uring_keep_polling. The poll is multishot (Linux 5.13), unless x is an
 * io_uring exitfd. Linux 6.16 ends a multishot poll of such a one without a
 * completion.
 *
 * Returns 0, or the error of exitfd_get_fd. Then sqe is untouched.
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
 * exitfd_uring_keep_polling - poll on, after a completion of that poll
 *
 * Call it before io_uring_cqe_seen. The kernel may end a multishot poll at any
 * time. If it did, this takes a new SQE from ring with the same user_data. The
 * next io_uring_submit arms it, and nothing is missed meanwhile.
 *
 * Returns 0, or the error of exitfd_get_fd, or one of these.
 *
 * -EAGAIN     no SQE is free. Submit, and call it again with the same cqe.
 * -ECANCELED  the poll was cancelled, and stays so
 * and any other error that the kernel put into cqe->res, such as -EACCES from
 * a ring with restrictions. The kernel does not allow this poll.
 */
static inline int exitfd_uring_keep_polling(struct io_uring *ring, const struct io_uring_cqe *cqe,
                                            const struct exitfd *x)
{
    struct io_uring_sqe *sqe;
    int error;

    if (cqe->flags & IORING_CQE_F_MORE)
        return 0;
    if (cqe->res < 0 && cqe->res != -EAGAIN && cqe->res != -EINTR)
        return cqe->res;
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
 * exitfd_uring_prep_child - prepare a request that completes at a child's exit
 *
 * Set user_data afterwards. exitfd_uring_take_child reaps the child, not the
 * completion. So a request that is cancelled or lost loses no status, and the
 * pid cannot be reused before. Do not watch the same child by an exitfd too,
 * except with EXITFD_OBSERVE. The kernel writes to no memory of yours.
 *
 * flags is 0, or EXITFD_OBSERVE not to reap.
 */
static inline void exitfd_uring_prep_child(struct io_uring_sqe *sqe, pid_t pid, unsigned flags)
{
    const unsigned op_waitid = 50; /* IORING_OP_WAITID, which liburing names from 2.6 on */

    (void)flags;
    io_uring_prep_rw((int)op_waitid, sqe, (int)pid, NULL, P_PID, 0);
    sqe->file_index = WEXITED | WNOWAIT | __WALL; /* whatever its exit signal is */
}

/* Of exitfd_uring_take_child alone. Do not call it. */
static inline int exitfd_uring_peek(pid_t pid, struct exitfd_event *event)
{
    siginfo_t info;
    int error;

    memset(&info, 0, sizeof info);
    do
        error = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
    while (error < 0 && errno == EINTR);
    if (error < 0)
        return -errno;
    /* Or a stop of a child that this process traces. The request completes for
       that too. */
    if (info.si_pid == 0 || (info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED))
        return 0;
    event->origin = EXITFD_PEEKED;
    event->code = info.si_code;
    event->status = info.si_status;
    return 1;
}

/* Of exitfd_uring_take_child alone. Do not call it. */
static inline int exitfd_uring_reap(pid_t pid, struct exitfd_event *event)
{
    int status;
    pid_t found = exitfd_uring_peek(pid, event);

    if (found != 1)
        return found;
    do
        found = wait4(pid, &status, WNOHANG | __WALL, &event->rusage);
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
 * pid and flags are those of exitfd_uring_prep_child. Without EXITFD_OBSERVE
 * this call reaps the child. If other code was faster, the origin is
 * EXITFD_UNKNOWN. With EXITFD_OBSERVE, rusage is zero.
 *
 * Returns 1 if *event was filled. Returns 0 if the child has not exited. That
 * happens if this process traces it and it has stopped. Prepare and submit the
 * request again, after the tracer has waited for the stop.
 *
 * After an error the child has not been reaped.
 *
 * -ECANCELED  the request was cancelled
 * -EINVAL     this kernel has no such request, or pid is below 1
 * -ENOMEM     the kernel had no memory for the request
 * -EPERM, -EACCES, -ENOSYS  a seccomp filter blocks waitid(2) or wait4(2)
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
