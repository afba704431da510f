/* SPDX-License-Identifier: MIT */
/*
 * Children by the million through one exitfd for each back end: each gives one
 * event, with its true status or UNKNOWN where that is allowed, and neither
 * memory nor fds grow.
 */
#include "soak.h"

#include <errno.h>
#include <exitfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 60000
#define SPARE_FDS 96
#define MAX_GROWTH_KB 128
#define MEASUREMENTS 40

enum disturbance {
    NONE,
    FOREIGN_REAPS,
    TRACER,
    FEW_FDS
};

static const struct part {
    const char *name;
    int batch;  /* children at a time */
    bool gated; /* all are added before the first exits; else they exit while they are added */
    enum disturbance disturbance;
    int share; /* of the children of a back end, in tenths */
} parts[] = {
    { "stream", 64, false, NONE, 5 },  { "storm", 5000, true, NONE, 2 },     { "reaper", 64, true, FOREIGN_REAPS, 1 },
    { "traced", 64, true, TRACER, 1 }, { "few fds", 256, true, FEW_FDS, 1 },
};

static const struct back_end {
    const char *name;
    unsigned flag;
    bool has_pidfds;
} back_ends[] = {
    { "pidfd", EXITFD_PIDFD, true },
    { "io_uring", EXITFD_URING, true },
    { "signalfd", EXITFD_SIGNALFD, false },
    { "self-pipe", EXITFD_SELFPIPE, false },
};

/* Of one part, or of all together. */
struct tally {
    long started, events, reaped, recorded, unknown, stolen, held, without_pidfd;
    long lost, twice, untrue;
};

static struct exitfd *x;
static struct tally tally, total;
static bool has_records, failed;

void require(bool holds, const char *call)
{
    if (holds)
        return;
    fprintf(stderr, "soak: %s: %s\n", call, strerror(errno));
    exit(1);
}

static void fail(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "soak: %s\n", what);
    failed = true;
}

static void set_fd_limit(rlim_t limit)
{
    struct rlimit both;

    getrlimit(RLIMIT_NOFILE, &both);
    both.rlim_cur = limit < both.rlim_max ? limit : both.rlim_max;
    require(setrlimit(RLIMIT_NOFILE, &both) == 0, "setrlimit");
}

static rlim_t lowest_free_fd(void)
{
    int fd = dup(STDERR_FILENO);
    require(fd >= 0, "dup");
    close(fd);
    return (rlim_t)fd;
}

static void choose_end(int i, enum disturbance disturbance)
{
    static unsigned serial;
    struct child *child = &children[i];

    serial++;
    *child = (struct child){ .code = CLD_EXITED, .status = (int)(serial * 7 % 256) };
    if (serial % 8 == 0) {
        child->code = CLD_KILLED;
        child->status = SIGKILL;
    }
    child->traced = disturbance == TRACER && i % 4 == 0;
    tally.held += child->traced;
}

static void start_and_add(const struct part *part, int count)
{
    for (int i = 0; i < count; i++) {
        choose_end(i, part->disturbance);
        start_child(i, part->gated);
    }
    if (part->disturbance == FEW_FDS)
        set_fd_limit(lowest_free_fd() + SPARE_FDS);
    for (int i = 0; i < count; i++) {
        errno = -exitfd_add(x, children[i].pid, 0, &children[i]);
        require(errno == 0, "exitfd_add");
        tally.without_pidfd += exitfd_get_pidfd(x, children[i].pid) == -ENOTSUP;
    }
    if (part->disturbance == FEW_FDS)
        set_fd_limit(RLIM_INFINITY);
    tally.started += count;
}

static bool is_true(const struct exitfd_event *event, const struct child *child)
{
    if (event->origin == EXITFD_UNKNOWN)
        return event->code == 0 && event->status == 0;
    return event->code == child->code && event->status == child->status;
}

static void count_event(const struct exitfd_event *event)
{
    struct child *child = event->data;

    tally.events++;
    if (child->reported || event->pid != child->pid) {
        tally.twice++;
        return;
    }
    child->reported = true;
    child->origin = event->origin;
    tally.reaped += event->origin == EXITFD_REAPED;
    tally.recorded += event->origin == EXITFD_RECORDED;
    tally.unknown += event->origin == EXITFD_UNKNOWN;
    tally.untrue += !is_true(event, child);
}

