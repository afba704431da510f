/* SPDX-License-Identifier: MIT */
/*
 * Run a command with a deadline: SIGTERM when it has passed, SIGKILL when that
 * did not help.
 *
 * Who may talk to it: any process that may send it signals. It reads no input.
 * Limits: one command, which is a process group. What leaves the group is not
 * ended.
 * Inherited by the command: fds 0 to 2, the environment, the working directory,
 * ignored signals except SIGPIPE.
 * At the end: once the deadline has passed, what is left of the group when the
 * command has ended gets SIGKILL. A command that ends in time may leave
 * processes behind. So does a SIGKILL of timeout.
 */
#include "example.h"

#include <exitfd.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

enum {
    TIMED_OUT = 124,
    TIMEOUT_FAILED = 125,
    CANNOT_RUN = 126,
    NOT_FOUND = 127,
    BY_SIGNAL = 128
};

static const char help[] = "usage: timeout [-s SIGNAL] [-k DURATION] DURATION COMMAND [ARGUMENT]...\n"
                           "Run COMMAND, and end it if it still runs after DURATION.\n"
                           "\n"
                           "  -s, --signal=NUMBER         the signal to send. Default: 15 (SIGTERM)\n"
                           "  -k, --kill-after=DURATION   send SIGKILL so long after that signal. Default: 10.\n"
                           "                              Never: 0\n"
                           "  -h, --help                  show this\n"
                           "\n"
                           "DURATION is a number of seconds, such as 1.5, or ends in m, h or d. 0 means no\n"
                           "deadline. Signals go to the process group of COMMAND. That group is a new one, so\n"
                           "COMMAND cannot read from the terminal. What is left of the group when COMMAND has\n"
                           "ended after its deadline gets SIGKILL, unless -k is 0. SIGTERM, SIGINT, SIGHUP and\n"
                           "SIGQUIT are passed on to COMMAND, and change nothing else.\n"
                           "\n"
                           "Exit status: that of COMMAND, or 128 plus the signal that ended it. 124 if the\n"
                           "deadline passed, 137 if that took SIGKILL, 125 if timeout itself failed, 126 if\n"
                           "COMMAND cannot be run, 127 if it is not there, 2 for wrong usage.\n";

struct run {
    struct exitfd *x;
    pid_t pid;
    int next_signal;
    long long kill_after_ms;
    long long deadline_ms; /* -1: none */
    bool timed_out, killed;
    int caught_signals;
};

static bool parse_duration_ms(const char *text, long long *ret_ms)
{
    static const struct {
        const char *suffix;
        double ms;
    } units[] = { { "", 1e3 }, { "s", 1e3 }, { "m", 60e3 }, { "h", 3600e3 }, { "d", 86400e3 } };
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    bool is_too_small = errno == ERANGE && number < 1; /* then it may have become 0 */
    if (end == text || !(number >= 0 && number < 1e9))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(end, units[i].suffix)) {
            double ms = number * units[i].ms;
            *ret_ms =
                (long long)ms + (is_too_small || ms > (double)(long long)ms); /* rounded up: 0 would be no deadline */
            return true;
        }
    return false;
}

/* A command that is stopped acts on it when it goes on. */
static void signal_command(const struct run *run, int sig)
{
    exitfd_kill(run->x, -run->pid, sig);
    exitfd_kill(run->x, -run->pid, SIGCONT);
}

static void deadline_passed(struct run *run)
{
    run->timed_out = true;
    run->killed = run->next_signal == SIGKILL;
    signal_command(run, run->next_signal);
    run->next_signal = SIGKILL;
    run->deadline_ms = run->kill_after_ms && !run->killed ? now_ms() + run->kill_after_ms : -1;
}

/* EXITFD_HOLD: until exitfd_discard the number of the group cannot be
   reused. */
static void end_group(const struct run *run)
{
    if (run->timed_out && run->kill_after_ms)
        exitfd_kill(run->x, -run->pid, SIGKILL);
    exitfd_discard(run->x, run->pid);
}

