/* SPDX-License-Identifier: MIT */
/*
 * The application may install a handler over ours and chain to it. Ours must
 * then stay callable, with its own predecessor, for as long as the process
 * lives, even when we have no more use for it. And when we install a handler
 * again, over theirs, it must not be the same one, or theirs and ours would
 * call each other for ever. Hence several trampolines, each with its
 * predecessor. Of four, three may be buried like that.
 *
 * The application may also take such a handler away for a moment and put it
 * back (signal(3) around system(3)). So what is buried stays buried, and is
 * used again only over the very handler it chains to: that changes no chain.
 */
#include "posix/disposition.h"

#include "exitfd.h"
#include "posix/listeners.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef void action_function(int, siginfo_t *, void *);
typedef void handler_function(int);

/* How a handler is to be called. */
enum {
    WITH_INFO = 1, /* SA_SIGINFO */
    ONCE = 2,      /* SA_RESETHAND */
    WAYS = 4
};

/*
 * A trampoline may be used again for another handler while a thread is still in
 * it. So where a function is kept says how it is called: one load gives both,
 * and no function can be called in the way of another.
 */
struct trampoline {
    action_function *entry;
    struct sigaction found;                 /* for the lock's holder */
    _Atomic uintptr_t found_function[WAYS]; /* 0: none; one at most is set */
    bool used;                              /* ever: found is valid */
    bool installed;                         /* and not put back */
    bool taken;                             /* it may be in a chain of the application: for good */
};

static uintptr_t function_of(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO ? (uintptr_t)action->sa_sigaction : (uintptr_t)action->sa_handler;
}

static bool is_function(uintptr_t function)
{
    return function != (uintptr_t)SIG_DFL && function != (uintptr_t)SIG_IGN;
}

static int way_of(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO ? WITH_INFO : 0) | (action->sa_flags & SA_RESETHAND ? ONCE : 0);
}

static void chain(struct trampoline *t, int signum, siginfo_t *info, void *context)
{
    for (int way = 0; way < WAYS; way++) {
        _Atomic uintptr_t *place = &t->found_function[way];
        uintptr_t function = way & ONCE ? atomic_exchange(place, 0) : atomic_load(place);
        if (!function)
            continue;
        if (way & WITH_INFO)
            ((action_function *)function)(signum, info, context);
        else
            ((handler_function *)function)(signum);
        return;
    }
}

static void handle(struct trampoline *t, int signum, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    xfd_listeners_write(NULL);
    errno = saved_errno;
    chain(t, signum, info, context);
    errno = saved_errno;
}

static struct trampoline trampolines[4];

static void enter_0(int signum, siginfo_t *info, void *context)
{
    handle(&trampolines[0], signum, info, context);
}

static void enter_1(int signum, siginfo_t *info, void *context)
{
    handle(&trampolines[1], signum, info, context);
}

static void enter_2(int signum, siginfo_t *info, void *context)
{
    handle(&trampolines[2], signum, info, context);
}

static void enter_3(int signum, siginfo_t *info, void *context)
{
    handle(&trampolines[3], signum, info, context);
}

static struct trampoline trampolines[4] = {
    { .entry = enter_0 },
    { .entry = enter_1 },
    { .entry = enter_2 },
    { .entry = enter_3 },
};

static struct trampoline *ours(const struct sigaction *action)
{
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (function_of(action) == (uintptr_t)trampolines[i].entry)
            return &trampolines[i];
    return NULL;
}

/* One that chains to this handler already; else one that no chain can hold;
   else one that was never seen buried. */
static struct trampoline *choose_trampoline(const struct sigaction *current)
{
    uintptr_t function = function_of(current);

    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (trampolines[i].used && function_of(&trampolines[i].found) == function)
            return &trampolines[i];
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (!trampolines[i].used)
            return &trampolines[i];
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (!trampolines[i].taken)
            return &trampolines[i];
    return NULL;
}

static void remember(struct trampoline *t, const struct sigaction *found)
{
    uintptr_t function = function_of(found);

    t->found = *found;
    atomic_store(&t->found_function[way_of(found)], is_function(function) ? function : 0);
    for (int way = 0; way < WAYS; way++)
        if (way != way_of(found))
            atomic_store(&t->found_function[way], 0);
}

enum {
    HOW_IT_RUNS = SA_RESTART | SA_ONSTACK | SA_NODEFER
};