static int take_ready(void)
{
    struct exitfd_event events[64];
    int count = exitfd_wait(x, events, 64, 0);

    errno = -count;
    require(count >= 0, "exitfd_wait");
    for (int i = 0; i < count; i++)
        count_event(&events[i]);
    return count;
}

/* By way of the fd, as a loop does. */
static void take_events(long count)
{
    for (long wanted = tally.events + count; tally.events < wanted; take_ready()) {
        struct pollfd readable = { .fd = exitfd_get_fd(x), .events = POLLIN };
        int ready = poll(&readable, 1, DEADLINE_MS);
        require(ready >= 0 || errno == EINTR, "poll");
        if (ready == 0) {
            tally.lost += wanted - tally.events;
            return;
        }
    }
}

/* Who was stolen is known only when the foreign reaper has done. */
static void check_origins(int count, bool has_pidfds)
{
    for (int i = 0; i < count; i++) {
        const struct child *child = &children[i];
        bool allowed = child->origin == EXITFD_REAPED;
        if (child->stolen)
            allowed = child->origin == (has_pidfds && has_records ? EXITFD_RECORDED : EXITFD_UNKNOWN);
        tally.stolen += child->stolen;
        tally.untrue += child->reported && !allowed;
    }
}

static void take_traced(int count, bool tracer_reaps)
{
    int held = 0;

    for (int i = 0; i < count; i++)
        held += children[i].traced;
    take_events(count - held);
    await_held_zombies();
    if (take_ready() > 0)
        fail("an event of a child that a tracer holds");
    end_tracer(tracer_reaps);
    take_events(held);
}

static void run_batch(const struct part *part, int count, bool has_pidfds, bool odd)
{
    start_and_add(part, count);
    if (part->disturbance == FOREIGN_REAPS)
        let_reaper_steal(count);
    if (part->disturbance == TRACER && !start_tracer(count)) {
        fail("ptrace is not permitted here");
        exit(1);
    }
    if (part->gated)
        open_gate(count);
    if (part->disturbance == TRACER)
        take_traced(count, odd);
    else
        take_events(count);
    if (part->disturbance == FOREIGN_REAPS && tally.lost == 0)
        await_reaper();
    check_origins(count, has_pidfds);
    if (take_ready() > 0 && tally.twice == 0)
        fail("an event of no child");
}

static void add_up(void)
{
    const long *from = (const long *)&tally;
    long *to = (long *)&total;

    for (size_t i = 0; i < sizeof(tally) / sizeof(*from); i++)
        to[i] += from[i];
}

static void show(const char *back_end, const char *part, const struct tally *t)
{
    printf("%-9s %-7s %8ld %8ld %8ld %8ld %7ld %7ld %7ld %8ld %5ld %5ld %6ld", back_end, part, t->started, t->events,
           t->reaped, t->recorded, t->unknown, t->stolen, t->held, t->without_pidfd, t->lost, t->twice, t->untrue);
}

