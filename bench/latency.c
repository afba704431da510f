/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int64_t latency_of_exit(const struct implementation *how, size_t slot)
{
    struct child *c = herd_child(slot);
    int64_t latency;

    herd_release_later(c, 100);
    collect_one(how, c);
    latency = monotonic_ns() - c->exiting_at;
    herd_make(slot, 1);
    how->add(c);
    return latency;
}

static void put_percentile(const char *condition, const char *name, double share, const int64_t *sorted, unsigned count)
{
    char figure[32];

    snprintf(figure, sizeof figure, "%s_%s_us", condition, name);
    put_figure(figure, (double)sorted[(unsigned)(share * (count - 1))] / 1000);
}

static void measure(const struct implementation *how, const char *condition, size_t size, unsigned repeats)
{
    int64_t *latency = calloc(repeats, sizeof *latency);

    if (latency == NULL)
        die("calloc");
    for (unsigned i = 0; i < repeats; i++)
        latency[i] = latency_of_exit(how, random_below(size));
    sort_values(latency, repeats);
    put_percentile(condition, "p50", 0.5, latency, repeats);
    put_percentile(condition, "p99", 0.99, latency, repeats);
    put_percentile(condition, "p99.9", 0.999, latency, repeats);
    free(latency);
}

/* Forked before there is any fd to inherit; busy from the moment that a byte
   can be read from the pipe. */
static pid_t fork_busy_core(int *start)
{
    int ends[2];
    char byte;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        die("pipe2 and fork");
    if (pid > 0) {
        *start = ends[1];
        return pid;
    }
    die_with_parent();
    while (read(ends[0], &byte, 1) != 1)
        ;
    for (;;)
        ;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    int start;
    pid_t busy_core = fork_busy_core(&start);

    open_with_herd(how, size);
    add_herd(how, size);
    measure(how, "idle", size, repeats);
    if (write(start, "", 1) != 1)
        die("write");
    measure(how, "busy", size, repeats);
    kill(busy_core, SIGKILL);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "latency",
        .asks = "From just before the child's _exit to the loop holding the event, idle and with one busy core.",
        .quick = { .sizes = { 10 }, .rounds = 1, .repeats = 300 },
        .full = { .sizes = { 10, 1000 }, .rounds = 5, .repeats = 3000 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
