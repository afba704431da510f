/* SPDX-License-Identifier: MIT */
/* What /proc says of a process. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* With its pid its start, in ticks, is one process and no other. */
struct process {
    pid_t pid;
    pid_t parent;
    char state;
    uint64_t start;
};

/*
 * From /proc/PID/stat. False with an errno. ENOENT or ESRCH if there is no such
 * process, EPERM or EACCES if it is hidden.
 */
bool find_process(pid_t pid, struct process *ret);

/* All of its threads have ended, and its parent has not waited for it. */
bool is_zombie(pid_t pid, pid_t *ret_parent);

/* False where /proc is missing, or is that of another pid namespace. */
bool has_own_proc(void);

#endif
