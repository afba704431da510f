/* SPDX-License-Identifier: MIT */
/*
 * The line on a terminal that says how far a run is. The worker draws it, and
 * erases it before anything else is printed.
 */
#include "format.h"
#include "run.h"
#include "tool.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    LINE_SIZE = 256
};

static bool is_smart_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

void status_begin(struct status_line *status, const struct run_options *options)
{
    *status =
        (struct status_line){ .is_terminal = is_smart_terminal(STDERR_FILENO), .interval_ns = NEVER, .next_ns = NEVER };
    if (!options->quiet && options->progress_ns != NEVER) {
        int64_t usual_ns = status->is_terminal ? NS_PER_SECOND / 10 : 10 * NS_PER_SECOND;
        status->interval_ns = options->progress_ns ? options->progress_ns : usual_ns;
        status->next_ns = monotonic_ns() + status->interval_ns;
    }
}

/* Not 0 while something runs, of which nothing is known but that it has not
   ended yet. */
static int64_t remaining_ns(const struct progress *progress, int64_t elapsed_ns)
{
    double each = (double)elapsed_ns / (double)progress->done;
    int64_t ns = (int64_t)(each * (double)(progress->known - progress->done));
    return progress->known > progress->done && ns < NS_PER_SECOND ? NS_PER_SECOND : ns;
}

static void describe(char line[LINE_SIZE], const struct progress *progress, bool is_ending)
{
    char rate[FORMAT_SIZE], eta[FORMAT_SIZE];
    int64_t elapsed_ns = monotonic_ns() - progress->started_ns;
    int length = snprintf(line, LINE_SIZE, "%" PRId64, progress->done);
    const char *more = progress->is_list_read ? "" : "+";
    length += snprintf(line + length, LINE_SIZE - (size_t)length,
                       "/%" PRId64 "%s done, %" PRId64 " running, %" PRId64 " failed", progress->known, more,
                       progress->started - progress->done, progress->failed);
    if (is_ending) {
        snprintf(line + length, LINE_SIZE - (size_t)length, ", stopping");
    } else if (progress->done) {
        length +=
            snprintf(line + length, LINE_SIZE - (size_t)length, ", %s", format_rate(progress->done, elapsed_ns, rate));
        if (progress->is_list_read) {
            snprintf(line + length, LINE_SIZE - (size_t)length, ", ETA %s",
                     format_clock(remaining_ns(progress, elapsed_ns), eta));
        }
    }
}

int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* A terminal that was stopped with Ctrl-S takes nothing: the status line waits,
   the commands do not. */
static bool takes_output(void)
{
    struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };
    return poll(&fd, 1, 0) == 1 && fd.revents == POLLOUT;
}

void status_draw(struct status_line *status, const struct progress *progress, bool is_ending)
{
    char line[LINE_SIZE];
    int64_t now_ns = monotonic_ns();
    if (now_ns < status->next_ns)
        return;
    status->next_ns = now_ns + status->interval_ns;
    if (!takes_output())
        return;
    describe(line, progress, is_ending);
    if (status->is_terminal) {
        /* One column stays free: in the last one some terminals go on to the
           next line. */
        fprintf(stderr, "\r%.*s\033[K", terminal_columns() - 1, line);
        status->is_shown = true;
    } else {
        complain("%s", line);
    }
}

void status_erase(struct status_line *status)
{
    if (status->is_shown) {
        fputs("\r\033[K", stderr);
        status->is_shown = false;
    }
}
