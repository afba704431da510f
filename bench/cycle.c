/* SPDX-License-Identifier: MIT */
/*
 * Measured twice. First the replacements are not forked by this process, as
 * after posix_spawn. Then they are, which leaves every page of the loop
 * copy-on-write. Each further page that an implementation writes to in the life
 * of a child then costs a page fault, and these are counted.
 */
#include "common.h"

#include <stdlib.h>

struct cost {
    int64_t cpu;
    long faults;
};

static void cost_of_exit(const struct implementation *how, struct child *c, struct cost *cost)
{
    long faults = page_faults();
    int64_t start;

    herd_release(c);
    start = cpu_start();
    collect_one(how, c);
    cost->cpu = cpu_since(start);
    cost->faults = page_faults() - faults;
}

static void cost_of_add(const struct implementation *how, struct child *c, struct cost *cost)
{
    long faults = page_faults();
    int64_t start = cpu_start();

    how->add(c);
    if (how->add_is_spawn)
        return;
    cost->cpu += cpu_since(start);
    cost->faults += page_faults() - faults;
}

static void make_by_breeder(size_t slot)
{
    herd_make(slot, 1);
}

static struct cost cost_of_cycle(const struct implementation *how, size_t size, void (*make)(size_t slot))
{
    size_t slot = random_below(size);
    struct cost cost;

    cost_of_exit(how, herd_child(slot), &cost);
    make(slot);
    cost_of_add(how, herd_child(slot), &cost);
    return cost;
}

/* Of the middle half: interrupts and what other processes do to the caches are
   in the rest. */
static double mean_without_extremes(int64_t *values, unsigned count)
{
    unsigned first = count / 4, end = count - count / 4;
    int64_t sum = 0;

    sort_values(values, count);
    for (unsigned i = first; i < end; i++)
        sum += values[i];
    return (double)sum / (end - first);
}

struct costs {
    double cpu_us, faults;
};

static struct costs cycle(const struct implementation *how, size_t size, unsigned repeats, void (*make)(size_t slot))
{
    const int64_t budget_ns = 2000000000;
    int64_t *cpu = calloc(repeats, sizeof *cpu), total = 0;
    struct costs costs = { 0 };
    unsigned cycles = 0;

    if (cpu == NULL)
        die("calloc");
    for (unsigned i = 0; i < repeats / 10; i++)
        cost_of_cycle(how, size, make);
    for (; cycles < repeats && total < budget_ns; cycles++) {
        struct cost cost = cost_of_cycle(how, size, make);

        total += cpu[cycles] = cost.cpu;
        costs.faults += (double)cost.faults;
    }
    costs.cpu_us = mean_without_extremes(cpu, cycles) / 1000;
    costs.faults /= cycles;
    free(cpu);
    return costs;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    struct costs costs;

    open_with_herd(how, size);
    add_herd(how, size);
    costs = cycle(how, size, repeats, make_by_breeder);
    put_figure("cpu_us", costs.cpu_us);
    costs = cycle(how, size, repeats, herd_fork);
    put_figure("forked_cpu_us", costs.cpu_us);
    put_figure("forked_faults", costs.faults);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "cycle",
        .asks =
            "N children live. One exits, is collected, a new one is watched: CPU of the loop thread, fork excluded.",
        .quick = { .sizes = { 1, 10, 100, 1000 }, .rounds = 1, .repeats = 40 },
        .full = { .sizes = { 1, 10, 100, 1000, 4000, 10000 }, .rounds = 7, .repeats = 500 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
