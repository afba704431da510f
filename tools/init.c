/* SPDX-License-Identifier: MIT */
/* exitfd init: PID 1 of a container, or a sub-reaper, around one command. */
#include "ending.h"
#include "escape.h"
#include "orphans.h"
#include "signals.h"
#include "supervise.h"
#include "terminal.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: exitfd init [-gsvw] [-e STATUS]... [-K SECONDS] [-p SIGNAL] [--] COMMAND [ARGUMENT]...\n"
    "Run COMMAND, forward signals to it, reap every orphan, and exit as it did. It is for\n"
    "PID 1 of a container. Elsewhere it is the sub-reaper of what COMMAND leaves behind.\n"
    "\n"
    "  -e, --remap STATUS         exit with 0 instead of STATUS. May be repeated\n"
    "  -g, --group                forward signals to the process group of COMMAND\n"
    "  -K, --kill-after SECONDS   when COMMAND has ended, send SIGTERM to all that is left,\n"
    "                             and SIGKILL to what is still there after SECONDS\n"
    "  -p, --parent-death SIGNAL  send SIGNAL to COMMAND when the parent of init ends\n"
    "  -s                         nothing. tini needs it for what init always does\n"
    "  -v, --verbose              report each signal forwarded and each process reaped\n"
    "  -w, --warn                 report each orphan reaped\n"
    "  -h, --help                 print this\n"
    "\n"
    "Exit status: that of COMMAND, or 128 plus the signal that killed it. 126 if COMMAND\n"
    "cannot be executed, 127 if it is not there, 125 if its status is unknown, 2 for wrong\n"
    "usage, 1 if init could not start.\n";

/* Those of tini, dumb-init, catatonit and timeout. */
static const struct foreign_option of_other_programs[] = {
    { " -c --single-child ", "Leave it out. Signals go to COMMAND alone unless you give -g" },
    { " -r --rewrite ", "Signals are not rewritten. Let COMMAND be a shell that traps them" },
    { " -l ", "The licence is MIT" },
    { " -V --version ", "Use exitfd --version" },
    { " -P ", "Use exitfd init -- sleep infinity" },
    { " -k ", "Use -K SECONDS for the time after which SIGKILL follows" },
    { " -t --timeout ", "Use exitfd init -- timeout SECONDS COMMAND" },
    { NULL, NULL },
};

enum {
    READER_PATIENCE_MS = 500
};

struct init_options {
    struct supervision supervision;
    bool is_remapped[256];
    int64_t kill_after_ns; /* NEVER: what is left is left alone */
};

/* What a child that could not become its command says and exits with, as the
   shell does. */
static int cannot_execute(const char *file)
{
    int reason = errno;
    complain("cannot execute '%s': %s", file, strerror(reason));
    return reason == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
}

/* SIGCHLD as it was before supervise_prepare: the command has what it would
   have without init. */
struct found_signals {
    sigset_t mask;
    struct sigaction chld;
};

static struct found_signals find_signals(void)
{
    struct found_signals found;
    sigprocmask(SIG_SETMASK, NULL, &found.mask);
    sigaction(SIGCHLD, NULL, &found.chld);
    signals_block_all();
    return found;
}

_Noreturn static void become_command(const struct supervision *s, char **command, bool is_foreground,
                                     const struct found_signals *found)
{
    if (!s->shares_terminal_signals)
        setpgid(0, 0);
    if (is_foreground)
        tcsetpgrp(s->terminal, getpgrp());
    sigaction(SIGCHLD, &found->chld, NULL);
    signals_set_mask(&found->mask);
    execvp(command[0], command);
    _exit(cannot_execute(command[0]));
}

/*
 * On a terminal the command stays in our process group, which is a job of the
 * shell. So it has the foreground, the keys that send signals, and the rest of
 * the pipeline or script beside it. To signal its group alone it needs one of
 * its own, and then the foreground too.
 */
static void choose_group(struct supervision *s)
{
    int terminal = terminal_find();
    s->shares_terminal_signals = terminal >= 0 && !s->whole_group;
    s->terminal = s->shares_terminal_signals ? -1 : terminal;
}

