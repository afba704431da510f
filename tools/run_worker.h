/* SPDX-License-Identifier: MIT */
/* The process of exitfd run that does the work. */
#ifndef RUN_WORKER_H
#define RUN_WORKER_H

#include "run.h"
#include "run_groups.h"

#include <poll.h>

struct message {
    char *text;
    size_t length, said;
};

struct run {
    const struct run_options *options;
    struct job_environment environment;
    struct lines lines;
    struct line *next_line; /* taken from the list and not started yet */
    struct job **open;      /* that run, or have ended and are draining */
    int64_t open_count, open_room;
    int64_t running_count;
    struct groups groups;
    int *quiet_fds;
    size_t quiet_count;
    int64_t quiet_next_ns;
    struct pollfd *fds;
    struct spill spill;
    struct printer printer;
    struct status_line status;
    struct progress progress;
    struct summary summary;
    struct message *messages; /* that standard error has not taken yet */
    size_t message_count;
    int lifeline, signal_fd;
    bool may_block;      /* a write to its outputs, although poll(2) calls them writable */
    bool is_crowded;     /* fds, memory or processes ran out: more room when a command has ended */
    bool can_start_more; /* at once */
    bool is_ending;
    bool has_broken; /* we have failed, not a command */
    int end_signal;
    int64_t print_until_ns; /* then what is left of the output is given up */
};

/* run_jobs.c: the commands' way from the list to the printer. */
void jobs_make_room(struct run *run); /* for one more */
void jobs_start_some(struct run *run);
void jobs_read(struct run *run); /* where poll has found something */
void jobs_end(struct run *run, const struct exitfd_event *events, int count);
void jobs_meet_deadlines(struct run *run);
void jobs_signal_all(struct run *run, int signo);

/* run_quiet.c: outputs that are read and dropped. */
void quiet_add(struct run *run, const int fds[2]);
void quiet_drain(struct run *run);
void quiet_close_all(struct run *run);

/* Starts nothing more and asks what runs to end; run_kill does not ask. */
void run_end(struct run *run);
void run_kill(struct run *run);

/* What we cannot do for want of a resource of our own ends the run: it must not
   look as if a command had failed. */
void run_break_off(struct run *run, const char *what, int error);

/* run_messages.c. On a line of its own, also where there is a status line.
   Blocks on no reader. */
__attribute__((format(printf, 2, 3))) void run_complain(struct run *run, const char *format, ...);
void run_start_new_line(struct run *run);
bool messages_are_mid_line(const struct run *run);
bool messages_say(struct run *run); /* what can be said now of what waits; false in the middle of a line */
void messages_drop(struct run *run);

enum {
    FD_EXITS,
    FD_SIGNALS,
    FD_LIFELINE,
    FD_LIST,
    FD_PRINTER,
    FD_MESSAGES,
    FD_OUTPUTS
};

#endif
