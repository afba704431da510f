/* SPDX-License-Identifier: MIT */
/*
 * The list is changed under the lock that a fork takes. So a forked child finds
 * it whole, and closes its copies of all the files in it. The end of a child
 * must not wait for a fork. So it closes the file alone, and what is left of it
 * is freed at the next start or close.
 */
#include "autokill.h"

#include "backend.h"
#include "fds.h"
#include "platform.h"
#include "posix/sigchld.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct autokill *first;
static struct autokill *_Atomic ended;

static void drop(struct autokill *a)
{
    *(a->previous ? &a->previous->next : &first) = a->next;
    if (a->next)
        a->next->previous = a->previous;
    xfd_close_fd(&a->fd);
    xfd_close_fd(&a->spare_fd);
    free(a);
}

static void drop_ended(void)
{
    for (struct autokill *a = atomic_exchange(&ended, NULL), *next; a; a = next) {
        next = a->next_ended;
        drop(a);
    }
}

int xfd_autokill_begin(const struct exitfd *x, struct autokill **ret)
{
    struct autokill *a = calloc(1, sizeof *a);

    if (!a)
        return -ENOMEM;
    *a = (struct autokill){ .x = x, .fd = -1 };
    a->spare_fd = fcntl(x->fd, F_DUPFD_CLOEXEC, 0);
    if (a->spare_fd < 0) {
        int error = -errno;
        free(a);
        return error;
    }
    xfd_sigchld_lock();
    drop_ended();
    a->next = first;
    if (first)
        first->previous = a;
    first = a;
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

/* The kernel reaps such a child itself, and may have given its pid away by now.
   -ESRCH: there is nothing left to kill. */
static int open_another(const struct autokill *a, pid_t pid)
{
    int pidfd = xfd_platform_open_pidfd(pid);

    if (pidfd >= 0 && xfd_platform_is_same(pidfd, a->fd))
        return pidfd;
    if (pidfd >= 0)
        close(pidfd);
    return pidfd >= 0 || xfd_platform_is_reaped(a->fd) ? -ESRCH : pidfd;
}

int xfd_autokill_keep(struct autokill **kept, pid_t pid, int *pidfd)
{
    struct autokill *a = *kept;

    xfd_close_fd(&a->spare_fd);
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
    *kept = NULL;
    return has_exited ? 0 : another;
}

void xfd_autokill_end(struct autokill *a)
{
    xfd_close_fd(&a->fd);
    a->next_ended = atomic_load(&ended);
    while (!atomic_compare_exchange_weak(&ended, &a->next_ended, a))
        ;
}

bool xfd_autokill_get_record(const struct autokill *a, struct record *record)
{
    return xfd_platform_get_record(a->fd, record);
}

void xfd_autokill_close(const struct exitfd *x)
{
    xfd_sigchld_lock();
    drop_ended();
    for (struct autokill *a = first, *next; a; a = next) {
        next = a->next;
        if (a->x == x)
            drop(a);
    }
    xfd_sigchld_unlock();
}

/*
 * The memory stays: after _Fork another thread of the parent may hold the lock
 * of malloc for ever. A clone that fails late writes a number that is free
 * again by then.
 */
void xfd_autokill_forked(void)
{
    for (struct autokill *a = first; a; a = a->next)
        if (a->fd >= 0 && xfd_platform_pid_of(a->fd) != -EBADF)
            close(a->fd);
    first = NULL;
    atomic_store(&ended, NULL);
}
