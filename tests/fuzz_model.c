/* SPDX-License-Identifier: MIT */
/* What must be reported, and what exitfd_wait reports. */
#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

static bool is_due_of(const struct child *c, int x)
{
    return (c->watching[x] == OWNED || c->watching[x] == OBSERVED) && (c->state == ZOMBIE || c->state == GONE);
}

static bool is_due(int x)
{
    for (int i = 0; i < CHILDREN; i++)
        if (is_due_of(&children[i], x))
            return true;
    return false;
}

/* Not where the other exitfd has reaped a child that has no pidfd here: that is found by some later wait only. */
static bool must_be_readable(int x)
{
    for (int i = 0; i < CHILDREN; i++) {
        const struct child *c = &children[i];
        if (is_due_of(c, x))
            return !deaf[x];
    }
    return false;
}

static bool is_readable(int x, int timeout)
{
    struct pollfd readable = { .fd = exitfd_get_fd(exitfds[x]), .events = POLLIN };
    int ret;
    while ((ret = poll(&readable, 1, timeout)) < 0 && errno == EINTR)
        ;
    return ret == 1;
}

static void take(int x, const struct exitfd_event *event)
{
    struct child *c = event->data;

    SAY("  event of %d: pid %d code %d status %d origin %d", number(c), (int)event->pid, event->code, event->status,
        event->origin);
    MUST(c->watching[x] == OWNED || c->watching[x] == OBSERVED, "nobody asked, or it is told twice");
    MUST(event->pid == c->pid, "pid %d instead of %d", (int)event->pid, (int)c->pid);
    MUST(c->state == ZOMBIE || c->state == GONE, "it lives");
    bool is_true = event->code == c->code && event->status == c->status;
    if (event->origin == EXITFD_UNKNOWN)
        MUST(c->state == GONE && !(c->has_pidfd[x] && has_records) && event->code == 0, "not unknown");
    else
        MUST(is_true, "code %d status %d instead of %d %d", event->code, event->status, c->code, c->status);
    if (c->state == ZOMBIE)
        MUST(event->origin == (c->watching[x] == OWNED ? EXITFD_REAPED : EXITFD_PEEKED), "origin %d", event->origin);
    else
        MUST(event->origin == EXITFD_RECORDED || event->origin == EXITFD_UNKNOWN, "origin %d", event->origin);
    if (event->origin == EXITFD_REAPED)
        c->state = GONE;
    c->watching[x] = NO;
}

/* Who was discarded is reaped without a word, nobody else is. */
static void look_at_zombies(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++) {
        siginfo_t info;
        if (c->state != ZOMBIE || waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            continue;
        MUST(c->watching[0] == DISCARDED || c->watching[1] == DISCARDED, "%d was reaped without a right", number(c));
        c->state = GONE;
    }
}

int wait_once(int x)
{
    struct exitfd_event events[8];
    int max = 1 + (int)below(8);

    MUST(!must_be_readable(x) || is_readable(x, 0), "an event is due in %d and its fd is not readable", x);
    int count = exitfd_wait(exitfds[x], events, max, 0);
    SAY("wait %d: %d of %d", x, count, max);
    MUST(count >= 0 || (count == -EPIPE && deaf[x]), "exitfd_wait: %d", count);
    for (int i = 0; i < count; i++)
        take(x, &events[i]);
    look_at_zombies();
    return count;
}

/* Until all is told; then the fd is quiet. */
static void settle(int x)
{
    for (int rounds = 0; is_due(x); rounds++) {
        MUST(rounds < 4000, "an event in %d is lost", x);
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    for (int rounds = 0; is_readable(x, 0); rounds++) {
        MUST(rounds < 2000, "readable with nothing to tell");
        wait_once(x);
        if (rounds > 20)
            poll(NULL, 0, 10);
    }
    deaf[x] = deaf[x] && ignored;
}

static void expect_discarded_reaped(struct child *c, int x)
{
    for (int rounds = 0; c->state == ZOMBIE; rounds++) {
        MUST(rounds < 4000, "discarded, and not reaped");
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    if (c->state == GONE)
        exitfd_remove(exitfds[x], c->pid); /* where somebody else reaped it, it may be noticed later */
    c->watching[x] = c->state == GONE ? NO : DISCARDED;
}

void clear(void)
{
    settle(0);
    settle(1);
    for (struct child *c = children; c < children + CHILDREN; c++)
        for (int x = 0; x < 2; x++)
            if (c->watching[x] == DISCARDED)
                expect_discarded_reaped(c, x);
    for (struct child *c = children; c < children + CHILDREN; c++)
        if (c->state == GONE && !c->watching[0] && !c->watching[1])
            c->state = NONE;
}
