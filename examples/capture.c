/* SPDX-License-Identifier: MIT */
/*
 * Run many commands at once, and print what each wrote, whole and in the order
 * in which they end.
 *
 * Who may talk to it: the program or user that writes its input. Each line is
 * run by sh.
 * Limits: MOST_AT_ONCE commands at a time, and no more than there are fds and
 * processes for. The input is read to its end before the first one. It is kept
 * in memory, and so is what a command writes until it ends.
 * Inherited by a command: fds 1 and 2 are a pipe, 0 is /dev/null. The
 * environment, the working directory, ignored signals except SIGPIPE, and what
 * every child inherits (umask, limits, priority). No other fd.
 * At the end: it waits for all commands. After a SIGKILL of capture the
 * commands run on, and get SIGPIPE when they write.
 */
#include "example.h"

#include <exitfd.h>
#include <getopt.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

static const char help[] = "usage: capture [-j NUMBER]\n"
                           "Read the input to its end, and run each line with sh. When a command ends, print\n"
                           "how, and what it wrote to its output and its error output.\n"
                           "\n"
                           "  -j, --jobs=NUMBER   commands at once, 1 to 500. Default: 50\n"
                           "  -h, --help          show this\n"
                           "\n"
                           "A command has ended when its first process has. What others of it write later\n"
                           "is not read.\n"
                           "\n"
                           "Exit status: 0 if all exited with 0, 1 if not, 2 for wrong usage.\n";

enum {
    MOST_AT_ONCE = 500
};

struct job {
    int output; /* read end of the pipe; -1: not in use, or nothing more will come */
    char *line; /* NULL: not in use */
    char *text;
    size_t length;
    FILE *file; /* writes to text */
};

struct capture {
    struct exitfd *x;
    int at_once, running;
    bool is_full; /* no fd or process was left: try again after the next exit */
    bool failed;
    int print_error; /* errno, 0: none */
    char **lines;    /* those from next_line on are to be run */
    size_t line_count, next_line;
    struct job jobs[MOST_AT_ONCE];
};

static _Noreturn void give_up(const char *what, int error)
{
    fprintf(stderr, "capture: %s: %s\n", what, strerror(error));
    exit(1);
}

/* Both ends are close-on-exec, so that no command holds the pipe of another. */
static int start_shell(struct capture *c, struct job *job, int output)
{
    const struct exitfd_action actions[] = {
        { .type = EXITFD_DUP2, .fd = output, .target = 1 },
        { .type = EXITFD_DUP2, .fd = output, .target = 2 },
        { .type = EXITFD_OPEN, .fd = 0, .path = "/dev/null", .flags = O_RDONLY },
        { .type = EXITFD_CLOSE_FROM, .fd = 3 },
    };
    const struct exitfd_command command = {
        .size = sizeof command,
        .file = "/bin/sh",
        .argv = (char *[]){ "sh", "-c", job->line, NULL },
        .actions = actions,
        .action_count = sizeof actions / sizeof *actions,
    };
    return exitfd_start(c->x, NULL, &command, 0, job);
}

/* 0, or why nothing was started. */
static int start(struct capture *c, struct job *job, char *line)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    *job = (struct job){ .line = line, .output = pipe_fds[0] };
    int r = start_shell(c, job, pipe_fds[1]);
    close(pipe_fds[1]); /* or its end would never be seen */
    if (r < 0) {
        close(pipe_fds[0]);
        *job = (struct job){ .output = -1 };
        return r;
    }
    job->file = open_memstream(&job->text, &job->length);
    if (!job->file)
        give_up("cannot keep what a command writes", errno);
    c->running++;
    return 0;
}

