/* SPDX-License-Identifier: MIT */
/*
 * The epoll set is the parent's as well, and knows what it polls:
 * /proc/self/fdinfo lists the number that each file had when it was added, in
 * the parent. Here that number may be another file by now, if only because the
 * parent has added it after the fork. So the kernel is asked whether the fd is
 * that very file (KCMP_EPOLL_TFD, Linux 4.13). The inode would not do: the
 * child may watch the same process by a pidfd of its own.
 */
#include "linux/copies.h"

#include "linux/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Of linux/kcmp.h, which a musl without kernel headers lacks. */
struct epoll_slot {
    uint32_t set, fd, index;
};
#define COMPARE_WITH_EPOLL_SLOT 7

/* For each the kernel goes through the set, in the order of the list, while the
   parent waits: 1,000 take it 20 ms. */
#define MOST 1000

/* More than one entry has the same number if other forked children hold copies
   of what the parent has closed. */
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

/* A line begins with "tfd:" and the number. Whether it was asked about. */
static int close_copy(const struct exitfd *x, const char *line)
{
    int fd;

    if (sscanf(line, "tfd: %d", &fd) != 1 || is_own(x, fd))
        return 0;
    if (is_in_set(fd, x->fd))
        close(fd);
    return 1;
}

/*
 * The kernel writes the whole list at the first read, so that what is closed
 * meanwhile does not change it. No memory is allocated: after _Fork another
 * thread of the parent may hold the lock for that for ever.
 */
void xfd_copies_close(const struct exitfd *x)
{
    char text[1024];
    size_t used = 0;
    ssize_t got;
    int asked = 0;

    snprintf(text, sizeof text, "/proc/self/fdinfo/%d", x->fd);
    int file = open(text, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    while (asked < MOST && (got = read(file, text + used, sizeof text - 1 - used)) > 0) {
        char *line = text, *end, *rest = text + used + got;
        *rest = '\0';
        for (; (end = strchr(line, '\n')); line = end + 1)
            asked += close_copy(x, line);
        used = (size_t)(rest - line);
        memmove(text, line, used);
    }
    close(file);
}
