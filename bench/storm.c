/* SPDX-License-Identifier: MIT */
#include "common.h"

static void put_per_child(const char *figure, int64_t ns, size_t size)
{
    put_figure(figure, (double)ns / (double)size / 1000);
}

static void collect_while_they_exit(const struct implementation *how, size_t size)
{
    int64_t wall = monotonic_ns(), cpu = cpu_start();

    storm_herd(how, size);
    put_per_child("cpu_us", cpu_since(cpu), size);
    put_per_child("wall_us", monotonic_ns() - wall, size);
}

static void collect_when_all_have_exited(const struct implementation *how, size_t size)
{
    size_t before = herd_reports();
    int64_t cpu;

    herd_release_all(0, size);
    herd_wait_for_zombies(0, size);
    cpu = cpu_start();
    collect_until(how, before + size);
    put_per_child("zombies_cpu_us", cpu_since(cpu), size);
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    (void)repeats;
    open_with_herd(how, size);
    add_herd(how, size);
    collect_while_they_exit(how, size);
    herd_make(0, size);
    add_herd(how, size);
    collect_when_all_have_exited(how, size);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "storm",
        .asks = "N watched children exit at once: CPU of the loop thread for each, collecting meanwhile or afterwards.",
        .quick = { .sizes = { 1000 }, .rounds = 1 },
        .full = { .sizes = { 100, 1000, 4000, 10000 }, .rounds = 5 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
