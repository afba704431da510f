/* SPDX-License-Identifier: MIT */
/*
 * Counts what a process does between trace_open_window and trace_close_window:
 * exactly, by ptrace, whatever wrapper it calls and whatever its library does.
 * (Not every machine has hardware counters, and valgrind has no pidfds.)
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

enum {
    TRACE_CALLS_MAX = 512
};

struct trace {
    unsigned long instructions; /* of user space, in the first thread */
    unsigned long calls;
    unsigned long calls_by_number[TRACE_CALLS_MAX];
};

enum trace_what {
    TRACE_CALLS,
    TRACE_INSTRUCTIONS
};

/* Runs job(argument) in a new process and fills in one half of *counted. */
void trace_run(enum trace_what what, void (*job)(void *argument), void *argument, struct trace *counted);
void trace_open_window(void);
void trace_close_window(void);

const char *trace_name_of_call(unsigned long number);

#endif
