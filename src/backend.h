/* SPDX-License-Identifier: MIT */
/*
 * What a back end must provide, and the object that it works on: struct exitfd,
 * of one part for each file. A back end makes the fd, adds and removes watches,
 * and takes what is due, without sleeping. That is for wait.c.
 */
#ifndef EXITFD_BACKEND_H
#define EXITFD_BACKEND_H

#include "exitfd.h"
#include "foreign_reaps.h"
#include "orphans.h"
#include "scan.h"
#include "status.h"
#include "stops.h"
#include "subscription.h"
#include "tracking.h"
#include "wake.h"
#include "watches.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct uring;

/*
 * All slots are required unless said otherwise, and all but probe, open, close
 * and check are called with x->lock held. The errnos are those of the header.
 */
struct backend {
    const char *name;
    unsigned flag;

    /* 0: works here; -ENOTSUP: not here, the next one is tried; else an error
       to report. forced: asked for by name. */
    int (*probe)(unsigned flags, bool forced);

    /* Makes x->fd and what else it needs; x is zeroed but for flags, and its
       fds are -1. On failure all is undone. */
    int (*open)(struct exitfd *x);

    /*
     * Also called in a forked child: then the epoll sets are shared with the
     * parent and must not be changed, and of x only what is kept there can be
     * read.
     */
    void (*close)(struct exitfd *x);

    /*
     * Watches the process of w (bound, flags set). With pidfd >= 0 that names
     * it, and is owned by the back end after 0. started_by_us: it has not been
     * waited for, and adding must not fail.
     */
    int (*add)(struct exitfd *x, struct watch *w, int pidfd, bool started_by_us);

    /* Stops watching w, whose slot the caller drops. */
    void (*remove)(struct exitfd *x, struct watch *w);

    /* Takes the events that are due now. Never blocks. */
    int (*take)(struct exitfd *x, struct exitfd_event *events, int max);

    /* Optional: 0, or -EXDEV in a thread that may not use x. */
    int (*check)(const struct exitfd *x);

    /* Optional: x->subscription.recheck_ms has changed. */
    void (*set_recheck)(struct exitfd *x);

    /*
     * Whether it lives on SIGCHLD: then it listens from open to close, and
     * EXITFD_NO_SIGNALS does not forbid that. And whether it reads SIGCHLD from
     * a signalfd, and so needs it blocked.
     */
    bool by_sigchld, by_signalfd;
};

extern const struct backend *const xfd_backends[]; /* of this build, in order of preference, NULL at the end */

/*
 * Each struct in it is written by the files of its header alone. Some fields
 * are shared by design. The flags of a watch are written by each file that has
 * a flag in watches.h. The fds are written by the back end that opens them. The
 * back end itself is written by dispatch.c, and by the self-pipe where there is
 * no timer.
 *
 * What comes first is written at open, and when the table grows: a forked child
 * keeps it. The rest is as private.h says.
 */
struct exitfd {
    const struct backend *backend;
    unsigned flags;
    uint64_t owner; /* the process that opened it, process.h */
    int fd;
    int timer_fd, signal_fd; /* linux/set.c, linux/signalfd.c; the latter is polled beside fd */
    int pipe_end;            /* posix/selfpipe.c */
    struct wake wake;
    struct listener *listener; /* subscription.h: reserved from open to close */
    pthread_t opener;          /* linux/signalfd.c */
    struct uring *uring;

    struct watches watches; /* of its first half a forked child frees what lies elsewhere */

    pthread_mutex_t lock; /* guards all from watches on, except what is atomic, and next_open */
    atomic_uint sleepers; /* threads that sleep in exitfd_wait */
    struct tracking tracking;
    struct subscription subscription;
    struct scan scan;
    struct stops stops;
    struct foreign_reaps foreign_reaps;
    struct orphan_watch orphans;
    /* Not on the stack: a page of that would be copied after each fork. */
    struct wait_result answer; /* linux/child.c */
    uint64_t ready[32];        /* linux/pidfd.c: what epoll_wait(2) gives, whose type is Linux's alone */
    struct exitfd *next_open;  /* registry.c: guarded by its lock */
};

#define KEPT_OF_EXITFD offsetof(struct exitfd, watches.free_slot)

#endif
