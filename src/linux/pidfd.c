/* SPDX-License-Identifier: MIT */
/*
 * One pidfd per child in the private epoll set, edge-triggered and at first
 * one-shot.
 *
 * One-shot, because the reap makes another edge, and because closing a pidfd
 * does not take it out of the set while a forked child still holds a copy. An
 * entry that has fired is off, which saves the system call that would take it
 * out. A pidfd that the caller has too is taken out. The same file may come
 * again with the same number, and the set cannot have two such entries. Or a
 * forked child may take that file for a copy of ours (copies.c).
 *
 * Edge-triggered, because a pidfd may be readable before waitid finds anything,
 * while a tracer holds the child. And a zombie that is not ours to reap stays
 * readable until its parent reaps it.
 */
#include "autokill.h"
#include "linux/child.h"
#include "linux/set.h"
#include "private.h"

#include <errno.h>

#define BATCH 16
_Static_assert(BATCH * sizeof(struct epoll_event) <= sizeof(((struct exitfd *)NULL)->ready),
               "there is room for a batch");

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
    error = xfd_subscription_open(x);
    if (error < 0)
        xfd_set_close(x);
    return error;
}

static void close_pidfd(struct exitfd *x)
{
    xfd_child_close_all(x);
    xfd_subscription_close(x);
    xfd_set_close(x);
}

static int add_to_set(struct exitfd *x, struct watch *w, int pidfd)
{
    uint64_t token = xfd_watches_token(&x->watches, w);
    int error = xfd_set_add(x, pidfd, EPOLLIN | EPOLLET | EPOLLONESHOT, token);

    /* A copy that a forked child kept, and sent to the caller, who now gives it
       to us. */
    if (error == -EEXIST) {
        epoll_ctl(x->fd, EPOLL_CTL_DEL, pidfd, NULL);
        error = xfd_set_add(x, pidfd, EPOLLIN | EPOLLET | EPOLLONESHOT, token);
    }
    return error;
}

static int add(struct exitfd *x, struct watch *w, int given, bool started_by_us)
{
    return xfd_child_add(x, w, given, started_by_us, add_to_set, xfd_tracking_add);
}

static void end_watch(struct exitfd *x, struct watch *w, bool in_set)
{
    xfd_tracking_remove(x, w);
    if (w->pidfd < 0)
        return;
    if (in_set)
        epoll_ctl(x->fd, EPOLL_CTL_DEL, w->pidfd, NULL);
    xfd_child_close(w);
}

static void remove_watch(struct exitfd *x, struct watch *w)
{
    end_watch(x, w, true);
}

/*
 * From now on an edge for each change, and at once if it is readable: nothing
 * since the last look is missed. Again each time that this thread may not wait:
 * another one may.
 */
static OWN_FRAME void rearm(struct exitfd *x, struct watch *w, bool blocked)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = xfd_watches_token(&x->watches, w) };

    if (w->flags & WATCH_REARMED && !blocked)
        return;
    w->flags |= WATCH_REARMED;
    epoll_ctl(x->fd, EPOLL_CTL_MOD, w->pidfd, &event);
}

/* Its pidfd stays, for exitfd_kill. */
static OWN_FRAME void hold(struct exitfd *x, struct watch *w)
{
    xfd_tracking_remove(x, w);
    epoll_ctl(x->fd, EPOLL_CTL_DEL, w->pidfd, NULL);
    w->flags |= WATCH_HELD;
}

/* How many events, or -EPERM or -ESTALE. */
static int finish_watch(struct exitfd *x, struct watch *w, uint32_t ready, struct exitfd_event *event)
{
    int count = xfd_watch_is_reported(w);

    int found = xfd_child_take(x, w, ready & EPOLLHUP, count ? event : NULL);
    if (found == -ESTALE)
        return found;
    if (found <= 0) {
        rearm(x, w, found < 0);
        return found;
    }
    if (w->flags & EXITFD_HOLD) {
        hold(x, w);
        return count;
    }
    if (w->autokill)
        xfd_autokill_end(w->autokill);
    end_watch(x, w, w->flags & (WATCH_REARMED | WATCH_SHARED));
    xfd_watches_drop(&x->watches, w);
    return count;
}

/* How many events; -EPERM: none, and what could not be waited for is ready
   again. */
static int take_ready(struct exitfd *x, const struct epoll_event *ready, int ready_count, struct exitfd_event *events,
                      int max)
{
    bool woken = false;
    int count = 0, error = 0;

    for (int i = 0; i < ready_count; i++) {
        struct watch *w = xfd_watches_by_token(&x->watches, ready[i].data.u64);
        if (xfd_set_drain(x, ready[i].data.u64)) {
            woken = true;
        } else if (w && w->pidfd >= 0) {
            int found = finish_watch(x, w, ready[i].events, &events[count]);
            error = found < 0 ? found : error;
            count += found > 0 ? found : 0;
        }
    }
    /* Here, and not at the end of all: with a small max the pidfds would always
       be faster. */
    if (woken)
        count += xfd_scan_take(x, events + count, max - count, x->subscription.signal_lost, 0);
    return count > 0 ? count : error;
}

/* The child in turn comes last: with a small max, children without a pidfd that
   exit all the time would hide the others. */
static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct epoll_event *ready = (void *)x->ready;
    int count = 0, found, ready_count, room;

    do {
        room = max - count < BATCH ? max - count : BATCH;
        ready_count = xfd_set_get_ready(x, ready, room);
        found = ready_count > 0 ? take_ready(x, ready, ready_count, events + count, max - count) : ready_count;
        count += found > 0 ? found : 0;
    } while (found >= 0 && ready_count == room && count < max);
    if (found != -ESTALE && count < max)
        count += xfd_scan_one(x, events + count);
    return count > 0 ? count : found;
}

const struct backend xfd_pidfd_backend = {
    .name = "pidfd",
    .flag = EXITFD_PIDFD,
    .probe = probe,
    .open = open_pidfd,
    .close = close_pidfd,
    .add = add,
    .remove = remove_watch,
    .take = take,
    .set_recheck = xfd_set_recheck,
};
