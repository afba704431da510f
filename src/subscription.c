/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD may cease to arrive without a sign: another thread unblocks it under
 * a signalfd, other code replaces the handler, the mask of the thread that
 * waits is a different one. So this is checked again and again, and where
 * SIGCHLD does not arrive the children that need it are scanned every 100 ms.
 */
#include "subscription.h"

#include "backend.h"
#include "posix/disposition.h"
#include "posix/sigchld.h"

#include <errno.h>

#define SCAN_MS 100
#define CHECK_MS 900 /* found within one second, with what a look takes */

bool xfd_subscription_is_allowed(const struct exitfd *x)
{
    return x->backend->by_sigchld || !(x->flags & EXITFD_NO_SIGNALS);
}

bool xfd_subscription_is_needed(const struct exitfd *x)
{
    return x->tracking.count > x->tracking.reaped_elsewhere || x->orphans.claimed;
}

bool xfd_subscription_is_used(const struct exitfd *x)
{
    return x->tracking.count > 0 || x->orphans.claimed;
}

static int sync_listening(struct exitfd *x)
{
    struct subscription *s = &x->subscription;
    bool to_stops = x->stops.watches > 0;
    bool wanted = xfd_subscription_is_allowed(x) && (x->backend->by_sigchld || xfd_subscription_is_needed(x));
    int error = 0;

    if (wanted == s->listening && to_stops == s->to_stops)
        return 0;
    if (wanted)
        error = xfd_sigchld_listen(x->listener, x->wake.fd, x->wake.size,
                                   x->backend->by_signalfd ? LISTEN_TO_SIBLINGS
                                   : to_stops              ? LISTEN_STOPS
                                                           : LISTEN_EXITS);
    else if (s->listening)
        xfd_sigchld_unlisten(x->listener);
    s->listening = wanted && error == 0;
    s->to_stops = to_stops;
    return error;
}

int xfd_subscription_open(struct exitfd *x)
{
    x->listener = xfd_sigchld_reserve();
    if (!x->listener)
        return -ENOMEM;
    int error = x->backend->by_sigchld ? sync_listening(x) : 0;
    if (error < 0)
        xfd_subscription_close(x);
    return error;
}

void xfd_subscription_close(struct exitfd *x)
{
    struct listener *listener = x->listener;

    if (!listener)
        return;
    xfd_sigchld_unlisten(listener);
    xfd_sigchld_release(listener);
    x->listener = NULL;
}

void xfd_subscription_begin_looks(struct exitfd *x, struct watch *w)
{
    x->subscription.unpolled += w->flags & WATCH_UNPOLLED ? 0 : 1;
    w->flags |= WATCH_UNPOLLED;
}

void xfd_subscription_end_looks(struct exitfd *x, struct watch *w)
{
    x->subscription.unpolled -= w->flags & WATCH_UNPOLLED ? 1 : 0;
    w->flags &= ~(uint32_t)WATCH_UNPOLLED;
}

static bool has_looks(const struct exitfd *x)
{
    return xfd_subscription_is_needed(x) || x->subscription.unpolled > 0;
}

/*
 * The fd is to serve those that need SIGCHLD whatever becomes of it: other code
 * may replace the handler, or make the kernel discard a signal that waits for
 * the signalfd.
 */
static void sync_recheck(struct exitfd *x)
{
    int unless_lost = has_looks(x) ? CHECK_MS : 0;
    int period = x->subscription.signal_lost ? SCAN_MS : unless_lost;

    if (!x->backend->set_recheck || period == x->subscription.recheck_ms)
        return;
    x->subscription.recheck_ms = period;
    x->backend->set_recheck(x);
}

/* Both ways: what exited since the last scan, or shortly before the signal was
   lost, made no sign. */
static void set_lost(struct exitfd *x, bool lost)
{
    x->subscription.signal_lost = lost;
    if (!xfd_subscription_is_needed(x))
        return;
    xfd_tracking_scan_all(&x->tracking);
    wake_up(&x->wake);
}

/* Where it cannot listen, its check finds that SIGCHLD does not arrive. */
void xfd_subscription_sync(struct exitfd *x)
{
    sync_listening(x);
    if (!xfd_subscription_is_needed(x))
        x->subscription.signal_lost = false;
    sync_recheck(x);
}

static void listen_to_stops_again(struct exitfd *x)
{
    x->subscription.to_stops = false;
    sync_listening(x);
    wake_up(&x->wake);
}

static bool arrives(struct exitfd *x)
{
    struct sigchld_disposition now = xfd_disposition_get();

    if (x->backend->by_signalfd)
        return now.state != SIGCHLD_IGNORED && xfd_sigchld_is_blocked();
    if (!x->subscription.listening || now.state != SIGCHLD_OURS || xfd_sigchld_is_blocked())
        return false;
    if (x->subscription.to_stops && now.hides_stops)
        listen_to_stops_again(x);
    return true;
}

bool xfd_subscription_check(struct exitfd *x)
{
    bool needed = xfd_subscription_is_needed(x), lost = needed && !arrives(x);

    if (needed && !lost)
        x->subscription.epipe_reported = false;
    if (lost != x->subscription.signal_lost)
        set_lost(x, lost);
    sync_recheck(x);
    return !lost;
}

int xfd_subscription_sleep_limit(const struct exitfd *x, int timeout_ms)
{
    int most = x->subscription.signal_lost && !x->backend->set_recheck ? SCAN_MS : CHECK_MS;

    return has_looks(x) && (timeout_ms < 0 || timeout_ms > most) ? most : timeout_ms;
}

bool xfd_subscription_report_loss(struct exitfd *x)
{
    bool reported = x->subscription.epipe_reported;

    x->subscription.epipe_reported = xfd_subscription_is_used(x) && xfd_disposition_get().state != SIGCHLD_OURS;
    return x->subscription.epipe_reported && !reported;
}
