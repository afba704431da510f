/* SPDX-License-Identifier: MIT */
/*
 * One poll request for each pidfd, in a ring of our own. Where no pidfd can be
 * had, one waitid request instead (Linux 6.7), which needs neither an fd nor
 * SIGCHLD. Why not waitid for all: docs/uring.md.
 *
 * The fd is an eventfd registered with the ring. An ordinary ring would make
 * the host's blocked system calls fail with EINTR at each completion. With
 * DEFER_TASKRUN the kernel leaves the work to our next io_uring_enter. It does
 * not wake a poll of the ring for that, but it does signal the eventfd: when
 * there is work, and again when we have done it. So the eventfd is read after
 * the work. What came between the two is in the TASKRUN flag, which the kernel
 * sets before it signals. tests/uring_traps.c shows all of this.
 */
#include "event.h"
#include "fds.h"
#include "linux/child.h"
#include "linux/ring.h"
#include "object.h"
#include "platform.h"
#include "private.h"
#include "status.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define SINGLE_ADDS 16 /* so many between two waits are handed to the kernel one by one, further ones together */
#define OP_WAITID 50   /* IORING_OP_WAITID, absent from liburing 2.3 */

/* As COMPLETION_IGNORED, no slot has this number (watches.h). */
#define COMPLETION_TIMER (UINT64_MAX - 1)

struct uring {
    struct io_uring opened; /* private.h: what a forked child closes. Each request writes to the other one */
    _Alignas(16) struct io_uring ring;
    uint64_t thread; /* the only one that the kernel lets near the ring */
    unsigned adds;   /* since the last wait */
    bool has_waitid;
    struct __kernel_timespec timer_time;
    bool timer_armed;
    bool timer_refused;  /* since the last call */
    bool fd_is_readable; /* the fd was made readable for what is held back */
    bool others_first;   /* the last call had no room for them: children without a pidfd, stops and orphans */
};

#define KEPT_OF_URING offsetof(struct uring, ring)

/* Neither a pthread_t nor a thread id will do: both are used again. */
static uint64_t this_thread(void)
{
    static _Atomic uint64_t last;
    static _Thread_local uint64_t number;

    if (number == 0)
        number = atomic_fetch_add(&last, 1) + 1;
    return number;
}

static int check_thread(const struct exitfd *x)
{
    return x->uring->thread == this_thread() ? 0 : -EXDEV;
}

static int probe(unsigned flags, bool forced)
{
    (void)flags;
    return forced && !xfd_ring_may_lose_a_wake_up() ? 0 : -ENOTSUP;
}

static int start(struct exitfd *x)
{
    struct uring *u = x->uring;

    u->thread = this_thread();
    u->has_waitid = xfd_ring_knows(&u->ring, OP_WAITID);
    int error = u->has_waitid ? 0 : xfd_child_probe();
    return error < 0 ? error : xfd_subscription_open(x);
}

static int set_up(struct exitfd *x)
{
    struct uring *u = x->uring;
    int error = xfd_ring_open(&u->ring, x->fd);

    if (error < 0)
        return error;
    u->opened = u->ring;
    error = start(x);
    if (error < 0)
        xfd_ring_close(&u->ring);
    return error;
}

static int open_uring(struct exitfd *x)
{
    int error;

    x->wake.size = sizeof(uint64_t);
    x->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (x->wake.fd < 0)
        return -errno;
    x->fd = x->wake.fd;
    x->uring = xfd_private_alloc(KEPT_OF_URING, sizeof *x->uring);
    error = x->uring ? set_up(x) : -ENOMEM;
    if (error < 0) {
        xfd_private_free(x->uring, KEPT_OF_URING, sizeof *x->uring);
        xfd_close_fd(&x->wake.fd);
    }
    return error;
}