static void read_output(struct job *job)
{
    char buffer[65536];
    ssize_t n;
    while ((n = read(job->output, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, (size_t)n, job->file);
    if (n == 0 || errno != EAGAIN) {
        close(job->output);
        job->output = -1;
    }
}

/* All that the command wrote is in the pipe by now. Its end may never come: a
   process left behind may hold it open. */
static void finish(struct capture *c, struct job *job, const struct exitfd_event *event)
{
    char how[80];
    if (job->output >= 0)
        read_output(job);
    if (job->output >= 0)
        close(job->output);
    if (fclose(job->file) != 0)
        give_up("cannot keep what a command wrote", errno);
    exitfd_describe(event, how, sizeof how);
    printf("%s: %s\n", job->line, how);
    fwrite(job->text, 1, job->length, stdout);
    if (ferror(stdout) && !c->print_error)
        c->print_error = errno; /* fflush would not know of it any more */
    c->failed |= exitfd_get_wait_status(event) != 0;
    free(job->text);
    free(job->line);
    *job = (struct job){ .output = -1 };
    c->running--;
    c->is_full = false;
}

/* Now, and not as commands end: a read of the input may block, and they would
   wait. */
static void read_list(struct capture *c)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) >= 0) {
        char **lines = realloc(c->lines, (c->line_count + 1) * sizeof *lines);
        line[strcspn(line, "\n")] = '\0';
        if (lines)
            c->lines = lines;
        if (!lines || !(lines[c->line_count++] = strdup(line)))
            give_up("cannot read the commands", ENOMEM);
    }
    if (ferror(stdin)) /* what else there is to run is not known */
        give_up("cannot read the commands", errno);
    free(line);
}

/* poll fails with EINVAL if it gets more fds than may be open. */
static void lower_at_once(struct capture *c)
{
    struct rlimit fds;
    if ((size_t)c->at_once > c->line_count)
        c->at_once = (int)c->line_count;
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur <= (rlim_t)c->at_once)
        c->at_once = (int)fds.rlim_cur - 1; /* one is the exitfd */
}

/* The end of a command gives back what it had. */
static bool may_pass(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

static void start_what_fits(struct capture *c)
{
    for (int i = 0; i < c->at_once && c->next_line < c->line_count && !c->is_full; i++) {
        if (c->jobs[i].line)
            continue;
        int r = start(c, &c->jobs[i], c->lines[c->next_line]);
        if (r == 0)
            c->next_line++;
        else if (c->running > 0 && may_pass(r))
            c->is_full = true;
        else
            give_up("cannot start a command", -r);
    }
}

static void take_exits(struct capture *c)
{
    struct exitfd_event events[16];
    int n = exitfd_wait(c->x, events, 16, 0);
    if (n < 0 && n != -EPIPE) /* on self-pipe, a handler that was replaced: events still come */
        give_up("cannot wait for the commands", -n);
    for (int i = 0; i < n; i++)
        finish(c, events[i].data, &events[i]);
}

/* poll passes over an fd of -1. */
static void run_all(struct capture *c)
{
    struct pollfd fds[1 + MOST_AT_ONCE];
    for (start_what_fits(c); c->running > 0; start_what_fits(c)) {
        fds[0] = (struct pollfd){ .fd = exitfd_get_fd(c->x), .events = POLLIN };
        for (int i = 0; i < c->at_once; i++)
            fds[1 + i] = (struct pollfd){ .fd = c->jobs[i].output, .events = POLLIN };
        if (poll(fds, 1 + (nfds_t)c->at_once, -1) < 0) {
            if (errno != EINTR)
                give_up("cannot wait for the commands", errno);
            continue;
        }
        for (int i = 0; i < c->at_once; i++)
            if (fds[1 + i].revents)
                read_output(&c->jobs[i]);
        take_exits(c);
    }
}

int main(int argc, char *argv[])
{
    static const struct option options[] = { { "jobs", required_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    static struct capture c = { .at_once = 50 };
    for (int option; (option = getopt_long(argc, argv, "j:h", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option == '?')
            return wrong_usage("capture", "unknown option or missing value", NULL);
        if (!parse_number(optarg, 1, MOST_AT_ONCE, &c.at_once))
            return wrong_usage("capture", "the number of commands at once is 1 to 500", optarg);
    }
    if (optind != argc)
        return wrong_usage("capture", "commands are read from the input", argv[optind]);
    for (int i = 0; i < c.at_once; i++)
        c.jobs[i].output = -1;

    settle_fds();
    int r = exitfd_open(&c.x, 0);
    if (r < 0)
        give_up("cannot begin", -r);
    read_list(&c);
    lower_at_once(&c);
    run_all(&c);
    free(c.lines);
    exitfd_close(c.x);
    if (fflush(stdout) != 0 || c.print_error)
        give_up("cannot print", c.print_error ? c.print_error : errno);
    return c.failed;
}
