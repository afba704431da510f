/* SPDX-License-Identifier: MIT */
/* What must be reported, and what exitfd_wait reports. */
#include "fuzz.h"
#include "host_handlers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

#define EVENTS 8
#define CALLS_PER_WATCH 3 /* exitfd_wait(3) */

struct waiting {
    int x, max, count;
    struct exitfd_event events[EVENTS];
};

static bool is_orphan(const struct child *c)
{
    return c->state == ZOMBIE && !c->watching[0] && !c->watching[1];
}

static unsigned job_flag(const struct child *c)
{
    return c->state == STOPPED ? EXITFD_STOPPED : EXITFD_CONTINUED;
}

static bool is_job_observed(void)
{
    for (const struct child *c = children; c < children + CHILDREN; c++)
        for (int x = 0; x < 2; x++)
            if (c->watching[x] == OBSERVED && c->jobs[x])
                return true;
    return false;
}

/* It must be reported by its only watch. Of several the first may take it, and
   with an observer it may have come back. */
void job_changed(struct child *c)
{
    for (int x = 0; x < 2; x++) {
        c->job_may[x] = c->jobs[x] & job_flag(c);
        c->job_must[x] = c->job_may[x] && !c->jobs[1 - x] && !signal_lost[x] && !is_job_observed();
    }
}

void no_job_must(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++)
        c->job_must[0] = c->job_must[1] = false;
}

static bool is_due_of(const struct child *c, int x)
{
    return (c->watching[x] == OWNED || c->watching[x] == OBSERVED) && (c->state == ZOMBIE || c->state == GONE);
}

/* Another child that had its pid has its event yet to come. */
bool is_watched_by_pid(const struct child *c, int x)
{
    for (const struct child *other = children; other < children + CHILDREN; other++)
        if (other != c && other->state != NONE && other->pid == c->pid && other->watching[x])
            return true;
    return false;
}

static bool is_orphan_due(const struct child *c)
{
    return is_orphan(c) && !is_watched_by_pid(c, 0) && !is_watched_by_pid(c, 1);
}

static bool are_orphans_seen(void)
{
    for (const struct child *c = children; c < children + CHILDREN && !lists_children; c++)
        if (c->state == ZOMBIE && !is_orphan(c))
            return false;
    return true;
}

static bool is_due(int x)
{
    bool may_tell_orphans = any_child == x && are_orphans_seen();

    for (const struct child *c = children; c < children + CHILDREN; c++)
        if (is_due_of(c, x) || c->job_must[x] || (may_tell_orphans && is_orphan_due(c)))
            return true;
    return false;
}

/* Not where the other exitfd has reaped a child that has no pidfd here: that is
   found by some later wait only. */
static bool must_be_readable(int x)
{
    for (int i = 0; i < CHILDREN; i++) {
        const struct child *c = &children[i];
        if (is_due_of(c, x))
            return !signal_lost[x];
    }
    return false;
}

/* What other code reaped, and has no pidfd here, is found some time. */
static bool must_be_reported(const struct child *c, int x)
{
    if (signal_lost[x])
        return false;
    if (any_child == x && are_orphans_seen() && is_orphan_due(c))
        return true;
    return c->job_must[x] || (is_due_of(c, x) && (c->state == ZOMBIE || c->has_pidfd[x]));
}

static int count_watches(int x)
{
    int count = any_child == x;
    for (const struct child *c = children; c < children + CHILDREN; c++)
        count += c->watching[x] != NO;
    return count;
}

/*
 * After a wait for which the fd was readable: a continued child makes no sign
 * before it runs, and that may be long after waitid has reported it.
 */
static void grow_old(int x)
{
    unsigned limit = CALLS_PER_WATCH * (unsigned)count_watches(x);

    for (struct child *c = children; c < children + CHILDREN; c++) {
        c->age[x] = must_be_reported(c, x) ? c->age[x] + 1 : 0;
        if (c->age[x] < 2 || c->limit[x] < limit)
            c->limit[x] = limit;
        CHECK(c->age[x] <= c->limit[x] + 1, "what became of %d was not reported in %u calls, max %u", number(c),
              c->age[x], c->limit[x]);
    }
}

