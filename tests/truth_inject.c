/* SPDX-License-Identifier: MIT */
/*
 * The stand-ins for waitid, epoll_ctl and the system call. Each hook is off
 * while it runs, so what it calls goes straight to the kernel.
 */
#include "truth_inject.h"
#include "stand_in.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>
#endif

struct injection inject_pidfd_open;
struct injection inject_epoll_add;
void (*before_reaping)(void);
void (*before_looking)(void);
void (*after_reaping)(void);
void (*change_answer)(siginfo_t *info);

static bool fails(struct injection *injection)
{
    if (injection->times == 0)
        return false;
    injection->times--;
    injection->failed++;
    errno = injection->error;
    return true;
}

static void run_once(void (**slot)(void))
{
    void (*hook)(void) = *slot;
    *slot = NULL;
    if (hook != NULL)
        hook();
}

static void before_waitid(int options)
{
    run_once(options & WNOWAIT ? &before_looking : &before_reaping);
}

int waitid(idtype_t idtype, id_t id, siginfo_t *info, int options)
{
    FIND_NEXT(waitid);
    before_waitid(options);
    return next(idtype, id, info, options);
}

#ifdef __linux__
static void after_waitid(siginfo_t *info, int options)
{
    if (change_answer != NULL && info != NULL)
        change_answer(info);
    if (options & WEXITED && !(options & WNOWAIT))
        run_once(&after_reaping);
}

STAND_IN_FOR_SYSCALL(answer)

static long answer(long number, const long a[6])
{
    if (number == SYS_pidfd_open && fails(&inject_pidfd_open))
        return -1;
    if (number == SYS_waitid)
        before_waitid((int)a[3]);
    long result = next_syscall(number, a);
    if (number == SYS_waitid && result == 0)
        after_waitid((siginfo_t *)a[2], (int)a[3]);
    return result;
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    FIND_NEXT(epoll_ctl);
    if (op == EPOLL_CTL_ADD && fails(&inject_epoll_add))
        return -1;
    return next(epfd, op, fd, event);
}
#endif
