/* SPDX-License-Identifier: MIT */
/*
 * The child shares our memory and our thread stops until it runs its program,
 * as with vfork(2), but on a stack of its own. Nothing is copied, however large
 * we are. What fails in the child it writes where we read it. All signals are
 * blocked meanwhile: a handler in the child would act on our memory.
 */
#include "start.h"
#include "errnos.h"
#include "fds.h"
#include "linux/clone.h"
#include "linux/sys.h"
#include "posix/report.h"
#include "status.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

/* The deepest is the PATH search, with PATH_MAX bytes. The rest is for an
   execve of another library in front of libc's. */
#define STACK_SIZE ((size_t)131072)
#define GUARD_SIZE ((size_t)65536) /* at its lower end; a multiple of any page */

struct birth {
    struct start_child child;
    struct report report;
    atomic_bool entered; /* false in the parent: the child has a memory of its own after all */
    atomic_int error;    /* a positive errno */
};

/*
 * One is kept, as a mapping and its first fault cost as much as the rest. A
 * second start meanwhile makes its own. Whether it is in use stands on the
 * stack itself, above where it begins: no other page of ours is written to in a
 * start.
 */
static void *_Atomic kept_stack;

struct top {
    atomic_bool used;
};

#define TOP_SIZE ((size_t)64)

/* qemu-user and valgrind make a fork of it, and do not stop the parent: there
   the child reports by a pipe. */
static atomic_bool memory_is_shared;

static struct top *top_of(void *stack)
{
    return (struct top *)((char *)stack + STACK_SIZE - TOP_SIZE);
}

static void *map_stack(void)
{
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (stack == MAP_FAILED)
        return NULL;
    mprotect(stack, GUARD_SIZE, PROT_NONE);
    atomic_store(&top_of(stack)->used, true);
    return stack;
}

static void *get_stack(void)
{
    void *kept = atomic_load(&kept_stack);

    if (kept && !atomic_exchange(&top_of(kept)->used, true))
        return kept;
    void *stack = map_stack();
    if (stack && !kept)
        atomic_compare_exchange_strong(&kept_stack, &kept, stack);
    return stack;
}

static void put_stack(void *stack)
{
    if (stack == atomic_load(&kept_stack))
        atomic_store(&top_of(stack)->used, false);
    else
        munmap(stack, STACK_SIZE);
}

IN_CHILD static void run_child(void *pointer)
{
    struct birth *birth = pointer;

    atomic_store(&birth->entered, true);
    if (birth->report.read_end >= 0)
        xfd_call_close(birth->report.read_end);
    int error = xfd_start_in_child(&birth->child);
    atomic_store(&birth->error, error);
    if (birth->child.report >= 0)
        syscall(SYS_write, birth->child.report, &error, sizeof error);
    for (;;)
        syscall(SYS_exit_group, 127);
}

static bool is_absent(pid_t pid)
{
    return pid < 0 && xfd_not_here(-pid) == -ENOTSUP;
}

static bool lacks_fd(pid_t pid)
{
    return pid == -EMFILE || pid == -ENFILE;
}

typedef pid_t clone_function(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd);

/* A clone that fails late, as for a limit of a cgroup, has written a number
   that is nobody's fd, or by now another's. */
static pid_t clone_by(clone_function *clone, struct birth *birth, void *stack, int *pidfd)
{
    pid_t pid = clone(run_child, birth, stack, STACK_SIZE - TOP_SIZE, pidfd);

    if (pid < 0 && pidfd)
        *pidfd = -1;
    return pid;
}

/* Nothing takes its place. */
static pid_t clone_for_life(struct birth *birth, void *stack, int *pidfd)
{
    pid_t pid = clone_by(xfd_clone_autokill, birth, stack, pidfd);
    return pid == -EINVAL || pid == -ENOSYS ? -ENOTSUP : pid;
}

/*
 * Goes on without what this kernel, or its seccomp filter, does not have: first
 * the handlers cleared, then the pidfd. *pidfd stays -1 where the kernel takes
 * the flag and gives none (before Linux 5.2, gVisor).
 */
static pid_t clone_child(struct birth *birth, void *stack, int *pidfd, bool insist)
{
    birth->child.handlers_cleared = true;
    if (birth->child.plan->autokill)
        return clone_for_life(birth, stack, pidfd);
    pid_t pid = clone_by(xfd_clone_clear, birth, stack, pidfd);
    if (is_absent(pid)) {
        birth->child.handlers_cleared = false;
        pid = clone_by(xfd_clone, birth, stack, pidfd);
    }
    if (pidfd && (is_absent(pid) || (lacks_fd(pid) && !insist))) {
        birth->child.handlers_cleared = false;
        pid = clone_by(xfd_clone, birth, stack, NULL);
    }
    return pid;
}

/*
 * From now on a forked child does not share the kept stack (private.h), and
 * finds it free. Not before: where the start itself is made a fork, libc may
 * have put on it what the child needs.
 */
static void note_shared_memory(void)
{
    if (atomic_load(&memory_is_shared)) /* a page that a fork has shared costs a fault to write to */
        return;
    atomic_store(&memory_is_shared, true);
    char *kept = atomic_load(&kept_stack);
    if (kept)
        madvise(kept + GUARD_SIZE, STACK_SIZE - GUARD_SIZE, MADV_WIPEONFORK);
}

/* What the child could not do, as a negative errno. A child with a memory of
   its own reports it by the pipe. */
static int learn_failure(struct birth *birth)
{
    if (atomic_load(&birth->entered)) {
        note_shared_memory();
        return -atomic_load(&birth->error);
    }
    xfd_report_close_write_end(&birth->report);
    return birth->report.read_end >= 0 ? -xfd_report_read(&birth->report) : 0;
}

static pid_t give_birth(struct birth *birth, int *pidfd, bool insist)
{
    sigset_t all, found;
    void *stack = get_stack();

    if (!stack)
        return -ENOMEM;
    memset(&all, 0xff, sizeof all); /* libc's functions leave out signals of its own */
    memset(&found, 0, sizeof found);
    xfd_call_change_mask(&all, &found);
    birth->child.found_mask = &found;
    pid_t pid = clone_child(birth, stack, pidfd, insist);
    xfd_call_set_mask(&found);
    put_stack(stack);
    return pid;
}

/* The child is dead, or will be at once. */
static void bury(pid_t child, int *pidfd)
{
    bool has_pidfd = pidfd && *pidfd >= 0;

    xfd_status_await(has_pidfd ? WAIT_PIDFD : P_PID, (id_t)(has_pidfd ? *pidfd : child));
    if (has_pidfd)
        xfd_close_fd(pidfd);
}

int xfd_platform_start(const struct start_plan *plan, pid_t *pid, int *pidfd, bool insist)
{
    struct birth birth = { .child = { .plan = plan, .report = -1 }, .report = { -1, -1 } };

    if (pidfd)
        *pidfd = -1;
    if (plan->death_signal != 0)
        birth.child.parent = getpid();
    if (!atomic_load(&memory_is_shared) && xfd_report_open(&birth.report) == 0)
        birth.child.report = birth.report.write_end;
    pid_t child = give_birth(&birth, pidfd, insist);
    int error = child < 0 ? child : learn_failure(&birth);
    xfd_report_close(&birth.report);
    if (child > 0 && error < 0)
        bury(child, pidfd);
    if (error < 0)
        return error;
    *pid = child;
    return 0;
}

bool xfd_platform_has_death_signal(void)
{
    return true;
}
