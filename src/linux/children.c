/* SPDX-License-Identifier: MIT */
/*
 * The children of this process as /proc lists them. Needed only where another
 * zombie stands in front of those that nothing watches: that of a watched
 * child, or one that may be no child.
 */
#include "orphans.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
    pid_t *pids;
    size_t count, capacity;
    bool was_there;
};

static int append(struct list *list, pid_t pid)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        pid_t *pids = realloc(list->pids, capacity * sizeof *pids);
        if (!pids)
            return -ENOMEM;
        list->pids = pids;
        list->capacity = capacity;
    }
    list->pids[list->count++] = pid;
    return 0;
}

/* proc(5): the children of one thread, for a child belongs to the thread that
   forked it. */
static int append_children_of(struct list *list, const char *thread)
{
    char path[64];
    int pid, error = 0;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/children", thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -errno;
    list->was_there = true;
    while (error == 0 && fscanf(file, "%d", &pid) == 1)
        error = append(list, pid);
    if (error == 0 && ferror(file))
        error = -EAGAIN; /* half a list would hide the other half for good */
    fclose(file);
    return error;
}

int xfd_platform_list_children(pid_t **ret)
{
    struct list list = { 0 };
    struct dirent *entry;
    int error = 0;
    DIR *threads = opendir("/proc/self/task");

    if (!threads)
        return -ENOTSUP;
    while (error == 0 && (entry = readdir(threads)))
        if (entry->d_name[0] != '.')
            error = append_children_of(&list, entry->d_name);
    closedir(threads);
    if (error == 0 && !list.was_there)
        error = -ENOTSUP; /* a kernel without CONFIG_PROC_CHILDREN */
    if (error < 0) {
        free(list.pids);
        return error;
    }
    *ret = list.pids;
    return (int)list.count;
}
