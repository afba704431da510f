/* SPDX-License-Identifier: MIT */
/* exitfd run: what its parts know of each other. */
#ifndef RUN_H
#define RUN_H

#include "capture.h"
#include "job.h"
#include "lines.h"
#include "tool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What outlives SIGKILL so long, in a system call or held by a tracer, is not
   waited for any more. */
#define SIGKILL_PATIENCE_NS (5 * NS_PER_SECOND)

struct run_options {
    int64_t jobs;
    int64_t output_limit; /* bytes of each command that are kept */
    char *const *command; /* for each line, which stands for "{}" there; NULL: each line is a command */
    struct list_format format;
    int64_t timeout_ns, kill_after_ns; /* NEVER: no time limit */
    int64_t progress_ns;               /* between two status lines; NEVER: none */
    int64_t summary_rows;
    bool fail_fast, keep_order, json, quiet;
    const char *list; /* its name, "-" for standard input */
    int list_fd;
    sigset_t signal_mask; /* for the commands */
};

/* run_status.c: the one line that is redrawn on a terminal, or a line now and
   then where there is none. */
struct status_line {
    bool is_terminal;
    bool is_shown;
    int64_t interval_ns, next_ns;
};

struct progress {
    int64_t started_ns;
    int64_t started, done, failed;
    int64_t known; /* commands in the list as far as it was read */
    bool is_list_read;
};

void status_begin(struct status_line *status, const struct run_options *options);
void status_draw(struct status_line *status, const struct progress *progress, bool is_ending);
void status_erase(struct status_line *status);

/* Of standard error; 80 where it is no terminal. */
int terminal_columns(void);

/* run_summary.c: totals, and the jobs most worth a look: those that failed,
   then the slowest. */
struct summary_row {
    int64_t line;
    char *command;
    char verdict[VERDICT_SIZE];
    bool is_success;
    int64_t wall_ns, cpu_ns, peak_kib;
};

struct summary {
    int64_t started_ns;
    int64_t results[RESULT_COUNT];
    int64_t cpu_ns, peak_kib;
    size_t row_limit, row_count;
    struct summary_row **rows;
};

/* What is left of the list when a run ends early. */
struct leftover {
    int64_t not_run;
    bool is_all_of_it; /* the list was read to its end */
};

void summary_begin(struct summary *summary, const struct run_options *options);
void summary_add(struct summary *summary, const struct job *job);
void summary_print(const struct summary *summary, struct leftover leftover, FILE *out);
void summary_print_json(const struct summary *summary, struct leftover leftover, FILE *out);
void summary_free(struct summary *summary);
bool summary_is_success(const struct summary *summary);

/* run_printer.c: the output of one finished job after the other, whole.
   Messages come between two of them. */
enum printer_stage {
    STAGE_BEGIN,
    STAGE_STDOUT,
    STAGE_BETWEEN,
    STAGE_STDERR,
    STAGE_VERDICT,
    STAGE_END
};

struct printer {
    const struct run_options *options;
    struct status_line *status;
    struct spill *spill;
    struct job *first, **last;
    size_t held_bytes;        /* in memory, of jobs that have ended */
    enum printer_stage stage; /* of the first job */
    char *text;               /* being written to fd */
    size_t length, written;
    int fd;
    bool has_one_file;  /* for standard output and standard error */
    bool has_begun;     /* to write the first job to the file of standard error, where messages go, too */
    bool has_to_yield;  /* before that, as a message waits */
    bool is_mid_line;   /* the terminal's cursor is */
    bool is_at_summary; /* for people, so it is no failure if it is not read */
    int error;          /* errno of a failed write; nothing is written any more */
};

void printer_begin(struct printer *printer, const struct run_options *options, struct status_line *status,
                   struct spill *spill);

/* In the order of printing: with --keep-order when it starts, else when it
   ends. */
void printer_add(struct printer *printer, struct job *job);

/* After its end: what cannot be printed soon does not stay in memory. */
void printer_hold(struct printer *printer, struct job *job);

/* Writes what can be written without blocking. */
void printer_write(struct printer *printer);

/* What is written to standard error now comes within the output of a job. */
bool printer_is_in_job(const struct printer *printer);

/* A text behind all outputs, to fd: written to the stream between the two
   calls. NULL if there is no use or memory. */
FILE *printer_begin_last(struct printer *printer, int fd);
void printer_end_last(struct printer *printer, FILE *out);

/* Drops what is left and what will be added: error is PRINTER_GAVE_UP then,
   which is no errno. */
void printer_give_up(struct printer *printer);
#define PRINTER_GAVE_UP (-1)

/* The fd that text is waiting for, or -1. */
int printer_fd(const struct printer *printer);
void printer_free(struct printer *printer);

/* run_guard.c: the parent of the process that does the work, there to leave
   nothing behind. */
enum { /* exit statuses of the worker: what is left is to be ended */
    WORKER_STOPPED = 3,
    WORKER_FAILED = 4 /* it could not end it itself */
};
int run_worker(const struct run_options *options, int lifeline);
int guard_worker(const struct run_options *options, int (*work)(const struct run_options *options, int lifeline));

#endif
