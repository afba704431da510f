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

static const char help[] = "Usage: exitfd run [OPTION]... [FILE]\n"
                           "       exitfd run [OPTION]... [FILE] -- COMMAND [ARGUMENT]...\n"
                           "Run each line of FILE with /bin/sh -c, several at a time. Without FILE, read\n"
                           "standard input. Blank lines and lines that begin with # are skipped. Commands\n"
                           "read from /dev/null.\n"
                           "With COMMAND, run that for each line. The line takes the place of '{}' and is one\n"
                           "argument. No shell reads it, so any name is safe without quotes.\n"
                           "\n"
                           "  -0, --null                lines end with a null byte, as of 'find -print0'\n"
                           "  -j, --jobs JOBS           run JOBS commands at a time. Default: number of CPUs\n"
                           "  -t, --timeout SECONDS     end a command that runs longer (0.5, 90s, 2m, 1h, 1d)\n"
                           "  -K, --kill-after SECONDS  send SIGKILL so long after SIGTERM. Default: 5\n"
                           "  -f, --fail-fast           when a command fails, end the others, start no more\n"
                           "  -k, --keep-order          print the outputs in the order of the list\n"
                           "      --json                print a JSON object for each command, and a summary\n"
                           "      --output-limit SIZE   end a command that prints more (64K, 10M, 1G).\n"
                           "                            Default: 1G. No limit: 0\n"
                           "  -p, --progress SECONDS    time between two status lines. Default: 0.1 on a\n"
                           "                            terminal, else 10. None: 0\n"
                           "  -s, --summary ROWS        rows of the summary. Default: 10\n"
                           "  -q, --quiet               print only what the commands print, and errors that\n"
                           "                            keep exitfd from running them\n"
                           "  -h, --help                print this\n"
                           "\n"
                           "Exit status: 0 if all commands succeeded, 1 if not, 2 for wrong usage. If a signal\n"
                           "ended the run, exitfd ends by that signal.\n";

