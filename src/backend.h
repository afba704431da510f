/* SPDX-License-Identifier: MIT */
/* What a back end must provide, and the object it works on. */
#ifndef EXITFD_BACKEND_H
#define EXITFD_BACKEND_H

#include "exitfd.h"
#include "watches.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct exitfd;
struct uring;

/*
 * All slots are required unless said otherwise, and all but probe, open, close, check and wait are called with x->lock
 * held. The errnos are those of the header.
 */
struct backend {
    const char *name;
    unsigned flag;

    /* 0: works here; -ENOTSUP: not here, the next one is tried; else an error to report. forced: asked for by name. */
    int (*probe)(unsigned flags, bool forced);

    /* Makes x->fd and what else it needs; x is zeroed but for flags, and its fds are -1. On failure all is undone. */
    int (*open)(struct exitfd *x);

    /* Also called in a forked child: then the epoll sets are shared with the parent and must not be changed. */
    void (*close)(struct exitfd *x);

    /* Watches the process of w (bound, flags set). With pidfd >= 0 that names it, and is owned by the back end after 0.
       known_child: it was started by us and has not been waited for, and adding must not fail. */
    int (*add)(struct exitfd *x, struct watch *w, int pidfd, bool known_child);

    /* Lets go of w, whose slot the caller drops. */
    void (*remove)(struct exitfd *x, struct watch *w);

    /* Takes events, blocking for at most timeout ms (-1: no limit) without x->lock. May return 0 early. */
    int (*wait)(struct exitfd *x, struct exitfd_event *events, int max, int timeout);

    /* Optional: 0, or -EXDEV in a thread that may not use x. */
    int (*check)(const struct exitfd *x);

    /* Whether it lives on SIGCHLD: then it listens from open to close, and EXITFD_NO_SIGNALS does not forbid that. */
    bool by_sigchld;

    /* Optional: x->tick_period has changed. */
    void (*tick)(struct exitfd *x);
};

extern const struct backend *const xfd_backends[]; /* of this build, in order of preference, NULL at the end */

struct exitfd {
    const struct backend *backend;
    unsigned flags;
    uint64_t epoch; /* the process that opened it, process.h */
    int fd;
    _Atomic unsigned sleepers; /* threads in a wait that may block */

    pthread_mutex_t lock; /* guards all that follows; never held while blocked */
    struct watches watches;

    /* Children that SIGCHLD tells of, follow.c */
    int wake_fd;               /* what is written here makes fd readable */
    unsigned wake_size;        /* how much: 8 for an eventfd, 1 for a pipe */
    struct listener *listener; /* whom the SIGCHLD handler writes to */
    bool listening, listening_to_stops, deaf, told_deaf;
    int tick_period;                /* every so many milliseconds fd is readable for a look; 0: not for that */
    uint32_t followed, job_watches; /* how many are in the ring without a pidfd, with stops or continues */
    uint32_t gone;                  /* how many of the ring can signal no more */
    uint32_t ring;                  /* the watch of the ring to look at next */
    uint32_t jobs_next;             /* the one whose stops are to be looked at next */
    bool exits_first;               /* whose turn it is where max leaves no room for both exits and stops */
    uint32_t ring_size, unchecked;  /* how many from ring on must still be looked at */
    unsigned long foreign_reaps;    /* as they were at the last look; and how many of our own were seen then */
    uint64_t own_reaps;

    /* The any-other-child watch, orphans.c */
    bool any_child, orphans_due;
    atomic_bool orphans_first; /* there was no room for them at the last call */
    void *any_data;
    struct exitfd *next_open;

    int timer_fd, signal_fd;
    pthread_t opener;
    struct uring *uring;
};

#endif
