/* SPDX-License-Identifier: MIT */
/*
 * Stands between the library and the C library: makes system calls fail with an
 * errno of choice, and runs code in the middle of the library's own calls.
 * Linking a suite with it is enough.
 */
#ifndef EXITFD_TESTS_TRUTH_INJECT_H
#define EXITFD_TESTS_TRUTH_INJECT_H

#include <signal.h>

struct injection {
    int error;  /* the errno to fail with */
    int times;  /* how many calls more */
    int failed; /* how many calls have */
};

extern struct injection inject_pidfd_open;
extern struct injection inject_epoll_add;

/*
 * Run once, just before the kernel sees the library's next waitid that reaps,
 * or that looks without reaping. NULL: not at all. Both are off while they run.
 */
extern void (*before_reaping)(void);
extern void (*before_looking)(void);
/* Run once, just after the kernel has answered to one that reaps. On Linux
   only, as is the next. */
extern void (*after_reaping)(void);
/* Run after each of the library's waitids that the kernel has answered: what it
   would have said elsewhere. */
extern void (*change_answer)(siginfo_t *info);

#endif
