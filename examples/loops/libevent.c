/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: an event for SIGCHLD (evsignal_new) replaces the handler of
 * the self-pipe back end, and the callback gets -EPIPE. With the pidfd back end
 * they do not meet.
 */
#include "children.h"
#include <exitfd/libevent.h>

static void on_event(struct exitfd_libevent *exits, int error, const struct exitfd_event *event)
{
    if (print_end(error, event) == CHILDREN)
        exitfd_libevent_detach(exits);
}

int main(void)
{
    struct exitfd *x = open_with_children();
    struct event_base *base = event_base_new();
    struct exitfd_libevent exits;
    must(exitfd_libevent_attach(&exits, base, x, on_event, NULL), "exitfd_libevent_attach");
    event_base_dispatch(base);
    event_base_free(base);
    exitfd_close(x);
}
