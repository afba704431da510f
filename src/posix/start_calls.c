/* SPDX-License-Identifier: MIT */
/*
 * The child's system calls (start.h) where it is a forked one, with a memory of
 * its own. libc's functions do there. They are called between fork and exec, so
 * only async-signal-safe ones.
 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MOST_FDS 1048576 /* as many are tried where the system names no limit */

static int result_of(int result)
{
    return result < 0 ? -errno : result;
}

int xfd_call_set_default(int signum)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    sigemptyset(&action.sa_mask);
    return result_of(sigaction(signum, &action, NULL));
}

bool xfd_call_has_handler(int signum)
{
    struct sigaction found;

    if (sigaction(signum, NULL, &found) < 0)
        return false;
    return found.sa_flags & SA_SIGINFO || (found.sa_handler != SIG_DFL && found.sa_handler != SIG_IGN);
}

int xfd_call_set_mask(const sigset_t *mask)
{
    return xfd_call_change_mask(mask, NULL);
}

int xfd_call_change_mask(const sigset_t *mask, sigset_t *found)
{
    return -pthread_sigmask(SIG_SETMASK, mask, found);
}

/* exitfd_spawn uses posix_spawnp here, for all that attributes can say. */
int xfd_call_set_attributes(const struct start_plan *plan)
{
    (void)plan;
    return 0;
}

int xfd_call_set_death_signal(int signum, pid_t parent)
{
    (void)signum, (void)parent;
    return -ENOTSUP;
}

int xfd_call_open(const char *path, int flags, mode_t mode)
{
    return result_of(open(path, flags, mode));
}

int xfd_call_duplicate(int fd)
{
    return result_of(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int xfd_call_duplicate_to(int fd, int target, int flags)
{
    int error = result_of(dup2(fd, target));
    return error < 0 || !(flags & O_CLOEXEC) ? error : result_of(fcntl(target, F_SETFD, FD_CLOEXEC));
}

int xfd_call_keep_on_exec(int fd)
{
    return result_of(fcntl(fd, F_SETFD, 0));
}

int xfd_call_close(int fd)
{
    return result_of(close(fd));
}

void xfd_call_close_range(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);
    unsigned end = limit < 0 || limit > MOST_FDS ? MOST_FDS : (unsigned)limit;

    for (unsigned fd = first; fd <= last && fd < end; fd++)
        close((int)fd);
}
