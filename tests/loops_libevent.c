/* SPDX-License-Identifier: MIT */
/* What loops_cases.c needs to drive libevent's loop. */
#include "loops_side.h"

#include <exitfd/libevent.h>
#include <stdlib.h>

static void *new_loop(void)
{
    struct event_base *base = event_base_new();
    CHECK(base != NULL, "event_base_new");
    return base;
}

static void free_loop(void *base)
{
    event_base_free(base);
}

static void after_fork(void *base)
{
    CHECK(event_reinit(base) == 0, "event_reinit");
}

static void on_exit_event(struct exitfd_libevent *exits, int error, const struct exitfd_event *event)
{
    struct receiver *r = exits->data;
    r->take(r, error, event);
}

static void *attach(void *base, struct exitfd *x, struct receiver *r)
{
    struct exitfd_libevent *exits = malloc(sizeof *exits);
    if (exits && exitfd_libevent_attach(exits, base, x, on_exit_event, r) == 0)
        return exits;
    free(exits);
    return NULL;
}

static void detach(void *attached)
{
    struct exitfd_libevent *exits = attached;
    struct receiver *r = exits->data;
    exitfd_libevent_detach(exits);
    r->released++;
    free(exits);
}

static void run_once(void *base)
{
    event_base_loop(base, EVLOOP_ONCE);
}

static void run_now(void *base)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

int main(int argc, char *argv[])
{
    static const struct side libevent = { new_loop, free_loop, after_fork, attach, detach, run_once, run_now };
    return loops_main(argc, argv, &libevent, NULL, 0);
}