static int start_command(struct supervision *s, char **command, const struct found_signals *found)
{
    choose_group(s);
    bool is_foreground = terminal_foreground_is(s->terminal, getpgrp());
    sigpending(&s->before_fork);
    s->child = exitfd_fork(s->x, EXITFD_STOPPED, NULL);
    if (s->child == 0)
        become_command(s, command, is_foreground, found);
    if (s->child > 0 && !s->shares_terminal_signals)
        setpgid(s->child, s->child); /* both do it, so that a signal for the group finds it at once */
    return s->child < 0 ? s->child : 0;
}

static int conclude(const struct init_options *o)
{
    const struct supervision *s = &o->supervision;
    char words[ENDING_SIZE];
    terminal_take_back(s->terminal, s->child);
    if (o->kill_after_ns != NEVER) {
        /* Nothing here needs them any more, and to read /proc takes two. There
           may be no other left. */
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        end_orphans(s->x, o->kill_after_ns, s->tells_orphans ? tell_orphan : NULL);
    }
    if (s->tells_signals || s->ending.origin == EXITFD_UNKNOWN)
        complain("the command %s", ending_in_words(&s->ending, words));
    int status = ending_exit_status(&s->ending);
    return o->is_remapped[status & 0xff] ? 0 : status;
}

static int fail_to_wait(struct supervision *s, int reason)
{
    complain("cannot wait for the command: %s. It is killed now. See 'exitfd doctor'", strerror(-reason));
    if (s->shares_terminal_signals || kill(-s->child, SIGKILL) != 0)
        kill(s->child, SIGKILL);
    return STATUS_UNKNOWN;
}

static int init_with(struct init_options *o, char **command)
{
    struct supervision *s = &o->supervision;
    const struct found_signals found = find_signals();
    say_patience_ms = READER_PATIENCE_MS; /* PID 1 must reap and end, whoever reads its messages */
    int r = s->parent_death_signal ? parent_watch(&s->parent, s->parent_death_signal) : 0;
    r = r < 0 ? r : supervise_prepare(s);
    r = r < 0 ? r : start_command(s, command, &found);
    if (r < 0)
        return complain_cannot_start(r);
    r = supervise(s);
    if (r < 0)
        return fail_to_wait(s, r);
    int status = conclude(o);
    exitfd_close(s->x);
    return status;
}

/* 0, or the exit status of a wrong usage. */
static int take_option(struct init_options *o, int option)
{
    int64_t status;
    switch (option) {
    case 'e':
        if (!read_count(optarg, 0, 255, &status))
            return STATUS_USAGE;
        o->is_remapped[status] = true;
        break;
    case 'g':
        o->supervision.whole_group = true;
        break;
    case 'K':
        return read_duration(optarg, &o->kill_after_ns) ? 0 : STATUS_USAGE;
    case 'p':
        if (!parse_signal(optarg, &o->supervision.parent_death_signal))
            return usage_error("'%s' is not a signal. Give a name or number, as in SIGTERM", optarg);
        break;
    case 's': /* tini's, for what is always so here */
        break;
    case 'v':
        o->supervision.tells_signals = true;
        o->supervision.tells_orphans = true;
        break;
    case 'w':
        o->supervision.tells_orphans = true;
        break;
    }
    return 0;
}

/* 0, or the exit status of a wrong usage; -1 for --help. */
static int read_options(struct init_options *o, int argc, char **argv)
{
    static const struct option options[] = { { "remap", required_argument, NULL, 'e' },
                                             { "group", no_argument, NULL, 'g' },
                                             { "kill-after", required_argument, NULL, 'K' },
                                             { "parent-death", required_argument, NULL, 'p' },
                                             { "verbose", no_argument, NULL, 'v' },
                                             { "warn", no_argument, NULL, 'w' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    int option;
    while ((option = getopt_long(argc, argv, "+:e:gK:p:svwh", options, NULL)) != -1) {
        if (option == 'h')
            return -1;
        if (option == '?' || option == ':')
            return foreign_option(argv, option, of_other_programs);
        int status = take_option(o, option);
        if (status)
            return status;
    }
    return optind == argc ? usage_error("a command is missing") : 0;
}

int init_main(int argc, char **argv)
{
    struct init_options o = { .kill_after_ns = NEVER };
    int status = read_options(&o, argc, argv);
    if (status == -1) {
        fputs(help, stdout);
        return close_stdout(0);
    }
    return status ? status : init_with(&o, argv + optind);
}
