/* SPDX-License-Identifier: MIT */
/* exitfd run: the command lines of a list, several at a time. */
#include "run.h"

#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

static const char help[] =
    "Usage: exitfd run [-fkq] [-j JOBS] [-t SECONDS] [-K SECONDS] [-p SECONDS] [-s ROWS] [--json] [FILE]\n"
    "Run each line of FILE, or of standard input, with /bin/sh -c, several at a time.\n"
    "Blank lines and lines that begin with # are skipped. Commands read from /dev/null.\n"
    "\n"
    "  -j, --jobs JOBS           run JOBS commands at a time; the number of CPUs by default\n"
    "  -t, --timeout SECONDS     end a command that runs longer (0.5, 90s, 2m, 1h, 1d; 0: never)\n"
    "  -K, --kill-after SECONDS  SIGKILL what is still there so long after its SIGTERM; 5 by default\n"
    "  -f, --fail-fast           when a command fails, end the others and start no more\n"
    "  -k, --keep-order          print the outputs in the order of the list\n"
    "      --json                print one JSON object for each command, and one for the whole\n"
    "  -p, --progress SECONDS    time between two status lines: 0.1 on a terminal, else 10; 0 none\n"
    "  -s, --summary ROWS        rows of the table at the end, failed and slowest first; 10 by default\n"
    "  -q, --quiet               only the commands' outputs, and what keeps exitfd from running them\n"
    "  -h, --help                print this\n"
    "\n"
    "Exit status: 0 all succeeded, 1 some did not, 2 wrong usage; a run that a signal ended\n"
    "ends by that signal\n";

static int64_t count_cpus(void)
{
#ifdef __linux__
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
        return CPU_COUNT(&cpus);
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

static int open_list(struct run_options *o)
{
    if (strcmp(o->list, "-") == 0) {
        o->list_fd = STDIN_FILENO;
        return 0;
    }
    o->list_fd = open(o->list, O_RDONLY | O_CLOEXEC);
    if (o->list_fd < 0) {
        return usage_error("cannot open the list '%s': %s", o->list, strerror(errno));
    }
    return 0;
}

/* 0, or the exit status of a wrong usage; -1 for --help. */
static int read_options(struct run_options *o, int argc, char **argv)
{
    enum {
        OPTION_JSON = 256
    };
    static const struct option options[] = { { "jobs", required_argument, NULL, 'j' },
                                             { "timeout", required_argument, NULL, 't' },
                                             { "kill-after", required_argument, NULL, 'K' },
                                             { "fail-fast", no_argument, NULL, 'f' },
                                             { "keep-order", no_argument, NULL, 'k' },
                                             { "json", no_argument, NULL, OPTION_JSON },
                                             { "progress", required_argument, NULL, 'p' },
                                             { "summary", required_argument, NULL, 's' },
                                             { "quiet", no_argument, NULL, 'q' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    int option;
    bool is_valid = true;
    while (is_valid && (option = getopt_long(argc, argv, ":j:t:K:fkp:s:qh", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            is_valid = read_count(optarg, 1, 1000000, &o->jobs);
            break;
        case 't':
            is_valid = read_duration(optarg, &o->timeout_ns);
            o->timeout_ns = o->timeout_ns ? o->timeout_ns : NEVER;
            break;
        case 'K':
            is_valid = read_duration(optarg, &o->kill_after_ns);
            break;
        case 'f':
            o->fail_fast = true;
            break;
        case 'k':
            o->keep_order = true;
            break;
        case OPTION_JSON:
            o->json = true;
            break;
        case 'p':
            is_valid = read_duration(optarg, &o->progress_ns);
            o->progress_ns = o->progress_ns ? o->progress_ns : NEVER;
            break;
        case 's':
            is_valid = read_count(optarg, 0, 1000000, &o->summary_rows);
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'h':
            return -1;
        default:
            return option_error(argv, option);
        }
    }
    if (!is_valid) {
        return STATUS_USAGE;
    }
    if (argc - optind > 1) {
        return usage_error("one list at a time: '%s' is too much; put a command into the list, not here",
                           argv[optind + 1]);
    }
    o->list = optind < argc ? argv[optind] : "-";
    return 0;
}

int run_main(int argc, char **argv)
{
    struct run_options o = {
        .jobs = count_cpus(), .timeout_ns = NEVER, .kill_after_ns = 5 * NS_PER_SECOND, .summary_rows = 10
    };
    int status = read_options(&o, argc, argv);
    if (status == -1) {
        fputs(help, stdout);
        return close_stdout(0);
    }
    sigprocmask(SIG_SETMASK, NULL, &o.signal_mask);
    sigdelset(&o.signal_mask, SIGCHLD);
    status = status ? status : open_list(&o);
    return status ? status : guard_worker(&o, run_worker);
}
