/* SPDX-License-Identifier: MIT */
/*
 * The epoll set is the parent's as well, and knows what it polls: /proc/self/fdinfo lists the number that each file had
 * when it was added, in the parent. Here that number may be another file by now, if only because the parent has added it
 * after the fork. So the kernel is asked whether the fd is that very file (KCMP_EPOLL_TFD, Linux 4.13). The inode would
 * not do: the child may watch the same process by a pidfd of its own.
 */
#include "linux/copies.h"

#include "linux/sys.h"

#include <stdio.h>

/* Of linux/kcmp.h, which a musl without kernel headers lacks. */
struct epoll_slot {
    uint32_t set, fd, index;
};
#define COMPARE_WITH_EPOLL_SLOT 7

/* More than one entry has the same number if other forked children hold copies of what the parent has closed. */
static bool is_in_set(int fd, int set)
{
    struct epoll_slot slot = { (uint32_t)set, (uint32_t)fd, 0 };
    pid_t self = getpid();
    long differs;

    while ((differs = syscall(SYS_kcmp, self, self, COMPARE_WITH_EPOLL_SLOT, fd, &slot)) > 0)
        slot.index++;
    return differs == 0;
}

static bool is_own(const struct exitfd *x, int fd)
{
    return fd == x->fd || fd == x->wake.fd || fd == x->timer_fd || fd == x->signal_fd;
}

void xfd_copies_close(const struct exitfd *x)
{
    char path[48], line[160];
    int fd;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", x->fd);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "tfd: %d", &fd) == 1 && !is_own(x, fd) && is_in_set(fd, x->fd))
            close(fd);
    fclose(file);
}
