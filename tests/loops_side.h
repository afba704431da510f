/* SPDX-License-Identifier: MIT */
/*
 * The adapters of include/exitfd, each with the real library of its loop, all
 * under the same cases (loops_cases.c). A loop is one file loops_NAME here,
 * which says how that loop does what the cases need.
 */
#ifndef EXITFD_TESTS_LOOPS_SIDE_H
#define EXITFD_TESTS_LOOPS_SIDE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "tap.h"

/* Who gets the callbacks. What the cases count is in here. */
struct receiver {
    /* event is NULL where error is not 0 */
    void (*take)(struct receiver *r, int error, const struct exitfd_event *event);
    struct exitfd *x;
    void *attached;
    const struct side *side;
    int events, errors, last_error;
    long sum; /* of the statuses */
    pid_t pid;
    int released; /* how often the loop gave the adapter's memory back */
};

struct side {
    void *(*new_loop)(void);
    /* Both must not return before all that the loop holds is freed. */
    void (*free_loop)(void *loop);
    /* What the loop wants in a forked child; NULL: it cannot be used there. */
    void (*after_fork)(void *loop);
    /* NULL on failure */
    void *(*attach)(void *loop, struct exitfd *x, struct receiver *r);
    /* By the convention of the loop, which may free later. r->released counts
       it. */
    void (*detach)(void *attached);
    /* Until there was something to do. */
    void (*run_once)(void *loop);
    /* Without blocking. */
    void (*run_now)(void *loop);
};

/* Cases of one loop alone may follow. */
int loops_main(int argc, char *argv[], const struct side *side, const struct tap_case *more, size_t count);

/* Two children of x that have exited with 4. */
void start_two(struct exitfd *x);
struct receiver *new_receiver(const struct side *side, struct exitfd *x);
void start_receiving(struct receiver *r, void *loop);
void run_until(void *loop, const struct receiver *r, int events);

#ifdef __cplusplus
}
#endif

#endif
