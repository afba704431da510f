/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: a callback that returns a negative errno is not called again, and the loop runs on without it. And two
 * readers of SIGCHLD, such as sd_event_add_signal and exitfd's signalfd back end, take the signals from each other.
 */
#include "children.h"
#include <systemd/sd-event.h>

static int left = CHILDREN;

static int on_exits(sd_event_source *source, int fd, uint32_t events, void *x)
{
    (void)fd, (void)events;
    left -= print_ends(x);
    return left > 0 ? 0 : sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    sd_event *loop;
    sd_event_source *exits;
    must(sd_event_new(&loop), "sd_event_new");
    must(sd_event_add_io(loop, &exits, exitfd_get_fd(x), EPOLLIN, on_exits, x), "sd_event_add_io");
    start_children(x);

    must(sd_event_loop(loop), "sd_event_loop");
    sd_event_source_unref(exits);
    sd_event_unref(loop);
    exitfd_close(x);
    return 0;
}
