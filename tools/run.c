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
    "Usage: exitfd run [OPTION]... [FILE]\n"
    "       exitfd run [OPTION]... [FILE] -- COMMAND [ARGUMENT]...\n"
    "Run each line of FILE, or of standard input, with /bin/sh -c, several at a time.\n"
    "Blank lines and lines that begin with # are skipped. Commands read from /dev/null.\n"
    "With COMMAND, run that for each line, which takes the place of '{}': no shell reads\n"
    "it, so that any name is safe without quotes. Empty lines are skipped.\n"
    "\n"
    "  -0, --null                the lines end with a null byte, as 'find -print0' prints them\n"
    "  -j, --jobs JOBS           run JOBS commands at a time; the number of CPUs by default\n"
    "  -t, --timeout SECONDS     end a command that runs longer (0.5, 90s, 2m, 1h, 1d; 0: never)\n"
    "  -K, --kill-after SECONDS  SIGKILL what is still there so long after its SIGTERM; 5 by default\n"
    "  -f, --fail-fast           when a command fails, end the others and start no more\n"
    "  -k, --keep-order          print the outputs in the order of the list\n"
    "      --json                print one JSON object for each command, and one for the whole\n"
    "      --output-limit SIZE   end a command that prints more (64K, 10M, 1G; 0: never); 1G by default\n"
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

/* Options of xargs and GNU parallel that people type from habit, and what does it here. */
static int foreign_option(char **argv, int option)
{
    static const struct {
        const char *name, *ours;
    } known[] = {
        { "-P", "-j JOBS runs so many at a time" },
        { "-n", "each line is one argument: exitfd run -- COMMAND {}" },
        { "-I", "'{}' is the place: exitfd run -- COMMAND {}" },
        { "-a", "name the list itself: exitfd run FILE" },
        { "-L", "each line is one argument: exitfd run -- COMMAND {}" },
        { "-d", "lines end with a newline, or with a null byte: -0" },
        { "--halt", "-f ends all when one fails" },
        { "--bar", "a status line is always there; -p SECONDS sets how often" },
        { "--eta", "a status line is always there; -p SECONDS sets how often" },
        { "--joblog", "--json prints one object for each command" },
        { "--results", "--json prints one object for each command" },
        { "--max-procs", "-j JOBS runs so many at a time" },
        { "--arg-file", "name the list itself: exitfd run FILE" },
        { "--colsep", "each line is one argument: exitfd run -- COMMAND {}" },
    };
    const char *last = argv[optind - 1];
    char letter[] = { '-', (char)optopt, '\0' };
    for (size_t i = 0; option == '?' && i < sizeof known / sizeof *known; i++) {
        size_t length = strcspn(last, "=");
        bool is_long = !optopt && strncmp(known[i].name, last, length) == 0 && !known[i].name[length];
        if (is_long || (optopt && strcmp(known[i].name, letter) == 0)) {
            return usage_error("there is no option %s here: %s", known[i].name, known[i].ours);
        }
    }
    return option_error(argv, option);
}

/* GNU parallel's "+2", "-1", "50%" and "0" are relative to the CPUs, or no limit. */
static bool read_jobs(const char *text, int64_t *ret)
{
    if (*text >= '0' && *text <= '9' && parse_number(text, 1, 1000000, ret)) {
        return true;
    }
    usage_error(
        "-j takes how many commands to run at a time, as in -j 4, and not '%s'. Without -j it is the number of CPUs",
        text);
    return false;
}

static bool read_size(const char *text, int64_t *ret)
{
    static const char units[] = "KMGT";
    char number[24];
    size_t length = strspn(text, "0123456789");
    bool has_unit = text[length] != '\0';
    const char *unit = has_unit ? strchr(units, text[length]) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    snprintf(number, sizeof number, "%.*s", (int)(length < sizeof number ? length : 0), text);
    if ((has_unit && (!unit || text[length + 1])) || !parse_number(number, 0, INT64_MAX >> shift, ret)) {
        usage_error("'%s' is not a size: give bytes, or 64K, 10M, 1G", text);
        return false;
    }
    *ret <<= shift;
    return true;
}

/* What stands behind "--" is the command; the value is the number of words before it. */
static int split_command(struct run_options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            argv[i] = NULL;
            o->command = argv + i + 1;
            o->format.is_arguments = true;
            return i;
        }
    }
    return argc;
}

static int check_command(const struct run_options *o)
{
    if (!o->command) {
        return 0;
    }
    for (char *const *word = o->command; *word; word++) {
        if (strstr(*word, "{}")) {
            return 0;
        }
    }
    if (!*o->command) {
        return usage_error("a command is missing behind '--'");
    }
    return usage_error("'{}' is missing in the command: put it where the line belongs, as in '-- %s {}'", *o->command);
}

static int take_list(struct run_options *o, int count, char **names)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], ":::") == 0) {
            return usage_error("':::' is not known here: print the arguments as lines, and pipe them to "
                               "exitfd run -- COMMAND {}");
        }
    }
    if (count > 1) {
        return usage_error(
            "one list at a time: '%s' is too much. To run one command for each line, put '--' before it: "
            "exitfd run -- COMMAND {}",
            names[1]);
    }
    o->list = count ? names[0] : "-";
    return 0;
}

/* 0, or the exit status of a wrong usage; -1 for --help. */
static int read_options(struct run_options *o, int argc, char **argv)
{
    enum {
        OPTION_JSON = 256,
        OPTION_OUTPUT_LIMIT
    };
    static const struct option options[] = { { "null", no_argument, NULL, '0' },
                                             { "jobs", required_argument, NULL, 'j' },
                                             { "timeout", required_argument, NULL, 't' },
                                             { "kill-after", required_argument, NULL, 'K' },
                                             { "fail-fast", no_argument, NULL, 'f' },
                                             { "keep-order", no_argument, NULL, 'k' },
                                             { "json", no_argument, NULL, OPTION_JSON },
                                             { "output-limit", required_argument, NULL, OPTION_OUTPUT_LIMIT },
                                             { "progress", required_argument, NULL, 'p' },
                                             { "summary", required_argument, NULL, 's' },
                                             { "quiet", no_argument, NULL, 'q' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    int option;
    bool is_valid = true;
    argc = split_command(o, argc, argv);
    while (is_valid && (option = getopt_long(argc, argv, ":0j:t:K:fkp:s:qh", options, NULL)) != -1) {
        switch (option) {
        case '0':
            o->format.separator = '\0';
            break;
        case 'j':
            is_valid = read_jobs(optarg, &o->jobs);
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
        case OPTION_OUTPUT_LIMIT:
            is_valid = read_size(optarg, &o->output_limit);
            o->output_limit = o->output_limit ? o->output_limit : INT64_MAX;
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
            return foreign_option(argv, option);
        }
    }
    if (!is_valid) {
        return STATUS_USAGE;
    }
    int status = take_list(o, argc - optind, argv + optind);
    return status ? status : check_command(o);
}

int run_main(int argc, char **argv)
{
    struct run_options o = { .jobs = count_cpus(),
                             .output_limit = INT64_C(1) << 30,
                             .format.separator = '\n',
                             .timeout_ns = NEVER,
                             .kill_after_ns = 5 * NS_PER_SECOND,
                             .summary_rows = 10 };
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