static void check_part(const struct part *part, bool has_pidfds, struct size first, struct size largest)
{
    if (tally.lost > 0 || tally.twice > 0 || tally.untrue > 0 || tally.events != tally.started)
        fail("not each child gave one event, with its true status");
    if (tally.reaped + tally.stolen != tally.started)
        fail("a child was reaped by nobody, or by two");
    if (largest.fds != first.fds)
        fail("fds grow");
    if (largest.rss_kb > first.rss_kb + MAX_GROWTH_KB)
        fail("memory grows");
    if (part->disturbance == FEW_FDS && has_pidfds &&
        (tally.without_pidfd == 0 || tally.without_pidfd == tally.started))
        fail("all children, or none, had a pidfd");
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The first batch shows how much the part needs, the later ones that it does
   not grow. */
static void run_part(const struct part *part, const struct back_end *back_end, long wanted)
{
    long batches = wanted / part->batch < 2 ? 2 : wanted / part->batch;
    long interval = batches > MEASUREMENTS ? batches / MEASUREMENTS : 1;
    struct size first = { 0 }, largest = { 0 };
    double start = now();

    tally = (struct tally){ 0 };
    if (part->disturbance == FOREIGN_REAPS)
        start_reaper();
    for (long done = 0; done < batches && tally.lost == 0 && !failed; done++) {
        run_batch(part, part->batch, back_end->has_pidfds, done % 2 != 0);
        if (done % interval != 0 && done != batches - 1)
            continue;
        struct size size = measure();
        if (done == 0)
            first = largest = size;
        largest.rss_kb = size.rss_kb > largest.rss_kb ? size.rss_kb : largest.rss_kb;
        largest.fds = size.fds > largest.fds ? size.fds : largest.fds;
    }
    if (part->disturbance == FOREIGN_REAPS && tally.lost == 0)
        stop_reaper();
    show(back_end->name, part->name, &tally);
    printf(" %6ld %6ld %4ld %4ld %7.1f\n", first.rss_kb, largest.rss_kb, first.fds, largest.fds, now() - start);
    check_part(part, back_end->has_pidfds, first, largest);
    add_up();
}

static void run_back_end(const struct back_end *back_end, long wanted)
{
    int error = exitfd_open(&x, back_end->flag);

    if (error == -ENOTSUP) {
        printf("%-9s skipped: not in this build or this kernel\n", back_end->name);
        return;
    }
    errno = -error;
    require(error == 0, "exitfd_open");
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && !failed; i++)
        run_part(&parts[i], back_end, wanted * parts[i].share / 10);
    x = exitfd_close(x);
}

static bool kernel_has_records(void)
{
    struct utsname name;
    int major, minor;

    uname(&name);
    return sscanf(name.release, "%d.%d", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 15));
}

static int explain(FILE *output)
{
    fputs("usage: soak [--children N] [--quick] [--help] [BACKEND...]\n"
          "Sends N children (a million; with --quick 40,000) through one exitfd for each back end (pidfd, io_uring,\n"
          "signalfd, self-pipe, or those named), in five parts: a stream, storms of 5,000, a thread that steals "
          "children,\n"
          "a tracer that holds some, and too few fds. Each part has at least two batches, so small N become more.\n"
          "Exit status: 0 if each child gave one event and nothing grew, 1 if not, 2 for a usage error.\n",
          output);
    return output == stderr ? 2 : 0;
}

static bool parse_count(const char *text, long *count)
{
    char *end;

    if (!text)
        return false;
    errno = 0;
    *count = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && *count > 0;
}

static const struct back_end *find_back_end(const char *name)
{
    for (size_t i = 0; i < sizeof(back_ends) / sizeof(*back_ends); i++)
        if (strcmp(name, back_ends[i].name) == 0)
            return &back_ends[i];
    return NULL;
}

int main(int argc, char *argv[])
{
    const struct back_end *chosen[sizeof(back_ends) / sizeof(*back_ends)];
    size_t chosen_count = 0, all = sizeof(back_ends) / sizeof(*back_ends);
    long wanted = 1000000;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return explain(stdout);
        if (strcmp(argv[i], "--quick") == 0)
            wanted = 40000;
        else if (strcmp(argv[i], "--children") == 0 && parse_count(argv[i + 1], &wanted))
            i++;
        else if (chosen_count < all && find_back_end(argv[i]))
            chosen[chosen_count++] = find_back_end(argv[i]);
        else
            return explain(stderr);
    }
    for (size_t i = 0; chosen_count == 0 && i < all; i++)
        chosen[i] = &back_ends[i];
    chosen_count = chosen_count ? chosen_count : all;

    setvbuf(stdout, NULL, _IOLBF, 0);
    set_fd_limit(RLIM_INFINITY);
    has_records = kernel_has_records();
    puts("                                                                      tracked                        RSS "
         "in kB       fds\n"
         "back end  part    children   events   reaped recorded unknown  stolen  traced no pidfd  lost twice untrue  "
         "first   most first most seconds");
    for (size_t i = 0; i < chosen_count && !failed; i++)
        run_back_end(chosen[i], wanted / (long)chosen_count);
    show("all", "", &total);
    puts(failed ? "\nsoak: failed" : "\nsoak: each child gave one event, and nothing grew");
    return failed;
}
