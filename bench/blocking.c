/* SPDX-License-Identifier: MIT */
/* The floor for small numbers of children: a thread that does nothing but wait
   for all of them. */
#include "common.h"

#include <errno.h>
#include <sys/wait.h>

static const char *open_nothing(void)
{
    return NULL;
}

static void add_nothing(struct child *c)
{
    (void)c;
}

static void collect(bool block)
{
    int status;
    pid_t pid = waitpid(-1, &status, block ? 0 : WNOHANG);

    if (pid > 0)
        herd_report_wait_status(herd_find(pid), pid, status);
    else if (pid < 0)
        die("waitpid");
}

static void close_nothing(void)
{
}

const struct implementation blocking_waitpid = {
    .name = "blocking waitpid(-1)",
    .open = open_nothing,
    .add = add_nothing,
    .collect = collect,
    .close = close_nothing,
};
