/* SPDX-License-Identifier: MIT */
/*
 * run_jobs.c adds a group and calls groups_advance. The leader of each group is
 * a zombie that x holds. A group is signalled only while it is held, so its
 * number is not another group's.
 */
#include "run_groups.h"

#include "processes.h"
#include "run.h"
#include "tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECHECK_NS (20 * NS_PER_MS)

enum {
    PIDS_SIZE = 64
};

/* Adds pid to a list as "12, 13, ...". */
static void add_pid(char pids[PIDS_SIZE], int pid)
{
    size_t length = strlen(pids);
    if (length + 16 < PIDS_SIZE)
        snprintf(pids + length, PIDS_SIZE - length, "%s%d", length ? ", " : "", pid);
    else if (length + 5 < PIDS_SIZE && pids[length - 1] != '.')
        snprintf(pids + length, PIDS_SIZE - length, " ...");
}

/* One that has ended has given back all but its number, and its parent may
   never wait for it. */
static bool is_alive(int pid)
{
    int parent;
    return !is_zombie(pid, &parent);
}

/* Calls act for each process of /proc that does not lead its group. False if
   some may be missing, because no descriptor or no memory is left. */
static bool for_each_member(void (*act)(int pid, pid_t group, void *context), void *context)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    if (!processes)
        return false;
    while ((errno = 0, entry = readdir(processes))) {
        int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        pid_t group = pid > 0 ? getpgid(pid) : -1;
        if (group > 0 && group != pid)
            act(pid, group, context);
    }
    bool is_whole = errno == 0;
    closedir(processes);
    return is_whole;
}

static void note_member(int pid, pid_t group, void *context)
{
    struct groups *groups = context;
    for (size_t i = 0; i < groups->count; i++) {
        if (groups->all[i].number == group && groups->all[i].is_empty)
            groups->all[i].is_empty = !is_alive(pid);
    }
}

/* Without a /proc that tells, each group has its time, and is gone when it was
   killed. */
static void find_empty(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        groups->all[i].is_empty = true;
    if (has_own_proc() && for_each_member(note_member, groups))
        return;
    for (size_t i = 0; i < groups->count; i++)
        groups->all[i].is_empty = groups->all[i].is_killed;
}

struct members {
    pid_t group;
    char pids[PIDS_SIZE];
};

static void list_member(int pid, pid_t group, void *context)
{
    struct members *members = context;
    if (group == members->group && is_alive(pid))
        add_pid(members->pids, pid);
}

static void tell_of(const struct group *group, groups_tell *tell, void *context, const char *what, const char *why)
{
    struct members members = { .group = group->number };
    for_each_member(list_member, &members);
    if (!*members.pids)
        snprintf(members.pids, sizeof members.pids, "of group %d", (int)group->number);
    tell(context, group->line, what, members.pids, why);
}

void groups_add(struct groups *groups, struct group group)
{
    groups->all = reallocate(groups->all, groups->count + 1, sizeof *groups->all);
    groups->all[groups->count++] = group;
}

/* True if there is nothing more to do about it. */
static bool advance(struct group *group, int64_t now_ns, struct exitfd *x, groups_tell *tell, void *context)
{
    if (group->is_empty)
        return true;
    if (group->deadline_ns > now_ns)
        return false;
    if (group->is_killed) {
        tell_of(group, tell, context, "SIGKILL has not ended", "it is left behind");
        return true;
    }
    group->is_killed = true;
    group->deadline_ns = now_ns + SIGKILL_PATIENCE_NS;
    int r = exitfd_kill(x, -group->number, SIGKILL);
    if (r < 0 && r != -ESRCH) {
        tell_of(group, tell, context, "cannot end", strerror(-r));
        return true;
    }
    return false;
}

void groups_advance(struct groups *groups, struct exitfd *x, groups_tell *tell, void *context)
{
    int64_t now_ns = monotonic_ns();
    if (groups->count && groups->recheck_ns <= now_ns) {
        find_empty(groups);
        groups->recheck_ns = now_ns + RECHECK_NS;
    }
    for (size_t i = groups->count; i-- > 0;) {
        if (advance(&groups->all[i], now_ns, x, tell, context)) {
            exitfd_discard(x, groups->all[i].number);
            groups->all[i] = groups->all[--groups->count];
        }
    }
}

int64_t groups_next_ns(const struct groups *groups)
{
    return groups->count ? groups->recheck_ns : NEVER;
}

void groups_hurry(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        groups->all[i].deadline_ns = 0;
}
