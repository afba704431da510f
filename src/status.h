/* SPDX-License-Identifier: MIT */
/* waitid in one place, and what it says turned into events. */
#ifndef EXITFD_STATUS_H
#define EXITFD_STATUS_H

#include "exitfd.h"
#include "watches.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

/* What a non-blocking wait found. */
struct wait_result {
    pid_t pid;
    int code, status;
    struct rusage rusage;
};

/* 1: found, and reaped unless options has WNOWAIT; 0: nothing yet; -ECHILD: nothing to wait for, now or later; -EPERM: the
   kernel does not let this thread wait. Adds WNOHANG itself. */
int xfd_status_wait(idtype_t type, id_t id, int options, struct wait_result *ret);
/* By its pidfd if it has one. -ECHILD also where its pid names another child by now. */
int xfd_status_wait_watch(const struct watch *w, int options, struct wait_result *ret);

/* Reaps a child that is about to exit, unless other code is faster. Blocks until then. */
void xfd_status_await(idtype_t type, id_t id);

/* Whether there was an -EPERM in this thread since it was forgotten, other than for P_ALL. */
bool xfd_status_is_refused(void);
void xfd_status_note_refusal(void);
void xfd_status_forget_refusal(void);

/* 0, or -ENOTSUP: no wait is allowed, and no back end can work. */
int xfd_status_probe(void);

bool xfd_status_is_exit(const struct wait_result *result);

/* A wait with WEXITED also takes the ptrace stops of a child that this process traces itself. This one looks first, and
   gives what a reap gives. With EXITFD_OBSERVE nothing is reaped. */
int xfd_status_settle(const struct watch *w, struct wait_result *ret);

#define WAIT_PIDFD ((idtype_t)3) /* P_PIDFD: an enumerator in glibc 2.36, absent from musl 1.2.3 and from BSDs */

/* What somebody other than this library has reaped so far, as a sum that moves when they do. False, and *ret as it was,
   where that is not known: gVisor counts no page faults, nobody has any before the first child is reaped, and one that
   another thread is just reaping may be in the sum or not. */
bool xfd_status_foreign_reaps(unsigned long *ret);

void xfd_status_forked(void); /* in the child */

/* How many children this library has reaped in this process, and the pid that was reaped as number so many of them: 0 if
   that was too long ago, or is just being noted. Ask xfd_status_foreign_reaps first. */
uint64_t xfd_status_own_reaps(void);
pid_t xfd_status_reaped(uint64_t number);

/* -ECHILD if the process exists, -ESRCH if not: why a wait for it by pid gave ECHILD. */
int xfd_status_why_no_child(pid_t pid);

/* Whether the pid is a child of ours, dead or alive: 1, 0, -ECHILD, -ESRCH or -EPERM, 1 if it is already dead. */
int xfd_status_is_child(pid_t pid);

void xfd_event_fill(struct exitfd_event *event, const struct watch *w, const struct wait_result *result);
void xfd_event_recorded(struct exitfd_event *event, const struct watch *w, int wait_status);
void xfd_event_unknown(struct exitfd_event *event, const struct watch *w);

/* For status.c: the platform's half, wait.c. Like waitid(2), with rusage where it can be had, but never EINTR and
   si_pid 0 if there was nothing. */
int xfd_platform_waitid(idtype_t type, id_t id, int options, siginfo_t *info, struct rusage *rusage);

#endif
