/* SPDX-License-Identifier: MIT */
/*
 * One pidfd per child in the private epoll set, edge-triggered and at first one-shot.
 *
 * One-shot, because the reap makes another edge, and because closing a pidfd does not take it out of the set while a
 * forked child still holds a copy: an entry that has fired is off, and nothing more comes of it, without the system
 * call that would take it out. Edge-triggered, because a pidfd is readable before waitid finds anything while a tracer
 * holds the child, and a zombie that is not ours to reap stays readable for as long as its parent likes.
 */
#include "follow.h"
#include "linux/record.h"
#include "linux/set.h"
#include "linux/sys.h"
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

#define BATCH 64
#define JOB_FLAGS (EXITFD_STOPPED | EXITFD_CONTINUED)

static int not_here(int error)
{
    return error == ENOSYS || error == EPERM || error == EACCES || error == EINVAL ? -ENOTSUP : -error;
}

/* Both calls fail for want of such a process where they are there and let through: INT_MAX is above any pid_max. */
static int ask_kernel(void)
{
    syscall(SYS_waitid, WAIT_PIDFD, INT_MAX, NULL, WEXITED | WNOHANG, NULL);
    if (errno != EBADF)
        return not_here(errno);
    sys_pidfd_open(INT_MAX);
    return errno == ESRCH ? 0 : not_here(errno);
}

static int probe(unsigned flags, bool forced)
{
    static atomic_int answer = 1;
    int known = atomic_load(&answer);

    (void)flags, (void)forced;
    if (known > 0) {
        known = ask_kernel();
        if (known == 0 || known == -ENOTSUP)
            atomic_store(&answer, known);
    }
    return known;
}

static int open_pidfd(struct exitfd *x)
{
    int error = xfd_set_open(x);

    if (error < 0)
        return error;
    error = xfd_follow_start(x);
    if (error < 0)
        xfd_set_close(x);
    return error;
}

static void close_pidfd(struct exitfd *x)
{
    struct watch *w;

    for (uint32_t slot = 0; (w = xfd_watches_iterate(&x->watches, &slot));)
        xfd_close_fd(&w->pidfd);
    xfd_follow_stop(x);
    xfd_set_close(x);
}

/* Nothing to wait for, but in the moment in which the kernel reaps a child of ours by itself it is still ours. */
static int why_no_child(const struct watch *w, int pidfd)
{
    pid_t parent = xfd_record_get_parent(pidfd);

    if (parent == getpid() && poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) == 1)
        return 0;
    return parent == -ENOTSUP ? xfd_status_why_no_child(w->pid) : parent == -ESRCH ? -ESRCH : -ECHILD;
}

static int check_child(const struct watch *w, int pidfd)
{
    struct wait_result ignored;

    if (xfd_status_wait(WAIT_PIDFD, (id_t)pidfd, WEXITED | WNOWAIT, &ignored) != -ECHILD)
        return 0;
    if (!(w->flags & EXITFD_OBSERVE))
        return why_no_child(w, pidfd);
    return w->flags & JOB_FLAGS ? -ENOTSUP : 0;
}

static int add_to_set(struct exitfd *x, struct watch *w, int pidfd)
{
    return xfd_set_add(x, pidfd, EPOLLIN | EPOLLET | EPOLLONESHOT, xfd_watches_token(&x->watches, w));
}

/* No pidfd, and not for want of a process. A thread id gets EINVAL, or ENOENT from newer kernels: no child has it. */
static int do_without(struct exitfd *x, struct watch *w, int error, bool known_child)
{
    bool no_process = error == -EINVAL || error == -ENOENT;

    error = xfd_follow_add(x, w, error, known_child);
    return error < 0 && no_process ? -ESRCH : error;
}

static int add(struct exitfd *x, struct watch *w, int given, bool known_child)
{
    int pidfd = given >= 0 ? given : sys_pidfd_open(w->pid);
    int error = pidfd < 0 ? -errno : 0;

    if (error == -ESRCH && !known_child)
        return error;
    if (error < 0)
        return do_without(x, w, error, known_child);
    error = known_child ? 0 : check_child(w, pidfd);
    bool in_question = error < 0;
    if (!in_question)
        error = add_to_set(x, w, pidfd);
    if (error == 0) {
        w->pidfd = pidfd;
        if (w->flags & JOB_FLAGS)
            xfd_follow_jobs(x, w);
        return 0;
    }
    if (!in_question)
        error = do_without(x, w, error, known_child);
    if (given < 0 || error == 0)
        close(pidfd);
    return error;
}

