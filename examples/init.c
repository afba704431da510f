/* SPDX-License-Identifier: MIT */
/*
 * PID 1 of a container: start one command, pass signals on to it, reap every
 * orphan, and end with the command.
 *
 * Who may talk to it: any process that may send it signals. It reads no input.
 * Limits: one command. There are no restarts (supervisor.c has them). The
 * command is in a group of its own, so it cannot read from a terminal. `exitfd
 * init` hands the terminal over.
 * Inherited by the command: fds 0 to 2 and no others, the environment, the
 * working directory, ignored signals except SIGPIPE, and what every child
 * inherits (umask, limits, priority).
 * At the end: when PID 1 ends, the kernel kills all that is left in its PID
 * namespace. Elsewhere the rest runs on.
 */
#include "example.h"

#include <exitfd.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char help[] = "usage: init COMMAND [ARGUMENT]...\n"
                           "Run COMMAND as PID 1 of a container does. SIGTERM, SIGINT, SIGHUP, SIGQUIT,\n"
                           "SIGUSR1 and SIGUSR2 go on to the process group of COMMAND. Orphans are reaped,\n"
                           "also where init is not PID 1.\n"
                           "\n"
                           "  --help   show this\n"
                           "\n"
                           "Exit status: that of COMMAND, or 128 plus the signal that ended it. 125 if init\n"
                           "itself failed, 127 if COMMAND cannot be run, 2 for wrong usage.\n";

enum {
    INIT_FAILED = 125,
    CANNOT_RUN = 127,
    BY_SIGNAL = 128
};

static int complain(const char *what, int error, int status)
{
    fprintf(stderr, "init: %s: %s\n", what, strerror(-error));
    return status;
}

static int start(struct exitfd *x, char *argv[], pid_t *pid)
{
    const struct exitfd_action close_others = { .type = EXITFD_CLOSE_FROM, .fd = 3 };
    const struct exitfd_command command = {
        .size = sizeof command,
        .file = argv[0],
        .argv = argv,
        .actions = &close_others,
        .action_count = 1,
        .options = EXITFD_NEW_GROUP,
    };
    return exitfd_start(x, pid, &command, 0, argv);
}

static int exit_status(const struct exitfd_event *event)
{
    int status = exitfd_get_wait_status(event);
    return WIFEXITED(status) ? WEXITSTATUS(status) : WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : INIT_FAILED;
}

/* Only the event of the command has data. Those of orphans have none, and to
   take them was all. */
static int follow(struct exitfd *x, pid_t pid, int caught_signals)
{
    struct pollfd fds[] = { { .fd = exitfd_get_fd(x), .events = POLLIN }, { .fd = caught_signals, .events = POLLIN } };
    for (;;) {
        poll(fds, 2, -1);
        struct exitfd_event events[64];
        int n = exitfd_wait(x, events, 64, 0);
        if (n < 0 && n != -EPIPE) /* on self-pipe, a handler that was replaced: events still come */
            return complain("cannot wait for children", n, INIT_FAILED);
        for (int i = 0; i < n; i++)
            if (events[i].data)
                return exit_status(&events[i]);
        for (int sig; (sig = next_caught_signal(caught_signals));)
            exitfd_kill(x, -pid, sig);
    }
}

int main(int argc, char *argv[])
{
    if (argc == 2 && !strcmp(argv[1], "--help"))
        return fputs(help, stdout) < 0;
    if (argc < 2)
        return wrong_usage("init", "a command is needed", NULL);
    if (argv[1][0] == '-')
        return wrong_usage("init", "unknown option", argv[1]);

    struct exitfd *x;
    pid_t pid;
    /* As PID 1 it changes nothing. Elsewhere orphans would go to another
       process. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int caught_signals = catch_signals((int[]){ SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, 0 });
    int r = caught_signals < 0 ? caught_signals : exitfd_open(&x, 0);
    if (r == 0)
        r = exitfd_add(x, -1, 0, NULL);
    if (r < 0)
        return complain("cannot begin", r, INIT_FAILED);
    r = start(x, argv + 1, &pid);
    if (r < 0)
        return complain(argv[1], r, CANNOT_RUN);
    int status = follow(x, pid, caught_signals);
    exitfd_close(x);
    return status;
}
