/* SPDX-License-Identifier: MIT */
/*
 * Runs a few threads in every order there is. A thread is switched only at a
 * point, of which there is one before each access to what threads share;
 * between two points it runs alone. That is all there is to know as long as
 * every access is sequentially consistent.
 *
 * Every execution starts anew and follows the choices of one path through the
 * tree of all. A path is left where the state was seen before: what is shared,
 * and what each thread has seen of it so far, which decides what it does next.
 */
#ifndef EXITFD_TESTS_EXPLORE_H
#define EXITFD_TESTS_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scenario {
    const char *name;
    void (*reset)(void);             /* of what is shared */
    void (*threads[4])(void);        /* NULL at the end */
    uint64_t (*hash)(uint64_t hash); /* of what is shared */
};

/* False, with the way that led there on stdout, if an expectation failed or
   nobody could go on. */
bool explore(const struct scenario *scenario);

/* For threads. */
void explore_point(void);          /* before each access */
void explore_note(uint64_t value); /* after each access: what it gave */
/* What it was given so far matters no more, but for the first, which is said
   once, and the second. It keeps states few. */
void explore_forget_all_but(uint64_t kept);
void explore_keep(uint64_t kept);
unsigned explore_self(void);               /* the number of the thread that runs */
void explore_changed(void);                /* what is shared was changed */
void explore_wait_for_change(void);        /* by another thread */
unsigned explore_choose(unsigned choices); /* all of them are tried */
void explore_expect(bool holds, const char *what);
uint64_t explore_mix(uint64_t hash, uint64_t value);

#endif