static void let_go(struct exitfd *x, struct watch *w, bool in_set)
{
    xfd_follow_remove(x, w);
    if (w->pidfd < 0)
        return;
    if (in_set)
        epoll_ctl(x->fd, EPOLL_CTL_DEL, w->pidfd, NULL);
    xfd_close_fd(&w->pidfd);
}

static void remove_watch(struct exitfd *x, struct watch *w)
{
    let_go(x, w, true);
}

/* From now on an edge for each change, and at once if it is readable: nothing since the last look is missed. */
static void rearm(struct exitfd *x, struct watch *w)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = xfd_watches_token(&x->watches, w) };

    if (w->flags & WATCH_REARMED)
        return;
    w->flags |= WATCH_REARMED;
    epoll_ctl(x->fd, EPOLL_CTL_MOD, w->pidfd, &event);
}

/* Nothing to wait for: no child of ours, or reaped by somebody else. 1: the event; 0: the kernel has yet to tell. */
static int learn(const struct watch *w, bool reaped, struct exitfd_event *event)
{
    int wait_status;

    if (xfd_record_get_status(w->pidfd, &wait_status))
        xfd_event_recorded(event, w, wait_status);
    else if (reaped || !xfd_record_reap_is_shown(w->pidfd))
        xfd_event_unknown(event, w);
    else
        return 0;
    return 1;
}

static int settle(struct exitfd *x, struct watch *w, uint32_t ready, struct exitfd_event *event)
{
    struct wait_result result;
    int options = WEXITED | (w->flags & EXITFD_OBSERVE ? WNOWAIT : 0);
    int found = xfd_status_wait_watch(w, options, &result);

    if (found == 1)
        xfd_event_fill(event, w, &result);
    else if (found < 0)
        found = learn(w, ready & EPOLLHUP, event);
    if (found == 0) {
        rearm(x, w);
        return 0;
    }
    int count = w->flags & WATCH_DISCARDED ? 0 : 1;
    let_go(x, w, w->flags & WATCH_REARMED);
    xfd_watches_drop(&x->watches, w);
    return count;
}

static int take(struct exitfd *x, const struct epoll_event *ready, int ready_count, struct exitfd_event *events,
                int max)
{
    bool woken = false;
    int count = 0;

    for (int i = 0; i < ready_count; i++) {
        struct watch *w = xfd_watches_by_token(&x->watches, ready[i].data.u64);
        if (xfd_set_drain(x, ready[i].data.u64))
            woken = true;
        else if (w && w->pidfd >= 0)
            count += settle(x, w, ready[i].events, &events[count]);
    }
    return woken ? count + xfd_follow_collect(x, events + count, max - count, x->ticking, 0) : count;
}

static int wait_pidfd(struct exitfd *x, struct exitfd_event *events, int max, int timeout)
{
    struct epoll_event ready[BATCH];
    int count = 0, ready_count, room;

    pthread_mutex_lock(&x->lock);
    xfd_follow_check(x);
    pthread_mutex_unlock(&x->lock);
    do {
        room = max - count < BATCH ? max - count : BATCH;
        ready_count = xfd_set_wait(x, ready, room, count ? 0 : timeout);
        if (ready_count <= 0)
            return count ? count : ready_count;
        pthread_mutex_lock(&x->lock);
        count += take(x, ready, ready_count, events + count, max - count);
        pthread_mutex_unlock(&x->lock);
    } while (count < max && ready_count == room);
    return count;
}

const struct backend xfd_pidfd_backend = {
    .name = "pidfd",
    .flag = EXITFD_PIDFD,
    .probe = probe,
    .open = open_pidfd,
    .close = close_pidfd,
    .add = add,
    .remove = remove_watch,
    .wait = wait_pidfd,
    .tick = xfd_set_tick,
};
