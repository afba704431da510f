/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLE_SECONDS = 240,
    FIGURES_MAX = 32,
    REASON_MAX = 120,
    ONLY_MAX = 16
};

struct sample {
    bool is_void;
    char why[2 * REASON_MAX];
    size_t figures;
    struct {
        char name[32];
        double value;
    } figure[FIGURES_MAX];
};

struct options {
    struct effort effort;
    const char *only[ONLY_MAX];
    size_t only_count;
};

static struct sample *sample;

void put_figure(const char *name, double value)
{
    if (sample->figures == FIGURES_MAX)
        die("more than %d figures", FIGURES_MAX);
    snprintf(sample->figure[sample->figures].name, sizeof sample->figure[0].name, "%s", name);
    sample->figure[sample->figures++].value = value;
}

/* The first reason stays: later ones come of it. */
static void void_because(int error, const char *format, va_list arguments)
{
    char reason[REASON_MAX];

    if (sample->is_void)
        return;
    sample->is_void = true;
    vsnprintf(reason, sizeof reason, format, arguments);
    snprintf(sample->why, sizeof sample->why, "%s%s%s", reason, error != 0 ? ": " : "",
             error != 0 ? strerror(error) : "");
}

void void_sample(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    void_because(0, format, arguments);
    va_end(arguments);
}

void void_and_end(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    void_because(0, format, arguments);
    va_end(arguments);
    _exit(1);
}

void die(const char *format, ...)
{
    int error = errno;
    va_list arguments;

    va_start(arguments, format);
    void_because(error, format, arguments);
    va_end(arguments);
    _exit(1);
}

int64_t cpu_start(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t cost_of_the_clock(void)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < 1000; i++) {
        int64_t start = cpu_start(), cost = cpu_start() - start;

        if (cost < least)
            least = cost;
    }
    return least;
}

int64_t cpu_since(int64_t start)
{
    static int64_t overhead = -1;
    int64_t now = cpu_start();

    if (overhead < 0)
        overhead = cost_of_the_clock();
    return now - start - overhead;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

void sort_values(int64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
}

size_t random_below(size_t limit)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % limit);
}

int highest_pid(void)
{
    int highest = 0;
    FILE *file = fopen("/proc/sys/kernel/pid_max", "re");

    if (file == NULL || fscanf(file, "%d", &highest) != 1)
        die("/proc/sys/kernel/pid_max");
    fclose(file);
    return highest;
}

void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED && sample == NULL)
        err(1, "mmap");
    if (memory == MAP_FAILED)
        die("mmap of %zu bytes", size);
    return memory;
}

void die_with_parent(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

long page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

pid_t fork_bystander(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        die_with_parent();
        close_range(3, ~0u, 0);
        pause();
        _exit(0);
    }
    return pid;
}

void end_bystander(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) != pid)
        ;
}

void block_sigchld(void)
{
    sigset_t sigchld;

    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &sigchld, NULL);
}

void open_with_herd(const struct implementation *how, size_t size)
{
    const char *obstacle;

    herd_open(size);
    herd_make(0, size);
    obstacle = how->open();
    if (obstacle != NULL)
        void_and_end("%s", obstacle);
}

void add_herd(const struct implementation *how, size_t size)
{
    for (size_t i = 0; i < size; i++)
        how->add(herd_child(i));
    how->collect(false);
}

void storm_herd(const struct implementation *how, size_t size)
{
    herd_release_all(0, size);
    collect_until(how, herd_reports() + size);
}

void close_with_herd(const struct implementation *how)
{
    how->close();
    herd_close();
}

void collect_until(const struct implementation *how, size_t reports)
{
    while (herd_reports() < reports)
        how->collect(true);
}

void collect_one(const struct implementation *how, struct child *c)
{
    collect_until(how, herd_reports() + 1);
    if (!c->reported)
        void_sample("pid %d exited and another one was reported", (int)c->pid);
}

static _Noreturn void be_a_sample(const struct question *question, const struct implementation *how, size_t size,
                                  unsigned repeats)
{
    die_with_parent();
    alarm(SAMPLE_SECONDS);
    question->take_sample(how, size, repeats);
    _exit(0);
}

