/* SPDX-License-Identifier: MIT */
#ifndef BENCH_IMPLEMENTATION_H
#define BENCH_IMPLEMENTATION_H

#include "herd.h"

/*
 * One way to learn of child exits. Failures end the sample with die().
 */
struct implementation {
    const char *name;
    /* NULL, or why this way cannot be had here. */
    const char *(*open)(void);
    void (*add)(struct child *c);
    /* One turn of the loop. Reports what has exited by herd_report; blocks only
       if asked to, and may return empty. */
    void (*collect)(bool block);
    void (*close)(void);
    /* Starts a program and watches it: sets c->pid. NULL where the question
       does not arise. */
    void (*spawn)(struct child *c, char *const argv[]);
    /* add is really a spawn, so what it costs is not compared with that of
       others. */
    bool add_is_spawn;
    bool only_starts;    /* of no interest but for its spawn */
    bool can_open_again; /* and is then another one */
};

/* Ends with NULL. The first is the limit that the others are compared with. */
extern const struct implementation *const implementations[];

#endif
