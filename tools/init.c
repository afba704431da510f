/* SPDX-License-Identifier: MIT */
/* exitfd init: PID 1 of a container, or a sub-reaper, around one command. */
#include "ending.h"
#include "orphans.h"
#include "signals.h"
#include "supervise.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static const char help[] =
    "Usage: exitfd init [-gvw] [-e STATUS]... [-K SECONDS] [-p SIGNAL] [--] COMMAND [ARGUMENT]...\n"
    "Run COMMAND, forward signals to it, reap every orphan, and exit as it did.\n"
    "As PID 1 of a container, or anywhere as the sub-reaper of what COMMAND leaves behind.\n"
    "\n"
    "  -e, --remap STATUS         exit with 0 where COMMAND exits with STATUS; may be repeated\n"
    "  -g, --group                forward signals to COMMAND's whole process group\n"
    "  -K, --kill-after SECONDS   when COMMAND has ended, send SIGTERM to all that is left, and\n"
    "                             SIGKILL to what is still there after SECONDS\n"
    "  -p, --parent-death SIGNAL  get SIGNAL when the parent of init dies\n"
    "  -v, --verbose              tell of each signal forwarded and each process reaped\n"
    "  -w, --warn                 tell of each orphan reaped\n"
    "  -h, --help                 print this\n"
    "\n"
    "Exit status: COMMAND's, or 128 plus the signal that killed it; 126 COMMAND cannot be\n"
    "executed, 127 it is not there, 125 its status is unknown, 2 wrong usage, 1 init could not start\n";

struct init_options {
    struct supervision supervision;
    bool is_remapped[256];
    int64_t kill_after_ns; /* NEVER: what is left is left alone */
    int parent_death_signal;
};

/* What a child that could not become its command says and exits with, as the shell does. */
static int cannot_execute(const char *file)
{
    int reason = errno;
    complain("cannot execute '%s': %s", file, strerror(reason));
    return reason == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
}

_Noreturn static void become_command(char **command, int terminal_to_take, const sigset_t *mask)
{
    setpgid(0, 0);
    if (terminal_to_take >= 0) {
        tcsetpgrp(terminal_to_take, getpgrp());
    }
    signals_set_mask(mask);
    execvp(command[0], command);
    _exit(cannot_execute(command[0]));
}

static int start_command(struct supervision *s, char **command, const sigset_t *mask)
{
    bool is_foreground = s->terminal >= 0 && tcgetpgrp(s->terminal) == getpgrp();
    s->child = exitfd_fork(s->x, EXITFD_STOPPED, NULL);
    if (s->child == 0) {
        become_command(command, is_foreground ? s->terminal : -1, mask);
    }
    if (s->child > 0) {
        setpgid(s->child, s->child); /* whoever of the two comes first: a signal for the group must find it */
    }
    return s->child < 0 ? s->child : 0;
}

static int follow_parent(int signo)
{
#ifdef __linux__
    return !signo || prctl(PR_SET_PDEATHSIG, signo) == 0 ? 0 : -errno;
#else
    return signo ? -ENOTSUP : 0;
#endif
}

static int conclude(const struct init_options *o)
{
    const struct supervision *s = &o->supervision;
    char words[ENDING_SIZE];
    take_back_terminal(s->terminal, s->child);
    if (o->kill_after_ns != NEVER) {
        end_orphans(s->x, o->kill_after_ns, s->tells_orphans ? tell_orphan : NULL);
    }
    if (s->tells_signals || s->ending.origin == EXITFD_UNKNOWN) {
        complain("the command %s", ending_in_words(&s->ending, words));
    }
    int status = ending_exit_status(&s->ending);
    return o->is_remapped[status & 0xff] ? 0 : status;
}

static int init_with(struct init_options *o, char **command)
{
    struct supervision *s = &o->supervision;
    sigset_t mask = signals_block_all();
    int r = follow_parent(o->parent_death_signal);
    r = r < 0 ? r : supervise_prepare(&s->x);
    if (r == 0) {
        r = start_command(s, command, &mask);
        r = r < 0 ? r : supervise(s);
    }
    if (r < 0) {
        return complain_cannot_start(r);
    }
    int status = conclude(o);
    exitfd_close(s->x);
    return status;
}

int init_main(int argc, char **argv)
{
    static const struct option options[] = { { "remap", required_argument, NULL, 'e' },
                                             { "group", no_argument, NULL, 'g' },
                                             { "kill-after", required_argument, NULL, 'K' },
                                             { "parent-death", required_argument, NULL, 'p' },
                                             { "verbose", no_argument, NULL, 'v' },
                                             { "warn", no_argument, NULL, 'w' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct init_options o = { .kill_after_ns = NEVER,
                              .supervision.terminal = isatty(STDIN_FILENO) ? STDIN_FILENO : -1 };
    int64_t status;
    int option;
    while ((option = getopt_long(argc, argv, "+:e:gK:p:vwh", options, NULL)) != -1) {
        switch (option) {
        case 'e':
            if (!read_count(optarg, 0, 255, &status)) {
                return STATUS_USAGE;
            }
            o.is_remapped[status] = true;
            break;
        case 'g':
            o.supervision.whole_group = true;
            break;
        case 'K':
            if (!read_duration(optarg, &o.kill_after_ns)) {
                return STATUS_USAGE;
            }
            break;
        case 'p':
            if (!parse_signal(optarg, &o.parent_death_signal)) {
                return usage_error("'%s' is not a signal: give its name or number, as in SIGTERM", optarg);
            }
            break;
        case 'v':
            o.supervision.tells_signals = true;
            o.supervision.tells_orphans = true;
            break;
        case 'w':
            o.supervision.tells_orphans = true;
            break;
        case 'h':
            fputs(help, stdout);
            return close_stdout(0);
        default:
            return option_error(argv, option);
        }
    }
    if (optind == argc) {
        return usage_error("a command is missing");
    }
    return init_with(&o, argv + optind);
}
