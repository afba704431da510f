/* SPDX-License-Identifier: MIT */
/* What the suites about the life of a child share beside support.h and
   truth_support.h. */
#ifndef EXITFD_TESTS_LIFE_SUPPORT_H
#define EXITFD_TESTS_LIFE_SUPPORT_H

#include "truth_support.h"

#include <poll.h>
#include <pthread.h>

/* wait_event for where nothing makes the fd readable, as under SIG_IGN on the
   self-pipe back end. */
struct exitfd_event call_until_event(struct exitfd *x);
/* wait_event by a call that blocks. */
struct exitfd_event wait_event_blocked(struct exitfd *x);
/* expect_quiet after a SIGCHLD may come for a change that was seen already: the
   fd is quiet after a call or two. */
void expect_quiet_soon(struct exitfd *x);

pid_t spawn_shell(struct exitfd *x, const char *script, unsigned flags, void *data);

/* Runs argv by posix_spawnp, or through x if that is given, with attr, and
   returns all it wrote to stdout. */
struct output {
    char text[8192];
};
struct output output_of(struct exitfd *x, const posix_spawnattr_t *attr, char *const argv[]);

/* What the text of a /proc/.../status says. It skips the test if that has no
   signals. */
struct signal_masks {
    unsigned long long blocked, ignored;
};
struct signal_masks masks_in(const char *status);
bool is_in_mask(unsigned long long mask, int signum);

/* A child that does nothing until it is killed. */
pid_t start_paused(void);
/* The same, which x watches with x as its data. */
pid_t watch_paused(struct exitfd *x, unsigned flags);
/* Returns once its parent can see it. */
void stop_child(pid_t pid);
void continue_child(pid_t pid);

/* An orphan of this sub-reaper that ends like start_child. Its own parent is
   gone and reaped at the return. */
pid_t start_orphan(const struct gate *gate, int ending);
void become_subreaper(void);
/* The exitfd under test of a sub-reaper, with the catch-all watch and itself as
   its data. */
struct exitfd *open_catch_all(void);

/* run_in_process, as PID 1 of a new pid namespace. */
void run_as_pid_1(void (*body)(void), const char *skip_reason);

/* The same for a body that calls set_next_pid. The back end under test must
   work here. */
void run_where_pids_can_be_chosen(void (*body)(void));
/* In such a body: the next fork gives this pid, if it is free. Ends the test as
   skipped where that cannot be chosen. */
void set_next_pid(pid_t pid);

/* No pthread_atfork handler runs here. */
pid_t fork_without_libc(void);

/* Reaps a child whose checks, if any, must have held. */
void expect_success(pid_t pid);

/* A thread of the test. Asserts belong into the test's own. */
struct helper {
    pthread_t thread;
    pid_t tid;
};
struct helper start_helper(void *(*work)(void *), void *argument);
void *join_helper(struct helper *helper);

#endif
