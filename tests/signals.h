/* SPDX-License-Identifier: MIT */
/* What the suites about SIGCHLD share: its disposition, its mask, and a pipe
   that is woken by it. */
#ifndef EXITFD_TESTS_SIGNALS_H
#define EXITFD_TESTS_SIGNALS_H

#include "truth_support.h" /* set_sigchld, unblock_sigchld */

#include <exitfd.h>
#include <signal.h>

/* A pipe for exitfd_install_handler. The write end blocks, as exitfd must find
   it; the read end does not. */
struct wakeup {
    int read_end;
    int write_end;
};
struct wakeup open_wakeup(void);
void close_wakeup(struct wakeup *wakeup);
int take_bytes(const struct wakeup *wakeup);

/* exitfd_install_handler, which must work: the fd that was registered
   before. */
int install(int fd);

struct sigaction current_disposition(void);

/*
 * SIGCHLD to this process from itself, with SIGCHLD unblocked in the calling
 * thread: delivered before the return if every other thread blocks it, as they
 * do in a test that starts none.
 */
void send_sigchld(void);

/* A new child's exit reaches x, once. */
void expect_served(struct exitfd *x, int status);

/* A line of the report: to the file that EXITFD_TEST_REPORT names
   (tests/with-report), else to stdout. */
void diagnose(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
