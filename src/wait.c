/* SPDX-License-Identifier: MIT */
/*
 * exitfd_wait: sleep until the fd is readable, then take what is due. This is
 * the only place that waits for events, and it does so without x->lock. A wait
 * with time-out 0 only takes.
 */
#include "backend.h"
#include "errnos.h"
#include "object.h"
#include "private.h"
#include "status.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>

#define SHORT_SLEEP_MS 50

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * What is left of a time-out, in milliseconds. libfaketime and the like can
 * make the clock stand still, or go back. Then the time that poll(2) has slept
 * counts. A wake-up before poll's own time-out shows nothing of that, and some
 * come regularly. So poll sleeps for short times while the clock stands still.
 */
struct countdown {
    int64_t deadline, seen, left; /* left -1: there is no time-out */
    bool clock_stands;            /* or goes back */
};

static struct countdown start_countdown(int timeout_ms)
{
    int64_t now = timeout_ms > 0 ? now_ns() : 0;
    return (struct countdown){ .deadline = now + (int64_t)timeout_ms * 1000000, .seen = now, .left = timeout_ms };
}

/* Rounded up: no time-out comes early. */
static OWN_FRAME void count_down(struct countdown *c, int slept_ms)
{
    if (c->left <= 0)
        return;
    int64_t now = now_ns(), left = (c->deadline - now + 999999) / 1000000;
    c->clock_stands = now <= c->seen;
    c->seen = now;
    c->left = left < c->left - slept_ms ? left : c->left - slept_ms;
    if (c->left < 0)
        c->left = 0;
}

static OWN_FRAME int prepare(struct exitfd *x, const struct countdown *c)
{
    int64_t left = c->clock_stands && c->left > SHORT_SLEEP_MS ? SHORT_SLEEP_MS : c->left;

    pthread_mutex_lock(&x->lock);
    xfd_subscription_check(x);
    int limit = xfd_subscription_sleep_limit(x, (int)left);
    pthread_mutex_unlock(&x->lock);
    return limit;
}

/*
 * By poll(2): epoll_wait(2) gives EINTR also where no handler ran, as after
 * SIGSTOP and SIGCONT. The signalfd as well, where there is one: a forked child
 * that polls an epoll set makes it forget that a signalfd in it is ready.
 *
 * How many are readable; -EINTR; -ESTALE: a handler forked, and it is its child
 * that comes back here.
 */
static OWN_FRAME int sleep_until_readable(struct exitfd *x, int limit_ms)
{
    struct pollfd items[] = { { .fd = x->fd, .events = POLLIN }, { .fd = x->signal_fd, .events = POLLIN } };
    nfds_t count = x->signal_fd < 0 ? 1 : 2; /* no more than there are: RLIMIT_NOFILE counts them */

    atomic_fetch_add(&x->sleepers, 1);
    int readable = poll(items, count, limit_ms);
    if (readable < 0)
        readable = -errno;
    if (xfd_object_is_stale(x))
        return -ESTALE;
    atomic_fetch_sub(&x->sleepers, 1);
    return readable;
}

/* A handler may have forked, and it is its child that comes back here: it
   touches nothing that it shares with the parent. */
static int take_unless_stale(struct exitfd *x, struct exitfd_event *events, int max)
{
    if (xfd_object_is_stale(x))
        return -ESTALE;
    int count = x->backend->take(x, events, max);
    if (xfd_object_is_stale(x))
        return -ESTALE;
    xfd_subscription_sync(x);
    return count;
}

/* checks: that SIGCHLD arrives has not been asked before a sleep, as there was
   none. */
static int take(struct exitfd *x, struct exitfd_event *events, int max, bool checks)
{
    int first = xfd_orphans_take_first(x, events, max);

    if (first > 0)
        return first;
    pthread_mutex_lock(&x->lock);
    if (checks)
        xfd_subscription_check(x);
    int count = take_unless_stale(x, events, max);
    bool ended = xfd_watches_take_ended(&x->watches);
    bool due = xfd_orphans_take_due(&x->orphans);
    pthread_mutex_unlock(&x->lock);
    if (count == -ESTALE)
        return count;
    if (due && count >= 0)
        count += xfd_orphans_take(x, events + count, max - count);
    else if (ended)
        xfd_orphans_look_again();
    return count;
}

/* A wait that a seccomp filter blocks leaves the fd readable, for a thread that
   may wait. */
static int take_or_blocked(struct exitfd *x, struct exitfd_event *events, int max, bool checks)
{
    xfd_status_forget_blocked();
    int count = take(x, events, max, checks);
    if (!xfd_status_is_blocked())
        return count;
    wake_up(&x->wake);
    return count == 0 ? -EPERM : count;
}

static OWN_FRAME int sleep_and_take(struct exitfd *x, struct exitfd_event *events, int max, int timeout_ms)
{
    struct countdown countdown = start_countdown(timeout_ms < 0 ? -1 : timeout_ms);

    for (;;) {
        int limit = prepare(x, &countdown);
        int readable = sleep_until_readable(x, limit);
        if (readable < 0 && readable != -EINTR)
            return readable;
        /* What came in time is given before the interruption is reported. */
        int count = take_or_blocked(x, events, max, false);
        if (count != 0 || readable < 0 || countdown.left == 0)
            return count != 0 || readable > 0 ? count : readable;
        count_down(&countdown, readable == 0 ? limit : 0);
    }
}

int exitfd_wait(struct exitfd *x, struct exitfd_event *events, int max, int timeout_ms)
{
    int cancel_state, error = xfd_object_check(x);

    if (error == 0 && (!events || max < 1))
        error = -EINVAL;
    if (error < 0)
        return error;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    int count = timeout_ms == 0 ? take_or_blocked(x, events, max, true) : sleep_and_take(x, events, max, timeout_ms);
    pthread_setcancelstate(cancel_state, &cancel_state);
    return count < 0 ? xfd_not_here(-count) : count;
}
