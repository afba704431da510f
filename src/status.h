/* SPDX-License-Identifier: MIT */
/*
 * waitid in one place, and whether a seccomp filter blocks it in this thread.
 * All that looks at a child or reaps one comes here, so that each reap is noted
 * for foreign_reaps.h. The calls of a watch are made with x->lock held.
 */
#ifndef EXITFD_STATUS_H
#define EXITFD_STATUS_H

#include "exitfd.h"
#include "watches.h"

#include <stdbool.h>
#include <sys/wait.h>

/* What a non-blocking wait found. */
struct wait_result {
    siginfo_t info; /* of which si_pid, si_code and si_status are set */
    struct rusage rusage;
};

/*
 * 1: found, and reaped unless options has WNOWAIT; 0: nothing yet; -ECHILD:
 * nothing to wait for, now or later; -EPERM: the kernel does not let this
 * thread wait. Adds WNOHANG itself.
 */
int xfd_status_wait(idtype_t type, id_t id, int options, struct wait_result *ret);

/* Its exit is only looked at, and other code reaps it. */
static inline bool xfd_status_is_peeked(const struct watch *w)
{
    return w->flags & (EXITFD_OBSERVE | EXITFD_HOLD);
}

/* By its pidfd if it has one. -ECHILD also where its pid was reused. */
int xfd_status_wait_watch(struct watch *w, int options, struct wait_result *ret);

/* Reaps a child that is about to exit, unless other code is faster. Blocks
   until then. */
void xfd_status_await(idtype_t type, id_t id);

/*
 * Reaps w if it has exited, or only looks at it (xfd_status_is_peeked). Returns
 * as the above. A wait with WEXITED also takes the ptrace stops of a child that
 * this process traces itself, so this one looks first.
 */
int xfd_status_reap_exit(struct watch *w, struct wait_result *ret);

/*
 * A seccomp filter that is installed after exitfd_open, of one thread or of
 * all, may block a wait for a child. Then no event is lost: what needed the
 * wait stays due for a thread that may, and this call fails with -ENOTSUP.
 * Whether a wait was blocked in this thread since that was forgotten; one for
 * P_ALL does not count, each child can still be asked for.
 */
bool xfd_status_is_blocked(void);
void xfd_status_note_blocked(void);
void xfd_status_forget_blocked(void);

/* 0, or -ENOTSUP: no wait is allowed, and no back end can work. */
int xfd_status_probe(void);

bool xfd_status_is_exit(const struct wait_result *result);

#define WAIT_PIDFD ((idtype_t)3) /* P_PIDFD: an enumerator in glibc 2.36, absent from musl 1.2.3 and from BSDs */

/* -ECHILD if the process exists, -ESRCH if not: why a wait for it by pid gave
   ECHILD. */
int xfd_status_why_no_child(pid_t pid);

/* Whether the pid is of a child that clone(2) gave another exit signal than
   SIGCHLD, or is traced by this process. */
bool xfd_status_is_special(pid_t pid);

/* Whether the pid is of a child of ours. 1: it is dead, 0: it is alive, or
   -ECHILD, -ESRCH or -EPERM. */
int xfd_status_check_child(pid_t pid);

/* For status.c: the platform's half, waitid.c. */
extern const int xfd_platform_any_exit_signal; /* the option that finds children of every exit signal, or 0 */
/* The one that finds children with another exit signal than SIGCHLD, and all
   that this process traces. 0: there are none. */
extern const int xfd_platform_other_exit_signal;

/* Like waitid(2), with rusage where it can be had, but never EINTR. info and
   rusage are 0 before, and stay so if there was nothing. */
int xfd_platform_waitid(idtype_t type, id_t id, int options, siginfo_t *info, struct rusage *rusage);

#endif