static bool is_readable(int x, int timeout)
{
    struct pollfd readable = { .fd = exitfd_get_fd(exitfds[x]), .events = POLLIN };
    int ret;
    while ((ret = poll(&readable, 1, timeout)) < 0 && errno == EINTR)
        ;
    return ret == 1;
}

static void take_job(struct child *c, int x, const struct exitfd_event *event)
{
    bool stop = event->code == CLD_STOPPED;

    CHECK(c->job_may[x], "not asked for, reported twice, or no more");
    CHECK(c->state == (stop ? STOPPED : ALIVE), "it is in state %d", c->state);
    CHECK(event->status == (stop ? SIGSTOP : SIGCONT) && event->origin == EXITFD_PEEKED, "a job event that is not so");
    c->job_may[x] = c->job_must[x] = false;
    c->age[x] = 0;
}

static void take_orphan(int x, const struct exitfd_event *event)
{
    struct child *c = children;

    while (c < children + CHILDREN && !(c->pid == event->pid && is_orphan(c)))
        c++;
    say("  event of an orphan: pid %d code %d status %d", (int)event->pid, event->code, event->status);
    CHECK(any_child == x, "nobody asked");
    CHECK(c < children + CHILDREN, "there is no such orphan");
    CHECK(event->origin == EXITFD_REAPED && event->code == c->code && event->status == c->status,
          "code %d status %d instead of %d %d", event->code, event->status, c->code, c->status);
    c->state = GONE;
}

static void take(int x, const struct exitfd_event *event)
{
    struct child *c = event->data;

    if (event->data == &any_child) {
        take_orphan(x, event);
        return;
    }
    say("  event of %d: pid %d code %d status %d origin %d", number(c), (int)event->pid, event->code, event->status,
        event->origin);
    CHECK(c->watching[x] == OWNED || c->watching[x] == OBSERVED, "nobody asked, or it is reported twice");
    CHECK(event->pid == c->pid, "pid %d instead of %d", (int)event->pid, (int)c->pid);
    if (event->code == CLD_STOPPED || event->code == CLD_CONTINUED) {
        take_job(c, x, event);
        return;
    }
    CHECK(c->state == ZOMBIE || c->state == GONE, "it lives");
    bool is_true = event->code == c->code && event->status == c->status;
    if (event->origin == EXITFD_UNKNOWN)
        CHECK(c->state == GONE && !(c->has_pidfd[x] && has_records) && event->code == 0, "not unknown");
    else
        CHECK(is_true, "code %d status %d instead of %d %d", event->code, event->status, c->code, c->status);
    if (c->state == ZOMBIE)
        CHECK(event->origin == (c->watching[x] == OWNED && !c->holds[x] ? EXITFD_REAPED : EXITFD_PEEKED), "origin %d",
              event->origin);
    else
        CHECK(event->origin == EXITFD_RECORDED || event->origin == EXITFD_UNKNOWN, "origin %d", event->origin);
    if (event->origin == EXITFD_REAPED)
        c->state = GONE;
    c->watching[x] = c->holds[x] ? HELD : NO;
    c->jobs[x] = 0;
}

/* Who was discarded is reaped without a word, nobody else is. */
static void look_at_zombies(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++) {
        siginfo_t info;
        if (c->state != ZOMBIE || waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            continue;
        CHECK(c->watching[0] == DISCARDED || c->watching[1] == DISCARDED, "%d was reaped without a right", number(c));
        c->state = GONE;
    }
}

static struct waiting prepare(int x, int max)
{
    CHECK(!must_be_readable(x) || is_readable(x, 0), "an event is due in %d and its fd is not readable", x);
    return (struct waiting){ .x = x, .max = max };
}

static struct waiting choose_wait(int x)
{
    return prepare(x, 1 + (int)below(EVENTS));
}

static bool may_be_epipe(int x)
{
    return signal_lost[x] || host_was_on_top;
}

static void *do_wait(void *argument)
{
    struct waiting *w = argument;
    w->count = exitfd_wait(exitfds[w->x], w->events, w->max, 0);
    return NULL;
}

/* Those of one origin, for of two threads that waited nobody knows who was
   first: who peeks was before who reaps. */
