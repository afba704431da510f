/* SPDX-License-Identifier: MIT */
/*
 * exitfd/libuv.h: the exits of an exitfd as callbacks of a libuv loop.
 *
 *     static void on_exit(struct exitfd_uv *exits, int status,
 *                         const struct exitfd_event *event)
 *     {
 *         if (status == 0)
 *             printf("%d has ended\n", (int)event->pid);
 *     }
 *     ...
 *     exitfd_uv_attach(&exits, loop, x, on_exit, NULL);
 *
 * Optional and header only. Only a program that includes this needs libuv.
 *
 * One callback gets one event. The loop gets its other work done between two
 * of them. Any callback may detach, and may close x after that.
 *
 * uv_spawn may be used beside this, because libuv waits only for the children
 * that it started. Not with EXITFD_SIGNALFD, which blocks the signal it needs.
 */
#ifndef EXITFD_LIBUV_H
#define EXITFD_LIBUV_H

#include <exitfd.h>

#include <errno.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exitfd_uv;

/*
 * status is 0 and event is one event, which is valid during the call. Or status
 * is a negative errno of exitfd_wait, and event is NULL. After -EPIPE the fd is
 * still watched. After another error it is not, and you should detach.
 */
typedef void exitfd_uv_callback(struct exitfd_uv *exits, int status, const struct exitfd_event *event);
typedef void exitfd_uv_closed(struct exitfd_uv *exits);

/* Memory of the caller, as all handles of libuv. data is yours. */
struct exitfd_uv {
    uv_poll_t poll;
    struct exitfd *x;
    exitfd_uv_callback *callback;
    exitfd_uv_closed *closed;
    void *data;
};

static inline void exitfd_uv_ready(uv_poll_t *poll, int status, int events)
{
    struct exitfd_uv *exits = (struct exitfd_uv *)poll;
    struct exitfd_event event;
    int n = status < 0 ? status : exitfd_wait(exits->x, &event, 1, 0);

    (void)events;
    if (n < 0 && n != -EPIPE)
        uv_poll_stop(poll);
    if (n != 0)
        exits->callback(exits, n < 0 ? n : 0, n < 0 ? NULL : &event);
}

static inline void exitfd_uv_finish(uv_handle_t *handle)
{
    struct exitfd_uv *exits = (struct exitfd_uv *)handle;

    if (exits->closed)
        exits->closed(exits);
}

/*
 * exitfd_uv_attach - call callback for each event of x
 *
 * Returns 0, or a negative errno of exitfd_get_fd or libuv. x must stay open
 * until exitfd_uv_detach. The handle keeps the loop alive. To change that, call
 * uv_unref((uv_handle_t *)&exits->poll).
 */
static inline int exitfd_uv_attach(struct exitfd_uv *exits, uv_loop_t *loop, struct exitfd *x,
                                   exitfd_uv_callback *callback, void *data)
{
    int fd = exitfd_get_fd(x);
    int error = fd < 0 ? fd : uv_poll_init(loop, &exits->poll, fd);

    if (error < 0)
        return error;
    exits->x = x;
    exits->callback = callback;
    exits->closed = NULL;
    exits->data = data;
    return uv_poll_start(&exits->poll, UV_READABLE, exitfd_uv_ready);
}

/*
 * exitfd_uv_detach - stop
 *
 * No callback follows, and x may be closed at once. The memory of exits belongs
 * to libuv until closed was called, which may be NULL. uv_close on
 * &exits->poll, as from uv_walk, is as good.
 *
 * After fork, the child calls uv_loop_fork, then this, then exitfd_close.
 */
static inline void exitfd_uv_detach(struct exitfd_uv *exits, exitfd_uv_closed *closed)
{
    exits->closed = closed;
    uv_close((uv_handle_t *)&exits->poll, exitfd_uv_finish);
}

#ifdef __cplusplus
}
#endif

#endif
