/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: stop and close the handle before exitfd_close, because libuv keeps the number of the fd, and a closed
 * number is soon somebody else's. uv_spawn may be used beside this: libuv waits for its own children only.
 */
#include "children.h"
#include <uv.h>

static int left = CHILDREN;

static void on_exits(uv_poll_t *handle, int status, int events)
{
    (void)events;
    must(status, "uv_poll");
    left -= print_ends(handle->data);
    if (left == 0)
        uv_close((uv_handle_t *)handle, NULL);
}

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    uv_loop_t loop;
    uv_poll_t exits = { .data = x };
    must(uv_loop_init(&loop), "uv_loop_init");
    must(uv_poll_init(&loop, &exits, exitfd_get_fd(x)), "uv_poll_init");
    must(uv_poll_start(&exits, UV_READABLE, on_exits), "uv_poll_start");
    start_children(x);

    must(uv_run(&loop, UV_RUN_DEFAULT), "uv_run");
    must(uv_loop_close(&loop), "uv_loop_close");
    exitfd_close(x);
    return 0;
}
