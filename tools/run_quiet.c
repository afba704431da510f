/* SPDX-License-Identifier: MIT */
/*
 * Outputs of commands that have ended and were printed, but that something in
 * the background still has open, a service for example. What comes there is
 * dropped.
 * It is read, so that a writer neither blocks nor gets SIGPIPE.
 */
#include "run_worker.h"
#include "tool.h"

#include <unistd.h>

#define INTERVAL_NS (NS_PER_SECOND / 10)

void quiet_add(struct run *run, const int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            run->quiet_fds = reallocate(run->quiet_fds, run->quiet_count + 1, sizeof *run->quiet_fds);
            run->quiet_fds[run->quiet_count++] = fds[i];
            run->quiet_next_ns = monotonic_ns();
        }
    }
}

/* A pipe holds no more than this, as a rule: one that is always full costs no
   more than one read each time. */
static bool is_at_end(int fd)
{
    static char dropped[CAPTURE_BLOCK];
    return read(fd, dropped, sizeof dropped) == 0;
}

void quiet_drain(struct run *run)
{
    if (monotonic_ns() < run->quiet_next_ns)
        return;
    for (size_t i = run->quiet_count; i-- > 0;) {
        if (is_at_end(run->quiet_fds[i])) {
            close(run->quiet_fds[i]);
            run->quiet_fds[i] = run->quiet_fds[--run->quiet_count];
        }
    }
    run->quiet_next_ns = run->quiet_count ? monotonic_ns() + INTERVAL_NS : NEVER;
}

void quiet_close_all(struct run *run)
{
    while (run->quiet_count)
        close(run->quiet_fds[--run->quiet_count]);
    run->quiet_next_ns = NEVER;
}
