/* SPDX-License-Identifier: MIT */
#include "common.h"
#include "trace.h"

#include <stdio.h>
#include <sys/resource.h>

struct lives {
    const struct implementation *how;
    size_t size;
    unsigned count;
};

static void live(const struct implementation *how, size_t slot, void (*start_counting)(void))
{
    struct child *c = herd_child(slot);

    /* Late enough that the loop is waiting when the child exits: the same path
       each time. */
    herd_release_later(c, 3000);
    start_counting();
    collect_until(how, herd_reports() + 1);
    trace_close_window();
    herd_make(slot, 1);
    start_counting();
    how->add(c);
    trace_close_window();
}

static void count_nothing(void)
{
}

static void watch_lives(void *argument)
{
    const struct lives *lives = argument;

    open_with_herd(lives->how, lives->size);
    add_herd(lives->how, lives->size);
    /* The first lives also resolve symbols and grow tables. */
    for (unsigned i = 0; i < 5; i++)
        live(lives->how, random_below(lives->size), count_nothing);
    for (unsigned i = 0; i < lives->count; i++)
        live(lives->how, random_below(lives->size), trace_open_window);
    close_with_herd(lives->how);
}

static void put_calls(const struct trace *counted, unsigned lives)
{
    put_figure("calls", (double)counted->calls / lives);
    for (unsigned long number = 0; number < TRACE_CALLS_MAX; number++) {
        const char *known = trace_name_of_call(number);
        char unknown[32];

        if (counted->calls_by_number[number] == 0)
            continue;
        snprintf(unknown, sizeof unknown, "call %lu", number);
        put_figure(known != NULL ? known : unknown, (double)counted->calls_by_number[number] / lives);
    }
}

/* Every time a process goes to sleep something had woken it before: one sleep
   is the wait itself. */
static void put_idle_wakes(void *argument)
{
    const struct lives *lives = argument;
    struct rusage before, after;

    open_with_herd(lives->how, lives->size);
    add_herd(lives->how, lives->size);
    herd_release_later(herd_child(0), 300000);
    getrusage(RUSAGE_SELF, &before);
    collect_until(lives->how, 1);
    getrusage(RUSAGE_SELF, &after);
    put_figure("idle_wakes", (double)(after.ru_nvcsw - before.ru_nvcsw) - 1);
    close_with_herd(lives->how);
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    struct lives lives = { how, size, repeats };
    struct trace counted = { 0 };

    trace_run(TRACE_CALLS, watch_lives, &lives, &counted);
    trace_run(TRACE_INSTRUCTIONS, watch_lives, &lives, &counted);
    put_calls(&counted, lives.count);
    put_figure("instructions", (double)counted.instructions / lives.count);
    put_idle_wakes(&lives);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "calls",
        .asks = "System calls and user-space instructions in one watched child's life (counted by ptrace), and wakes "
                "while idle.",
        .quick = { .sizes = { 100 }, .rounds = 1, .repeats = 5 },
        .full = { .sizes = { 1, 100, 1000 }, .rounds = 1, .repeats = 5 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
