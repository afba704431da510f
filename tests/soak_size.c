/* SPDX-License-Identifier: MIT */
#include "soak.h"

#include <dirent.h>
#include <stdio.h>

static long count_fds(void)
{
    long count = 0;
    DIR *fds = opendir("/proc/self/fd");

    require(fds != NULL, "opendir");
    while (readdir(fds))
        count++;
    closedir(fds);
    return count - 3; /* ".", ".." and the fd of the directory */
}

/* Not statm: since Linux 6.2 that is off by some pages for each processor. */
static long measure_rss_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");

    require(file != NULL, "/proc/self/smaps_rollup");
    while (kb < 0 && fgets(line, sizeof(line), file))
        if (sscanf(line, "Rss: %ld", &kb) != 1)
            kb = -1;
    fclose(file);
    require(kb >= 0, "Rss in /proc/self/smaps_rollup");
    return kb;
}

struct size measure(void)
{
    struct size size = { .rss_kb = measure_rss_kb() };
    size.fds = count_fds();
    return size;
}