/*
 * What the handler found expects of the kernel goes on. That is its mask, its
 * stack, and whether it nests or restarts calls of the application. It has
 * stops if it had them, and no zombies if it wanted none. SIG_IGN counts as an
 * accident, inherited from the program that started us: with it no child would
 * leave a status.
 */
static struct sigaction our_action(const struct trampoline *t, bool stops)
{
    bool chained = is_function(function_of(&t->found));
    struct sigaction action = { .sa_flags = SA_SIGINFO };

    action.sa_sigaction = t->entry;
    action.sa_flags |= chained ? t->found.sa_flags & HOW_IT_RUNS : SA_RESTART | SA_ONSTACK;
    if (chained)
        action.sa_mask = t->found.sa_mask;
    else
        sigemptyset(&action.sa_mask);
    if (function_of(&t->found) != (uintptr_t)SIG_IGN)
        action.sa_flags |= t->found.sa_flags & SA_NOCLDWAIT;
    if (!stops && !(chained && !(t->found.sa_flags & SA_NOCLDSTOP)))
        action.sa_flags |= SA_NOCLDSTOP;
    return action;
}

static int install(const struct sigaction *current, bool stops)
{
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        trampolines[i].taken |= trampolines[i].installed;

    struct trampoline *t = choose_trampoline(current);
    if (!t)
        return -EAGAIN;
    t->used = t->installed = true;
    remember(t, current);

    struct sigaction action = our_action(t, stops), replaced;
    sigaction(SIGCHLD, &action, &replaced);
    /* Between our look and this call another thread may have installed its own:
       that is what we chain to, then. */
    if (function_of(&replaced) != function_of(current))
        remember(t, &replaced);
    return 0;
}

/* A runtime that is loaded later (Go) adds SA_ONSTACK to the handler it finds,
   which is ours, and means the one below. */
static void keep_stack(struct trampoline *t, const struct sigaction *current)
{
    if (is_function(function_of(&t->found)))
        t->found.sa_flags |= current->sa_flags & SA_ONSTACK;
}

static void update(struct trampoline *t, const struct sigaction *current, bool stops)
{
    keep_stack(t, current);

    struct sigaction action = our_action(t, stops), replaced;

    if (!((action.sa_flags ^ current->sa_flags) & SA_NOCLDSTOP))
        return;
    sigaction(SIGCHLD, &action, &replaced);
    if (function_of(&replaced) != (uintptr_t)t->entry)
        sigaction(SIGCHLD, &replaced, NULL);
}

static void put_back(struct trampoline *t)
{
    struct sigaction replaced;

    if (is_function(function_of(&t->found)) && !atomic_load(&t->found_function[way_of(&t->found)]))
        t->found = (struct sigaction){ .sa_handler = SIG_DFL };
    sigaction(SIGCHLD, &t->found, &replaced);
    if (function_of(&replaced) == (uintptr_t)t->entry)
        t->installed = false;
    else /* another thread's, which may chain to ours: it stays */
        sigaction(SIGCHLD, &replaced, NULL);
}

int xfd_disposition_install(bool stops, bool newcomer)
{
    struct sigaction current;

    if (sigaction(SIGCHLD, NULL, &current) < 0)
        return -errno;
    struct trampoline *t = ours(&current);
    if (t)
        update(t, &current, stops);
    else if (newcomer)
        return install(&current, stops);
    return 0;
}

/* More than one if what was found is another of ours: other code had put its
   handler between them, and took it away. */
void xfd_disposition_restore(void)
{
    struct sigaction current;
    struct trampoline *t;

    sigaction(SIGCHLD, NULL, &current);
    while ((t = ours(&current))) {
        keep_stack(t, &current);
        put_back(t);
        sigaction(SIGCHLD, NULL, &current);
    }
}

struct sigchld_disposition xfd_disposition_get(void)
{
    struct sigaction current;

    sigaction(SIGCHLD, NULL, &current);
    bool ignored = function_of(&current) == (uintptr_t)SIG_IGN;
    return (struct sigchld_disposition){
        .state = ignored          ? SIGCHLD_IGNORED
                 : ours(&current) ? SIGCHLD_OURS
                                  : SIGCHLD_OTHER,
        .no_zombies = ignored || current.sa_flags & SA_NOCLDWAIT,
        .hides_stops = current.sa_flags & SA_NOCLDSTOP,
    };
}

int exitfd_is_default_handler(void)
{
    struct sigaction current;

    sigaction(SIGCHLD, NULL, &current);
    return function_of(&current) == (uintptr_t)SIG_DFL;
}
