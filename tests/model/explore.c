/* SPDX-License-Identifier: MIT */
/*
 * Runs the threads of a scenario, and gives the turn to each of them at every
 * point at which it may lose it. A state that was seen is not gone through
 * again, so a scenario has to note all that it reads (explore_note).
 */
#include "explore.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define THREADS 4
#define STACK_SIZE 65536
#define DEPTH 4096

static struct thread {
    ucontext_t start;
    jmp_buf here;
    bool started, ended;
    bool waits; /* until version differs from seen_version */
    uint64_t seen_version;
    uint64_t history; /* of what it was given */
    uint64_t kept;
    unsigned choices; /* it asks for one of so many; 0: it does not */
    unsigned chosen;
} threads[THREADS];
static char stacks[THREADS][STACK_SIZE];

static const struct scenario *current;
static unsigned thread_count, running;
static jmp_buf scheduler;
static ucontext_t scheduler_context;
static uint64_t version;
static const char *failure;

/* The path: at each step the number of alternatives, and which one is taken. */
static struct step {
    unsigned char alternatives[THREADS * 2], count, taken;
} path[DEPTH];
static unsigned path_length, depth;

static struct {
    uint64_t *slots;
    size_t capacity, count;
} seen;

uint64_t explore_mix(uint64_t hash, uint64_t value)
{
    hash ^= value + UINT64_C(0x9e3779b97f4a7c15) + (hash << 12) + (hash >> 4);
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return hash ^ hash >> 31;
}

static bool insert(uint64_t hash)
{
    size_t at = hash & (seen.capacity - 1);
    while (seen.slots[at] != 0 && seen.slots[at] != hash)
        at = (at + 1) & (seen.capacity - 1);
    if (seen.slots[at] == hash)
        return false;
    seen.slots[at] = hash;
    seen.count++;
    return true;
}

/* Whether the state is new. */
static bool remember(uint64_t hash)
{
    hash |= hash == 0;
    if (2 * seen.count >= seen.capacity) {
        uint64_t *old = seen.slots;
        size_t old_capacity = seen.capacity;
        seen.capacity = old_capacity ? 4 * old_capacity : 65536;
        seen.count = 0;
        seen.slots = calloc(seen.capacity, sizeof(*seen.slots));
        if (seen.slots == NULL)
            abort();
        for (size_t i = 0; i < old_capacity; i++)
            if (old[i] != 0)
                insert(old[i]);
        free(old);
    }
    return insert(hash);
}

static void to_scheduler(void)
{
    if (_setjmp(threads[running].here) == 0)
        _longjmp(scheduler, 1);
}

void explore_point(void)
{
    to_scheduler();
}

void explore_note(uint64_t value)
{
    threads[running].history = explore_mix(threads[running].history, value);
}

void explore_keep(uint64_t kept)
{
    threads[running].kept = kept;
}

void explore_forget_all_but(uint64_t kept)
{
    threads[running].history = explore_mix(threads[running].kept, kept);
}

unsigned explore_self(void)
{
    return running;
}

void explore_changed(void)
{
    version++;
}

void explore_wait_for_change(void)
{
    threads[running].waits = true;
    threads[running].seen_version = version;
    to_scheduler();
}

unsigned explore_choose(unsigned choices)
{
    threads[running].choices = choices;
    to_scheduler();
    explore_note(threads[running].chosen);
    return threads[running].chosen;
}

void explore_expect(bool holds, const char *what)
{
    if (!holds && failure == NULL)
        failure = what;
}

static void thread_main(void)
{
    current->threads[running]();
    threads[running].ended = true;
    _longjmp(scheduler, 1);
}

static void start_threads(void)
{
    memset(threads, 0, sizeof(threads));
    for (thread_count = 0; thread_count < THREADS && current->threads[thread_count]; thread_count++) {
        struct thread *t = &threads[thread_count];
        getcontext(&t->start);
        t->start.uc_stack.ss_sp = stacks[thread_count];
        t->start.uc_stack.ss_size = STACK_SIZE;
        makecontext(&t->start, thread_main, 0);
    }
}

/* A thread's number, and in the upper half which of its choices. */
static void list_alternatives(struct step *s)
{
    s->count = s->taken = 0;
    for (unsigned i = 0; i < thread_count; i++) {
        struct thread *t = &threads[i];
        if (t->ended || (t->waits && t->seen_version == version))
            continue;
        for (unsigned choice = 0; choice < (t->choices ? t->choices : 1); choice++)
            s->alternatives[s->count++] = (unsigned char)(i | choice << 4);
    }
}

static void go_on(unsigned alternative)
{
    struct thread *t = &threads[alternative & 15];

    running = alternative & 15;
    t->chosen = alternative >> 4;
    t->choices = 0;
    t->waits = false;
    if (_setjmp(scheduler) != 0)
        return;
    if (t->started)
        _longjmp(t->here, 1);
    t->started = true;
    swapcontext(&scheduler_context, &t->start);
}

static uint64_t hash_state(void)
{
    uint64_t hash = current->hash(1);
    for (unsigned i = 0; i < thread_count; i++) {
        const struct thread *t = &threads[i];
        hash = explore_mix(hash, t->history);
        hash = explore_mix(hash, (uint64_t)t->started << 2 | (uint64_t)t->ended << 1 |
                                     (t->waits && t->seen_version == version));
    }
    return hash;
}

static bool all_ended(void)
{
    for (unsigned i = 0; i < thread_count; i++)
        if (!threads[i].ended)
            return false;
    return true;
}

/* One execution, to its end or to a state that is known. */
static void execute(void)
{
    current->reset();
    version = 0;
    start_threads();
    for (depth = 0; failure == NULL && !all_ended(); depth++) {
        struct step *s = &path[depth];
        if (depth == path_length) {
            if (!remember(hash_state()))
                return;
            list_alternatives(s);
            if (s->count == 0) {
                failure = "nobody can go on";
                return;
            }
            if (++path_length == DEPTH)
                abort();
        }
        go_on(s->alternatives[s->taken]);
    }
}

static void print_path(void)
{
    printf("# %s: %s\n# threads in turn:", current->name, failure);
    for (unsigned i = 0; i < depth; i++)
        printf(" %u", path[i].alternatives[path[i].taken] & 15U);
    printf("\n");
}

bool explore(const struct scenario *scenario)
{
    unsigned long executions = 0;

    current = scenario;
    failure = NULL;
    path_length = 0;
    free(seen.slots);
    memset(&seen, 0, sizeof(seen));
    do {
        execute();
        executions++;
        if (failure != NULL) {
            print_path();
            return false;
        }
        path_length = depth < path_length ? depth : path_length;
        while (path_length > 0 && path[path_length - 1].taken + 1 == path[path_length - 1].count)
            path_length--;
        if (path_length > 0)
            path[path_length - 1].taken++;
    } while (path_length > 0);
    printf("# %s: %zu states, %lu executions\n", scenario->name, seen.count, executions);
    return true;
}
