/* SPDX-License-Identifier: MIT */
/*
 * Every call can fail. Each function that the library calls is made to fail the
 * first time, the second and so on, until a run passes untouched, with each
 * errno that it can have. After each failure there is no crash, no hang, no
 * leak, no lost child, a documented errno, and the exitfd goes on to serve a
 * whole life.
 *
 * Each run is a process of its own, forked from one that never used the
 * library.
 */
#include "faults.h"
#include "faults_calls.h"

#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_LSAN 1
#endif
#endif
#ifdef WITH_LSAN
#include <sanitizer/lsan_interface.h>
#endif

#define FDS 256
#define HANG_SECONDS 90
#define NTH_LIMIT 2000
#define JOBS_LIMIT 64

/* What the process of a run reports. */
static struct outcome {
    unsigned failures; /* of this test */
    unsigned faults;   /* calls that were made to fail */
    long allocations;  /* left at the end */
} * outcome;

static struct totals {
    atomic_uint runs, bad_runs;
} * totals;

static struct job {
    unsigned number, of;
    bool full;
    const char *only;
} job = { 0, 1, false, NULL };

static long allocations_untouched;
static const char *world_names[WORLDS] = { "", " without records", " without pidfds", " without signals" };

void faults_expect(bool holds, const char *format, ...)
{
    va_list list;

    if (holds)
        return;
    outcome->failures++;
    va_start(list, format);
    printf("#   ");
    vprintf(format, list);
    printf("\n");
    va_end(list);
}

