/* SPDX-License-Identifier: MIT */
/*
 * What loops_cases.c needs to drive libuv's loop, and cases of this adapter
 * alone. A handle is closed by the loop, so its memory stays until then.
 */
#include "loops_side.h"

#include <errno.h>
#include <exitfd/libuv.h>
#include <stdlib.h>

static void *new_loop(void)
{
    uv_loop_t *loop = malloc(sizeof *loop);
    CHECK(loop && uv_loop_init(loop) == 0, "uv_loop_init");
    return loop;
}

static void free_loop(void *loop)
{
    CHECK(uv_run(loop, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(loop) == 0);
    free(loop);
}

static void after_fork(void *loop)
{
    CHECK(uv_loop_fork(loop) == 0, "uv_loop_fork");
}

static void on_exit_event(struct exitfd_uv *exits, int status, const struct exitfd_event *event)
{
    struct receiver *r = exits->data;
    r->take(r, status, event);
}

static void on_closed(struct exitfd_uv *exits)
{
    struct receiver *r = exits->data;
    r->released++;
    free(exits);
}

static void *attach(void *loop, struct exitfd *x, struct receiver *r)
{
    struct exitfd_uv *exits = malloc(sizeof *exits);
    if (exits && exitfd_uv_attach(exits, loop, x, on_exit_event, r) == 0)
        return exits;
    free(exits);
    return NULL;
}

static void detach(void *attached)
{
    exitfd_uv_detach(attached, on_closed);
}

static void run_once(void *loop)
{
    uv_run(loop, UV_RUN_ONCE);
}

static void run_now(void *loop)
{
    uv_run(loop, UV_RUN_NOWAIT);
}

static const struct side libuv = { new_loop, free_loop, after_fork, attach, detach, run_once, run_now };

static void close_each(uv_handle_t *handle, void *unused)
{
    (void)unused;
    uv_close(handle, NULL);
}

/* As programs end: no handle is asked what it is. */
static void uv_walk_and_uv_close_are_a_detach(void)
{
    uv_loop_t *loop = new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(&libuv, x);
    struct exitfd_uv exits;
    CHECK(exitfd_uv_attach(&exits, loop, x, on_exit_event, r) == 0);
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(0);
    wait_until_zombie(pid);
    uv_walk(loop, close_each, NULL);
    free_loop(loop);
    CHECK(r->events == 0 && next_event(x).pid == pid);
    exitfd_close(x);
    free(r);
}

static void an_unreferenced_handle_does_not_keep_the_loop(void)
{
    uv_loop_t *loop = new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(&libuv, x);
    start_receiving(r, loop);
    CHECK(uv_loop_alive(loop));
    uv_unref((uv_handle_t *)&((struct exitfd_uv *)r->attached)->poll);
    CHECK(!uv_loop_alive(loop));
    detach(r->attached);
    free_loop(loop);
    exitfd_close(x);
    free(r);
}

int main(int argc, char *argv[])
{
    static const struct tap_case more[] = {
        { "uv_walk_and_uv_close_are_a_detach", uv_walk_and_uv_close_are_a_detach },
        { "an_unreferenced_handle_does_not_keep_the_loop", an_unreferenced_handle_does_not_keep_the_loop },
    };
    return loops_main(argc, argv, &libuv, more, sizeof more / sizeof *more);
}
