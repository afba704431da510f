/* SPDX-License-Identifier: MIT */
/* A list of command lines, read as it comes. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line {
    struct line *next;
    int64_t number; /* in the list, from 1 */
    char *text;
    const char *defect; /* why it can be no command, or NULL */
};

struct lines {
    int fd;
    bool at_end;
    int error;        /* errno of a failed read, which also ends the list */
    int64_t number;   /* lines begun so far */
    int64_t commands; /* of these, neither blank nor a comment */
    struct line *first, **last;
    size_t queued_bytes;
    char *partial; /* the line whose end has not come yet */
    size_t partial_length;
    bool is_partial_too_long;
};

void lines_begin(struct lines *lines, int fd);
bool lines_wants_input(const struct lines *lines);

/* Reads what is there now; blocks only where poll(2) would. */
void lines_fill(struct lines *lines);

/* The next command, NULL if none has come yet; the caller frees it with line_free. */
struct line *lines_take(struct lines *lines);
void line_free(struct line *line);

#endif
