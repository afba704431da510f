/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: the callback's return value decides whether it is called
 * again. And one child has one owner: no g_child_watch_add for a pid that
 * exitfd watches.
 */
#include "children.h"
#include <exitfd/glib.h>

static gboolean on_event(struct exitfd *x, int error, const struct exitfd_event *event, gpointer loop)
{
    (void)x;
    if (print_end(error, event) == CHILDREN)
        g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    struct exitfd *x = open_with_children();
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    guint id = exitfd_g_add(x, on_event, loop);
    g_main_loop_run(loop);
    g_source_remove(id);
    g_main_loop_unref(loop);
    exitfd_close(x);
}
