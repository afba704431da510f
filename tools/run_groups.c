/* SPDX-License-Identifier: MIT */
#include "run_groups.h"

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

enum {
    PIDS_SIZE = 64
};

/* Adds pid to a list as "12, 13, ...". */
static void add_pid(char pids[PIDS_SIZE], int pid)
{
    size_t length = strlen(pids);
    if (length + 16 < PIDS_SIZE) {
        snprintf(pids + length, PIDS_SIZE - length, "%s%d", length ? ", " : "", pid);
    } else if (length + 5 < PIDS_SIZE && pids[length - 1] != '.') {
        snprintf(pids + length, PIDS_SIZE - length, " ...");
    }
}

static void add_if_alive(char pids[PIDS_SIZE], int pid)
{
    char state;
    int parent;
    if (read_process(pid, &state, &parent) && state != 'Z' && state != 'X') {
        add_pid(pids, pid);
    }
}

/* The processes of the group that are no zombies. False where there is no /proc. */
static bool list_alive(pid_t group, char pids[PIDS_SIZE])
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    bool has_some = false;
    *pids = '\0';
    while (processes && (entry = readdir(processes))) {
        int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        has_some |= pid > 0;
        if (pid > 0 && getpgid(pid) == group) {
            add_if_alive(pids, pid);
        }
    }
    if (processes) {
        closedir(processes);
    }
    return has_some;
}

static bool is_empty(pid_t group)
{
    return kill(-group, 0) != 0 && errno == ESRCH;
}

/* A zombie has given back everything but its number, and its parent may never wait for it. */
static bool is_gone(const struct group *group)
{
    char pids[PIDS_SIZE];
    return is_empty(group->number) || (group->is_killed && list_alive(group->number, pids) && !*pids);
}

static void tell_of(const struct group *group, groups_tell *tell, void *context, const char *what, const char *why)
{
    char pids[PIDS_SIZE];
    if (!list_alive(group->number, pids) || !*pids) {
        snprintf(pids, sizeof pids, "of group %d", (int)group->number);
    }
    tell(context, group->line, what, pids, why);
}

void groups_add(struct groups *groups, struct group group)
{
    if (is_empty(group.number)) {
        return;
    }
    groups->all = reallocate(groups->all, groups->count + 1, sizeof *groups->all);
    groups->all[groups->count++] = group;
}

/* True if there is nothing more to do about it. */
static bool advance(struct group *group, int64_t now_ns, groups_tell *tell, void *context)
{
    if (is_gone(group)) {
        return true;
    }
    if (group->deadline_ns > now_ns) {
        return false;
    }
    if (group->is_killed) {
        tell_of(group, tell, context, "SIGKILL has not ended", "it is left behind");
        return true;
    }
    group->is_killed = true;
    group->deadline_ns = now_ns + SIGKILL_PATIENCE_NS;
    if (kill(-group->number, SIGKILL) != 0 && errno != ESRCH) {
        tell_of(group, tell, context, "cannot end", strerror(errno));
        return true;
    }
    return false;
}

void groups_advance(struct groups *groups, groups_tell *tell, void *context)
{
    int64_t now_ns = monotonic_ns();
    for (size_t i = groups->count; i-- > 0;) {
        if (advance(&groups->all[i], now_ns, tell, context)) {
            groups->all[i] = groups->all[--groups->count];
        }
    }
}

void groups_hurry(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        groups->all[i].deadline_ns = 0;
    }
}
