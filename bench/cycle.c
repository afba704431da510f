/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <stdlib.h>

static int64_t cpu_of_exit(const struct implementation *how, struct child *c)
{
    int64_t start;

    herd_release(c);
    start = cpu_start();
    collect_one(how, c);
    return cpu_since(start);
}

static int64_t cpu_of_replacement(const struct implementation *how, size_t slot)
{
    int64_t start;

    herd_make(slot, 1);
    start = cpu_start();
    how->add(herd_child(slot));
    return how->add_is_spawn ? 0 : cpu_since(start);
}

static int64_t cpu_of_cycle(const struct implementation *how, size_t size)
{
    size_t slot = random_below(size);
    int64_t cpu = cpu_of_exit(how, herd_child(slot));

    return cpu + cpu_of_replacement(how, slot);
}

/* Of the middle half: interrupts and what other processes do to the caches are in the rest. */
static double mean_without_extremes(int64_t *values, unsigned count)
{
    unsigned first = count / 4, end = count - count / 4;
    int64_t sum = 0;

    sort_values(values, count);
    for (unsigned i = first; i < end; i++)
        sum += values[i];
    return (double)sum / (end - first);
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    const int64_t budget_ns = 2000000000;
    int64_t *cpu = calloc(repeats, sizeof *cpu), total = 0;
    unsigned cycles = 0;

    if (cpu == NULL)
        die("calloc");
    open_with_herd(how, size);
    add_herd(how, size);
    for (unsigned i = 0; i < repeats / 10; i++)
        cpu_of_cycle(how, size);
    for (; cycles < repeats && total < budget_ns; cycles++)
        total += cpu[cycles] = cpu_of_cycle(how, size);
    put_figure("cpu_us", mean_without_extremes(cpu, cycles) / 1000);
    close_with_herd(how);
    free(cpu);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "cycle",
        .asks =
            "N children live. One exits, is collected, a new one is watched: CPU of the loop thread, fork excluded.",
        .quick = { .sizes = { 1, 10, 100, 1000 }, .rounds = 3, .repeats = 300 },
        .full = { .sizes = { 1, 10, 100, 1000, 4000, 10000 }, .rounds = 7, .repeats = 1000 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
