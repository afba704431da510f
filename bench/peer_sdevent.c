/* SPDX-License-Identifier: MIT */
/* sd_event_add_child(3): SIGCHLD must be blocked, and the source is
   one-shot. */
#include "common.h"

#include <errno.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

static sd_event *loop;

static const char *open_loop(void)
{
    block_sigchld();
    return sd_event_new(&loop) < 0 ? "sd_event_new failed" : NULL;
}

static int on_exit_of(sd_event_source *source, const siginfo_t *info, void *data)
{
    herd_report(data, info->si_pid, info->si_code, info->si_status);
    sd_event_source_disable_unref(source);
    return 0;
}

static void add(struct child *c)
{
    sd_event_source *source;
    int result = sd_event_add_child(loop, &source, c->pid, WEXITED, on_exit_of, c);

    if (result < 0) {
        errno = -result;
        die("sd_event_add_child");
    }
}

static void collect(bool block)
{
    sd_event_run(loop, block ? UINT64_MAX : 0);
}

static void close_loop(void)
{
    sd_event_unref(loop);
}

const struct implementation peer_sdevent = {
    .name = "sd-event",
    .open = open_loop,
    .add = add,
    .collect = collect,
    .close = close_loop,
};
