/* SPDX-License-Identifier: MIT */
/*
 * A daemon of so many MiB of resident memory starts a program. The parts are
 * its start with the watch, and the collection of its event. Then once more
 * while a forked child lives, which makes the memory of the daemon
 * copy-on-write.
 */
#include "common.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROGRAMS_FOR_A_FORK = 4
};

/* In pages of the smallest size, as memory of malloc mostly is. */
static void fill_memory(size_t mebibytes)
{
    size_t size = mebibytes << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("mmap of %zu MiB", mebibytes);
    madvise(memory, size, MADV_NOHUGEPAGE);
    memset(memory, 1, size);
}

struct costs {
    int64_t cpu, wall, collect;
    long faults;
    unsigned programs;
};

static void run_program(const struct implementation *how, struct costs *costs)
{
    char *const argv[] = { "/bin/false", NULL };
    struct child *program = herd_program();
    long faults = page_faults();
    int64_t wall = monotonic_ns(), cpu = cpu_start();

    how->spawn(program, argv);
    costs->cpu += cpu_since(cpu);
    costs->wall += monotonic_ns() - wall;
    costs->faults += page_faults() - faults;
    while (waitid(P_PID, (id_t)program->pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) < 0)
        ;
    cpu = cpu_start();
    collect_one(how, program);
    costs->collect += cpu_since(cpu);
    costs->programs++;
}

static void run_beside_fork(const struct implementation *how, struct costs *costs)
{
    pid_t bystander = fork_bystander();

    run_program(how, costs);
    end_bystander(bystander);
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    struct costs costs = { 0 }, forked = { 0 }, ignored = { 0 };

    fill_memory(size);
    open_with_herd(how, 1);
    for (unsigned i = 0; i < 5; i++)
        run_beside_fork(how, &ignored);
    for (unsigned i = 0; i < repeats; i++)
        run_program(how, &costs);
    for (unsigned i = 0; i < repeats / PROGRAMS_FOR_A_FORK; i++)
        run_beside_fork(how, &forked);
    put_figure("cpu_us", (double)costs.cpu / costs.programs / 1000);
    put_figure("wall_us", (double)costs.wall / costs.programs / 1000);
    put_figure("collect_us", (double)costs.collect / costs.programs / 1000);
    put_figure("faults", (double)costs.faults / costs.programs);
    put_figure("forked_cpu_us", (double)forked.cpu / forked.programs / 1000);
    put_figure("forked_faults", (double)forked.faults / forked.programs);
    close_with_herd(how);
}

static bool can_start(const struct implementation *how)
{
    return how->spawn != NULL;
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "start",
        .asks = "A daemon of N MiB starts a program, watches it, and collects its exit: CPU, time and page faults.",
        .quick = { .sizes = { 10 }, .rounds = 3, .repeats = 40 },
        .full = { .sizes = { 10, 1024 }, .rounds = 9, .repeats = 40 },
        .take_sample = take_sample,
        .concerns = can_start,
    };

    return answer(&question, argc, argv);
}
