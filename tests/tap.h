/* SPDX-License-Identifier: MIT */
/*
 * A harness for plain test programs: POSIX and exitfd.h alone, no test
 * framework, so that they also run where none can be had (musl, old kernels in
 * QEMU, other processors, under TSan). The full suites are the Criterion ones
 * beside this.
 *
 * Such a program prints TAP. The back end is that of EXITFD_BACKEND. If it does
 * not work here, all is skipped. It exits with 0 if all is well, 1 if not, 2 if
 * it was called wrongly.
 */
#ifndef EXITFD_TESTS_TAP_H
#define EXITFD_TESTS_TAP_H

#include "check.h"
#include "children.h"

#include <exitfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How long anything that must happen may take. Never how long something is
   waited out. */
#define DEADLINE_MS 100000

struct tap_case {
    const char *name;
    void (*run)(void);
};
int tap_main(int argc, char *argv[], const struct tap_case *cases, size_t count);

struct exitfd *open_exitfd(void);

/* Children. They end by themselves after two minutes. */
pid_t fork_guarded(void);
pid_t start_exit(int status);
pid_t start_sleeper(void);
/* SIGSTOP, or 0 on a system (gVisor) whose waitid does not say which signal
   stopped a child. */
int status_of_a_stop(void);

bool is_readable(struct exitfd *x, int timeout_ms);
/* The next event by way of the fd; pid 0 if there is none before the
   deadline. */
struct exitfd_event next_event(struct exitfd *x);
/* No event, and the fd says so. */
bool is_quiet(struct exitfd *x);
bool is_event(const struct exitfd_event *event, pid_t pid, int code, int status, int origin);

#endif
