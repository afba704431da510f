/* SPDX-License-Identifier: MIT */
/* What is the same in every loop: three children to start, and a line to print
   for each. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <exitfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILDREN 3

extern char **environ;

static inline int must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(1);
    }
    return r;
}

static inline void start_children(struct exitfd *x)
{
    static char sh[] = "sh", option[] = "-c";
    static char exit_0[] = "exit 0", exit_3[] = "exit 3", be_killed[] = "kill -KILL $$";
    char *const commands[CHILDREN] = { exit_0, exit_3, be_killed };
    for (int i = 0; i < CHILDREN; i++) {
        char *const arguments[] = { sh, option, commands[i], NULL };
        must(exitfd_spawn(x, NULL, "sh", NULL, NULL, arguments, environ, 0, commands[i]), "exitfd_spawn");
    }
}

static inline struct exitfd *open_with_children(void)
{
    struct exitfd *x = NULL;
    must(exitfd_open(&x, 0), "exitfd_open");
    start_children(x);
    return x;
}

/* Prints one end, which the error of an adapter is not; returns how many there
   were. */
static inline int print_end(int error, const struct exitfd_event *end)
{
    static int ends = 0;
    must(error, "exitfd_wait");
    const char *how = end->origin == EXITFD_UNKNOWN ? "unknown" : end->code == CLD_EXITED ? "exited" : "killed";
    printf("%s: %s %d\n", (const char *)end->data, how, end->status);
    return ++ends;
}

/* Prints what has ended; returns how many did. Call it when the fd is
   readable. */
static inline int print_ends(struct exitfd *x)
{
    struct exitfd_event ends[CHILDREN];
    int n = must(exitfd_wait(x, ends, CHILDREN, 0), "exitfd_wait");
    for (int i = 0; i < n; i++)
        print_end(0, &ends[i]);
    return n;
}

#endif
