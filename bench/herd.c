/* SPDX-License-Identifier: MIT */
#include "herd.h"

#include "common.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Without pids the rest of the machine can start nothing, not even a shell. */
#define PIDS_LEFT_TO_OTHERS 16000

enum request {
    REQUEST_MAKE = 1,
    REQUEST_RELEASE
};

/* One request at a time: the asker fills it in and counts `asked` up, the
   breeder counts `answered` up. */
struct desk {
    pid_t parent; /* of all children */
    uint32_t asked;
    uint32_t answered;
    enum request request;
    size_t first, count;
    unsigned delay_us;
    int error;
};

static struct desk *desk;
static struct child *children;
static size_t capacity;
static size_t reports;
static pid_t breeder;
static uint32_t *slot_of_pid;

int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void futex_wait_while(uint32_t *word, uint32_t value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Differs between neighbours and rounds, so that a report that belongs to
   another child does not pass. */
static int exit_status_of(const struct child *c)
{
    return (int)((uint32_t)c->pid * 2654435761u >> 24) % 250 + 1;
}

static _Noreturn void be_a_child(struct child *c)
{
    die_with_parent();
    if (getppid() != desk->parent)
        _exit(1);
    futex_wait_while(&c->order, 0);
    c->exiting_at = monotonic_ns();
    _exit((int)c->order - 1);
}

static int make_children(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

        if (pid == 0)
            be_a_child(&children[i]);
        if (pid < 0)
            return errno;
        children[i].pid = (pid_t)pid;
    }
    return 0;
}

static _Noreturn void breed(void)
{
    die_with_parent();
    for (uint32_t served = 0;; served++) {
        futex_wait_while(&desk->asked, served);
        if (desk->delay_us > 0)
            usleep(desk->delay_us);
        if (desk->request == REQUEST_MAKE)
            desk->error = make_children(desk->first, desk->count);
        else
            for (size_t i = desk->first; i < desk->first + desk->count; i++)
                herd_release(&children[i]);
        futex_set(&desk->answered, served + 1);
    }
}

static void wait_for_breeder(void)
{
    uint32_t answered;

    while ((answered = __atomic_load_n(&desk->answered, __ATOMIC_ACQUIRE)) != desk->asked)
        futex_wait_while(&desk->answered, answered);
}

static void ask(enum request request, size_t first, size_t count, unsigned delay_us)
{
    wait_for_breeder();
    desk->request = request;
    desk->first = first;
    desk->count = count;
    desk->delay_us = delay_us;
    futex_set(&desk->asked, desk->asked + 1);
}

void herd_open(size_t wanted)
{
    if (wanted + PIDS_LEFT_TO_OTHERS > (size_t)highest_pid())
        void_and_end("needs more pids than there are: sysctl kernel.pid_max=%zu", wanted + PIDS_LEFT_TO_OTHERS);
    capacity = wanted;
    desk = shared_memory(sizeof *desk);
    desk->parent = getpid();
    children = shared_memory((capacity + 1) * sizeof *children);
    slot_of_pid = shared_memory((size_t)highest_pid() * sizeof *slot_of_pid);
    breeder = fork();
    if (breeder < 0)
        die("fork");
    if (breeder == 0)
        breed();
}

void herd_fork(size_t slot)
{
    struct child *c = &children[slot];
    pid_t pid;

    memset(c, 0, sizeof *c);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        /* What exec would do. */
        close_range(3, ~0u, 0);
        be_a_child(c);
    }
    c->pid = pid;
    herd_name(c);
}

struct child *herd_program(void)
{
    children[capacity] = (struct child){ .order = 1 + 1 };
    return &children[capacity];
}

void herd_name(struct child *c)
{
    slot_of_pid[c->pid] = (uint32_t)(c - children);
}

struct child *herd_child(size_t slot)
{
    return &children[slot];
}

void herd_make(size_t first, size_t count)
{
    memset(&children[first], 0, count * sizeof *children);
    ask(REQUEST_MAKE, first, count, 0);
    wait_for_breeder();
    if (desk->error != 0) {
        errno = desk->error;
        die("clone of a child of the herd");
    }
    for (size_t i = first; i < first + count; i++)
        herd_name(&children[i]);
}

void herd_release(struct child *c)
{
    futex_set(&c->order, 1 + (uint32_t)exit_status_of(c));
}

void herd_release_all(size_t first, size_t count)
{
    ask(REQUEST_RELEASE, first, count, 0);
}

void herd_release_later(struct child *c, unsigned us)
{
    ask(REQUEST_RELEASE, (size_t)(c - children), 1, us);
}

void herd_wait_for_zombies(size_t first, size_t count)
{
    siginfo_t info;

    for (size_t i = first; i < first + count; i++)
        while (waitid(P_PID, (id_t)children[i].pid, &info, WEXITED | WNOWAIT) < 0)
            if (errno != EINTR)
                die("waitid of pid %d", (int)children[i].pid);
}

void herd_close(void)
{
    wait_for_breeder();
    for (size_t i = 0; i < capacity; i++)
        if (children[i].pid > 0 && children[i].order == 0)
            herd_release(&children[i]);
    kill(breeder, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

void herd_report(struct child *c, pid_t pid, int code, int status)
{
    if (c == NULL)
        void_sample("pid %d was reported, which is no child of the herd", (int)pid);
    else if (c->pid != pid)
        void_sample("pid %d was reported for the child %d", (int)pid, (int)c->pid);
    else if (c->reported)
        void_sample("pid %d was reported twice", (int)pid);
    else if (c->order == 0)
        void_sample("pid %d was reported while it lives", (int)pid);
    else if (code != CLD_EXITED || status != (int)c->order - 1)
        void_sample("pid %d exited with %d, reported as code %d status %d", (int)pid, (int)c->order - 1, code, status);
    else
        c->reported = true;
    reports++;
}

void herd_report_wait_status(struct child *c, pid_t pid, int wait_status)
{
    if (WIFEXITED(wait_status))
        herd_report(c, pid, CLD_EXITED, WEXITSTATUS(wait_status));
    else
        herd_report(c, pid, CLD_KILLED, WTERMSIG(wait_status));
}

size_t herd_reports(void)
{
    return reports;
}

struct child *herd_find(pid_t pid)
{
    struct child *c = &children[slot_of_pid[pid]];

    return c->pid == pid ? c : NULL;
}
