/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: a closed handle is libuv's until its callback. Here it lives
 * until uv_run returns, so that callback is not needed. uv_spawn may be used
 * beside this, because libuv waits for its own children only.
 */
#include "children.h"
#include <exitfd/libuv.h>

static void on_event(struct exitfd_uv *exits, int status, const struct exitfd_event *event)
{
    if (print_end(status, event) == CHILDREN)
        exitfd_uv_detach(exits, NULL);
}

int main(void)
{
    struct exitfd *x = open_with_children();
    struct exitfd_uv exits;
    must(exitfd_uv_attach(&exits, uv_default_loop(), x, on_event, NULL), "exitfd_uv_attach");
    must(uv_run(uv_default_loop(), UV_RUN_DEFAULT), "uv_run");
    must(uv_loop_close(uv_default_loop()), "uv_loop_close");
    exitfd_close(x);
}
