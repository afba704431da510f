/* SPDX-License-Identifier: MIT */
/* Rings of a test's own, and children whose exit meets a sleeping host. */
#ifndef EXITFD_TESTS_URING_SUPPORT_H
#define EXITFD_TESTS_URING_SUPPORT_H

#include "support.h"

#include <exitfd/uring.h>

/* The set-up of the library: its requests interrupt no thread. */
#define DEFERRED (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)

/* A ring; skips the test where the kernel has none, or none of that kind. */
struct io_uring open_ring(unsigned setup_flags);
/* Returns when nothing more comes of it: the kernel interrupts its thread once
   after the close. */
void close_ring(struct io_uring *ring);
/* The same with an eventfd that the ring signals. */
struct io_uring open_ring_with_eventfd(unsigned setup_flags, int *event_fd);
bool has_waitid_requests(struct io_uring *ring); /* Linux 6.7 */
/* Makes it a kernel without them, for the library too. */
extern bool no_waitid;

/* An SQE with that user_data. */
struct io_uring_sqe *get_sqe(struct io_uring *ring, unsigned long long user_data);
void submit(struct io_uring *ring);

struct completion {
    unsigned long long user_data;
    int res;
    unsigned flags;
};
/* The next completion, which must come before the deadline. */
struct completion next_completion(struct io_uring *ring);
/* One that is there already. False: none. */
bool take_completion(struct io_uring *ring, struct completion *completion);

/* A child that exits with status 0 once the calling thread sleeps in the
   kernel. */
pid_t start_child_that_awaits_sleep(void);

/* How often a sleeping epoll_wait of nothing in particular was interrupted,
   while such children exited that ended requests of the ring. */
int count_interruptions(struct io_uring *ring, int rounds);

#endif
