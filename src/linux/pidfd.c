/* SPDX-License-Identifier: MIT */
/*
 * One pidfd per child in the private epoll set, edge-triggered and at first one-shot.
 *
 * One-shot, because the reap makes another edge, and because closing a pidfd does not take it out of the set while a
 * forked child still holds a copy: an entry that has fired is off, and nothing more comes of it, without the system
 * call that would take it out. (A duplicate of the caller's pidfd is taken out: the same file may come again with the
 * same number, and of that there cannot be two entries.) Edge-triggered, because a pidfd is readable before waitid finds
 * anything while a tracer holds the child, and a zombie that is not ours to reap stays readable for as long as its
 * parent likes.
 */
#include "follow.h"
#include "linux/child.h"
#include "linux/set.h"

#include <errno.h>

#define BATCH 64

static int probe(unsigned flags, bool forced)
{
    (void)flags, (void)forced;
    return xfd_child_probe();
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
    xfd_child_close_all(x);
    xfd_follow_stop(x);
    xfd_set_close(x);
}

static int add_to_set(struct exitfd *x, struct watch *w, int pidfd)
{
    uint64_t token = xfd_watches_token(&x->watches, w);
    int error = xfd_set_add(x, pidfd, EPOLLIN | EPOLLET | EPOLLONESHOT, token);

    /* The caller has kept a duplicate of what exitfd_get_pidfd gave, and now gives it to us. */
    if (error == -EEXIST) {
        epoll_ctl(x->fd, EPOLL_CTL_DEL, pidfd, NULL);
        error = xfd_set_add(x, pidfd, EPOLLIN | EPOLLET | EPOLLONESHOT, token);
    }
    return error;
}

static int add(struct exitfd *x, struct watch *w, int given, bool known_child)
{
    return xfd_child_add(x, w, given, known_child, add_to_set, xfd_follow_add);
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

/* From now on an edge for each change, and at once if it is readable: nothing since the last look is missed. Again each time
   that this thread may not wait: another one may. */
static void rearm(struct exitfd *x, struct watch *w, bool refused)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = xfd_watches_token(&x->watches, w) };

    if (w->flags & WATCH_REARMED && !refused)
        return;
    w->flags |= WATCH_REARMED;
    epoll_ctl(x->fd, EPOLL_CTL_MOD, w->pidfd, &event);
}

/* Its pidfd stays, for exitfd_kill. */
static void hold(struct exitfd *x, struct watch *w)
{
    xfd_follow_remove(x, w);
    epoll_ctl(x->fd, EPOLL_CTL_DEL, w->pidfd, NULL);
    w->flags |= WATCH_HELD;
}

/* How many events, or -EPERM. */
static int settle(struct exitfd *x, struct watch *w, uint32_t ready, struct exitfd_event *event)
{
    struct exitfd_event untold;
    int count = w->flags & WATCH_DISCARDED ? 0 : 1;

    int taken = xfd_child_take(w, ready & EPOLLHUP, count ? event : &untold);
    if (taken <= 0) {
        rearm(x, w, taken < 0);
        return taken;
    }
    if (w->flags & EXITFD_HOLD) {
        hold(x, w);
        return count;
    }
    let_go(x, w, w->flags & (WATCH_REARMED | WATCH_SHARED));
    xfd_watches_drop(&x->watches, w);
    return count;
}

/* How many events; -EPERM: none, and what could not be waited for is ready again. */
static int take(struct exitfd *x, const struct epoll_event *ready, int ready_count, struct exitfd_event *events,
                int max)
{
    bool woken = false;
    int count = 0, error = 0;

    for (int i = 0; i < ready_count; i++) {
        struct watch *w = xfd_watches_by_token(&x->watches, ready[i].data.u64);
        if (xfd_set_drain(x, ready[i].data.u64))
            woken = true;
        else if (w && w->pidfd >= 0) {
            int settled = settle(x, w, ready[i].events, &events[count]);
            if (settled < 0)
                error = settled;
            else
                count += settled;
        }
    }
    if (woken)
        count += xfd_follow_collect(x, events + count, max - count, x->deaf, 0);
    return count > 0 ? count : error;
}

static int wait_pidfd(struct exitfd *x, struct exitfd_event *events, int max, int timeout)
{
    struct epoll_event ready[BATCH];
    int count, taken, ready_count, room;

    pthread_mutex_lock(&x->lock);
    xfd_follow_check(x);
    timeout = xfd_follow_patience(x, timeout);
    count = xfd_follow_audit(x, events);
    pthread_mutex_unlock(&x->lock);
    if (count == max)
        return count;
    do {
        room = max - count < BATCH ? max - count : BATCH;
        ready_count = xfd_set_wait(x, ready, room, count ? 0 : timeout);
        if (ready_count <= 0)
            return count ? count : ready_count;
        pthread_mutex_lock(&x->lock);
        taken = take(x, ready, ready_count, events + count, max - count);
        pthread_mutex_unlock(&x->lock);
        count += taken > 0 ? taken : 0;
        timeout = 0;
    } while (taken >= 0 && count < max && ready_count == room);
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
