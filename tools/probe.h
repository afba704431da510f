/* SPDX-License-Identifier: MIT */
/* Questions to the kernel, each asked in a process of its own: seccomp may
   answer by killing it. */
#ifndef PROBE_H
#define PROBE_H

#include <signal.h>
#include <stdbool.h>

enum {
    PROBE_TEXT_SIZE = 160
};

struct probe {
    bool is_asked;       /* false: the question could not be put, and error says why */
    int error;           /* the errno that is the answer, 0 for yes */
    int killed_by;       /* the signal that was the answer instead, or 0 */
    bool is_true_status; /* of a back end: the child's status came back */
    bool has_pidfd;      /* of the record: the child had one */
    char text[PROBE_TEXT_SIZE];
};

/* Runs ask in a child and returns what it wrote. What was printed is flushed
   before, so that no child prints it again. */
struct probe ask_in_child(void (*ask)(struct probe *probe, const void *argument), const void *argument);

struct probe probe_syscall(const char *name);
struct probe probe_backend(unsigned flag); /* 0: the default; text is its name */
struct probe probe_record(void);           /* with the default back end; text is its name */

/* The names that probe_syscall knows, up to NULL. */
extern const char *const probe_syscalls[];

/* Those that a back end cannot do without. */
const char *const *probe_needs(unsigned flag);

#endif
