/* SPDX-License-Identifier: MIT */
#include "common.h"

static bool can_spawn(const struct implementation *how)
{
    return how->spawn != NULL && !how->only_starts;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    char *const argv[] = { "/bin/false", NULL };
    int64_t cpu = 0, wall = 0;

    open_with_herd(how, size);
    add_herd(how, size);
    for (unsigned i = 0; i < repeats; i++) {
        struct child *program = herd_program();
        int64_t wall_start = monotonic_ns(), cpu_at_start = cpu_start();

        how->spawn(program, argv);
        cpu += cpu_since(cpu_at_start);
        wall += monotonic_ns() - wall_start;
        collect_one(how, program);
    }
    put_figure("cpu_us", (double)cpu / repeats / 1000);
    put_figure("wall_us", (double)wall / repeats / 1000);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "spawn",
        .asks = "N watched children live: CPU and time of the loop thread to start one more program and watch it.",
        .quick = { .sizes = { 100 }, .rounds = 1, .repeats = 100 },
        .full = { .sizes = { 1, 1000 }, .rounds = 9, .repeats = 500 },
        .take_sample = take_sample,
        .concerns = can_spawn,
    };

    return answer(&question, argc, argv);
}
