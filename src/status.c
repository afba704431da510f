/* SPDX-License-Identifier: MIT */
/*
 * Every wait for a child goes through here. It never blocks and never gives
 * EINTR, each reap is noted for foreign_reaps.c, and a wait that a seccomp
 * filter blocks is noted for wait.c.
 */
#include "status.h"

#include "errnos.h"
#include "foreign_reaps.h"

#include <errno.h>
#include <unistd.h>

static _Thread_local bool blocked; /* of each thread: so is a seccomp filter */

static int why_no_wait(idtype_t type, int error)
{
    if (xfd_not_here(error) != -ENOTSUP)
        return -error;
    blocked |= type != P_ALL;
    return -EPERM;
}

static int wait_for(idtype_t type, id_t id, int options, struct wait_result *ret)
{
    ret->info.si_pid = 0;
    ret->info.si_code = 0;
    ret->info.si_status = 0;
    ret->rusage = (struct rusage){ 0 };
    if (xfd_platform_waitid(type, id, options | WNOHANG, &ret->info, &ret->rusage) < 0)
        return why_no_wait(type, errno);
    return ret->info.si_pid != 0 ? 1 : 0;
}

int xfd_status_wait(idtype_t type, id_t id, int options, struct wait_result *ret)
{
    if (options & WNOWAIT || !(options & WEXITED))
        return wait_for(type, id, options, ret);
    xfd_own_reap_begin();
    int found = wait_for(type, id, options, ret);
    xfd_own_reap_end(ret->info.si_pid, ret->rusage.ru_minflt);
    return found;
}

void xfd_status_await(idtype_t type, id_t id)
{
    struct wait_result result;

    xfd_platform_waitid(type, id, WEXITED | WNOWAIT, &result.info, &result.rusage);
    xfd_status_wait(type, id, WEXITED, &result);
}

void xfd_status_note_blocked(void)
{
    blocked = true;
}

void xfd_status_forget_blocked(void)
{
    blocked = false;
}

bool xfd_status_is_blocked(void)
{
    return blocked;
}

/* No process is a child of its own: this is about the call alone. */
int xfd_status_probe(void)
{
    struct wait_result ignored;
    return xfd_status_wait(P_PID, (id_t)getpid(), WEXITED | WNOWAIT, &ignored) == -EPERM ? -ENOTSUP : 0;
}

bool xfd_status_is_exit(const struct wait_result *result)
{
    int code = result->info.si_code;
    return code == CLD_EXITED || code == CLD_KILLED || code == CLD_DUMPED;
}

/*
 * What is held is a zombie. Where there is none, or a child lives, other code
 * has reaped it, and a later child has its pid. For good: that one will be a
 * zombie too.
 */
static int note_lost(struct watch *w)
{
    w->flags |= WATCH_REAPED_ELSEWHERE;
    return -ECHILD;
}

int xfd_status_wait_watch(struct watch *w, int options, struct wait_result *ret)
{
    if (w->flags & WATCH_REAPED_ELSEWHERE)
        return -ECHILD;
    if (w->flags & WATCH_ORPHAN)
        options |= xfd_platform_any_exit_signal;
    if (w->pidfd >= 0)
        return xfd_status_wait(WAIT_PIDFD, (id_t)w->pidfd, options, ret);
    int found = xfd_status_wait(P_PID, (id_t)w->pid, options, ret);
    return (found == 0 || found == -ECHILD) && w->flags & WATCH_HELD ? note_lost(w) : found;
}

int xfd_status_reap_exit(struct watch *w, struct wait_result *ret)
{
    int found = xfd_status_wait_watch(w, WEXITED | WNOWAIT, ret);

    if (found != 1 || !xfd_status_is_exit(ret))
        return found == 1 ? 0 : found;
    return xfd_status_is_peeked(w) ? 1 : xfd_status_wait_watch(w, WEXITED, ret);
}

int xfd_status_why_no_child(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH ? -ESRCH : -ECHILD;
}

bool xfd_status_is_special(pid_t pid)
{
    const int options = WEXITED | WNOWAIT | xfd_platform_other_exit_signal;
    struct wait_result ignored;

    return xfd_platform_other_exit_signal && xfd_status_wait(P_PID, (id_t)pid, options, &ignored) >= 0;
}

int xfd_status_check_child(pid_t pid)
{
    struct wait_result ignored;
    int found = xfd_status_wait(P_PID, (id_t)pid, WEXITED | WNOWAIT, &ignored);
    return found == -ECHILD ? xfd_status_why_no_child(pid) : found;
}
