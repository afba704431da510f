/* SPDX-License-Identifier: MIT */
/* A list of command lines, or of arguments, read as it comes. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line {
    struct line *next;
    int64_t number; /* in the list, from 1 */
    char *text;
    const char *defect; /* why it cannot be run, or NULL */
};

struct list_format {
    char separator;    /* '\n' or '\0' */
    bool is_arguments; /* of a command that is given elsewhere: every line counts that is not empty */
};

struct lines {
    int fd;
    struct list_format format;
    bool at_end;
    bool is_script;   /* it begins with "#!": none of its lines is a command */
    int error;        /* errno of a failed read, which also ends the list */
    int64_t number;   /* lines begun so far */
    int64_t commands; /* of these, to be run */
    struct line *first, **last;
    size_t queued_bytes;
    char *partial; /* the line whose end has not come yet */
    size_t partial_length;
    bool is_partial_too_long;
};

void lines_begin(struct lines *lines, int fd, struct list_format format);
bool lines_wants_input(const struct lines *lines);

/* Reads what is there now; blocks only where poll(2) would. */
void lines_fill(struct lines *lines);

/* The next command, NULL if none has come yet; the caller frees it with
   line_free. */
struct line *lines_take(struct lines *lines);
void line_free(struct line *line);

#endif
