/* SPDX-License-Identifier: MIT */
/*
 * exitfd/libev.h: the exits of an exitfd as callbacks of a libev loop.
 *
 *     static void on_exit(EV_P_ struct exitfd_ev *exits, int error,
 *                         const struct exitfd_event *event)
 *     {
 *         if (error == 0)
 *             printf("%d has ended\n", (int)event->pid);
 *     }
 *     ...
 *     exitfd_ev_attach(EV_A_ &exits, x, on_exit, NULL);
 *
 * Optional and header only. Only a program that includes this needs libev.
 *
 * One callback gets one event. The loop gets its other work done between two
 * of them. Any callback may detach, free exits, and close x after that.
 *
 * Use a loop of ev_loop_new. ev_default_loop reaps every child of the process.
 * The statuses then come from the kernel's record, and are EXITFD_UNKNOWN
 * where there is none (before Linux 6.15, or without a pidfd).
 */
#ifndef EXITFD_LIBEV_H
#define EXITFD_LIBEV_H

#include <exitfd.h>

#include <errno.h>
#include <ev.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exitfd_ev;

/*
 * error is 0 and event is one event, which is valid during the call. Or error
 * is a negative errno of exitfd_wait, and event is NULL. After -EPIPE the fd is
 * still watched. After another error it is not, and you should detach.
 */
typedef void exitfd_ev_callback(EV_P_ struct exitfd_ev *exits, int error, const struct exitfd_event *event);

/* Memory of the caller, as all watchers of libev. data is yours. */
struct exitfd_ev {
    ev_io io;
    struct exitfd *x;
    exitfd_ev_callback *callback;
    void *data;
};

static inline void exitfd_ev_ready(EV_P_ ev_io *io, int events)
{
    struct exitfd_ev *exits = (struct exitfd_ev *)io;
    struct exitfd_event event;
    int n = (events & EV_ERROR) ? -EBADF : exitfd_wait(exits->x, &event, 1, 0);

    if (n < 0 && n != -EPIPE)
        ev_io_stop(EV_A_ io);
    if (n != 0)
        exits->callback(EV_A_ exits, n < 0 ? n : 0, n < 0 ? NULL : &event);
}

/*
 * exitfd_ev_attach - call callback for each event of x
 *
 * Returns 0, or a negative errno of exitfd_get_fd. x must stay open, and exits
 * where it is, until exitfd_ev_detach.
 */
static inline int exitfd_ev_attach(EV_P_ struct exitfd_ev *exits, struct exitfd *x, exitfd_ev_callback *callback,
                                   void *data)
{
    int fd = exitfd_get_fd(x);

    if (fd < 0)
        return fd;
    exits->x = x;
    exits->callback = callback;
    exits->data = data;
    ev_io_init(&exits->io, exitfd_ev_ready, fd, EV_READ);
    ev_io_start(EV_A_ & exits->io);
    return 0;
}

/*
 * exitfd_ev_detach - stop
 *
 * No callback follows. x may be closed, and exits be freed, at once.
 * Detach before ev_loop_destroy.
 *
 * After fork, the child calls ev_loop_fork, then this, then exitfd_close.
 */
static inline void exitfd_ev_detach(EV_P_ struct exitfd_ev *exits)
{
    ev_io_stop(EV_A_ & exits->io);
}

#ifdef __cplusplus
}
#endif

#endif
