/* SPDX-License-Identifier: MIT */
/*
 * Keep commands running: restart what dies, slower each time; stop all on SIGTERM. Fit to be PID 1 of a container.
 *
 * Who may talk to it: whoever may send it signals. It reads no input.
 * Limits: one process group per command; a command that fails is restarted more and more slowly.
 * Inherited by a command: all open fds and the environment. SIGPIPE and SIGHUP are as the supervisor found them.
 * At the end: SIGTERM and SIGINT stop all commands. SIGHUP is ignored, and so is the end of the reader of its messages.
 * While a reader does not read, the supervisor waits for it. What has to be killed has been killed by then.
 */
#include "example.h"

#include <exitfd.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>

extern char **environ;

static const char help[] =
    "usage: supervisor [-b MS] [-g MS] COMMAND...\n"
    "Run each COMMAND (one argument, a line for sh) and start it again whenever it ends, until SIGTERM or SIGINT.\n"
    "\n"
    "  -b, --backoff=MS   wait this long before the first restart, and twice as long before each further one, up to\n"
    "                     100 times; a command that ran for longer than that begins anew. Default 100\n"
    "  -g, --grace=MS     on SIGTERM, send SIGKILL to what still runs after this long. Default 5000\n"
    "  -h, --help         show this\n"
    "\n"
    "Signals go to a command's whole process group. What is left of that when the command has ended gets SIGKILL,\n"
    "before the restart, or on SIGTERM once the time for that is over.\n"
    "\n"
    "As PID 1, or as the sub-reaper it makes itself otherwise, it also reaps the orphans that land on it.\n"
    "The exit status is 0 when all have been stopped, 1 when it could not work, 2 for wrong usage.\n";

enum {
    MAX_BACKOFF_FACTOR = 100
};

struct service {
    const char *command;
    pid_t pid;  /* 0: does not run */
    pid_t rest; /* the group of one that has exited while we stop; 0: none, or nothing is left of it */
    long long started_ms, start_at_ms, backoff_ms;
};

struct supervisor {
    struct exitfd *x;
    posix_spawnattr_t attributes;
    struct service *services;
    int count, running, rests;
    int first_backoff_ms, grace_ms;
    bool stopping;
    long long kill_at_ms; /* -1: done */
    int caught_signals;
};

static void restart_later(struct supervisor *s, struct service *service)
{
    long long longest_ms = (long long)s->first_backoff_ms * MAX_BACKOFF_FACTOR;
    if (!service->backoff_ms || now_ms() - service->started_ms > longest_ms)
        service->backoff_ms = s->first_backoff_ms;
    else
        service->backoff_ms = service->backoff_ms * 2 < longest_ms ? service->backoff_ms * 2 : longest_ms;
    service->start_at_ms = now_ms() + service->backoff_ms;
    fprintf(stderr, "supervisor: restart in %lld ms: %s\n", service->backoff_ms, service->command);
}

static void start(struct supervisor *s, struct service *service)
{
    char *argv[] = { "sh", "-c", (char *)service->command, NULL };
    int r = exitfd_spawn(s->x, &service->pid, "/bin/sh", NULL, &s->attributes, argv, environ, 0, service);
    service->started_ms = now_ms();
    if (r < 0) {
        fprintf(stderr, "supervisor: cannot start: %s: %s\n", strerror(-r), service->command);
        restart_later(s, service);
        return;
    }
    s->running++;
    fprintf(stderr, "supervisor: started as %d: %s\n", (int)service->pid, service->command);
}

static void report(const struct exitfd_event *event, const char *command)
{
    const char *how = event->origin == EXITFD_UNKNOWN ? "ended, status unknown"
                      : event->code == CLD_EXITED     ? "exited with status"
                                                      : "killed by signal";
    fprintf(stderr, "supervisor: %d %s %d: %s\n", (int)event->pid, how, event->status, command);
}

/* The number stays the group's while it has a process left: we look as soon as we have reaped, before it can be reused. */
static bool is_empty(pid_t group)
{
    return kill(-group, 0) < 0 && errno == ESRCH;
}

static void forget_empty_rests(struct supervisor *s)
{
    s->rests = 0;
    for (int i = 0; i < s->count; i++) {
        pid_t *rest = &s->services[i].rest;
        if (*rest && is_empty(*rest))
            *rest = 0;
        s->rests += *rest != 0;
    }
}

static void end_group(struct supervisor *s, struct service *service, pid_t group)
{
    service->pid = 0;
    s->running--;
    if (s->stopping)
        service->rest = group;
    else
        kill(-group, SIGKILL); /* what is left of it would run beside the new one */
}

