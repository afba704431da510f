/* SPDX-License-Identifier: MIT */
/* What loops_cases.c needs to drive libev's loop. */
#include "loops_side.h"

#include <exitfd/libev.h>
#include <stdlib.h>

struct attachment {
    struct exitfd_ev exits;
    struct ev_loop *loop;
};

static void *new_loop(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(loop != NULL, "ev_loop_new");
    return loop;
}

static void free_loop(void *loop)
{
    ev_loop_destroy(loop);
}

static void after_fork(void *loop)
{
    ev_loop_fork(loop);
}

static void on_exit_event(struct ev_loop *loop, struct exitfd_ev *exits, int error, const struct exitfd_event *event)
{
    struct receiver *r = exits->data;
    CHECK(((struct attachment *)exits)->loop == loop);
    r->take(r, error, event);
}

static void *attach(void *loop, struct exitfd *x, struct receiver *r)
{
    struct attachment *attached = malloc(sizeof *attached);
    CHECK(attached != NULL, "malloc");
    attached->loop = loop;
    if (exitfd_ev_attach(loop, &attached->exits, x, on_exit_event, r) == 0)
        return attached;
    free(attached);
    return NULL;
}

static void detach(void *pointer)
{
    struct attachment *attached = pointer;
    struct receiver *r = attached->exits.data;
    exitfd_ev_detach(attached->loop, &attached->exits);
    r->released++;
    free(attached);
}

static void run_once(void *loop)
{
    ev_run(loop, EVRUN_ONCE);
}

static void run_now(void *loop)
{
    ev_run(loop, EVRUN_NOWAIT);
}

int main(int argc, char *argv[])
{
    static const struct side libev = { new_loop, free_loop, after_fork, attach, detach, run_once, run_now };
    return loops_main(argc, argv, &libev, NULL, 0);
}
