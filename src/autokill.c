/* SPDX-License-Identifier: MIT */
/*
 * The list is changed under the lock that a fork takes. So a forked child finds
 * it whole, and closes its copies of all the files in it.
 */
#include "autokill.h"

#include "backend.h"
#include "platform.h"
#include "posix/sigchld.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct autokill *first;

static void link_first(struct autokill *a)
{
    a->next = first;
    if (first)
        first->previous = a;
    first = a;
}

static void drop(struct autokill *a)
{
    *(a->previous ? &a->previous->next : &first) = a->next;
    if (a->next)
        a->next->previous = a->previous;
    if (a->fd >= 0)
        close(a->fd);
    if (a->spare_fd >= 0)
        close(a->spare_fd);
    free(a);
}

int xfd_autokill_begin(const struct exitfd *x, uint64_t token, struct autokill **ret)
{
    struct autokill *a = calloc(1, sizeof *a);

    if (!a)
        return -ENOMEM;
    *a = (struct autokill){ .x = x, .token = token, .fd = -1 };
    a->spare_fd = fcntl(x->fd, F_DUPFD_CLOEXEC, 0);
    if (a->spare_fd < 0) {
        int error = -errno;
        free(a);
        return error;
    }
    xfd_sigchld_lock();
    link_first(a);
    xfd_sigchld_unlock();
    *ret = a;
    return 0;
}

void xfd_autokill_cancel(struct autokill *a)
{
    xfd_sigchld_lock();
    drop(a);
    xfd_sigchld_unlock();
}

/* The kernel reaps such a child itself, and may have given its pid away by now. Then there is nothing left to kill. */
static int open_another(const struct autokill *a, pid_t pid)
{
    int pidfd = xfd_platform_open_pidfd(pid);

    if (pidfd < 0 || xfd_platform_is_same(pidfd, a->fd))
        return pidfd;
    close(pidfd);
    return -ESRCH;
}

int xfd_autokill_keep(struct autokill *a, pid_t pid, int *pidfd)
{
    close(a->spare_fd);
    a->spare_fd = -1;
    int another = open_another(a, pid);
    bool has_exited = another == -ESRCH;

    if (another >= 0) {
        *pidfd = another;
        return 0;
    }
    if (has_exited) {
        *pidfd = a->fd;
        a->fd = -1;
    }
    xfd_autokill_cancel(a);
    return has_exited ? 0 : another;
}

void xfd_autokill_end(const struct exitfd *x, uint64_t token)
{
    xfd_sigchld_lock();
    struct autokill *a = first;
    while (a && (a->x != x || a->token != token))
        a = a->next;
    if (a)
        drop(a);
    xfd_sigchld_unlock();
}

void xfd_autokill_close(const struct exitfd *x)
{
    xfd_sigchld_lock();
    for (struct autokill *a = first, *next; a; a = next) {
        next = a->next;
        if (a->x == x)
            drop(a);
    }
    xfd_sigchld_unlock();
}

void xfd_autokill_forked(void)
{
    for (struct autokill *a = first; a; a = a->next) {
        if (a->fd >= 0)
            close(a->fd);
        a->fd = -1;
    }
}
