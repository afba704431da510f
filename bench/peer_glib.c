/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <glib.h>

static const char *open_nothing(void)
{
    return NULL;
}

static void on_exit_of(GPid pid, gint wait_status, gpointer data)
{
    herd_report_wait_status(data, pid, wait_status);
    g_spawn_close_pid(pid);
}

static void add(struct child *c)
{
    g_child_watch_add(c->pid, on_exit_of, c);
}

static void collect(bool block)
{
    g_main_context_iteration(NULL, block);
}

static void close_nothing(void)
{
}

static void spawn(struct child *c, char *const argv[])
{
    GError *error = NULL;

    if (!g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &c->pid, &error))
        die("g_spawn_async: %s", error->message);
    add(c);
}

const struct implementation peer_glib = {
    .name = "GLib",
    .open = open_nothing,
    .add = add,
    .collect = collect,
    .close = close_nothing,
    .spawn = spawn,
};
