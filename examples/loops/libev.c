/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: ev_default_loop takes over SIGCHLD and reaps every child of the process. The pidfd back end then gives
 * EXITFD_RECORDED, without a rusage, at best, and the self-pipe one is not woken. A loop from ev_loop_new does neither.
 */
#include "children.h"
#include <errno.h>
#include <ev.h>

static int left = CHILDREN;

static void on_exits(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    left -= print_ends(watcher->data);
    if (left == 0)
        ev_io_stop(loop, watcher);
}

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    if (loop == NULL)
        must(-ENOMEM, "ev_loop_new");
    ev_io exits;
    ev_io_init(&exits, on_exits, exitfd_get_fd(x), EV_READ);
    exits.data = x;
    ev_io_start(loop, &exits);
    start_children(x);

    ev_run(loop, 0);
    ev_loop_destroy(loop);
    exitfd_close(x);
    return 0;
}
