/* SPDX-License-Identifier: MIT */
/*
 * The child's system calls, directly. libc's functions of these names take
 * locks (musl's sigaction), change every thread of the process (setuid), or are
 * intercepted by sanitizers, which then take an fd for closed in the parent.
 */
#include "linux/sys.h"
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/prctl.h>

#define MASK_SIZE ((_NSIG + 6) / 8) /* of the kernel: 8, or 16 where there are 127 signals */

#ifndef O_LARGEFILE
#define O_LARGEFILE 0
#endif
#ifdef SYS_setresuid32
#define SYS_SET_UIDS SYS_setresuid32
#define SYS_SET_GIDS SYS_setresgid32
#else
#define SYS_SET_UIDS SYS_setresuid
#define SYS_SET_GIDS SYS_setresgid
#endif
#ifdef SYS_fcntl64
#define SYS_FCNTL SYS_fcntl64
#else
#define SYS_FCNTL SYS_fcntl
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* The kernel's, at least as long as any. What it has besides the handler is 0
   for SIG_DFL. */
struct kernel_action {
#ifdef __mips__
    unsigned flags;
    void (*handler)(int);
    char rest[64];
#else
    void (*handler)(int);
    char rest[64];
#endif
};

IN_CHILD static int result_of(long result)
{
    return result < 0 ? -errno : (int)result;
}

IN_CHILD int xfd_call_set_default(int signum)
{
    static const struct kernel_action by_default;
    return result_of(syscall(SYS_rt_sigaction, signum, &by_default, NULL, MASK_SIZE));
}

IN_CHILD bool xfd_call_has_handler(int signum)
{
    struct kernel_action found = { .handler = NULL };

    if (syscall(SYS_rt_sigaction, signum, NULL, &found, MASK_SIZE) < 0)
        return false;
    return found.handler != SIG_DFL && found.handler != SIG_IGN;
}

IN_CHILD int xfd_call_set_mask(const sigset_t *mask)
{
    return xfd_call_change_mask(mask, NULL);
}

IN_CHILD int xfd_call_change_mask(const sigset_t *mask, sigset_t *found)
{
    return result_of(syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, found, MASK_SIZE));
}

/* As posix_spawn: the effective ones. The saved ones follow at the exec. */
IN_CHILD static int reset_ids(void)
{
    int error = result_of(syscall(SYS_SET_GIDS, -1, getgid(), -1));
    return error < 0 ? error : result_of(syscall(SYS_SET_UIDS, -1, getuid(), -1));
}

IN_CHILD int xfd_call_set_attributes(const struct start_plan *plan)
{
    int error = 0;

    if (plan->set_policy)
        error = result_of(syscall(SYS_sched_setscheduler, 0, plan->policy, &plan->parameters));
    else if (plan->set_parameters)
        error = result_of(syscall(SYS_sched_setparam, 0, &plan->parameters));
    return error < 0 || !plan->reset_ids ? error : reset_ids();
}

/* The parent may have died before the call. Its pid is 0 where it is in a pid
   namespace above ours, and this cannot be seen. */
IN_CHILD int xfd_call_set_death_signal(int signum, pid_t parent)
{
    int error = result_of(syscall(SYS_prctl, PR_SET_PDEATHSIG, (unsigned long)signum, 0, 0, 0));
    long now = syscall(SYS_getppid);

    if (error == 0 && now != 0 && now != parent)
        error = result_of(syscall(SYS_kill, syscall(SYS_getpid), signum));
    return error;
}

IN_CHILD int xfd_call_open(const char *path, int flags, mode_t mode)
{
    return result_of(syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode));
}

IN_CHILD int xfd_call_duplicate(int fd)
{
    return result_of(syscall(SYS_FCNTL, fd, F_DUPFD_CLOEXEC, 0));
}

IN_CHILD int xfd_call_duplicate_to(int fd, int target, int flags)
{
    return result_of(syscall(SYS_dup3, fd, target, flags));
}

IN_CHILD int xfd_call_keep_on_exec(int fd)
{
    return result_of(syscall(SYS_FCNTL, fd, F_SETFD, 0));
}

IN_CHILD int xfd_call_close(int fd)
{
    return result_of(syscall(SYS_close, fd));
}

/* linux/dirent.h has it for the kernel only. */
struct kernel_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
};

/* -1: "." and "..". */
IN_CHILD static int number_in(const char *name)
{
    int number = 0;

    for (; *name; name++) {
        if (*name < '0' || *name > '9')
            return -1;
        number = number * 10 + (*name - '0');
    }
    return number;
}

/* Whether any was closed: then there may be more, which the listing has
   skipped. */
IN_CHILD static bool close_listed(int directory, unsigned first, unsigned last)
{
    _Alignas(struct kernel_entry) char buffer[1024];
    bool any = false;
    long size;

    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
        const struct kernel_entry *entry;
        for (long at = 0; at < size; at += entry->size) {
            entry = (const struct kernel_entry *)(buffer + at);
            int fd = number_in(entry->name);
            if (fd >= 0 && fd != directory && (unsigned)fd >= first && (unsigned)fd <= last)
                any |= xfd_call_close(fd) == 0;
        }
    }
    return any;
}

/* Without /proc: every number. Those above the limit, from before it was
   lowered, are few if any. */
IN_CHILD static void close_each(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);

    for (unsigned fd = first; fd <= last && (limit < 0 || fd < (unsigned long)limit); fd++)
        xfd_call_close((int)fd);
}

/* Before Linux 5.9, or where a seccomp filter does not know close_range. With
   no fd left the first one makes room. */
IN_CHILD static void close_one_by_one(unsigned first, unsigned last)
{
    int directory = xfd_call_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

    for (unsigned fd = first; directory == -EMFILE && fd <= last; fd++)
        if (xfd_call_close((int)fd) == 0)
            directory = xfd_call_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0) {
        close_each(first, last);
        return;
    }
    while (close_listed(directory, first, last))
        syscall(SYS_lseek, directory, 0, SEEK_SET);
    xfd_call_close(directory);
}

IN_CHILD void xfd_call_close_range(unsigned first, unsigned last)
{
    if (syscall(SYS_close_range, first, last, 0) < 0)
        close_one_by_one(first, last);
}
