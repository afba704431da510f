/* SPDX-License-Identifier: MIT */
/*
 * exitfd/glib.h: the exits of an exitfd as a GSource.
 *
 *     static gboolean on_exit(struct exitfd *x, int error,
 *                             const struct exitfd_event *event, gpointer data)
 *     {
 *         if (error == 0)
 *             g_print("%d has ended\n", (int)event->pid);
 *         return G_SOURCE_CONTINUE;
 *     }
 *     ...
 *     exitfd_g_add(x, on_exit, NULL);
 *
 * Optional and header only. Only a program that includes this needs GLib 2.36.
 *
 * One callback gets one event. The context gets its other work done between
 * two of them. Any callback may destroy the source, and may close x after that.
 *
 * One child has one owner. Use no g_child_watch_add or GSubprocess for a child
 * that exitfd watches. Beside them use the pidfd back end, because GLib
 * replaces the SIGCHLD handler.
 */
#ifndef EXITFD_GLIB_H
#define EXITFD_GLIB_H

#include <exitfd.h>

#include <errno.h>
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * error is 0 and event is one event, which is valid during the call. Or error
 * is a negative errno of exitfd_wait, and event is NULL. The source goes on for
 * G_SOURCE_CONTINUE and is destroyed for G_SOURCE_REMOVE. After an error other
 * than -EPIPE it is always destroyed.
 */
typedef gboolean (*exitfd_g_callback)(struct exitfd *x, int error, const struct exitfd_event *event,
                                      gpointer user_data);

struct exitfd_g_source {
    GSource source;
    struct exitfd *x;
};

static inline gboolean exitfd_g_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    struct exitfd *x = ((struct exitfd_g_source *)(void *)source)->x;
    exitfd_g_callback call = (exitfd_g_callback)(void (*)(void))callback;
    struct exitfd_event event;
    int n = call ? exitfd_wait(x, &event, 1, 0) : -EINVAL;
    gboolean more = G_SOURCE_CONTINUE;

    if (call && n != 0)
        more = call(x, n < 0 ? n : 0, n < 0 ? NULL : &event, user_data);
    return n < 0 && n != -EPIPE ? G_SOURCE_REMOVE : more;
}

/*
 * exitfd_g_source_new - a source that is ready while x has an event
 *
 * Use it as every GSource, with exitfd_g_source_set_callback, g_source_attach,
 * g_source_destroy and g_source_unref. Returns NULL where exitfd_get_fd fails.
 *
 * x stays the caller's, and must be open until the source is destroyed. To tie
 * them together, set a GDestroyNotify that closes x.
 *
 * After fork, nothing of GLib's main loop is of use in the child.
 */
static inline GSource *exitfd_g_source_new(struct exitfd *x)
{
    static GSourceFuncs functions = { NULL, NULL, exitfd_g_dispatch, NULL, NULL, NULL };
    int fd = exitfd_get_fd(x);
    GSource *source;

    if (fd < 0)
        return NULL;
    source = g_source_new(&functions, sizeof(struct exitfd_g_source));
    ((struct exitfd_g_source *)(void *)source)->x = x;
    g_source_add_unix_fd(source, fd, G_IO_IN);
    return source;
}

static inline void exitfd_g_source_set_callback(GSource *source, exitfd_g_callback callback, gpointer user_data,
                                                GDestroyNotify notify)
{
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))callback, user_data, notify);
}

/*
 * exitfd_g_add - call callback for each event of x, from the default context
 *
 * Returns the id for g_source_remove, or 0 where exitfd_get_fd fails.
 */
static inline guint exitfd_g_add(struct exitfd *x, exitfd_g_callback callback, gpointer user_data)
{
    GSource *source = exitfd_g_source_new(x);
    guint id;

    if (!source)
        return 0;
    exitfd_g_source_set_callback(source, callback, user_data, NULL);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}

#ifdef __cplusplus
}
#endif

#endif
