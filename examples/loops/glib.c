/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: the callback's return value decides whether it is called again. And one child has one owner: no
 * g_child_watch_add for a pid that exitfd watches.
 */
#include "children.h"
#include <glib-unix.h>

static int left = CHILDREN;
static GMainLoop *loop;

static gboolean on_exits(gint fd, GIOCondition condition, gpointer x)
{
    (void)fd, (void)condition;
    left -= print_ends(x);
    if (left > 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    loop = g_main_loop_new(NULL, FALSE);
    g_unix_fd_add(exitfd_get_fd(x), G_IO_IN, on_exits, x);
    start_children(x);

    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    exitfd_close(x);
    return 0;
}
