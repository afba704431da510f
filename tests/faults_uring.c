/* SPDX-License-Identifier: MIT */
/* The stand-ins for liburing, as faults_calls.c has them for the C library. */
#include "faults_calls.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>

#ifndef IORING_NOP_INJECT_RESULT
#define IORING_NOP_INJECT_RESULT 1U
#endif

extern int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int error = fault_due("io_uring_queue_init", NULL);
    return error ? -error : __real_io_uring_queue_init(entries, ring, flags);
}

extern int __real_io_uring_register_eventfd(struct io_uring *ring, int fd);
int __wrap_io_uring_register_eventfd(struct io_uring *ring, int fd);
int __wrap_io_uring_register_eventfd(struct io_uring *ring, int fd)
{
    int error = fault_due("io_uring_register_eventfd", NULL);
    return error ? -error : __real_io_uring_register_eventfd(ring, fd);
}

extern int __real_io_uring_register_files(struct io_uring *ring, const int *files, unsigned count);
int __wrap_io_uring_register_files(struct io_uring *ring, const int *files, unsigned count);
int __wrap_io_uring_register_files(struct io_uring *ring, const int *files, unsigned count)
{
    int error = fault_due("io_uring_register_files", NULL);
    return error ? -error : __real_io_uring_register_files(ring, files, count);
}

extern struct io_uring_probe *__real_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring);
struct io_uring_probe *__wrap_io_uring_get_probe_ring(struct io_uring *ring)
{
    return fault_due("io_uring_get_probe_ring", NULL) ? NULL : __real_io_uring_get_probe_ring(ring);
}

/* The kernel takes a request only to answer that it has no memory for it (Linux
   6.10 reports what it is asked to). */
static void spoil_requests(struct io_uring *ring)
{
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
        if (sqe->opcode == IORING_OP_NOP || sqe->opcode == IORING_OP_ASYNC_CANCEL)
            continue;
        int error = fault_due("io_uring_submit", "request");
        if (error == 0)
            continue;
        __u64 token = sqe->user_data;
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = IORING_OP_NOP;
        sqe->user_data = token;
        sqe->len = (__u32)-error;
        sqe->rw_flags = IORING_NOP_INJECT_RESULT;
    }
}

extern int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring)
{
    int error = fault_due("io_uring_submit", NULL);
    if (error)
        return -error;
    spoil_requests(ring);
    return __real_io_uring_submit(ring);
}

extern int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
    int error = fault_due("io_uring_submit_and_get_events", NULL);
    if (error)
        return -error;
    spoil_requests(ring);
    return __real_io_uring_submit_and_get_events(ring);
}
