/* SPDX-License-Identifier: MIT */
/*
 * Starts the children of a batch for soak.c, each with the end that it has to
 * have.
 */
#include "soak.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_SIZE 8192

struct child children[BATCH_MAX];

static char *stacks;
static int gate[2] = { -1, -1 };
static bool is_gated;

static void prepare(void)
{
    stacks = mmap(NULL, (size_t)BATCH_MAX * STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(stacks != MAP_FAILED, "mmap");
    require(pipe2(gate, O_CLOEXEC) == 0, "pipe2");
}

/* The lower page of its stack, which nothing else is on. */
static void fault_once(long i)
{
    volatile char *page = stacks + i * STACK_SIZE;

    syscall(SYS_madvise, page, STACK_SIZE / 2, MADV_DONTNEED);
    page[0] = 1;
}

/*
 * It has the memory of its parent, thread-local variables included: system
 * calls that do not fail, and nothing else. All but such clones fault at least
 * once, and by that a SIGCHLD back end learns of a foreign reaper.
 */
__attribute__((no_sanitize("address", "undefined"))) static int live(void *argument)
{
    const struct child *self = argument;
    char byte;

    fault_once(self - children);
    if (is_gated) {
        syscall(SYS_close, gate[1]); /* so that all end when the soak does */
        syscall(SYS_read, gate[0], &byte, 1);
    }
    if (self->code == CLD_KILLED)
        syscall(SYS_kill, syscall(SYS_getpid), self->status);
    syscall(SYS_exit_group, self->status);
    return 0;
}

/* A fork costs 100 times as much where page faults are dear, as on virtual
   machines: most of it for memory. */
void start_child(int i, bool gated)
{
    if (!stacks)
        prepare();
    is_gated = gated;
    children[i].pid = clone(live, stacks + (i + 1) * STACK_SIZE, CLONE_VM | SIGCHLD, &children[i]);
    require(children[i].pid > 0, "clone");
}

void open_gate(int count)
{
    static const char bytes[BATCH_MAX];
    require(write(gate[1], bytes, (size_t)count) == count, "write");
}
