/* SPDX-License-Identifier: MIT */
/*
 * exitfd/libevent.h: the exits of an exitfd as callbacks of a libevent base.
 *
 *     static void on_exit(struct exitfd_libevent *exits, int error,
 *                         const struct exitfd_event *event)
 *     {
 *         if (error == 0)
 *             printf("%d has ended\n", (int)event->pid);
 *     }
 *     ...
 *     exitfd_libevent_attach(&exits, base, x, on_exit, NULL);
 *
 * Optional and header only. Only a program that includes this needs libevent.
 *
 * One callback gets one event. The base gets its other work done between two
 * of them. Any callback may detach, free exits, and close x after that.
 *
 * An event for SIGCHLD (evsignal_new) replaces the handler of the self-pipe
 * back end. The callback then gets -EPIPE once. The pidfd back end does not
 * notice.
 */
#ifndef EXITFD_LIBEVENT_H
#define EXITFD_LIBEVENT_H

#include <exitfd.h>

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exitfd_libevent;

/*
 * error is 0 and event is one event, which is valid during the call. Or error
 * is a negative errno of exitfd_wait, and event is NULL. After -EPIPE the fd is
 * still watched. After another error it is not, and you should detach.
 */
typedef void exitfd_libevent_callback(struct exitfd_libevent *exits, int error, const struct exitfd_event *event);

/* Memory of the caller. data is yours. event is for event_priority_set. */
struct exitfd_libevent {
    struct event *event;
    struct exitfd *x;
    exitfd_libevent_callback *callback;
    void *data;
};

static inline void exitfd_libevent_ready(evutil_socket_t fd, short what, void *argument)
{
    struct exitfd_libevent *exits = (struct exitfd_libevent *)argument;
    struct exitfd_event event;
    int n = exitfd_wait(exits->x, &event, 1, 0);

    (void)fd, (void)what;
    if (n < 0 && n != -EPIPE)
        event_del(exits->event);
    if (n != 0)
        exits->callback(exits, n < 0 ? n : 0, n < 0 ? NULL : &event);
}

/*
 * exitfd_libevent_attach - call callback for each event of x
 *
 * Returns 0, a negative errno of exitfd_get_fd, or -ENOMEM. x must stay open,
 * and exits where it is, until exitfd_libevent_detach.
 */
static inline int exitfd_libevent_attach(struct exitfd_libevent *exits, struct event_base *base, struct exitfd *x,
                                         exitfd_libevent_callback *callback, void *data)
{
    int fd = exitfd_get_fd(x);
    struct event *event;

    if (fd < 0)
        return fd;
    event = event_new(base, fd, EV_READ | EV_PERSIST, exitfd_libevent_ready, exits);
    if (!event)
        return -ENOMEM;
    exits->event = event;
    exits->x = x;
    exits->callback = callback;
    exits->data = data;
    if (event_add(event, NULL) == 0)
        return 0;
    event_free(event);
    return -ENOMEM;
}

/*
 * exitfd_libevent_detach - stop
 *
 * No callback follows. x may be closed, and exits be freed, at once.
 * Detach before event_base_free, as all events of libevent are freed before it.
 *
 * After fork, the child calls event_reinit, then this, then exitfd_close.
 */
static inline void exitfd_libevent_detach(struct exitfd_libevent *exits)
{
    event_free(exits->event);
}

#ifdef __cplusplus
}
#endif

#endif
