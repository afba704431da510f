/* SPDX-License-Identifier: MIT */
/*
 * exitfd/sd-event.h: the exits of an exitfd as an sd_event_source.
 *
 *     static int on_exit(sd_event_source *s, int error,
 *                        const struct exitfd_event *event, void *userdata)
 *     {
 *         if (error == 0)
 *             printf("%d has ended\n", (int)event->pid);
 *         return 0;
 *     }
 *     ...
 *     exitfd_sd_event_add(e, &source, x, on_exit, NULL);
 *
 * Optional and header only. Only a program that includes this needs libsystemd
 * (239).
 *
 * One callback gets one event. The loop gets its other work done between two
 * of them. Any callback may unref the source, and may close x after that.
 *
 * One child has one owner. Use no sd_event_add_child for a child that exitfd
 * watches. SIGCHLD has one reader too, and sd_event_add_child wants it blocked.
 * So beside that use the pidfd back end.
 */
#ifndef EXITFD_SD_EVENT_H
#define EXITFD_SD_EVENT_H

#include <exitfd.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * error is 0 and event is one event, which is valid during the call. Or error
 * is a negative errno of exitfd_wait, and event is NULL. The return value is
 * that of all handlers of sd-event. A negative one disables the source. After
 * an error other than -EPIPE it has been disabled already.
 */
typedef int (*exitfd_sd_event_handler)(sd_event_source *s, int error, const struct exitfd_event *event, void *userdata);

struct exitfd_sd_event {
    struct exitfd *x;
    exitfd_sd_event_handler handler;
    void *userdata;
};

static inline int exitfd_sd_event_ready(sd_event_source *s, int fd, uint32_t revents, void *argument)
{
    struct exitfd_sd_event *exits = (struct exitfd_sd_event *)argument;
    struct exitfd_event event;
    int n = exitfd_wait(exits->x, &event, 1, 0);

    (void)fd, (void)revents;
    if (n == 0)
        return 0;
    if (n < 0 && n != -EPIPE)
        (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
    return exits->handler(s, n < 0 ? n : 0, n < 0 ? NULL : &event, exits->userdata);
}

/*
 * exitfd_sd_event_add - call handler for each event of x
 *
 * Returns a negative errno on failure. *ret is a source for
 * sd_event_source_set_priority and the like, and for
 * sd_event_source_disable_unref, which ends it. If ret is NULL, the source
 * lives as long as e. Its userdata and its destroy callback are in use
 * here, so leave these two alone.
 *
 * x stays the caller's, and must be open until the source is gone.
 *
 * After fork, sd-event refuses to work in the child (-ECHILD).
 */
static inline int exitfd_sd_event_add(sd_event *e, sd_event_source **ret, struct exitfd *x,
                                      exitfd_sd_event_handler handler, void *userdata)
{
    int fd = exitfd_get_fd(x);
    struct exitfd_sd_event *exits;
    sd_event_source *s;
    int error;

    if (fd < 0)
        return fd;
    exits = (struct exitfd_sd_event *)malloc(sizeof *exits);
    if (!exits)
        return -ENOMEM;
    exits->x = x;
    exits->handler = handler;
    exits->userdata = userdata;
    error = sd_event_add_io(e, &s, fd, EPOLLIN, exitfd_sd_event_ready, exits);
    if (error < 0) {
        free(exits);
        return error;
    }
    sd_event_source_set_destroy_callback(s, free);
    if (ret) {
        *ret = s;
        return 0;
    }
    error = sd_event_source_set_floating(s, 1);
    sd_event_source_unref(s);
    return error < 0 ? error : 0;
}

#ifdef __cplusplus
}
#endif

#endif
