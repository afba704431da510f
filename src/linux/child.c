/* SPDX-License-Identifier: MIT */
/*
 * Adding a process: open a pidfd, make sure that it is our child, have it
 * polled. Where one of these fails, SIGCHLD takes its place for this child.
 * Taking its event: wait by the pidfd, and where other code has reaped it read
 * the record.
 */
#include "linux/child.h"

#include "errnos.h"
#include "event.h"
#include "fds.h"
#include "linux/copies.h"
#include "linux/record.h"
#include "linux/sys.h"
#include "object.h"
#include "platform.h"
#include "private.h"
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

/* Both calls fail for want of such a process where they are there and let
   through: INT_MAX is above any pid_max. */
static int ask_kernel(void)
{
    siginfo_t ignored;

    syscall(SYS_waitid, WAIT_PIDFD, INT_MAX, &ignored, WEXITED | WNOHANG, NULL);
    if (errno != EBADF)
        return xfd_not_here(errno);
    sys_pidfd_open(INT_MAX);
    return errno == ESRCH ? 0 : xfd_not_here(errno);
}

int xfd_child_probe(void)
{
    static atomic_int answer = 1;
    int known = atomic_load(&answer);

    if (known > 0) {
        known = ask_kernel();
        if (known == 0 || known == -ENOTSUP)
            atomic_store(&answer, known);
    }
    return known;
}

/* Nothing to wait for, but in the moment in which the kernel reaps a child of
   ours by itself it is still ours. */
static OWN_FRAME int why_not_ours(const struct watch *w, int pidfd)
{
    pid_t parent = xfd_record_get_parent(pidfd);

    if (parent == getpid() && poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) == 1)
        return 0;
    return parent == -ENOTSUP ? xfd_status_why_no_child(w->pid) : parent == -ESRCH ? -ESRCH : -ECHILD;
}

/*
 * A pidfd that we opened is asked for by its pid, in half the time, and after
 * the open. If the child was reaped in between, that is an error. If its pid is
 * a new child's by then, the pidfd is readable at the end of that one.
 */
static int check_child(struct exitfd *x, const struct watch *w, int pidfd, bool opened)
{
    int found = opened ? xfd_status_wait(P_PID, (id_t)w->pid, WEXITED | WNOWAIT | __WALL, &x->answer)
                       : xfd_status_wait(WAIT_PIDFD, (id_t)pidfd, WEXITED | WNOWAIT, &x->answer);
    bool observes = w->flags & EXITFD_OBSERVE;
    if (found == -EPERM && (!observes || w->flags & STOP_FLAGS)) /* an observer can do with the record */
        return found;
    if (found != -ECHILD)
        return 0;
    if (!observes)
        return why_not_ours(w, pidfd);
    return w->flags & STOP_FLAGS ? -ENOTSUP : 0;
}

/* Other code has reaped the child that was started, or the kernel has, and its
   pid was given away before we opened it. */
static OWN_FRAME bool is_stranger(struct exitfd *x, const struct watch *w, int pidfd)
{
    return xfd_status_wait(P_PID, (id_t)w->pid, WEXITED | WNOWAIT | __WALL, &x->answer) == -ECHILD &&
           why_not_ours(w, pidfd) == -ECHILD;
}

int xfd_child_add(struct exitfd *x, struct watch *w, int given, bool started_by_us,
                  int (*arm)(struct exitfd *, struct watch *, int),
                  int (*track)(struct exitfd *, struct watch *, int, bool))
{
    if (w->flags & WATCH_REAPED_ELSEWHERE) /* a later child has the pid */
        return track(x, w, -ESRCH, started_by_us);
    int pidfd = given >= 0 ? given : sys_pidfd_open(w->pid);
    int error = pidfd < 0 ? -errno : 0;

    if (error == -ESRCH && !started_by_us)
        return error;
    if (error < 0)
        return track(x, w, error, started_by_us);
    if (started_by_us && given < 0 && is_stranger(x, w, pidfd)) {
        close(pidfd);
        return track(x, w, -ESRCH, started_by_us);
    }
    error = started_by_us ? 0 : check_child(x, w, pidfd, given < 0);
    bool in_question = error < 0;
    if (!in_question)
        error = arm(x, w, pidfd);
    if (error == 0) {
        w->pidfd = pidfd;
        w->flags |= given >= 0 && !started_by_us ? WATCH_SHARED : 0; /* one from birth is ours alone */
        if (w->flags & STOP_FLAGS)
            xfd_tracking_add_for_stops(x, w);
        return 0;
    }
    if (!in_question)
        error = track(x, w, error, started_by_us);
    if (given < 0 || error == 0)
        close(pidfd);
    return error;
}

/* No child of ours, or reaped by other code, or (-EPERM) we may not wait. 1:
   the event; 0: the kernel does not say so yet. */
static OWN_FRAME int learn(const struct watch *w, int why, bool reaped, struct exitfd_event *event)
{
    struct record record;

    if (xfd_platform_get_record(w->pidfd, &record))
        xfd_event_recorded(event, w, &record);
    else if (reaped || (why != -EPERM && !xfd_record_reap_is_shown(w->pidfd)))
        xfd_event_unknown(event, w);
    else
        return why == -EPERM ? why : 0;
    return 1;
}

int xfd_child_take(struct exitfd *x, struct watch *w, bool reaped, struct exitfd_event *event)
{
    int options = WEXITED | (xfd_status_is_peeked(w) ? WNOWAIT : 0);
    int found = xfd_status_wait_watch(w, options, &x->answer);

    if (xfd_object_is_stale(x)) /* a handler forked: the answer is the parent's, and is wiped here */
        return -ESTALE;
    if (found < 0)
        return learn(w, found, reaped, event);
    /*
     * It may also be a stop of a child that we trace ourselves. Before Linux
     * 6.15 a pidfd is readable when the first thread exits. Another thread may
     * take its place by an exec, and stop there.
     */
    if (found == 0 || !xfd_status_is_exit(&x->answer))
        return 0;
    xfd_event_fill(event, w, &x->answer);
    if (event && event->code == CLD_KILLED)
        event->crash_signal = xfd_record_get_dump_signal(w->pidfd, event->status);
    return 1;
}

/* A handler may have forked in the middle of a call. In its child the watch is
   wiped, and its pidfd reads as stdin. */
void xfd_child_close(struct watch *w)
{
    if (w->pid != 0)
        xfd_close_fd(&w->pidfd);
}

void xfd_child_close_all(struct exitfd *x)
{
    struct watch *w;

    if (xfd_object_is_stale(x)) {
        xfd_copies_close(x);
        return;
    }
    for (uint32_t slot = 0; (w = xfd_watches_iterate(&x->watches, &slot));)
        xfd_close_fd(&w->pidfd);
}
