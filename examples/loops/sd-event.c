/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: a callback that returns a negative errno is not called again,
 * and the loop runs on without it. And two readers of SIGCHLD, such as
 * sd_event_add_signal and exitfd's signalfd back end, take the signals from
 * each other.
 */
#include "children.h"
#include <exitfd/sd-event.h>

static int on_event(sd_event_source *source, int error, const struct exitfd_event *event, void *data)
{
    (void)data;
    return print_end(error, event) < CHILDREN ? 0 : sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(void)
{
    struct exitfd *x = open_with_children();
    sd_event *loop;
    must(sd_event_new(&loop), "sd_event_new");
    must(exitfd_sd_event_add(loop, NULL, x, on_event, NULL), "exitfd_sd_event_add");
    must(sd_event_loop(loop), "sd_event_loop");
    sd_event_unref(loop);
    exitfd_close(x);
}