static void close_uring(struct exitfd *x)
{
    struct uring *u = x->uring;

    xfd_child_close_all(x);
    xfd_subscription_close(x);
    if (xfd_object_check(x) == 0)
        xfd_ring_close(&u->ring);
    else
        io_uring_queue_exit(&u->opened);
    xfd_private_free(u, KEPT_OF_URING, sizeof *u);
    xfd_close_fd(&x->wake.fd);
}

/* What is held back makes the fd readable, so the host calls exitfd_wait, which
   submits it. Nothing is reported late. */
static void hand_over(struct exitfd *x)
{
    struct uring *u = x->uring;

    if (u->adds++ < SINGLE_ADDS)
        io_uring_submit(&u->ring);
    if (io_uring_sq_ready(&u->ring) == 0 || u->fd_is_readable)
        return;
    wake_up(&x->wake);
    u->fd_is_readable = true;
}

static bool request_poll(struct exitfd *x, const struct watch *w, int pidfd, unsigned flags)
{
    struct io_uring_sqe *sqe = xfd_ring_sqe(&x->uring->ring);

    if (!sqe)
        return false;
    io_uring_prep_poll_add(sqe, pidfd, POLLIN);
    sqe->len = flags;
    sqe->user_data = xfd_watches_token(&x->watches, w);
    return true;
}

/* No siginfo, to which the kernel might write when we no longer expect it:
   waitid(2) is asked at the delivery anyway. */
static bool request_waitid(struct exitfd *x, const struct watch *w)
{
    struct io_uring_sqe *sqe = xfd_ring_sqe(&x->uring->ring);

    if (!sqe)
        return false;
    io_uring_prep_rw(OP_WAITID, sqe, w->pid, NULL, P_PID, 0);
    sqe->file_index = WEXITED | WNOWAIT;
    sqe->user_data = xfd_watches_token(&x->watches, w);
    return true;
}

static int poll_pidfd(struct exitfd *x, struct watch *w, int pidfd)
{
    if (!request_poll(x, w, pidfd, 0))
        return -EAGAIN;
    hand_over(x);
    return 0;
}

static bool is_child(pid_t pid)
{
    return !xfd_platform_is_thread(pid) && xfd_status_check_child(pid) >= 0;
}

static int track(struct exitfd *x, struct watch *w, int why, bool started_by_us)
{
    /* -ESRCH: it was reaped, and a request by its pid would be about whatever
       process gets that next. */
    bool waitable = x->uring->has_waitid && !(w->flags & STOP_FLAGS) && why != -ESRCH;

    if (!waitable || (!started_by_us && !is_child(w->pid)) || !request_waitid(x, w))
        return xfd_tracking_add(x, w, why, started_by_us);
    hand_over(x);
    return 0;
}

static int add(struct exitfd *x, struct watch *w, int given, bool started_by_us)
{
    return xfd_child_add(x, w, given, started_by_us, poll_pidfd, track);
}

/* Held back without a word to the host: what completes before it is of a watch
   that no longer exists. */