static int exit_status(const struct run *run, const struct exitfd_event *event)
{
    if (event->origin == EXITFD_UNKNOWN) {
        fprintf(stderr, "timeout: the command ended, but its status is lost. Do not ignore SIGCHLD\n");
        return TIMEOUT_FAILED;
    }
    if (run->timed_out)
        return run->killed ? BY_SIGNAL + SIGKILL : TIMED_OUT;
    return event->code == CLD_EXITED ? event->status : BY_SIGNAL + event->status;
}

static int poll_timeout_ms(const struct run *run)
{
    if (run->deadline_ms < 0)
        return -1;
    long long left_ms = run->deadline_ms - now_ms();
    return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

static int follow(struct run *run)
{
    struct pollfd fds[] = { { .fd = exitfd_get_fd(run->x), .events = POLLIN },
                            { .fd = run->caught_signals, .events = POLLIN } };
    for (;;) {
        poll(fds, 2, poll_timeout_ms(run));

        struct exitfd_event event;
        int n = exitfd_wait(run->x, &event, 1, 0);
        if (n == 1) {
            end_group(run);
            return exit_status(run, &event);
        }
        if (n < 0 && n != -EPIPE) { /* on self-pipe, a handler that was replaced: events still come */
            fprintf(stderr, "timeout: cannot wait for the command: %s\n", strerror(-n));
            return TIMEOUT_FAILED;
        }
        for (int sig; (sig = next_caught_signal(run->caught_signals));)
            signal_command(run, sig);
        if (run->deadline_ms >= 0 && now_ms() >= run->deadline_ms)
            deadline_passed(run);
    }
}

static int run_command(struct run *run, long long duration_ms, char *const argv[])
{
    int r = run->caught_signals = catch_signals((int[]){ SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0 });
    if (r >= 0)
        r = exitfd_open(&run->x, 0);
    if (r < 0) {
        fprintf(stderr, "timeout: cannot prepare to wait for the command: %s\n", strerror(-r));
        return TIMEOUT_FAILED;
    }
    const struct exitfd_action keep_0_to_2 = { .type = EXITFD_CLOSE_FROM, .fd = 3 };
    const struct exitfd_command command = {
        .size = sizeof command,
        .file = argv[0],
        .argv = argv,
        .actions = &keep_0_to_2,
        .action_count = 1,
        .options = EXITFD_NEW_GROUP,
    };
    r = exitfd_start(run->x, &run->pid, &command, EXITFD_HOLD, NULL);
    if (r < 0) {
        fprintf(stderr, "timeout: cannot run '%s': %s\n", argv[0], strerror(-r));
        return r == -ENOENT ? NOT_FOUND : r == -EAGAIN || r == -ENOMEM || r == -EMFILE ? TIMEOUT_FAILED : CANNOT_RUN;
    }
    run->deadline_ms = duration_ms ? now_ms() + duration_ms : -1;
    return follow(run);
}

int main(int argc, char *argv[])
{
    static const struct option options[] = { { "signal", required_argument, NULL, 's' },
                                             { "kill-after", required_argument, NULL, 'k' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    struct run run = { .next_signal = SIGTERM, .kill_after_ms = 10000 };
    for (int option; (option = getopt_long(argc, argv, "+s:k:h", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option == 's' && !parse_number(optarg, 1, SIGRTMAX, &run.next_signal))
            return wrong_usage("timeout", "not a signal number", optarg);
        if (option == 'k' && !parse_duration_ms(optarg, &run.kill_after_ms))
            return wrong_usage("timeout", "not a duration", optarg);
        if (option == '?')
            return wrong_usage("timeout", "unknown option or missing value", NULL);
    }
    if (argc - optind < 2)
        return wrong_usage("timeout", "a duration and a command are needed", NULL);
    long long duration_ms;
    if (!parse_duration_ms(argv[optind], &duration_ms))
        return wrong_usage("timeout", "not a duration", argv[optind]);

    int status = run_command(&run, duration_ms, argv + optind + 1);
    exitfd_close(run.x);
    return status;
}
