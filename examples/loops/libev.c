/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: ev_default_loop reaps every child of the process. The pidfd
 * back end then gives EXITFD_RECORDED, without a rusage, at best, and the
 * self-pipe one is not woken. A loop from ev_loop_new does neither.
 */
#include "children.h"
#include <exitfd/libev.h>

static void on_event(struct ev_loop *loop, struct exitfd_ev *exits, int error, const struct exitfd_event *event)
{
    if (print_end(error, event) == CHILDREN)
        exitfd_ev_detach(loop, exits);
}

int main(void)
{
    struct exitfd *x = open_with_children();
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct exitfd_ev exits;
    must(exitfd_ev_attach(loop, &exits, x, on_event, NULL), "exitfd_ev_attach");
    ev_run(loop, 0);
    ev_loop_destroy(loop);
    exitfd_close(x);
}
