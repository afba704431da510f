/* SPDX-License-Identifier: MIT */
/*
 * Process groups whose leader was asked to end and has ended, but has left processes
 * in them. They are followed until they are gone: what is killed is waited for.
 */
#ifndef RUN_GROUPS_H
#define RUN_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct group {
    pid_t number;
    int64_t line; /* of its command */
    bool is_killed;
    int64_t deadline_ns; /* SIGKILL is due then, or it is left */
};

struct groups {
    struct group *all;
    size_t count;
};

/* Says of a group or process of the command in that line what could not be done. */
typedef void groups_tell(void *context, int64_t line, const char *what, const char *pids, const char *why);

/* Right after the leader was waited for: the number stays the group's while it has a process left. */
void groups_add(struct groups *groups, struct group group);

/* What is due now. */
void groups_advance(struct groups *groups, groups_tell *tell, void *context);

/* SIGKILL is due now. */
void groups_hurry(struct groups *groups);

#endif