static void take_all(const struct waiting *w, int origin)
{
    for (int i = 0; i < w->count; i++)
        if (w->events[i].origin == origin)
            take(w->x, &w->events[i]);
}

static int wait_as(struct waiting w)
{
    bool was_readable = is_readable(w.x, 0);

    do_wait(&w);
    say("wait %d: %d of %d", w.x, w.count, w.max);
    CHECK(w.count >= 0 || (w.count == -EPIPE && may_be_epipe(w.x)), "exitfd_wait: %d", w.count);
    for (int i = 0; i < w.count; i++)
        take(w.x, &w.events[i]);
    look_at_zombies();
    if (was_readable)
        grow_old(w.x);
    return w.count;
}

int wait_for(int x, int max)
{
    return wait_as(prepare(x, max));
}

int wait_once(int x)
{
    return wait_as(choose_wait(x));
}

void wait_in_two_threads(void (*meanwhile)(void))
{
    const int in_order[] = { EXITFD_PEEKED, EXITFD_REAPED, EXITFD_RECORDED, EXITFD_UNKNOWN };
    struct waiting here = choose_wait((int)below(2)), there = choose_wait((int)below(2));
    bool is_of_one_thread = strcmp(exitfd_get_backend(exitfds[there.x]), "io_uring") == 0;
    sigset_t all, mask;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask);
    CHECK(pthread_create(&thread, NULL, do_wait, &there) == 0, "pthread_create");
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    meanwhile();
    do_wait(&here);
    pthread_join(thread, NULL);
    say("wait %d: %d of %d, and in a thread %d: %d of %d", here.x, here.count, here.max, there.x, there.count,
        there.max);
    CHECK(here.count >= 0 || (here.count == -EPIPE && may_be_epipe(here.x)), "exitfd_wait: %d", here.count);
    CHECK(is_of_one_thread ? there.count == -EXDEV
                           : there.count >= 0 || (there.count == -EPIPE && may_be_epipe(there.x)),
          "exitfd_wait in a thread: %d", there.count);
    for (size_t i = 0; i < sizeof(in_order) / sizeof(*in_order); i++) {
        if (in_order[i] == EXITFD_RECORDED)
            look_at_zombies(); /* one may have been discarded by the other */
        take_all(&here, in_order[i]);
        take_all(&there, in_order[i]);
    }
}

static bool needs_sigchld(int x)
{
    bool needs = any_child == x;
    for (const struct child *c = children; c < children + CHILDREN; c++)
        needs |= c->watching[x] && (!c->has_pidfd[x] || c->jobs[x]);
    return needs;
}

/* Until all is reported; then the fd is quiet. */
static void take_until_quiet(int x)
{
    for (int rounds = 0; is_due(x); rounds++) {
        CHECK(rounds < 4000, "an event in %d is lost", x);
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    for (int rounds = 0; is_readable(x, 0); rounds++) {
        CHECK(rounds < 2000, "readable with nothing to tell");
        wait_once(x);
        if (rounds > 20)
            poll(NULL, 0, 10);
    }
    signal_lost[x] = signal_lost[x] && (ignored || (needs_sigchld(x) && !library_is_reached()));
}

static void expect_discarded_reaped(struct child *c, int x)
{
    for (int rounds = 0; c->state == ZOMBIE; rounds++) {
        CHECK(rounds < 4000, "discarded, and not reaped");
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    if (c->state == GONE)
        if (named(c, x) == c && !is_watched_by_pid(c, x))
            exitfd_remove(exitfds[x], c->pid); /* where other code reaped it, it may be noticed later */
    c->watching[x] = c->state == GONE ? NO : DISCARDED;
}

void forget_gone(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++)
        if (c->state == GONE && !c->watching[0] && !c->watching[1])
            c->state = NONE;
}

void clear(void)
{
    do {
        take_until_quiet(0);
        take_until_quiet(1);
    } while (is_due(0) || is_due(1)); /* what one has reported may be an orphan of the other now */
    for (struct child *c = children; c < children + CHILDREN; c++)
        for (int x = 0; x < 2; x++)
            if (c->watching[x] == DISCARDED)
                expect_discarded_reaped(c, x);
    forget_gone();
}
