/* SPDX-License-Identifier: MIT */
/* ev_child on the default loop, the only one that supports it. It waits for
   every child of the process. */
#include "common.h"

#include <ev.h>
#include <stdlib.h>

static struct ev_loop *loop;

static const char *open_loop(void)
{
    loop = ev_default_loop(0);
    return loop == NULL ? "ev_default_loop failed" : NULL;
}

static void on_exit_of(struct ev_loop *of, ev_child *watcher, int events)
{
    (void)events;
    ev_child_stop(of, watcher);
    herd_report_wait_status(watcher->data, watcher->rpid, watcher->rstatus);
    free(watcher);
}

static void add(struct child *c)
{
    ev_child *watcher = malloc(sizeof *watcher);

    if (watcher == NULL)
        die("malloc");
    ev_child_init(watcher, on_exit_of, c->pid, 0);
    watcher->data = c;
    ev_child_start(loop, watcher);
}

static void collect(bool block)
{
    ev_run(loop, block ? EVRUN_ONCE : EVRUN_NOWAIT);
}

static void close_loop(void)
{
    ev_loop_destroy(loop);
}

const struct implementation peer_libev = {
    .name = "libev",
    .open = open_loop,
    .add = add,
    .collect = collect,
    .close = close_loop,
};
