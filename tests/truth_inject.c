/* SPDX-License-Identifier: MIT */
#include "truth_inject.h"
#include "six_arguments.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
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
    static int (*next)(idtype_t, id_t, siginfo_t *, int);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "waitid");
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

READS_SIX_ARGUMENTS long syscall(long number, ...)
{
    static long (*next)(long, ...);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    long args[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        args[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_pidfd_open && fails(&inject_pidfd_open))
        return -1;
    if (number == SYS_waitid)
        before_waitid((int)args[3]);
    long result = next(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (number == SYS_waitid && result == 0)
        after_waitid((siginfo_t *)args[2], (int)args[3]);
    return result;
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    static int (*next)(int, int, int, struct epoll_event *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "epoll_ctl");
    if (op == EPOLL_CTL_ADD && fails(&inject_epoll_add))
        return -1;
    return next(epfd, op, fd, event);
}
#endif
