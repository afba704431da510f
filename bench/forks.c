/* SPDX-License-Identifier: MIT */
/*
 * A daemon that forks its children itself. Each fork makes its memory
 * copy-on-write, so each page that the loop then writes to costs a page fault,
 * for as long as the child lives. The three parts of a child's life are
 * measured apart, and without any sleep: a fork, the add, and the collection of
 * a child that has exited. There is a fork between the last two as well, of a
 * child that nobody watches. Among many children there always is.
 */
#include "common.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum part {
    FORK,
    ADD,
    COLLECT,
    BOTH, /* add and collect */
    PARTS
};

static const char *const cpu_names[PARTS] = { "fork_us", "add_us", "collect_us", "both_us" };
static const char *const fault_names[PARTS] = { "fork_faults", "add_faults", "collect_faults", "both_faults" };

struct costs {
    int64_t *cpu[PARTS];
    long faults[PARTS];
    unsigned lives;
};

struct watch {
    int64_t cpu;
    long faults;
};

static struct watch start_watch(void)
{
    long faults = page_faults();
    return (struct watch){ cpu_start(), faults };
}

static void stop_watch(struct costs *costs, enum part part, const struct watch *start)
{
    int64_t cpu = cpu_since(start->cpu);

    costs->cpu[part][costs->lives] = cpu;
    costs->faults[part] += page_faults() - start->faults;
}

static void live(const struct implementation *how, size_t slot, struct costs *costs)
{
    struct child *c = herd_child(slot);
    struct watch start;
    pid_t bystander;

    herd_release(c);
    herd_wait_for_zombies(slot, 1);
    bystander = fork_bystander();
    start = start_watch();
    collect_one(how, c);
    stop_watch(costs, COLLECT, &start);

    start = start_watch();
    herd_fork(slot);
    stop_watch(costs, FORK, &start);
    start = start_watch();
    how->add(c);
    stop_watch(costs, ADD, &start);
    costs->cpu[BOTH][costs->lives] = costs->cpu[ADD][costs->lives] + costs->cpu[COLLECT][costs->lives];
    costs->lives++;
    end_bystander(bystander);
}

/*
 * Where a page of the stack ends is an accident of each process, and one more
 * or less is one page fault more or less. So the lives begin everywhere in a
 * page.
 */
static __attribute__((noinline)) void live_at_depth(const struct implementation *how, size_t slot, struct costs *costs,
                                                    size_t depth)
{
    volatile char *unused = __builtin_alloca(depth + 1);

    unused[0] = 0;
    live(how, slot, costs);
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

static void put_costs(struct costs *costs)
{
    costs->faults[BOTH] = costs->faults[ADD] + costs->faults[COLLECT];
    for (enum part part = 0; part < PARTS; part++) {
        put_figure(cpu_names[part], mean_without_extremes(costs->cpu[part], costs->lives) / 1000);
        put_figure(fault_names[part], (double)costs->faults[part] / costs->lives);
    }
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    struct costs costs = { 0 };

    for (enum part part = 0; part < PARTS; part++) {
        costs.cpu[part] = calloc(repeats + 10, sizeof *costs.cpu[part]);
        if (costs.cpu[part] == NULL)
            die("calloc");
    }
    open_with_herd(how, size);
    add_herd(how, size);
    for (unsigned i = 0; i < 10; i++)
        live(how, random_below(size), &costs);
    for (enum part part = 0; part < PARTS; part++)
        costs.faults[part] = 0;
    costs.lives = 0;
    for (unsigned i = 0; i < repeats; i++)
        live_at_depth(how, random_below(size), &costs, i * 4096 / repeats);
    put_costs(&costs);
    close_with_herd(how);
}

static bool leaves_bystander(const struct implementation *how)
{
    return !how->add_is_spawn && !how->only_starts;
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "forks",
        .asks = "N children live. The loop forks one more, watches it, and collects another: CPU and page faults of "
                "each part.",
        .quick = { .sizes = { 300 }, .rounds = 2, .repeats = 32 },
        .full = { .sizes = { 300, 1000, 10000 }, .rounds = 9, .repeats = 64 },
        .take_sample = take_sample,
        .concerns = leaves_bystander,
    };

    return answer(&question, argc, argv);
}
