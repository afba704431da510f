/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: without EV_PERSIST an event is over after its first callback. And an event for SIGCHLD (evsignal_new)
 * replaces the handler of the self-pipe back end, whose exitfd_wait then says -EPIPE: with the pidfd one they do not meet.
 */
#include "children.h"
#include <errno.h>
#include <event2/event.h>

static int left = CHILDREN;
static struct event *exits;

static void on_exits(evutil_socket_t fd, short events, void *x)
{
    (void)fd, (void)events;
    left -= print_ends(x);
    if (left == 0)
        event_del(exits);
}

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    struct event_base *base = event_base_new();
    if (base == NULL)
        must(-ENOMEM, "event_base_new");
    exits = event_new(base, exitfd_get_fd(x), EV_READ | EV_PERSIST, on_exits, x);
    if (exits == NULL || event_add(exits, NULL) < 0)
        must(-ENOMEM, "event_add");
    start_children(x);

    event_base_dispatch(base);
    event_free(exits);
    event_base_free(base);
    exitfd_close(x);
    return 0;
}
