/* SPDX-License-Identifier: MIT */
/*
 * From words to a process. It is a child of vfork(2), which costs half of what
 * fork(2) does: until the exec it runs in our memory, and so does nothing there
 * but system calls.
 */
#ifndef RUN_START_H
#define RUN_START_H

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

/* What every command of a run gets. */
struct job_environment {
    struct exitfd *x;
    char *const *command; /* with "{}" for the line, or NULL: the line is the command */
    int null_fd;
    sigset_t signal_mask;
    struct rlimit open_files;
};

struct start {
    char *const *words; /* NULL: a shell, with line */
    const char *line;   /* what a shell runs if the words cannot be executed, or NULL */
    const int *output_fds;
    const struct job_environment *environment;
    void *data; /* of the watch */
};

/* Whether /bin/sh takes $'x' for x. */
bool shell_knows_dollar_quotes(void);

/*
 * The pid of a process that has executed what it was to, and is watched. A
 * negative errno: nothing was executed. *ret_file is what could not be, or
 * NULL.
 */
pid_t start_process(const struct start *start, const char **ret_file);

#endif
