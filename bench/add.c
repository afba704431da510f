/* SPDX-License-Identifier: MIT */
#include "common.h"

static bool can_add(const struct implementation *how)
{
    return !how->add_is_spawn && !how->only_starts;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    int64_t start;

    (void)repeats;
    open_with_herd(how, size);
    start = cpu_start();
    add_herd(how, size);
    put_figure("cpu_us", (double)cpu_since(start) / (double)size / 1000);
    storm_herd(how, size);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "add",
        .asks = "N children are there already: CPU of the loop thread to start watching one of them.",
        .quick = { .sizes = { 1000 }, .rounds = 2 },
        .full = { .sizes = { 100, 1000, 10000 }, .rounds = 7 },
        .take_sample = take_sample,
        .concerns = can_add,
    };

    return answer(&question, argc, argv);
}
