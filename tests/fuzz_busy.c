/* SPDX-License-Identifier: MIT */
/*
 * Children that change before each call: they stop and go on, or exit and are
 * started again at once. Calls take few events. The model counts in how many
 * calls each other child's event has not been reported.
 */
#include "fuzz.h"

#include <sys/wait.h>
#include <unistd.h>

#define MAX_MOST 4
#define CALLS (3 * (CHILDREN + 2))

static bool is_busy(const struct child *c, int x)
{
    return c->watching[x] && c->jobs[x] && (c->state == ALIVE || c->state == STOPPED);
}

static void start_some(int x)
{
    for (int i = 0; i < MAX_MOST; i++) {
        struct child *c = find_free();
        if (c)
            start_as(c, FORKED_BY_EXITFD, x);
    }
}

static void change_all(int x, const struct child *except)
{
    for (struct child *c = children; c < children + CHILDREN; c++)
        if (c != except && is_busy(c, x))
            stop_or_continue(c);
}

/* What is stopped, and who gets a report, is certain only where one watch asks
   for it. */
static void make_certain(int x)
{
    if (ignored)
        ignore_or_restore();
    for (struct child *c = children; c < children + CHILDREN; c++) {
        stop_watching_stops(c, 1 - x);
        if (c->watching[x] == OBSERVED)
            stop_watching_stops(c, x);
    }
    clear();
}

static struct child *choose_victim(int x)
{
    struct child *victim = &children[below(CHILDREN)];

    for (int i = 0; i < CHILDREN && !is_busy(victim, x); i++)
        victim = &children[(number(victim) + 1) % CHILDREN];
    return victim;
}

/* In the middle of that one that was quiet stops, goes on or exits. */
void be_busy(void)
{
    int x = (int)below(2), max = 1 + (int)below(MAX_MOST);

    if (below(4) != 0)
        return;
    make_certain(x);
    start_some(x);
    struct child *victim = choose_victim(x);
    unsigned at = below(CALLS / 2);
    for (unsigned call = 0; call < CALLS; call++) {
        if (call == at)
            (below(2) ? end : stop_or_continue)(victim);
        change_all(x, victim);
        wait_for(x, max);
    }
}

static void start_dead(struct child *c, int x, bool few_fds)
{
    start_as(c, FORKED, x);
    end(c);
    if (c->state != ZOMBIE)
        return;
    (few_fds ? add_without_fds : add)(c);
}

void loop_crashes(void)
{
    int x = (int)below(2), max = 1 + (int)below(MAX_MOST);
    bool few_fds = below(2);

    if (below(4) != 0)
        return;
    for (unsigned call = 0; call < CALLS; call++) {
        for (int i = 0; i < max; i++) {
            struct child *c = find_free();
            if (c)
                start_dead(c, x, few_fds);
        }
        wait_for(x, max);
        forget_gone();
    }
}
