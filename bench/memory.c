/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

/* What is in use of what malloc has, whether from its heap or from mmap. */
static double allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double)(info.uordblks + info.hblkhd);
}

/* Private memory of this process that is really there, what malloc keeps for later included. */
static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    long kilobytes = -1;

    if (file == NULL)
        die("/proc/self/smaps_rollup");
    while (fgets(line, sizeof line, file) != NULL && kilobytes < 0)
        sscanf(line, "Anonymous: %ld kB", &kilobytes);
    fclose(file);
    return 1024.0 * (double)kilobytes;
}

static double open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    if (directory == NULL)
        die("/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    double resident, allocated, fds;

    (void)repeats;
    open_with_herd(how, size);
    resident = resident_bytes();
    allocated = allocated_bytes();
    fds = open_fds();
    add_herd(how, size);
    put_figure("fds", (open_fds() - fds) / (double)size);
    put_figure("allocated", (allocated_bytes() - allocated) / (double)size);
    put_figure("resident", (resident_bytes() - resident) / (double)size);
    storm_herd(how, size);
    close_with_herd(how);
}

int main(int argc, char **argv)
{
    static const struct question question = {
        .name = "memory",
        .asks = "N watched children: user-space memory and fds for each, beyond what an empty loop holds.",
        .quick = { .sizes = { 4000 }, .rounds = 1 },
        .full = { .sizes = { 10000, 50000 }, .rounds = 1 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
