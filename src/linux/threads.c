/* SPDX-License-Identifier: MIT */
#include "linux/threads.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

/* proc(5): one bit for each signal, the lowest for signal 1. A thread that has
   ended, or that is hidden, takes nothing. */
static bool takes_sigchld(const char *thread)
{
    char path[64], line[128];
    uint64_t blocked = UINT64_MAX;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file) && sscanf(line, "SigBlk: %" SCNx64, &blocked) != 1)
        ;
    fclose(file);
    return !(blocked & (UINT64_C(1) << (SIGCHLD - 1)));
}

bool xfd_threads_one_takes_sigchld(void)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *entry;
    bool one = false;

    if (!threads)
        return false;
    while (!one && (entry = readdir(threads)))
        one = entry->d_name[0] != '.' && takes_sigchld(entry->d_name);
    closedir(threads);
    return one;
}
