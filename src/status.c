/* SPDX-License-Identifier: MIT */
#include "status.h"

#include "errnos.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define REAPS_KEPT 256

static _Atomic unsigned long own_faults;
static _Atomic unsigned reaping;                      /* threads between their wait and their note of it */
static _Atomic uint64_t own_reaps, reaps[REAPS_KEPT]; /* each the number of the reap, and the pid in the lower half */

/* Other exitfds of this process may follow the same child. The faults go last: who finds them counted finds the reap. */
static void note_reap(const struct wait_result *result)
{
    uint64_t number = atomic_fetch_add(&own_reaps, 1);

    atomic_store(&reaps[number % REAPS_KEPT], number << 32 | (uint32_t)result->pid);
    atomic_fetch_add(&own_faults, (unsigned long)result->rusage.ru_minflt);
}

uint64_t xfd_status_own_reaps(void)
{
    return atomic_load(&own_reaps);
}

pid_t xfd_status_reaped(uint64_t number)
{
    uint64_t reap = atomic_load(&reaps[number % REAPS_KEPT]);
    return reap >> 32 == (uint32_t)number ? (pid_t)(uint32_t)reap : 0;
}

void xfd_status_forked(void)
{
    atomic_store(&reaping, 0);
}

/* By a seccomp filter, of which each thread has its own. */
static _Thread_local bool refused;

/* Whoever is refused all children can still ask for each, and counts as refused only then. */
static int why_no_wait(idtype_t type, int error)
{
    if (xfd_not_here(error) != -ENOTSUP)
        return -error;
    refused |= type != P_ALL;
    return -EPERM;
}

static int wait_for(idtype_t type, id_t id, int options, struct wait_result *ret)
{
    siginfo_t info = { 0 };

    memset(ret, 0, sizeof *ret);
    if (xfd_platform_waitid(type, id, options | WNOHANG, &info, &ret->rusage) < 0)
        return why_no_wait(type, errno);
    if (info.si_pid == 0)
        return 0;
    ret->pid = info.si_pid;
    ret->code = info.si_code;
    ret->status = info.si_status;
    return 1;
}

int xfd_status_wait(idtype_t type, id_t id, int options, struct wait_result *ret)
{
    if (options & WNOWAIT || !(options & WEXITED))
        return wait_for(type, id, options, ret);
    atomic_fetch_add(&reaping, 1);
    int found = wait_for(type, id, options, ret);
    if (found == 1)
        note_reap(ret);
    atomic_fetch_sub(&reaping, 1);
    return found;
}

void xfd_status_await(idtype_t type, id_t id)
{
    struct wait_result result;
    struct rusage ignored;
    siginfo_t info;

    xfd_platform_waitid(type, id, WEXITED | WNOWAIT, &info, &ignored);
    xfd_status_wait(type, id, WEXITED, &result);
}

void xfd_status_note_refusal(void)
{
    refused = true;
}

void xfd_status_forget_refusal(void)
{
    refused = false;
}

bool xfd_status_is_refused(void)
{
    return refused;
}

/* Nobody is a child of its own: this is about the call alone. */
int xfd_status_probe(void)
{
    struct wait_result ignored;
    return xfd_status_wait(P_PID, (id_t)getpid(), WEXITED | WNOWAIT, &ignored) == -EPERM ? -ENOTSUP : 0;
}

bool xfd_status_is_exit(const struct wait_result *result)
{
    return result->code == CLD_EXITED || result->code == CLD_KILLED || result->code == CLD_DUMPED;
}

int xfd_status_wait_watch(const struct watch *w, int options, struct wait_result *ret)
{
    if (w->flags & WATCH_GONE)
        return -ECHILD;
    return w->pidfd >= 0 ? xfd_status_wait(WAIT_PIDFD, (id_t)w->pidfd, options, ret)
                         : xfd_status_wait(P_PID, (id_t)w->pid, options, ret);
}

int xfd_status_settle(const struct watch *w, struct wait_result *ret)
{
    int found = xfd_status_wait_watch(w, WEXITED | WNOWAIT, ret);

    if (found != 1 || !xfd_status_is_exit(ret))
        return found == 1 ? 0 : found;
    return w->flags & (EXITFD_OBSERVE | EXITFD_HOLD) ? 1 : xfd_status_wait_watch(w, WEXITED, ret);
}

/*
 * No call says "somebody reaped one of your children", and asking for each is O(n). But the kernel adds the page faults
 * of every child that is waited for to those of its parent (getrusage(2), RUSAGE_CHILDREN), and hardly any process runs
 * without (one of clone(2) with CLONE_VM may): what is there beyond those that we reaped was reaped by somebody else.
 */
bool xfd_status_foreign_reaps(unsigned long *ret)
{
    struct rusage children = { 0 };
    unsigned long own = atomic_load(&own_faults);

    getrusage(RUSAGE_CHILDREN, &children);
    if (children.ru_minflt == 0 || atomic_load(&reaping) > 0 || atomic_load(&own_faults) != own)
        return false;
    *ret = (unsigned long)children.ru_minflt - own;
    return true;
}

int xfd_status_why_no_child(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH ? -ESRCH : -ECHILD;
}

int xfd_status_is_child(pid_t pid)
{
    struct wait_result ignored;
    int found = xfd_status_wait(P_PID, (id_t)pid, WEXITED | WNOWAIT, &ignored);
    return found == -ECHILD ? xfd_status_why_no_child(pid) : found;
}

static void event_start(struct exitfd_event *event, const struct watch *w, enum exitfd_origin origin)
{
    memset(event, 0, sizeof *event);
    event->pid = w->pid == PID_LOST ? 0 : w->pid;
    event->data = w->data;
    event->origin = origin;
}

void xfd_event_fill(struct exitfd_event *event, const struct watch *w, const struct wait_result *result)
{
    bool reaped = xfd_status_is_exit(result) && !(w->flags & (EXITFD_OBSERVE | EXITFD_HOLD));

    event_start(event, w, reaped ? EXITFD_REAPED : EXITFD_PEEKED);
    event->code = result->code;
    event->status = result->status;
    event->rusage = result->rusage;
}

void xfd_event_recorded(struct exitfd_event *event, const struct watch *w, int wait_status)
{
    event_start(event, w, EXITFD_RECORDED);
    if (WIFEXITED(wait_status)) {
        event->code = CLD_EXITED;
        event->status = WEXITSTATUS(wait_status);
    } else {
        event->code = WCOREDUMP(wait_status) ? CLD_DUMPED : CLD_KILLED;
        event->status = WTERMSIG(wait_status);
    }
}

void xfd_event_unknown(struct exitfd_event *event, const struct watch *w)
{
    event_start(event, w, EXITFD_UNKNOWN);
}
