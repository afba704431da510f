/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark programs share. There is one program for each question. It
 * takes samples of every implementation in interleaved rounds (A B C A B C
 * ...), each sample in a fresh process. It prints one line for each figure:
 *
 *     question <tab> size <tab> implementation <tab> round <tab> figure <tab>
 *     value
 *
 * A sample that went wrong in any way prints "void" as its figure and the
 * reason as its value.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include "implementation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIZES_MAX = 8
};

struct effort {
    size_t sizes[SIZES_MAX]; /* numbers of watched children; 0 where there are no more */
    unsigned rounds;
    unsigned repeats; /* what the question repeats inside one sample */
};

struct question {
    const char *name;
    const char *asks; /* one line for --help */
    struct effort quick, full;
    void (*take_sample)(const struct implementation *how, size_t size, unsigned repeats);
    bool (*concerns)(const struct implementation *how); /* NULL: all of them but those that only start */
};

int answer(const struct question *question, int argc, char **argv);

/* For the process of a sample. */
void put_figure(const char *name, double value);
void void_sample(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void void_and_end(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same, with errno's text */

/* A herd of size children and an open implementation, */
void open_with_herd(const struct implementation *how, size_t size);
/* which watches them all, with a turn of the loop, for those that take a note
   in add and tell the kernel later. */
void add_herd(const struct implementation *how, size_t size);
/* All of it exits and is collected. */
void storm_herd(const struct implementation *how, size_t size);
void close_with_herd(const struct implementation *how);

void collect_until(const struct implementation *how, size_t reports);
/* One more report, of this child. */
void collect_one(const struct implementation *how, struct child *c);

/* CPU time of this thread, less what reading that clock costs. */
int64_t cpu_start(void);
int64_t cpu_since(int64_t start);
long page_faults(void); /* of this thread */

/* A child that lives beside, so that what this process has is copy-on-write. */
pid_t fork_bystander(void);
void end_bystander(pid_t pid);

void sort_values(int64_t *values, size_t count);
size_t random_below(size_t limit);
int highest_pid(void);
void *shared_memory(size_t size);
void die_with_parent(void);
void block_sigchld(void);

#endif