static void print_sample(const struct question *question, const struct implementation *how, size_t size, unsigned round)
{
    char prefix[160];

    snprintf(prefix, sizeof prefix, "%s\t%zu\t%s\t%u", question->name, size, how->name, round);
    if (sample->is_void)
        printf("%s\tvoid\t%s\n", prefix, sample->why);
    for (size_t i = 0; i < sample->figures && !sample->is_void; i++)
        printf("%s\t%s\t%.4f\n", prefix, sample->figure[i].name, sample->figure[i].value);
    fflush(stdout);
}

static void take_sample(const struct question *question, const struct implementation *how, size_t size, unsigned round,
                        unsigned repeats)
{
    pid_t pid;
    int status;

    *sample = (struct sample){ 0 };
    fflush(stdout);
    pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid == 0)
        be_a_sample(question, how, size, repeats);
    if (waitpid(pid, &status, 0) != pid)
        err(1, "waitpid");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        void_sample("not done after %d seconds", SAMPLE_SECONDS);
    else if (status != 0)
        void_sample("its process ended with wait status 0x%x", (unsigned)status);
    print_sample(question, how, size, round);
}

static bool chosen(const struct options *options, const struct question *question, const struct implementation *how)
{
    bool named = options->only_count == 0 || how == implementations[0];

    for (size_t i = 0; i < options->only_count; i++)
        named |= strcmp(options->only[i], how->name) == 0;
    return named && (question->concerns != NULL ? question->concerns(how) : !how->only_starts);
}

static void help(const struct question *question, const char *program)
{
    printf("Usage: %s [--full] [--rounds N] [--size N]... [--only NAME]...\n"
           "%s\n\n"
           "  --full          all sizes and rounds, in minutes instead of seconds\n"
           "  --rounds N      take N samples of each implementation and size\n"
           "  --size N        use N watched children. May be repeated\n"
           "  --only NAME     run only this implementation, and the first. May be repeated\n\n"
           "Implementations:\n",
           program, question->asks);
    for (size_t i = 0; implementations[i] != NULL; i++)
        printf("  %s\n", implementations[i]->name);
}

static unsigned long number_from(const char *text, const char *option)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (*end != '\0' || number == 0 || number > 1000000) {
        fprintf(stderr, "--%s %s: give a number from 1 to 1000000\n", option, text);
        exit(2);
    }
    return number;
}

static const char *implementation_named(const char *name)
{
    for (size_t i = 0; implementations[i] != NULL; i++)
        if (strcmp(implementations[i]->name, name) == 0)
            return name;
    fprintf(stderr, "--only %s: no such implementation in this build; --help lists them\n", name);
    exit(2);
}

static void read_options(struct options *options, const struct question *question, int argc, char **argv)
{
    static const struct option known[] = {
        { "full", no_argument, NULL, 'f' },       { "rounds", required_argument, NULL, 'r' },
        { "size", required_argument, NULL, 's' }, { "only", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, 'h' },       { 0 }
    };
    size_t wanted[SIZES_MAX] = { 0 }, sizes = 0;
    unsigned rounds = 0;
    int option;

    *options = (struct options){ .effort = question->quick };
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'f')
            options->effort = question->full;
        else if (option == 'r')
            rounds = (unsigned)number_from(optarg, "rounds");
        else if (option == 's' && sizes < SIZES_MAX)
            wanted[sizes++] = number_from(optarg, "size");
        else if (option == 'o' && options->only_count < ONLY_MAX)
            options->only[options->only_count++] = implementation_named(optarg);
        else if (option == 'h') {
            help(question, argv[0]);
            exit(0);
        } else
            exit(2);
    }
    if (optind < argc) {
        fprintf(stderr, "%s: takes no arguments; see --help\n", argv[optind]);
        exit(2);
    }
    if (rounds > 0)
        options->effort.rounds = rounds;
    if (sizes > 0)
        memcpy(options->effort.sizes, wanted, sizeof wanted);
}

static void take_round(const struct question *question, const struct options *options, size_t size, unsigned round)
{
    for (size_t i = 0; implementations[i] != NULL; i++)
        if (chosen(options, question, implementations[i]))
            take_sample(question, implementations[i], size, round, options->effort.repeats);
}

int answer(const struct question *question, int argc, char **argv)
{
    struct options options;

    read_options(&options, question, argc, argv);
    sample = shared_memory(sizeof *sample);
    for (size_t i = 0; i < SIZES_MAX && options.effort.sizes[i] != 0; i++)
        for (unsigned round = 1; round <= options.effort.rounds; round++)
            take_round(question, &options, options.effort.sizes[i], round);
    return 0;
}
