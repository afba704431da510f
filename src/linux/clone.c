/* SPDX-License-Identifier: MIT */
/*
 * clone3(2) has no function in libc, and a child that shares the memory must
 * not come back from one: it would write over the return address that the
 * parent still needs. So on x86-64 it leaves the call straight for its own
 * stack. On other processors there is clone(2) of libc, which cannot clear
 * handlers.
 */
#include "linux/clone.h"

#include "linux/sys.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define CLONE_CLEAR_HANDLERS UINT64_C(0x100000000) /* CLONE_CLEAR_SIGHAND */
#define CLONE_UNTIL_CLOSED UINT64_C(0x1400000000)  /* CLONE_AUTOREAP | CLONE_PIDFD_AUTOKILL, Linux 7.1 */
#define CLONE_NO_PRIVILEGES UINT64_C(0x800000000)  /* CLONE_NNP, Linux 7.1 */

#define IN_OUR_MEMORY (CLONE_VM | CLONE_VFORK)

#if defined __x86_64__ && !defined __ILP32__

/* linux/sched.h, struct clone_args in its first version (64 bytes), which every
   kernel with the call accepts. */
struct clone_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

/* Without privileges the kernel asks for the flag, also of a process whose
   children could not get any. */
static uint64_t autokill_flags(void)
{
    return CLONE_UNTIL_CLOSED | (syscall(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? CLONE_NO_PRIVILEGES : 0);
}

/* clone and clone3 differ in their arguments alone. */
static long enter(long number, uint64_t first, uint64_t second, uint64_t third, void (*run)(void *), void *argument)
{
    register void (*child_run)(void *) __asm__("r12") = run;
    register void *child_argument __asm__("r13") = argument;
    register uint64_t tid __asm__("r10") = 0;
    register uint64_t tls __asm__("r8") = 0;
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[argument], %%rdi\n\t"
                     "call *%[run]\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(tid),
                       "r"(tls), [run] "r"(child_run), [argument] "r"(child_argument)
                     : "rcx", "r11", "cc", "memory");
    return result;
}

pid_t xfd_clone(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    uint64_t flags = IN_OUR_MEMORY | SIGCHLD | (pidfd ? CLONE_PIDFD : 0);
    return (pid_t)enter(SYS_clone, flags, (uintptr_t)stack + size, (uintptr_t)pidfd, run, argument);
}

static pid_t clone_cleared(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd, uint64_t flags,
                           int exit_signal)
{
    struct clone_arguments arguments = {
        .flags = IN_OUR_MEMORY | CLONE_CLEAR_HANDLERS | (pidfd ? CLONE_PIDFD : 0) | flags,
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = (uint64_t)exit_signal,
        .stack = (uintptr_t)stack,
        .stack_size = size,
    };
    return (pid_t)enter(SYS_clone3, (uintptr_t)&arguments, sizeof arguments, 0, run, argument);
}

pid_t xfd_clone_clear(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    return clone_cleared(run, argument, stack, size, pidfd, 0, SIGCHLD);
}

/* The kernel wants it without an exit signal. */
pid_t xfd_clone_autokill(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    return clone_cleared(run, argument, stack, size, pidfd, autokill_flags(), 0);
}

#else

struct entry {
    void (*run)(void *);
    void *argument;
};

static int run_entry(void *pointer)
{
    struct entry *entry = pointer;
    entry->run(entry->argument);
    return 127;
}

pid_t xfd_clone(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    struct entry entry = { run, argument };
    int flags = IN_OUR_MEMORY | SIGCHLD | (pidfd ? CLONE_PIDFD : 0);
    pid_t pid = clone(run_entry, (char *)stack + size, flags, &entry, pidfd);

    return pid < 0 ? -errno : pid;
}

pid_t xfd_clone_clear(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    (void)run, (void)argument, (void)stack, (void)size, (void)pidfd;
    return -ENOSYS;
}

pid_t xfd_clone_autokill(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd)
{
    return xfd_clone_clear(run, argument, stack, size, pidfd);
}

#endif
