/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

extern const struct implementation by_hand_pidfd, ring_poll, ring_waitid, exitfd_pidfd, exitfd_uring;

/* From here on no child gets a pidfd. */
static const char *open_without_fds(const struct implementation *how)
{
    const char *obstacle = how->open();
    struct rlimit limit;
    int lowest_free = dup(STDOUT_FILENO);

    close(lowest_free);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)lowest_free;
    setrlimit(RLIMIT_NOFILE, &limit);
    return obstacle;
}

static const char *open_pidfd_without_fds(void)
{
    return open_without_fds(&exitfd_pidfd);
}

static const char *open_uring_without_fds(void)
{
    return open_without_fds(&exitfd_uring);
}

/* Whatever the back end, these are the same functions. */
static void add(struct child *c)
{
    exitfd_uring.add(c);
}

static void collect(bool block)
{
    exitfd_uring.collect(block);
}

static void close_exitfd(void)
{
    exitfd_uring.close();
}

static const struct implementation exitfd_pidfd_without_fds = {
    .name = "exitfd pidfd, no fds left",
    .open = open_pidfd_without_fds,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
};

static const struct implementation exitfd_uring_without_fds = {
    .name = "exitfd io_uring, no fds left",
    .open = open_uring_without_fds,
    .add = add,
    .collect = collect,
    .close = close_exitfd,
};

const struct implementation *const implementations[] = {
    &by_hand_pidfd,
    &ring_poll,
    &ring_waitid,
    &exitfd_pidfd,
    &exitfd_uring,
    &exitfd_pidfd_without_fds,
    &exitfd_uring_without_fds,
    NULL,
};

static int meminfo; /* opened while there are fds to be had */

static double kernel_bytes(void)
{
    char text[2048];
    long kilobytes;
    ssize_t length = pread(meminfo, text, sizeof text - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    const char *slab = strstr(text, "Slab:");
    if (slab == NULL || sscanf(slab, "Slab: %ld kB", &kilobytes) != 1)
        die("/proc/meminfo");
    return 1024.0 * (double)kilobytes;
}

static void put_per_child(const char *figure, int64_t ns, size_t children)
{
    put_figure(figure, (double)ns / (double)children / 1000);
}

static void add_all(const struct implementation *how, size_t size)
{
    double before = kernel_bytes();
    int64_t start = cpu_start();

    add_herd(how, size);
    put_per_child("add", cpu_since(start), size);
    put_figure("kernel_bytes", (kernel_bytes() - before) / (double)size);
}

/* One exits and is reported. Until then the exiting child itself may be busy
   walking the waiters. */
static void exit_one_by_one(const struct implementation *how, size_t size, unsigned repeats)
{
    int64_t *latencies = calloc(repeats, sizeof *latencies), cpu = 0;

    if (latencies == NULL)
        die("calloc");
    for (unsigned i = 0; i < repeats; i++) {
        struct child *c = herd_child(random_below(size));
        int64_t start;
        herd_release_later(c, 100);
        start = cpu_start();
        collect_one(how, c);
        cpu += cpu_since(start);
        latencies[i] = monotonic_ns() - c->exiting_at;
        herd_make((size_t)(c - herd_child(0)), 1);
        how->add(c);
        how->collect(false);
    }
    sort_values(latencies, repeats);
    put_per_child("one", cpu, repeats);
    put_figure("latency", (double)latencies[repeats / 2] / 1000);
    free(latencies);
}

static void exit_all(const struct implementation *how, size_t size)
{
    size_t before = herd_reports();
    int64_t start = monotonic_ns();

    herd_release_all(0, size);
    herd_wait_for_zombies(0, size);
    put_per_child("dying", monotonic_ns() - start, size);
    start = cpu_start();
    collect_until(how, before + size);
    put_per_child("collect", cpu_since(start), size);
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    open_with_herd(how, size);
    add_all(how, size);
    exit_one_by_one(how, size, repeats);
    exit_all(how, size);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "uring",
        .asks =
            "Microseconds for each of N children. add, one, collect: CPU of the loop thread to watch it, to learn of\n"
            "one exit among N, and of one of N that have exited. latency: from the exit until it is known. dying:\n"
            "wall time until all N are zombies, if all exit at once. kernel_bytes: memory of the kernel.",
        .quick = { .sizes = { 1, 1000 }, .rounds = 3, .repeats = 200 },
        .full = { .sizes = { 1, 100, 1000, 5000, 10000, 19900 }, .rounds = 5, .repeats = 200 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
