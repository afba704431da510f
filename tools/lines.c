/* SPDX-License-Identifier: MIT */
/*
 * Reads the list of exitfd run in pieces, and queues its lines for the worker.
 * The list may come slowly, and it may never end.
 */
#include "lines.h"

#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK = 65536,
    QUEUE_LIMIT = 16 << 20,                /* an endless list is read no further than this ahead of its commands */
    LONGEST_COMMAND = 131071,              /* Linux's MAX_ARG_STRLEN, less the terminating null byte */
    LONGEST_PARTIAL = LONGEST_COMMAND + 1, /* with a carriage return */
};

void lines_begin(struct lines *lines, int fd, struct list_format format)
{
    *lines = (struct lines){ .fd = fd, .format = format };
    lines->last = &lines->first;
}

bool lines_wants_input(const struct lines *lines)
{
    return !lines->at_end && lines->queued_bytes < QUEUE_LIMIT;
}

static bool is_wanted(const struct lines *lines, const char *text)
{
    if (lines->format.is_arguments)
        return *text != '\0';
    text += strspn(text, " \t\r\n\f\v");
    return *text != '\0' && (*text != '#' || lines->format.separator == '\0');
}

/* A list may name exitfd itself there, and so be executable. */
static bool is_begin_of_script(const struct lines *lines, const char *text)
{
    return !lines->format.is_arguments && lines->number == 1 && strncmp(text, "#!", 2) == 0 && !strstr(text, "exitfd");
}

static void drop_carriage_return(struct lines *lines)
{
    if (lines->partial_length && !lines->is_partial_too_long && lines->partial[lines->partial_length - 1] == '\r')
        lines->partial_length--; /* written by an editor of another system: the shell would take it for a word's end */
}

static void put_line(struct lines *lines)
{
    if (lines->format.separator == '\n')
        drop_carriage_return(lines);
    if (lines->partial_length > LONGEST_COMMAND) {
        lines->partial_length = LONGEST_COMMAND;
        lines->is_partial_too_long = true;
    }
    struct line *line = reallocate(NULL, 1, sizeof *line);
    char *text = copy_text(lines->partial, lines->partial_length);
    *line = (struct line){ .number = ++lines->number, .text = text };
    if (memchr(text, '\0', lines->partial_length))
        line->defect = "the line holds a null byte";
    else if (lines->is_partial_too_long)
        line->defect = "the line is longer than a command can be (131,071 bytes)";
    lines->partial_length = 0;
    lines->is_partial_too_long = false;
    lines->is_script |= is_begin_of_script(lines, text);
    if (lines->is_script || (!line->defect && !is_wanted(lines, text))) {
        line_free(line);
        return;
    }
    lines->commands++;
    lines->queued_bytes += strlen(text) + sizeof *line;
    *lines->last = line;
    lines->last = &line->next;
}

static void add_to_partial(struct lines *lines, const char *bytes, size_t count)
{
    size_t room = LONGEST_PARTIAL - lines->partial_length;
    if (count > room) {
        lines->is_partial_too_long = true;
        count = room;
    }
    memcpy(lines->partial + lines->partial_length, bytes, count);
    lines->partial_length += count;
}

static void split(struct lines *lines, const char *bytes, size_t count)
{
    const char *end = bytes + count, *separator;
    while ((separator = memchr(bytes, lines->format.separator, (size_t)(end - bytes)))) {
        add_to_partial(lines, bytes, (size_t)(separator - bytes));
        put_line(lines);
        bytes = separator + 1;
    }
    add_to_partial(lines, bytes, (size_t)(end - bytes));
}

static void finish(struct lines *lines)
{
    lines->at_end = true;
    if (lines->partial_length)
        put_line(lines); /* a last line without its end is one too */
    free(lines->partial);
    lines->partial = NULL;
}

void lines_fill(struct lines *lines)
{
    static char chunk[CHUNK];
    if (!lines->partial)
        lines->partial = reallocate(NULL, LONGEST_PARTIAL, 1);
    ssize_t count = read(lines->fd, chunk, sizeof chunk);
    if (count > 0) {
        split(lines, chunk, (size_t)count);
        lines->at_end |= lines->is_script;
    } else if (count == 0) {
        finish(lines);
    } else if (errno != EINTR && errno != EAGAIN) {
        lines->error = errno;
        finish(lines);
    }
}

struct line *lines_take(struct lines *lines)
{
    struct line *line = lines->first;
    if (line) {
        lines->first = line->next;
        lines->last = lines->first ? lines->last : &lines->first;
        lines->queued_bytes -= strlen(line->text) + sizeof *line;
    }
    return line;
}

void line_free(struct line *line)
{
    free(line->text);
    free(line);
}
