/* SPDX-License-Identifier: MIT */
/* libevent has no child watch. Its users watch SIGCHLD with an evsignal and
   call waitpid(-1) until it has no more. */
#include "common.h"

#include <event2/event.h>
#include <sys/wait.h>

static struct event_base *base;
static struct event *sigchld;

static void on_sigchld(evutil_socket_t signal_number, short events, void *unused)
{
    int status;
    pid_t pid;

    (void)signal_number;
    (void)events;
    (void)unused;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        herd_report_wait_status(herd_find(pid), pid, status);
}

static const char *open_base(void)
{
    base = event_base_new();
    sigchld = base == NULL ? NULL : evsignal_new(base, SIGCHLD, on_sigchld, NULL);
    return sigchld == NULL || event_add(sigchld, NULL) < 0 ? "event_base_new or evsignal_new failed" : NULL;
}

static void add_nothing(struct child *c)
{
    (void)c;
}

static void collect(bool block)
{
    event_base_loop(base, EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
}

static void close_base(void)
{
    event_free(sigchld);
    event_base_free(base);
}

const struct implementation peer_libevent = {
    .name = "libevent + waitpid(-1)",
    .open = open_base,
    .add = add_nothing,
    .collect = collect,
    .close = close_base,
};
