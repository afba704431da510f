/* SPDX-License-Identifier: MIT */
/*
 * Keep commands running: restart what dies, slower each time; stop all on
 * SIGTERM. Fit to be PID 1 of a container.
 *
 * Who may talk to it: any process that may send it signals. It reads no input.
 * Limits: one process group per command; a command that fails is restarted more
 * and more slowly.
 * Inherited by a command: fds 0 to 2, the environment, the working directory,
 * umask, limits and priority, and which signals were ignored at the start,
 * except SIGPIPE. No other fd.
 * At the end: SIGTERM and SIGINT stop all commands. SIGHUP is ignored, and so
 * is the end of the reader of its messages. After a SIGKILL of the supervisor
 * the kernel sends SIGTERM to the first process of each command.
 * To systemd it says when it is ready and when it stops (Type=notify,
 * supervisor.service). The commands cannot. While a reader does not read, the
 * supervisor waits for it. What has to be killed has been killed by then.
 */
#include "example.h"

#include <dirent.h>
#include <exitfd.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char help[] = "usage: supervisor [-b MS] [-g MS] COMMAND...\n"
                           "Run each COMMAND, and start it again when it ends, until SIGTERM or SIGINT.\n"
                           "COMMAND is one argument, a line for sh.\n"
                           "\n"
                           "  -b, --backoff=MS   wait so long before the first restart, and twice as long\n"
                           "                     before each further one, up to 100 times as long. A command\n"
                           "                     that ran longer than that starts from MS again. Default: 100\n"
                           "  -g, --grace=MS     on SIGTERM, send SIGKILL to what still runs after so long.\n"
                           "                     Default: 5000\n"
                           "  -h, --help         show this\n"
                           "\n"
                           "Signals go to the process group of a command. What is left of the group when the\n"
                           "command has ended gets SIGKILL before the restart. On SIGTERM it gets SIGKILL\n"
                           "after the time of -g. The supervisor also reaps orphans, as PID 1 or as a\n"
                           "sub-reaper. If NOTIFY_SOCKET is set, as by a unit with Type=notify, it reports\n"
                           "there that all have been started and that it stops.\n"
                           "\n"
                           "Exit status: 0 if all were stopped, 1 if it could not work, 2 for wrong usage.\n";

enum {
    MAX_BACKOFF_FACTOR = 100
};

struct service {
    const char *command;
    pid_t pid;   /* 0: does not run */
    bool exited; /* while we stop: its first process has, and its zombie is held for the rest of the group */
    long long started_ms, start_at_ms, backoff_ms;
};

struct supervisor {
    struct exitfd *x;
    struct service *services;
    int count, running;
    int first_backoff_ms, grace_ms;
    bool stopping;
    long long kill_at_ms; /* -1: done */
    int caught_signals;
    int notify_socket; /* -1: systemd has given none */
};

/* The protocol of sd_notify(3). '@' stands for the 0 byte of a socket that has
   no file. */
static int open_notify_socket(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!name || !*name || strlen(name) >= sizeof address.sun_path)
        return -1;
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
        fprintf(stderr, "supervisor: cannot use NOTIFY_SOCKET %s: %s\n", name, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

/* Lost where the reader has gone away: the commands are worth more. */
static void notify(const struct supervisor *s, const char *words)
{
    if (s->notify_socket >= 0)
        send(s->notify_socket, words, strlen(words), MSG_NOSIGNAL | MSG_DONTWAIT);
}

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

/* EXITFD_HOLD: the group is the command's until exitfd_discard. */
static int start_shell(struct supervisor *s, struct service *service)
{
    const struct exitfd_action keep_0_to_2 = { .type = EXITFD_CLOSE_FROM, .fd = 3 };
    struct exitfd_command command = {
        .size = sizeof command,
        .file = "/bin/sh",
        .argv = (char *[]){ "sh", "-c", (char *)service->command, NULL },
        .actions = &keep_0_to_2,
        .action_count = 1,
        .options = EXITFD_NEW_GROUP,
        .death_signal = SIGTERM,
    };
    int r = exitfd_start(s->x, &service->pid, &command, EXITFD_HOLD, service);
    if (r == -ENOTSUP) { /* the commands then outlive a SIGKILL of the supervisor */
        command.death_signal = 0;
        r = exitfd_start(s->x, &service->pid, &command, EXITFD_HOLD, service);
    }
    return r;
}

static void start(struct supervisor *s, struct service *service)
{
    int r = start_shell(s, service);
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

static bool is_in(pid_t group, const char *pid)
{
    char path[64], line[512];
    int its_group;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) /* out of fds: it may be in it */
        return errno == EMFILE || errno == ENFILE;
    const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return name_end && sscanf(name_end + 1, " %*c %*d %d", &its_group) == 1 && its_group == group;
}

/* Beside the zombie that we hold. kill(2) cannot tell, because the zombie
   counts for it. */
static bool has_more(pid_t group)
{
    DIR *processes = opendir("/proc");
    if (!processes)
        return true;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(processes));) {
        int pid;
        found = parse_number(entry->d_name, 1, INT_MAX, &pid) && pid != group && is_in(group, entry->d_name);
    }
    closedir(processes);
    return found;
}

