/* SPDX-License-Identifier: MIT */
/*
 * The harness every Criterion suite is written with.
 *
 * TEST(suite, name) { ... } is Criterion's Test with a check around it that no
 * fd, no child and (in an ASan build) no memory is left behind. A .fini cannot
 * do that: what fails there after a body that passed is not counted.
 *
 * Each test is a process of its own with two threads, no children, SIGCHLD at
 * its default and unblocked, save that SIGCHLD is blocked when the back end
 * under test is signalfd. The back end comes from EXITFD_BACKEND in the
 * environment (unset: automatic), so one executable is run once for each.
 *
 * check.h has the words for what must hold. Use these and not Criterion's,
 * because a failed cr_assert in a forked child hangs the runner. In a forked
 * child also use nothing but async-signal-safe calls and _exit. In a second
 * thread hand the result back to the test instead of checking it there.
 */
#ifndef EXITFD_TESTS_SUPPORT_H
#define EXITFD_TESTS_SUPPORT_H

#include "check.h"
#include "children.h"

#include <criterion/criterion.h>
#include <exitfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#define TEST(suite, name)                                                                                              \
    static void suite##_##name##_body(void);                                                                           \
    Test(suite, name)                                                                                                  \
    {                                                                                                                  \
        begin_test();                                                                                                  \
        suite##_##name##_body();                                                                                       \
        end_test();                                                                                                    \
    }                                                                                                                  \
    static void suite##_##name##_body(void)

void begin_test(void);
void end_test(void);

/* Ends the test and counts it as skipped. One line, and why: "no pidfd_open in
   this kernel". */
#define SKIP(...) cr_skip(__VA_ARGS__)

/* How long anything that must happen may take before the test fails. Never how
   long something is waited out. */
#define DEADLINE_MS 100000

/* The exitfd under test. Skips the test if the forced back end is not in this
   kernel, which is asked independently. */
struct exitfd *open_exitfd(void);
/* The same with flags; any error is a failure of the test. */
struct exitfd *open_exitfd_flags(unsigned flags);
/*
 * exitfd_add, which must succeed. If EXITFD_TEST_WITHOUT_FDS is set, there is
 * no fd for it, so that the child gets no pidfd on a back end that would give
 * one.
 */
void add_child(struct exitfd *x, pid_t pid, unsigned flags, void *data);
/* Which back end open_exitfd gives in this run: "pidfd", "io_uring", "signalfd"
   or "self-pipe". */
bool backend_is(const char *name);
/* Whether the library was built with -Dbackends=posix. */
bool build_is_posix(void);

/* What the running kernel can do, asked without the library. */
bool have_pidfd(void);       /* pidfd_open and waitid(P_PIDFD): Linux 5.4 */
bool have_pidfs(void);       /* POLLHUP once reaped: Linux 6.9 */
bool have_exit_record(void); /* PIDFD_GET_INFO with PIDFD_INFO_EXIT: Linux 6.15 */
bool have_autoreap(void);    /* CLONE_AUTOREAP and CLONE_PIDFD_AUTOKILL: Linux 7.1 */

/* A pidfd of the test's own; skips the test where the kernel has none. */
int open_pidfd(pid_t pid);

/* From forbid to allow every new fd is EMFILE. */
struct rlimit forbid_new_fds(void);
void allow_new_fds(const struct rlimit *before);
void raise_fd_limit(void);

/* How many children, or rounds, a stress test has: EXITFD_STRESS_ROUNDS, else
   500. ci/proof asks for 20,000. */
int stress_rounds(void);

void block_signal(int signum); /* in this thread */
void block_sigchld(void);
bool sigchld_is_blocked(void);

/* Waits until a thread of this process sleeps in the kernel; false if the
   deadline passed. For any thread. */
pid_t own_tid(void);
bool wait_until_asleep(pid_t tid);

/* fork for a child that cannot outlive the test: it dies with the thread that
   forked it, and after five minutes. */
pid_t fork_guarded(void);

/* Children wait behind a gate until as many are let through. */
struct gate {
    int wait_end;
    int go_end;
};
struct gate open_gate(void);
void let_through(const struct gate *gate, int children);
void close_gate(struct gate *gate);
void wait_behind(const struct gate *gate); /* for a child's own code; async-signal-safe */

/* A child that ends by _exit(ending), or if ending is negative by the signal
   -ending. gate NULL: at once. */
pid_t start_child(const struct gate *gate, int ending);
/* For thousands: where the system can, it shares our memory, as copying that is
   most of the cost of a fork. */
pid_t start_light_child(const struct gate *gate, int status);
/* One that clone(2) gives another exit signal than SIGCHLD, or none (0). It
   does not end with the test, but at the gate's end. */
pid_t start_child_signalling(int exit_signal, const struct gate *gate, int status);
pid_t start_child_exit(int status);
pid_t start_child_killed(int sig);

/* Exactly n events, by polling the fd. Fewer before the deadline is a failure;
   call expect_no_event for more. */
void wait_events(struct exitfd *x, struct exitfd_event *events, int n);
/* exitfd_wait of one event without a time-out, at which it would look once more
   by itself: killed if it does not return. */
int wait_blocked(struct exitfd *x, struct exitfd_event *event);
struct exitfd_event wait_event(struct exitfd *x);
void expect_no_event(struct exitfd *x);
/* expect_no_event, and the fd is not readable after it: nothing spins. */
void expect_quiet(struct exitfd *x);
void expect_event(const struct exitfd_event *event, pid_t pid, int code, int status, int origin, const void *data);
/* The usual one: EXITFD_REAPED, CLD_EXITED. */
void expect_exited(const struct exitfd_event *event, pid_t pid, int status, const void *data);

/* One more child, from its start to its event. */
void expect_report(struct exitfd *x);

bool is_readable(int fd);
void wait_readable(int fd);
/* Milliseconds of CLOCK_MONOTONIC, for deadlines. */
long long now_ms(void);

#endif
