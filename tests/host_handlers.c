/* SPDX-License-Identifier: MIT */
/*
 * Two handlers, each with a function of its own, so that a disposition says
 * whose it is. fuzz_model and the model of the handlers use them. Handlers that
 * call each other in a circle end the program.
 */
#include "host_handlers.h"

#include "check.h"

#include <errno.h>

#define TOO_DEEP 20

struct host hosts[HOSTS];
static _Thread_local volatile unsigned depth; /* two threads may be in a handler at once */

bool is_function(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO || (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void call(const struct sigaction *action, int signum, siginfo_t *info, void *context)
{
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(signum, info, context);
    else if (is_function(action))
        action->sa_handler(signum);
}

static void handle(struct host *h, int signum, siginfo_t *info, void *context)
{
    int error = errno;

    h->calls += info->si_code == SI_TKILL; /* raise: a child's may come late, and between */
    depth++;
    CHECK(depth < TOO_DEEP, "handlers call each other without end");
    call(&h->before, signum, info, context);
    depth--;
    errno = error;
}

static void handle_0(int signum, siginfo_t *info, void *context)
{
    handle(&hosts[0], signum, info, context);
}

static void handle_1(int signum, siginfo_t *info, void *context)
{
    handle(&hosts[1], signum, info, context);
}

struct sigaction current_action(void)
{
    struct sigaction current;

    sigaction(SIGCHLD, NULL, &current);
    return current;
}

struct host *host_of(const struct sigaction *action)
{
    for (struct host *h = hosts; h < hosts + HOSTS; h++)
        if (h->active && action->sa_flags & SA_SIGINFO && action->sa_sigaction == h->own.sa_sigaction)
            return h;
    return NULL;
}

void push_host(struct host *h, int flags)
{
    h->own = (struct sigaction){ .sa_sigaction = h == hosts ? handle_0 : handle_1, .sa_flags = SA_SIGINFO | flags };
    h->before = current_action(); /* first: a SIGCHLD may come at once */
    sigaction(SIGCHLD, &h->own, NULL);
    h->active = true;
}

void pop_host(struct host *h)
{
    sigaction(SIGCHLD, &h->before, NULL);
    h->active = false;
}

bool library_is_reached(void)
{
    struct sigaction action = current_action();

    for (const struct host *h; (h = host_of(&action));)
        action = h->before;
    return is_function(&action);
}