static void cancel_request(struct exitfd *x, const struct watch *w)
{
    struct io_uring_sqe *sqe = xfd_ring_sqe(&x->uring->ring);

    if (!sqe)
        return;
    io_uring_prep_cancel64(sqe, xfd_watches_token(&x->watches, w), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = COMPLETION_IGNORED;
}

static void end_watch(struct exitfd *x, struct watch *w, bool requested)
{
    if (requested && !xfd_object_is_stale(x))
        cancel_request(x, w);
    xfd_subscription_end_looks(x, w);
    xfd_tracking_remove(x, w);
    xfd_child_close(w);
}

static void hold(struct exitfd *x, struct watch *w, bool requested)
{
    if (requested && !xfd_object_is_stale(x))
        cancel_request(x, w);
    xfd_subscription_end_looks(x, w);
    xfd_tracking_remove(x, w);
    w->flags |= WATCH_HELD;
}

static void remove_watch(struct exitfd *x, struct watch *w)
{
    end_watch(x, w, !xfd_tracking_is_scanned(w) && !(w->flags & WATCH_HELD));
}

static int take_waited(struct watch *w, int answer, struct exitfd_event *event)
{
    struct wait_result result;
    int found = answer == -ECHILD ? -ECHILD : xfd_status_reap_exit(w, &result);

    if (found == -EPERM)
        return found;
    if (found == 1)
        xfd_event_fill(event, w, &result);
    if (found < 0) {
        xfd_event_unknown(event, w);
        w->flags |= WATCH_REAPED_ELSEWHERE;
    }
    return found != 0;
}

/* The kernel refused the request, or had no memory for it. The pidfd stays,
   which the host may have borrowed. */
static void do_without_request(struct exitfd *x, struct watch *w)
{
    if (w->pidfd >= 0 || !xfd_subscription_is_allowed(x))
        xfd_subscription_begin_looks(x, w);
    else
        xfd_tracking_add(x, w, 0, true);
}

/* It was reported too soon. 0, or -EAGAIN: the kernel could not be asked. */
static int ask_again(struct exitfd *x, struct watch *w, bool requested)
{
    /* A child that we trace ourselves has stopped: until its tracer takes that,
       waitid would report it again at once. */
    if (w->pidfd < 0) {
        do_without_request(x, w);
        return 0;
    }
    /* Now for each change, beginning with what it is: nothing since the last
       look is missed. */
    return requested || request_poll(x, w, w->pidfd, IORING_POLL_ADD_MULTI) ? 0 : -EAGAIN;
}

/* 1: it is over, and *event is filled (NULL: it was discarded). 0: not yet.
   Else -EPERM or -ESTALE. */
static int look(struct exitfd *x, struct watch *w, int answer, struct exitfd_event *event)
{
    return w->pidfd >= 0 ? xfd_child_take(x, w, answer > 0 && answer & POLLHUP, event) : take_waited(w, answer, event);
}

static void finish(struct exitfd *x, struct watch *w, bool requested)
{
    if (w->flags & EXITFD_HOLD) {
        hold(x, w, requested);
        return;
    }
    end_watch(x, w, requested);
    xfd_watches_drop(&x->watches, w);
}

/* How many events, or -EAGAIN. */
static int complete_one(struct exitfd *x, struct watch *w, const struct io_uring_cqe *cqe, struct exitfd_event *event)
{
    bool requested = cqe->flags & IORING_CQE_F_MORE;
    int count = xfd_watch_is_reported(w);

    /* Its event was given. A request for each change may have more to say, and
       its cancellation says that it has ended. */
    if (w->flags & WATCH_HELD)
        return 0;
    if (cqe->res < 0 && w->pidfd >= 0) {
        do_without_request(x, w);
        return 0;
    }
    int taken = look(x, w, cqe->res, count ? event : NULL);
    if (taken < 0)
        return -EAGAIN;
    if (taken == 0)
        return ask_again(x, w, requested);
    finish(x, w, requested);
    return count;
}

/* How many events. */
static int take_one_unpolled(struct exitfd *x, struct watch *w, struct exitfd_event *event)
{
    struct pollfd item = { .fd = w->pidfd, .events = POLLIN };
    int count = xfd_watch_is_reported(w);

    if (w->pidfd >= 0 && poll(&item, 1, 0) != 1)
        return 0;
    if (look(x, w, item.revents, count ? event : NULL) != 1)
        return 0;
    finish(x, w, false);
    return count;
}

static int take_unpolled(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct watch *w;
    int count = 0;

    for (uint32_t slot = 0;
         count < max && x->subscription.unpolled > 0 && (w = xfd_watches_iterate(&x->watches, &slot));)
        if (w->flags & WATCH_UNPOLLED)
            count += take_one_unpolled(x, w, &events[count]);
    if (x->subscription.unpolled > 0 && count == max)
        wake_up(&x->wake);
    return count;
}

/*
 * Takes completions up to the first for which there is no room. A handler may
 * have forked in each system call, and where this is its child the ring is
 * wiped.
 */
static int complete(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct uring *u = x->uring;
    struct io_uring_cqe *cqe;
    int count = 0;

    while (io_uring_cq_ready(&u->ring) > 0) {
        io_uring_peek_cqe(&u->ring, &cqe);
        struct watch *w = xfd_watches_by_token(&x->watches, cqe->user_data);
        int found = w && count == max ? -EAGAIN : w ? complete_one(x, w, cqe, &events[count]) : 0;
        if (found < 0 || xfd_object_is_stale(x))
            break;
        if (cqe->user_data == COMPLETION_TIMER) {
            u->timer_armed = false;
            u->timer_refused = cqe->res != -ETIME;
            xfd_scan_set_due(&x->scan);
        }
        io_uring_cqe_seen(&u->ring, cqe);
        count += found;
    }
    return count;
}

static void request_timer(struct exitfd *x)
{
    struct uring *u = x->uring;
    struct io_uring_sqe *sqe = xfd_ring_sqe(&u->ring);

    if (!sqe)
        return;
    u->timer_time.tv_sec = x->subscription.recheck_ms / 1000;
    u->timer_time.tv_nsec = x->subscription.recheck_ms % 1000 * 1000000;
    io_uring_prep_timeout(sqe, &u->timer_time, 0, 0);
    sqe->user_data = COMPLETION_TIMER;
    u->timer_armed = true;
}

static bool is_timer_wanted(const struct exitfd *x)
{
    return x->subscription.recheck_ms > 0 && !x->uring->timer_armed && !x->uring->timer_refused;
}

static void set_recheck(struct exitfd *x)
{
    if (is_timer_wanted(x)) {
        request_timer(x);
        hand_over(x);
    }
}

static int turn(struct exitfd *x)
{
    if (is_timer_wanted(x))
        request_timer(x);
    return xfd_ring_enter(&x->uring->ring);
}

static bool is_more_due(const struct exitfd *x, bool signalled)
{
    return xfd_ring_is_more_due(&x->uring->ring, signalled) || is_timer_wanted(x);
}

/* What no request of the ring is about. Without room for them they make the fd
   readable again. */
static int take_others(struct exitfd *x, struct exitfd_event *events, int max)
{
    bool any = xfd_subscription_is_used(x);
    int count = take_unpolled(x, events, max);

    return any ? count + xfd_scan_take(x, events + count, max - count, x->subscription.signal_lost, 0) : count;
}

static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct uring *u = x->uring;
    bool others_first = u->others_first, room, signalled, drained = false;
    int count = others_first ? take_others(x, events, max) : 0, error;

    u->adds = 0;
    u->fd_is_readable = u->timer_refused = false;
    do {
        error = turn(x);
        if (xfd_object_is_stale(x))
            return -ESTALE;
        count += complete(x, events + count, max - count);
        if (xfd_object_is_stale(x))
            return -ESTALE;
        room = error == 0 && io_uring_cq_ready(&u->ring) == 0;
        signalled = room && wake_drain(x->wake.fd);
        drained |= signalled;
    } while (room && is_more_due(x, signalled));
    if (!room && drained)
        wake_up(&x->wake);
    /*
     * In turn, so that neither hides the other, however small max is. The
     * others come last in any case: the kernel may have refused a request
     * above.
     */
    u->others_first = !others_first && !(room && count < max);
    if (room)
        count += take_others(x, events + count, max - count);
    return count == 0 && error == -ENOTSUP ? error : count;
}

const struct backend xfd_uring_backend = {
    .name = "io_uring",
    .flag = EXITFD_URING,
    .probe = probe,
    .open = open_uring,
    .close = close_uring,
    .add = add,
    .remove = remove_watch,
    .take = take,
    .set_recheck = set_recheck,
    .check = check_thread,
};
