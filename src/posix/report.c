/* SPDX-License-Identifier: MIT */
#include "posix/report.h"

#include "fds.h"
#include "posix/compat.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int xfd_report_open(struct report *report)
{
    int ends[2] = { -1, -1 };
    int error = xfd_compat_pipe(ends);

    *report = (struct report){ .read_end = ends[0], .write_end = ends[1] };
    return error;
}

void xfd_report_close_write_end(struct report *report)
{
    xfd_close_fd(&report->write_end);
}

void xfd_report_close(struct report *report)
{
    xfd_close_fd(&report->read_end);
    xfd_close_fd(&report->write_end);
}

/* So few bytes come in one piece. */
int xfd_report_read(const struct report *report)
{
    struct pollfd item = { .fd = report->read_end, .events = POLLIN };
    int error = 0;
    ssize_t got;

    do {
        poll(&item, 1, -1);
        got = read(report->read_end, &error, sizeof error);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    return got == (ssize_t)sizeof error ? error : 0;
}
