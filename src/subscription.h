/* SPDX-License-Identifier: MIT */
/*
 * Does this exitfd need SIGCHLD, and does SIGCHLD still arrive? x->lock is held
 * in every call, except at open and close.
 */
#ifndef EXITFD_SUBSCRIPTION_H
#define EXITFD_SUBSCRIPTION_H

#include <stdbool.h>

struct exitfd;
struct watch;

struct subscription {
    bool listening, to_stops;
    bool signal_lost;    /* SIGCHLD does not arrive, as far as the last check tells */
    bool epipe_reported; /* that other code replaced the handler, for this time */
    unsigned unpolled;   /* watches that are looked at */
    int recheck_ms;      /* every so many milliseconds the fd is readable for a check; 0: not for that */
};

/* At open and close of a back end. One that lives on SIGCHLD listens from now
   on. */
int xfd_subscription_open(struct exitfd *x);
void xfd_subscription_close(struct exitfd *x);

/*
 * Whether this exitfd may use SIGCHLD, and whether it watches anything by it.
 * Needed: and SIGCHLD is still to come of some of that.
 */
bool xfd_subscription_is_allowed(const struct exitfd *x);
bool xfd_subscription_is_used(const struct exitfd *x);
bool xfd_subscription_is_needed(const struct exitfd *x);

/* After that has changed. */
void xfd_subscription_sync(struct exitfd *x);

/* For a watch that neither a poll nor a signal reports. */
void xfd_subscription_begin_looks(struct exitfd *x, struct watch *w);
void xfd_subscription_end_looks(struct exitfd *x, struct watch *w);

/*
 * Before a wait, and when something comes to need SIGCHLD. True if it arrives,
 * or nothing needs it. If not, the fd is readable from time to time for a scan,
 * or the wait must not sleep for longer than the limit.
 */
bool xfd_subscription_check(struct exitfd *x);
int xfd_subscription_sleep_limit(const struct exitfd *x, int timeout_ms);

/* True once for each time that other code has replaced the handler. */
bool xfd_subscription_report_loss(struct exitfd *x);

#endif
