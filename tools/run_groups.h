/* SPDX-License-Identifier: MIT */
/*
 * Process groups whose leader was asked to end and has ended, but has left
 * processes in them. They are watched until they have ended: what is killed is
 * waited for. Meanwhile x holds the leader's zombie. So the number cannot be
 * another group's.
 */
#ifndef RUN_GROUPS_H
#define RUN_GROUPS_H

#include <exitfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct group {
    pid_t number;
    int64_t line; /* of its command */
    bool is_killed;
    int64_t deadline_ns; /* SIGKILL is due then, or it is left */
    bool is_empty;       /* but for the zombie */
};

struct groups {
    struct group *all;
    size_t count;
    int64_t recheck_ns; /* nothing tells that a group has become empty */
};

/* Says of a group or process of the command in that line what could not be
   done. */
typedef void groups_tell(void *context, int64_t line, const char *what, const char *pids, const char *why);

/* After the event of the leader, which is watched with EXITFD_HOLD. */
void groups_add(struct groups *groups, struct group group);

/* What is due now. */
void groups_advance(struct groups *groups, struct exitfd *x, groups_tell *tell, void *context);

/* When something is due, or NEVER. */
int64_t groups_next_ns(const struct groups *groups);

/* SIGKILL is due now. */
void groups_hurry(struct groups *groups);

#endif
