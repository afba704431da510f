/* SPDX-License-Identifier: MIT */
/*
 * What the truth_* suites share beyond support.h: what the back end can know
 * after a foreign reap, code that reaps, counts of wake-ups, and bodies that
 * run in a process of their own.
 */
#ifndef EXITFD_TESTS_TRUTH_SUPPORT_H
#define EXITFD_TESTS_TRUTH_SUPPORT_H

#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * open_exitfd. Before it, asks which back end this is and what the kernel
 * records. That takes an exitfd and a child, and must not happen in the middle
 * of a test.
 */
struct exitfd *open_for_truth(void);
/* The same questions for tests that change SIGCHLD before they open. */
void learn_what_is_recorded(void);
/* Whether this run gives one pidfd to each child. */
bool tracks_by_pidfd(void);
/* For tests of what happens when pidfd_open fails. */
void skip_without_pidfds(void);
/* Whether the status of a foreign reap is still known in this run. */
bool reports_stolen_status(void);

/* The event of a process that other code, or the kernel, reaped:
   EXITFD_RECORDED with code and status or UNKNOWN. */
void expect_stolen(const struct exitfd_event *event, pid_t pid, int code, int status, const void *data);
/* The event of a child whose status is lost. */
void expect_unknown(const struct exitfd_event *event, pid_t pid, const void *data);
/* The next event, with x as its data: EXITFD_PEEKED, and the watch has
   ended. */
void expect_peeked(struct exitfd *x, pid_t pid, int code, int status);

/* One event each, EXITFD_REAPED, &pids[i] its data and first_status + i its
   status; then quiet. */
void expect_all_exited(struct exitfd *x, const pid_t *pids, int count, int first_status);

/* An event taken by calling exitfd_wait again and again, for when nothing makes
   the fd readable. */
struct exitfd_event wait_event_by_calling(struct exitfd *x, int *epipes);

/* How often the fd wakes its poller within the window, without ever an
   event. */
int count_wakes(struct exitfd *x, int window_ms);
/* Fails on a spin. 100 ms timers are none. */
void expect_no_spin(struct exitfd *x);

/* Waits as another thread, or as another part of the program, would: pid -1 for
   any child. Returns the wait status. */
int steal(pid_t pid);
/* The same in a thread that sleeps in waitpid from before the exit. */
struct reaper;
struct reaper *start_reaper(pid_t pid);
int join_reaper(struct reaper *reaper);

/*
 * Returns once /proc shows any process, or only its leading thread, as a
 * zombie. Gives up at the deadline, saying nothing: the test will.
 */
void wait_until_dead(pid_t pid);
/* The number behind that name in /proc/PID/status, such as "TracerPid:". 0 if
   the name is not there. */
unsigned long long status_field(pid_t pid, const char *name, int base);

/* One byte through a pipe, from a child to the test: what happened, or that it
   went wrong. */
void report(int fd, char byte);
char next_report(int fd);

void unblock_sigchld(void); /* in this thread */
void set_sigchld(void (*handler)(int), int flags);
/* What a host has for SIGCHLD. It reaps nothing and calls no other handler. */
void host_handler(int sig);
extern atomic_int host_calls;

/*
 * A body that runs in a forked child. If one of its checks fails, so does the
 * test. With exit status CHECK_SKIPPED the test ends as skipped, for the
 * reason.
 */
enum {
    CHECK_SKIPPED = 77
};
void run_in_process(void (*body)(void), const char *skip_reason);

#endif
