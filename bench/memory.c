/* SPDX-License-Identifier: MIT */
#include "common.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is in use of what malloc has, whether from its heap or from mmap. */
static double allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (double)(info.uordblks + info.hblkhd);
}

/* Opened before there are any children: they may use up all other fds. */
static struct {
    int memory;
    DIR *fds;
} self;

static void open_self(void)
{
    self.memory = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    self.fds = opendir("/proc/self/fd");
    if (self.memory < 0 || self.fds == NULL)
        die("/proc/self");
}

/* Private memory of this process that is really there, what malloc keeps for
   later included. */
static double resident_bytes(void)
{
    char text[2048] = "";
    long kilobytes;
    const char *line = pread(self.memory, text, sizeof text - 1, 0) > 0 ? strstr(text, "\nAnonymous:") : NULL;

    if (line == NULL || sscanf(line, " Anonymous: %ld kB", &kilobytes) != 1)
        die("/proc/self/smaps_rollup");
    return 1024.0 * (double)kilobytes;
}

static double open_fds(void)
{
    int count = 0;

    rewinddir(self.fds);
    while (readdir(self.fds) != NULL)
        count++;
    return count;
}

static void take_sample(const struct implementation *how, size_t size, unsigned repeats)
{
    double resident, allocated, fds;
    const char *obstacle;

    (void)repeats;
    open_self();
    open_with_herd(how, size);
    if (how->can_open_again) {
        resident = resident_bytes();
        obstacle = how->open();
        if (obstacle != NULL)
            void_and_end("%s", obstacle);
        put_figure("empty", resident_bytes() - resident);
    }
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
        .asks = "N watched children: user-space memory and fds for each, beyond an empty loop, and what that holds.",
        .quick = { .sizes = { 4000 }, .rounds = 1 },
        .full = { .sizes = { 10000, 50000 }, .rounds = 1 },
        .take_sample = take_sample,
    };

    return answer(&question, argc, argv);
}