static void forget(struct supervisor *s, struct service *service)
{
    exitfd_kill(s->x, -service->pid, SIGKILL); /* what is left of it would run beside the new one */
    exitfd_discard(s->x, service->pid);
    service->pid = 0;
    service->exited = false;
    s->running--;
}

/* While we stop, the rest of a group has its time to end. */
static void forget_what_has_ended(struct supervisor *s)
{
    for (int i = 0; i < s->count; i++) {
        struct service *service = &s->services[i];
        if (service->exited && (!s->stopping || s->kill_at_ms < 0 || !has_more(service->pid)))
            forget(s, service);
    }
}

static void take_exits(struct supervisor *s)
{
    struct exitfd_event events[64];
    int n = exitfd_wait(s->x, events, 64, 0);
    if (n < 0 && n != -EPIPE) { /* on self-pipe, a handler that was replaced: events still come */
        fprintf(stderr, "supervisor: cannot wait for exits: %s\n", strerror(-n));
        exit(1);
    }
    for (int i = 0; i < n; i++)
        if (events[i].data)
            ((struct service *)events[i].data)->exited = true;
    forget_what_has_ended(s);

    /* Only now: a message may block, and what has to be killed must not wait
       for that. */
    for (int i = 0; i < n; i++) {
        struct service *service = events[i].data;
        if (!service) /* an orphan */
            continue;
        report(&events[i], service->command);
        if (!s->stopping)
            restart_later(s, service);
    }
}

static void signal_all(struct supervisor *s, int sig)
{
    for (int i = 0; i < s->count; i++)
        if (s->services[i].pid)
            exitfd_kill(s->x, -s->services[i].pid, sig);
}

/* The time until something is to be done, for poll. */
static int do_what_is_due(struct supervisor *s)
{
    long long now = now_ms(), next = LLONG_MAX;
    if (s->stopping) {
        if (s->kill_at_ms >= 0 && s->kill_at_ms <= now) {
            signal_all(s, SIGKILL);
            s->kill_at_ms = -1;
            forget_what_has_ended(s);
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
    notify(s, "STOPPING=1");
    fprintf(stderr, "supervisor: stopping\n"); /* after the signals: it may block */
}

static void supervise(struct supervisor *s)
{
    struct pollfd fds[] = { { .fd = exitfd_get_fd(s->x), .events = POLLIN },
                            { .fd = s->caught_signals, .events = POLLIN } };
    do_what_is_due(s);
    notify(s, "READY=1");
    for (;;) {
        int timeout_ms = do_what_is_due(s);
        if (s->stopping && !s->running)
            return;
        poll(fds, 2, timeout_ms);
        take_exits(s);
        for (int sig; (sig = next_caught_signal(s->caught_signals));)
            if (sig != SIGHUP && !s->stopping)
                stop(s);
    }
}

static int prepare(struct supervisor *s)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    signal(SIGPIPE, SIG_IGN); /* a message to a reader that has gone away is lost, and nothing else */
    /* SIGHUP is caught, not ignored, so that the commands do not ignore it: the
       end of a terminal stops nothing here. */
    int r = s->caught_signals = catch_signals((int[]){ SIGTERM, SIGINT, SIGHUP, 0 });
    s->notify_socket = open_notify_socket(getenv("NOTIFY_SOCKET"));
    unsetenv("NOTIFY_SOCKET"); /* or a command could say that we are ready */
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
    free(s.services);
    return 0;
}