static int64_t count_cpus(void)
{
#ifdef __linux__
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        return CPU_COUNT(&cpus);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

/* timeout's -k takes a time, and ours leaves it as the name of a list. */
static bool is_like_timeout_k(const struct run_options *o)
{
    return o->keep_order && o->list[strspn(o->list, "0123456789.")] == '\0';
}

static int open_list(struct run_options *o)
{
    if (strcmp(o->list, "-") == 0) {
        o->list_fd = STDIN_FILENO;
        return 0;
    }
    o->list_fd = open(o->list, O_RDONLY | O_CLOEXEC);
    if (o->list_fd < 0) {
        return usage_error("cannot open the list '%s': %s%s", o->list, strerror(errno),
                           is_like_timeout_k(o) ? ". The time after which SIGKILL follows is -K SECONDS" : "");
    }
    return 0;
}

/* Those of xargs, GNU parallel and timeout that people type from habit. */
static const struct foreign_option of_other_programs[] = {
    { " -P --max-procs ", "Use -j JOBS to run JOBS commands at a time" },
    { " -a --arg-file ", "Name the list itself, as in exitfd run FILE" },
    { " -I -i -n -N -L -l -C -X -m --replace --max-args --max-lines --max-chars --colsep --xargs ",
      "Each line is one argument, as in exitfd run -- COMMAND {}" },
    { " -d --delimiter ", "Lines end with a newline, or with a null byte if you use -0" },
    { " -E -e --eof ", "The list is read to its end" },
    { " -r --no-run-if-empty ", "Leave it out. An empty list runs nothing" },
    { " -o --open-tty --interactive ", "Commands read from /dev/null and cannot ask" },
    { " -x -v --exit --verbose --tag --tagstring --joblog --results --files ",
      "Use --json, which prints an object for each command" },
    { " -u --ungroup --group --lb --line-buffer --linebuffer ",
      "The output of a command is printed whole when it ends" },
    { " --halt --halt-on-error ", "Use -f to end all when one fails" },
    { " --bar --eta ", "Leave it out. A status line is there, and -p SECONDS sets how often" },
    { " --dry-run --dryrun ", "Leave it out, and print the list instead" },
    { " --retries --resume --resume-failed ", "Use --json, and run the lines again that failed" },
    { " --pipe ", "Each line is a command or an argument, not its standard input" },
    { " --nice ", "Use nice exitfd run" },
    { " --tmpdir ", "Set TMPDIR" },
    { " --will-cite --citation --no-notice ", "Leave it out. There is no notice" },
    { " --signal ", "A time limit sends SIGTERM, and SIGKILL after -K SECONDS" },
    { " --preserve-status ", "Use --json, which has each status" },
    { " --foreground ", "Leave it out. No command is in the foreground" },
    { NULL, "Options of a command stand after '--', as in exitfd run -- COMMAND {}" },
};

/* GNU parallel's "+2", "-1", "50%" and "0" are relative to the CPUs, or no
   limit. */
static bool read_jobs(const char *text, int64_t *ret)
{
    if (*text >= '0' && *text <= '9' && parse_number(text, 1, 1000000, ret))
        return true;
    usage_error(
        "-j takes how many commands to run at a time, as in -j 4, and not '%s'. Without -j it is the number of CPUs",
        text);
    return false;
}

/* timeout's -s takes a signal. */
static bool read_rows(const char *text, int64_t *ret)
{
    if (*text >= '0' && *text <= '9')
        return read_count(text, 0, 1000000, ret);
    usage_error("-s takes how many rows the summary has, and not '%s'. %s", text,
                "A time limit sends SIGTERM, and SIGKILL after -K SECONDS");
    return false;
}

/* 0 is no limit. */
static bool read_time_limit(const char *text, int64_t *ret)
{
    if (!read_duration(text, ret))
        return false;
    *ret = *ret ? *ret : NEVER;
    return true;
}

/* 0 is no limit. */
static bool read_output_limit(const char *text, int64_t *ret)
{
    static const char units[] = "KMGT";
    char number[24];
    size_t length = strspn(text, "0123456789");
    bool has_unit = text[length] != '\0';
    const char *unit = has_unit ? strchr(units, text[length]) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    snprintf(number, sizeof number, "%.*s", (int)(length < sizeof number ? length : 0), text);
    if ((has_unit && (!unit || text[length + 1])) || !parse_number(number, 0, INT64_MAX >> shift, ret)) {
        usage_error("'%s' is not a size. Give bytes, or 64K, 10M, 1G", text);
        return false;
    }
    *ret = *ret ? *ret << shift : INT64_MAX;
    return true;
}

/* What stands behind "--" is the command; the value is the number of words
   before it. */
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
    if (!o->command)
        return 0;
    for (char *const *word = o->command; *word; word++) {
        if (strstr(*word, "{}"))
            return 0;
    }
    if (!*o->command)
        return usage_error("a command is missing after '--'");
    return usage_error("'{}' is missing in the command. Put it where the line belongs, as in '-- %s {}'", *o->command);
}

static int take_list(struct run_options *o, int count, char **names)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(names[i], ":::", 3) == 0) {
            return usage_error("'%s' is not known here. Print the arguments as lines, and pipe them to "
                               "exitfd run -- COMMAND {}",
                               names[i]);
        }
    }
    if (count > 1) {
        return usage_error(
            "one list at a time, and '%s' is another. To run one command for each line, put '--' before it, as in "
            "exitfd run -- COMMAND {}",
            names[1]);
    }
    o->list = count ? names[0] : "-";
    return 0;
}

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

/* False after a usage error. */
static bool take_option(struct run_options *o, int option)
{
    switch (option) {
    case '0':
        o->format.separator = '\0';
        break;
    case 'j':
        return read_jobs(optarg, &o->jobs);
    case 't':
        return read_time_limit(optarg, &o->timeout_ns);
    case 'K':
        return read_duration(optarg, &o->kill_after_ns);
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
        return read_output_limit(optarg, &o->output_limit);
    case 'p':
        return read_time_limit(optarg, &o->progress_ns);
    case 's':
        return read_rows(optarg, &o->summary_rows);
    case 'q':
        o->quiet = true;
        break;
    }
    return true;
}

/* 0, or the exit status of a wrong usage; -1 for --help. */
static int read_options(struct run_options *o, int argc, char **argv)
{
    int option;
    argc = split_command(o, argc, argv);
    while ((option = getopt_long(argc, argv, ":0j:t:K:fkp:s:qh", options, NULL)) != -1) {
        if (option == 'h')
            return -1;
        if (option == '?' || option == ':')
            return foreign_option(argv, option, of_other_programs);
        if (!take_option(o, option))
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