static unsigned count_fds(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < FDS; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void expect_nothing_left(unsigned fds, const sigset_t *mask)
{
    siginfo_t info;
    sigset_t now;

    sigprocmask(SIG_BLOCK, NULL, &now);
    faults_expect(sigismember(&now, SIGCHLD) == sigismember(mask, SIGCHLD), "SIGCHLD's mask was changed");
    faults_expect(exitfd_is_default_handler() == 1, "the handler is still there");
    faults_expect(count_fds() == fds, "%u fds instead of %u", count_fds(), fds);
    faults_expect(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0, "a child is left");
#ifdef WITH_LSAN
    faults_expect(__lsan_do_recoverable_leak_check() == 0, "memory was leaked: LeakSanitizer's report is on stderr");
#endif
}

static void run_here(const struct fault *fault)
{
    sigset_t mask;
    unsigned fds = count_fds();

    alarm(HANG_SECONDS);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    fault_arm(fault);
    faults_scenario();
    outcome->faults = fault_count();
    outcome->allocations = fault_allocations();
    expect_nothing_left(fds, &mask);
    fflush(stdout);
    _exit(0);
}

static void describe(const struct fault *fault)
{
    printf("# %s%s%s%s: %s, call %u%s\n", fault->symbol, fault->what ? " " : "", fault->what ? fault->what : "",
           world_names[fault_world], strerrorname_np(fault->error), fault->nth, fault->lasting ? " and all later" : "");
}

/* Whether it was well. */
static bool run(const struct fault *fault)
{
    int status = 0;

    totals->runs++;
    memset(outcome, 0, sizeof(*outcome));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_here(fault);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    bool is_well = status == 0 && outcome->failures == 0;
    if (is_well && fault->symbol && outcome->allocations > allocations_untouched) {
        printf("#   %ld allocations instead of %ld are left\n", outcome->allocations, allocations_untouched);
        is_well = false;
    }
    if (WIFSIGNALED(status))
        printf("#   %s\n", WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
    if (!is_well && fault->symbol)
        describe(fault);
    totals->bad_runs += !is_well;
    return is_well;
}

/* Until one passes untouched; how many did not. */
static unsigned fail_each(const struct call *call, int error, bool lasting, unsigned step, bool *all_well)
{
    unsigned faults = 0;

    for (unsigned nth = 1; nth < NTH_LIMIT; nth += step) {
        struct fault fault = { call->symbol, call->what, error, nth, lasting };
        *all_well &= run(&fault);
        if (outcome->faults == 0)
            return faults;
        faults++;
    }
    return faults;
}

static void fail_call(const struct call *call, size_t number)
{
    bool all_well = true;
    unsigned faults = 0;

    for (const int *error = call->errnos; *error; error++) {
        faults += fail_each(call, *error, false, job.full ? 1 : error == call->errnos ? 7 : NTH_LIMIT, &all_well);
        /* No signal interrupts for ever, and a ring that never takes a request
           reports nothing. */
        if (job.full && *error != EINTR && strncmp(call->symbol, "io_uring_submit", 15) != 0)
            faults += fail_each(call, *error, true, 3, &all_well);
    }
    printf("%sok %zu - %s%s%s%s: %u failures", all_well ? "" : "not ", number, call->symbol, call->what ? " " : "",
           call->what ? call->what : "", world_names[fault_world], faults);
    printf(faults == 0 && all_well ? " # SKIP this back end does not call it\n" : "\n");
    fflush(stdout);
}

static int explain(const char *name, FILE *output)
{
    fprintf(
        output,
        "usage: %s [--full] [--jobs N] [--only SYMBOL] | --list | --help\n"
        "Makes every call of libexitfd fail and prints TAP. EXITFD_BACKEND=pidfd, io_uring, signalfd or self-pipe\n"
        "chooses what is tested. Without --full the first call of each function is made to fail with each of its\n"
        "errnos, and every seventh with the first of them; with it each call with each errno, every third together\n"
        "with all later ones, and all that on two worse kernels and with EXITFD_NO_SIGNALS as well.\n"
        "--list prints the functions that are known, and --only takes one of them. --jobs runs up to %d at once.\n",
        name, JOBS_LIMIT);
    return output == stderr ? 2 : 0;
}

static int list_calls(void)
{
    for (size_t i = 0; i < fault_call_count; i++)
        puts(fault_calls[i].symbol);
    return 0;
}

static bool is_here(void)
{
    struct fault none = { 0 };
    bool is_well = run(&none);

    allocations_untouched = outcome->allocations;
    printf("# untouched%s: %s\n", world_names[fault_world], is_well ? "well" : "NOT WELL");
    return is_well;
}

static bool has_backend(unsigned flags)
{
    fflush(stdout);
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        struct exitfd *x;
        _exit(exitfd_open(&x, flags) == 0 ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

/* Every job goes through the same numbers, and takes those that are its own. */
static size_t fail_all(void)
{
    size_t number = 0;

    for (fault_world = WORLD_AS_IT_IS; fault_world < (job.full ? WORLDS : WORLD_WITHOUT_RECORDS); fault_world++) {
        if (fault_world == WORLD_WITHOUT_SIGNALS && !has_backend(EXITFD_NO_SIGNALS))
            continue;
        bool is_well = is_here();
        number++;
        if (job.number == 0 || !is_well)
            printf("%sok %zu - untouched%s\n", is_well ? "" : "not ", number, world_names[fault_world]);
        for (size_t i = 0; i < fault_call_count; i++)
            if (!fault_calls[i].never && (!job.only || strcmp(job.only, fault_calls[i].symbol) == 0) &&
                ++number % job.of == job.number && is_well)
                fail_call(&fault_calls[i], number);
    }
    return number;
}

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

static void run_jobs(void)
{
    pid_t pids[JOBS_LIMIT];
    int status;

    setvbuf(stdout, NULL, _IOLBF, 0); /* lines of several jobs stay whole */
    for (job.number = 0; job.number < job.of; job.number++) {
        pids[job.number] = fork();
        if (pids[job.number] != 0)
            continue;
        outcome = map_shared(sizeof(*outcome));
        size_t number = fail_all();
        if (job.number == 0)
            printf("1..%zu\n", number);
        exit(0);
    }
    for (unsigned i = 0; i < job.of; i++)
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
            totals->bad_runs++;
}

static bool read_arguments(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--full") == 0)
            job.full = true;
        else if (value && strcmp(argv[i], "--only") == 0)
            job.only = argv[++i];
        else if (value && strcmp(argv[i], "--jobs") == 0)
            job.of = (unsigned)atoi(argv[++i]);
        else
            return false;
    }
    return job.of >= 1 && job.of <= JOBS_LIMIT;
}

int main(int argc, char *argv[])
{
    const char *backend = getenv("EXITFD_BACKEND");

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return explain(argv[0], stdout);
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list_calls();
    if (!read_arguments(argc, argv))
        return explain(argv[0], stderr);
    if (backend && strcmp(backend, "signalfd") == 0) {
        sigset_t sigchld;
        sigemptyset(&sigchld);
        sigaddset(&sigchld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &sigchld, NULL);
    }
    if (!has_backend(0)) {
        printf("1..0 # SKIP EXITFD_BACKEND=%s is not in this kernel or this build\n", backend ? backend : "");
        return 0;
    }
    totals = map_shared(sizeof(*totals));
    run_jobs();
    printf("# %u runs, %u bad\n", totals->runs, totals->bad_runs);
    return totals->bad_runs > 0;
}