static void take_exits(struct supervisor *s)
{
    struct exitfd_event events[64];
    int n = exitfd_wait(s->x, events, 64, 0);
    if (n < 0) {
        fprintf(stderr, "supervisor: cannot wait for exits: %s\n", strerror(-n));
        exit(1);
    }
    for (int i = 0; i < n; i++)
        if (events[i].data)
            end_group(s, events[i].data, events[i].pid);
    forget_empty_rests(s);

    /* Only now: a message may block, and a number that was not looked at for long may be another group's. */
    for (int i = 0; i < n; i++) {
        struct service *service = events[i].data;
        if (!service) /* an orphan */
            continue;
        report(&events[i], service->command);
        if (!s->stopping)
            restart_later(s, service);
    }
}

/* While exitfd_kill finds the first process of a group it has not been reaped, so the number is nobody else's. */
static void signal_all(struct supervisor *s, int sig)
{
    for (int i = 0; i < s->count; i++) {
        const struct service *service = &s->services[i];
        if (service->pid && exitfd_kill(s->x, service->pid, 0) == 0)
            kill(-service->pid, sig);
        if (service->rest)
            kill(-service->rest, sig);
    }
}

/* The time until something is to be done, for poll. */
static int do_what_is_due(struct supervisor *s)
{
    long long now = now_ms(), next = LLONG_MAX;
    if (s->stopping) {
        if (s->kill_at_ms >= 0 && s->kill_at_ms <= now) {
            signal_all(s, SIGKILL);
            s->kill_at_ms = -1;
        }
        return s->kill_at_ms < 0 ? -1 : (int)(s->kill_at_ms - now);
    }
    for (int i = 0; i < s->count; i++) {
        struct service *service = &s->services[i];
        if (!service->pid && service->start_at_ms <= now)
            start(s, service);
        if (!service->pid && service->start_at_ms < next)
            next = service->start_at_ms;
    }
    return next == LLONG_MAX ? -1 : next <= now ? 0 : (int)(next - now);
}

static void stop(struct supervisor *s)
{
    s->stopping = true;
    s->kill_at_ms = now_ms() + s->grace_ms;
    signal_all(s, SIGTERM);
    fprintf(stderr, "supervisor: stopping\n"); /* after the signals: it may block */
}

static void supervise(struct supervisor *s)
{
    struct pollfd fds[] = { { .fd = exitfd_get_fd(s->x), .events = POLLIN },
                            { .fd = s->caught_signals, .events = POLLIN } };
    for (;;) {
        int timeout_ms = do_what_is_due(s);
        if (s->stopping && !s->running && (!s->rests || s->kill_at_ms < 0))
            return;
        poll(fds, 2, timeout_ms);
        take_exits(s);
        while (next_caught_signal(s->caught_signals))
            if (!s->stopping)
                stop(s);
    }
}

/* The commands get back what we change. What nohup or the like had ignored stays ignored for them too. */
static void ignore(int sig, sigset_t *changed)
{
    if (signal(sig, SIG_IGN) != SIG_IGN)
        sigaddset(changed, sig);
}

static void prepare_signals(struct supervisor *s)
{
    sigset_t changed;
    sigemptyset(&changed);
    ignore(SIGPIPE, &changed); /* a message to a reader that has gone away is lost, and nothing else */
    ignore(SIGHUP, &changed);  /* the end of a terminal would leave the commands without supervision */
    posix_spawnattr_init(&s->attributes);
    posix_spawnattr_setflags(&s->attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&s->attributes, &changed);
}

static int prepare(struct supervisor *s)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    prepare_signals(s);
    int r = s->caught_signals = catch_signals((int[]){ SIGTERM, SIGINT, 0 });
    if (r >= 0)
        r = exitfd_open(&s->x, 0);
    return r < 0 ? r : exitfd_add(s->x, -1, 0, NULL);
}

int main(int argc, char *argv[])
{
    static const struct option options[] = { { "backoff", required_argument, NULL, 'b' },
                                             { "grace", required_argument, NULL, 'g' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    struct supervisor s = { .first_backoff_ms = 100, .grace_ms = 5000 };
    for (int option; (option = getopt_long(argc, argv, "+b:g:h", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option == '?')
            return wrong_usage("supervisor", "unknown option or missing value", NULL);
        if (!parse_number(optarg, 1, 3600000, option == 'b' ? &s.first_backoff_ms : &s.grace_ms))
            return wrong_usage("supervisor", "a time is a number of milliseconds from 1 to 3600000", optarg);
    }
    if (optind == argc)
        return wrong_usage("supervisor", "a command is needed", NULL);

    s.count = argc - optind;
    s.services = calloc((size_t)s.count, sizeof *s.services);
    int r = s.services ? prepare(&s) : -ENOMEM;
    if (r < 0) {
        fprintf(stderr, "supervisor: cannot begin: %s\n", strerror(-r));
        return 1;
    }
    for (int i = 0; i < s.count; i++)
        s.services[i].command = argv[optind + i];
    supervise(&s);
    exitfd_close(s.x);
    posix_spawnattr_destroy(&s.attributes);
    free(s.services);
    return 0;
}
