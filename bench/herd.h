/* SPDX-License-Identifier: MIT */
/*
 * Many real child processes that pause until they are to exit, and the check
 * that each was reported once, truly.
 *
 * A small breeder process makes them with CLONE_PARENT, so they are children of
 * the measuring process. That one never forks. So no page of it becomes
 * copy-on-write, no figure contains a fork, and the children have no copies of
 * its fds. One futex word holds each of them. There is no fd or signal between
 * us and them.
 */
#ifndef BENCH_HERD_H
#define BENCH_HERD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    uint32_t order; /* the futex: 0 is "stay", else 1 + the status to exit with */
    bool reported;
    int64_t exiting_at; /* CLOCK_MONOTONIC nanoseconds, stamped by the child just before _exit */
};

/* Shared with the children; lives as long as the measuring process. */
void herd_open(size_t capacity);
struct child *herd_child(size_t slot);
void herd_make(size_t first, size_t count);
void herd_fork(size_t slot); /* by this very process, as a daemon would */

/* A slot beside them, for a program that exits with 1 when it likes. Its pid is
   named once it is known. */
struct child *herd_program(void);
void herd_name(struct child *c);

void herd_release(struct child *c);                    /* by this thread, now */
void herd_release_all(size_t first, size_t count);     /* by the breeder, as fast as it can */
void herd_release_later(struct child *c, unsigned us); /* by the breeder, so that this thread is already waiting */

/* Returns when all of them have exited, and reaps none. */
void herd_wait_for_zombies(size_t first, size_t count);

/* Ends and reaps all that is left; the implementation must be closed
   already. */
void herd_close(void);

/* Every implementation calls this for every child it learns of. A wrong report
   voids the sample. */
void herd_report(struct child *c, pid_t pid, int code, int status);
void herd_report_wait_status(struct child *c, pid_t pid, int wait_status);
size_t herd_reports(void);

/* For implementations that are given only a pid: NULL if it is no child of the
   herd. */
struct child *herd_find(pid_t pid);

int64_t monotonic_ns(void);

#endif
