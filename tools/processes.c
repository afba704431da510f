/* SPDX-License-Identifier: MIT */
/* Of a process that may end at any time. Each call reads /proc anew. */
#include "processes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool find_process(pid_t pid, struct process *ret)
{
    char path[32], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    fclose(file);
    /* The name in parentheses may hold anything, further parentheses and
       numbers included. */
    const char *field = strrchr(line, ')');
    struct process found = { .pid = pid };
    int parent;
    if (!field || sscanf(field, ") %c %d", &found.state, &parent) != 2) {
        errno = ESRCH; /* it has ended meanwhile */
        return false;
    }
    for (int number = 2; field && number < 22; number++) /* proc(5): the name is field 2, the start 22 */
        field = strchr(field + 1, ' ');
    found.parent = parent;
    found.start = field ? strtoull(field, NULL, 10) : 0;
    *ret = found;
    return true;
}

/* Where the first thread has ended and others run on, /proc calls the process a
   zombie too. */
bool is_zombie(pid_t pid, pid_t *ret_parent)
{
    char path[48];
    struct stat st;
    struct process process;
    if (!find_process(pid, &process) || process.state != 'Z')
        return false;
    *ret_parent = process.parent;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return stat(path, &st) == 0 && st.st_nlink <= 3;
}

bool has_own_proc(void)
{
    char pid[16];
    ssize_t length = readlink("/proc/self", pid, sizeof pid - 1);
    pid[length > 0 ? length : 0] = '\0';
    return length > 0 && atoi(pid) == getpid();
}
