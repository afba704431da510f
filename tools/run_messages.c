/* SPDX-License-Identifier: MIT */
/*
 * What the worker has to say beside the outputs. Where standard error takes nothing
 * now, a message waits here for its reader. The commands and their time limits do not.
 */
#include "run_worker.h"
#include "tool.h"

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

static void say_now(struct run *run, const char *text)
{
    status_erase(&run->status);
    run_start_new_line(run);
    complain("%s", text);
}

void run_complain(struct run *run, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!run->message_count && is_writable(STDERR_FILENO)) {
        say_now(run, text);
        return;
    }
    run->messages = reallocate(run->messages, run->message_count + 1, sizeof *run->messages);
    run->messages[run->message_count++] = copy_text(text, strlen(text));
}

void messages_say(struct run *run)
{
    size_t said = 0;
    while (said < run->message_count && is_writable(STDERR_FILENO)) {
        say_now(run, run->messages[said]);
        free(run->messages[said++]);
    }
    for (size_t i = said; said && i < run->message_count; i++) {
        run->messages[i - said] = run->messages[i];
    }
    run->message_count -= said;
}

void messages_drop(struct run *run)
{
    while (run->message_count) {
        free(run->messages[--run->message_count]);
    }
}
