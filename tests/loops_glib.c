/* SPDX-License-Identifier: MIT */
/*
 * What loops_cases.c needs to drive GLib's loop, and cases of this adapter
 * alone.
 */
#include "loops_side.h"

#include <exitfd/glib.h>

static void *new_loop(void)
{
    return g_main_context_new();
}

static void free_loop(void *context)
{
    g_main_context_unref(context);
}

static gboolean on_exit_event(struct exitfd *x, int error, const struct exitfd_event *event, gpointer data)
{
    struct receiver *r = data;
    CHECK(x == r->x);
    r->take(r, error, event);
    return G_SOURCE_CONTINUE;
}

static void on_destroy(gpointer data)
{
    struct receiver *r = data;
    r->released++;
}

static void *attach(void *context, struct exitfd *x, struct receiver *r)
{
    GSource *source = exitfd_g_source_new(x);
    if (!source)
        return NULL;
    exitfd_g_source_set_callback(source, on_exit_event, r, on_destroy);
    g_source_attach(source, context);
    return source;
}

static void detach(void *source)
{
    g_source_destroy(source);
    g_source_unref(source);
}

static void run_once(void *context)
{
    g_main_context_iteration(context, TRUE);
}

static void run_now(void *context)
{
    g_main_context_iteration(context, FALSE);
}

static const struct side glib = { new_loop, free_loop, NULL, attach, detach, run_once, run_now };

static gboolean remove_after_one(struct exitfd *x, int error, const struct exitfd_event *event, gpointer data)
{
    on_exit_event(x, error, event, data);
    return G_SOURCE_REMOVE;
}

/* With the id of the default context. */
static void remove_ends_the_source_and_the_next_event_stays(void)
{
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(&glib, x);
    guint id = exitfd_g_add(x, remove_after_one, r);
    CHECK(id != 0);
    CHECK(exitfd_g_add(NULL, remove_after_one, r) == 0);
    start_two(x);
    run_until(NULL, r, 1);
    run_now(NULL);
    CHECK(r->events == 1 && g_main_context_find_source_by_id(NULL, id) == NULL);
    CHECK(next_event(x).status == 4);

    id = exitfd_g_add(x, remove_after_one, r);
    CHECK(g_source_remove(id));
    exitfd_close(x);
    g_free(r);
}

static void close_it(gpointer data)
{
    struct receiver *r = data;
    r->x = exitfd_close(r->x);
}

static void a_destroy_notify_may_own_the_exitfd(void)
{
    GMainContext *context = g_main_context_new();
    struct receiver *r = new_receiver(&glib, open_exitfd());
    GSource *source = exitfd_g_source_new(r->x);
    exitfd_g_source_set_callback(source, on_exit_event, r, close_it);
    g_source_attach(source, context);
    g_source_unref(source);
    g_main_context_unref(context);
    CHECK(r->x == NULL);
    g_free(r);
}

int main(int argc, char *argv[])
{
    static const struct tap_case more[] = {
        { "remove_ends_the_source_and_the_next_event_stays", remove_ends_the_source_and_the_next_event_stays },
        { "a_destroy_notify_may_own_the_exitfd", a_destroy_notify_may_own_the_exitfd },
    };
    return loops_main(argc, argv, &glib, more, sizeof more / sizeof *more);
}
