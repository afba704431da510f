/* SPDX-License-Identifier: MIT */
/* The process of exitfd run that does the work. */
#ifndef RUN_WORKER_H
#define RUN_WORKER_H

#include "run.h"

#include <poll.h>

/* The group of a command that was asked to end and has ended, but has left processes in it. */
struct lingering_group {
    pid_t group;
    int64_t deadline_ns;
};

struct run {
    const struct run_options *options;
    struct job_environment environment;
    struct lines lines;
    struct line *next_line; /* taken from the list and not started yet */
    struct job **running;
    int64_t running_count, running_room;
    struct lingering_group *lingering;
    size_t lingering_count;
    struct pollfd *fds;
    struct spill spill;
    struct printer printer;
    struct status_line status;
    struct progress progress;
    struct summary summary;
    int lifeline, signal_fd;
    bool is_crowded; /* fds, memory or processes ran out: more room when a command has ended */
    bool is_ending;
    bool has_broken; /* we have failed, not a command */
    int end_signal;
    int64_t print_until_ns; /* then what is left of the output is given up */
};

/* run_jobs.c: the commands' way from the list to the printer. */
void jobs_make_room(struct run *run); /* for one more that runs */
void jobs_start_some(struct run *run);
void jobs_end(struct run *run, const struct exitfd_event *event);
void jobs_meet_deadlines(struct run *run);
void jobs_signal_all(struct run *run, int signo);

/* Starts nothing more and asks what runs to end; run_kill does not ask. */
void run_end(struct run *run);
void run_kill(struct run *run);

/* What we cannot do for want of a resource of our own ends the run: it must not look as if a command had failed. */
void run_break_off(struct run *run, const char *what, int error, const char *advice);
void run_break_off_keeping(struct run *run, int r);

enum {
    FD_EXITS,
    FD_SIGNALS,
    FD_LIFELINE,
    FD_LIST,
    FD_PRINTER,
    FD_OUTPUTS
};

#endif
