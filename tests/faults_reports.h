/* SPDX-License-Identifier: MIT */
/* Around each call of the library: what it may give, and what the exitfds must
   still tell. */
#ifndef EXITFD_TESTS_FAULTS_REPORTS_H
#define EXITFD_TESTS_FAULTS_REPORTS_H

#include <exitfd.h>
#include <stdbool.h>
#include <sys/types.h>

/* Before a call of the library. */
void enter(void);
/* After it. True: it may be done again, for a call was made to fail inside
   it. */
bool failed(const char *function, int result, bool is_untouched);
bool failed_inside(void); /* whether one was, since enter() */

/* Whether what fails is as if other code had reaped a child. */
bool somebody_steals(void);

/* What an exitfd must tell. */
struct report {
    struct exitfd *x;
    pid_t pid;
    int code, status, origin;
    int due;
};
struct report *expect_report(struct exitfd *x, pid_t pid, int code, int status, int origin);
void forget_reports(void);

/* Once, and until all that is due was reported. */
int wait_for(struct exitfd *x, int max, int timeout);
void collect(struct exitfd *x);

#endif
