/* SPDX-License-Identifier: MIT */
/*
 * What the worker has to say beside the outputs. Where standard error takes
 * nothing now, a message waits here for its reader. The commands and their time
 * limits do not.
 */
#include "escape.h"
#include "run_worker.h"
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void run_start_new_line(struct run *run)
{
    if (run->printer.is_mid_line) {
        fputc('\n', stderr);
        run->printer.is_mid_line = false;
    }
}

/* It is said in print(), where a timer ends a write that a terminal blocks. */
void run_complain(struct run *run, const char *format, ...)
{
    char text[LONGEST_MESSAGE + 1];
    va_list args;
    va_start(args, format);
    size_t length = compose(text, command_name, format, args);
    va_end(args);
    run->messages = reallocate(run->messages, run->message_count + 1, sizeof *run->messages);
    run->messages[run->message_count++] = (struct message){ .text = copy_text(text, length), .length = length };
}

/* False if it is not all said. A message that nobody can read any more is. */
static bool say_rest(struct message *message)
{
    size_t left = message->length - message->said;
    ssize_t n = write(STDERR_FILENO, message->text + message->said, left < PIPE_BUF ? left : PIPE_BUF);
    if (n < 0)
        return errno != EAGAIN && errno != EINTR;
    message->said += (size_t)n;
    return message->said == message->length;
}

static void begin_line(struct run *run)
{
    status_erase(&run->status);
    run_start_new_line(run);
}

bool messages_are_mid_line(const struct run *run)
{
    return run->message_count && run->messages[0].said;
}

bool messages_say(struct run *run)
{
    size_t said = 0;
    if (printer_is_in_job(&run->printer))
        return true;
    while (said < run->message_count && is_writable(STDERR_FILENO)) {
        struct message *message = &run->messages[said];
        if (!message->said)
            begin_line(run);
        if (!say_rest(message))
            break;
        free(message->text);
        said++;
    }
    if (said) {
        run->message_count -= said;
        memmove(run->messages, run->messages + said, run->message_count * sizeof *run->messages);
    }
    return !messages_are_mid_line(run);
}

void messages_drop(struct run *run)
{
    while (run->message_count)
        free(run->messages[--run->message_count].text);
}
