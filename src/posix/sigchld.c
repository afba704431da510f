/* SPDX-License-Identifier: MIT */
/*
 * The handler walks a list of listeners without a lock. Listeners are never freed, only reused, so the walk is always
 * over valid memory. `users` counts the handlers that are between reading a listener's fd and having written to it: who
 * takes the fd away waits for it to become 0, so that no byte can land in a file that got the same number meanwhile.
 *
 * Somebody may install a handler over ours and chain to it. It must then stay callable, with its own predecessor, for as
 * long as the process lives, even when we have no more use for it; and when we come to install a handler again, over
 * theirs, it must not be the same one, or theirs and ours would call each other for ever. Hence several trampolines,
 * each with its predecessor. Of four, three may be buried like that.
 */
#include "posix/sigchld.h"

#include "exitfd.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listener {
    struct listener *next;
    atomic_int fd; /* -1: nothing is written */
    atomic_uint size;
    atomic_int users;
    _Atomic pid_t pid;
    enum listen_to to; /* this and reserved are for the lock's holder */
    bool reserved;
};

typedef void action_function(int, siginfo_t *, void *);
typedef void handler_function(int);

struct trampoline {
    action_function *entry;
    struct sigaction found; /* for the lock's holder */
    _Atomic uintptr_t found_function;
    atomic_int found_flags;
    bool taken;
};

static _Atomic(struct listener *) listeners;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sigset_t mask_before_lock;
static struct listener *primitive; /* of exitfd_install_handler */

static void write_to(struct listener *l)
{
    static const uint64_t one = 1;

    atomic_fetch_add(&l->users, 1);
    int fd = atomic_load(&l->fd);
    if (fd >= 0)
        (void)!write(fd, &one, atomic_load(&l->size));
    atomic_fetch_sub(&l->users, 1);
}

/* In a forked child that shares our pipes getpid() differs from the pid of who listens. */
static void write_to_all(const struct listener *except)
{
    pid_t self = getpid();

    for (struct listener *l = atomic_load(&listeners); l; l = l->next)
        if (l != except && atomic_load(&l->pid) == self)
            write_to(l);
}

static bool is_function(uintptr_t function)
{
    return function != (uintptr_t)SIG_DFL && function != (uintptr_t)SIG_IGN;
}

static void chain(struct trampoline *t, int signum, siginfo_t *info, void *context)
{
    uintptr_t function = atomic_load(&t->found_function);
    int flags = atomic_load(&t->found_flags);

    if (flags & SA_RESETHAND)
        function = atomic_exchange(&t->found_function, (uintptr_t)SIG_DFL);
    if (!is_function(function))
        return;
    if (flags & SA_SIGINFO)
        ((action_function *)function)(signum, info, context);
    else
        ((handler_function *)function)(signum);
}

static void handle(struct trampoline *t, int signum, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    write_to_all(NULL);
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

/* All signals are blocked as well: a handler of the application that forks must not find this thread holding the lock. */
void sigchld_lock(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&lock);
    mask_before_lock = before;
}

void sigchld_unlock(void)
{
    sigset_t before = mask_before_lock;

    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sigchld_forked(void)
{
    sigset_t before = mask_before_lock;

    for (struct listener *l = atomic_load(&listeners); l; l = l->next) {
        atomic_store(&l->fd, -1);
        atomic_store(&l->users, 0);
    }
    primitive = NULL;
    pthread_mutex_init(&lock, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static uintptr_t function_of(const struct sigaction *action)
{
    return action->sa_flags & SA_SIGINFO ? (uintptr_t)action->sa_sigaction : (uintptr_t)action->sa_handler;
}

static struct trampoline *ours(const struct sigaction *action)
{
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (function_of(action) == (uintptr_t)trampolines[i].entry)
            return &trampolines[i];
    return NULL;
}

static struct trampoline *take_trampoline(void)
{
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines; i++)
        if (!trampolines[i].taken)
            return &trampolines[i];
    return NULL;
}

static bool active(const struct listener *l)
{
    return atomic_load(&l->fd) >= 0 && atomic_load(&l->pid) == getpid() && l->to != LISTEN_TO_SIBLINGS;
}

static bool anybody_listens(bool *to_stops)
{
    bool any = false;

    *to_stops = false;
    for (struct listener *l = atomic_load(&listeners); l; l = l->next) {
        if (active(l)) {
            any = true;
            *to_stops |= l->to == LISTEN_STOPS;
        }
    }
    return any;
}

static void remember(struct trampoline *t, const struct sigaction *found)
{
    t->found = *found;
    atomic_store(&t->found_flags, found->sa_flags);
    atomic_store(&t->found_function, function_of(found));
}

/* What the handler found expects of the kernel goes on: its mask, stops if it had them, no zombies if it wanted none.
   SIG_IGN counts as an accident, inherited from whoever started us: with it no child would leave a status. */
static struct sigaction our_action(const struct trampoline *t, bool stops)
{
    bool chained = is_function(function_of(&t->found));
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

    action.sa_sigaction = t->entry;
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
    /* With no function installed there is none that could call a buried trampoline of ours. */
    for (unsigned i = 0; i < sizeof trampolines / sizeof *trampolines && !is_function(function_of(current)); i++)
        trampolines[i].taken = false;

    struct trampoline *t = take_trampoline();
    if (!t)
        return -EAGAIN;
    t->taken = true;
    remember(t, current);

    struct sigaction action = our_action(t, stops), replaced;
    sigaction(SIGCHLD, &action, &replaced);
    /* Between our look and this call another thread may have installed its own: that is what we chain to, then. */
    if (function_of(&replaced) != function_of(current))
        remember(t, &replaced);
    return 0;
}

static void update(struct trampoline *t, const struct sigaction *current, bool stops)
{
    struct sigaction action = our_action(t, stops), replaced;

    if (!((action.sa_flags ^ current->sa_flags) & SA_NOCLDSTOP))
        return;
    sigaction(SIGCHLD, &action, &replaced);
    if (function_of(&replaced) != (uintptr_t)t->entry)
        sigaction(SIGCHLD, &replaced, NULL);
}

static void take_back(struct trampoline *t)
{
    struct sigaction replaced;

    if (t->found.sa_flags & SA_RESETHAND && atomic_load(&t->found_function) == (uintptr_t)SIG_DFL)
        t->found = (struct sigaction){ .sa_handler = SIG_DFL };
    sigaction(SIGCHLD, &t->found, &replaced);
    if (function_of(&replaced) != (uintptr_t)t->entry)
        sigaction(SIGCHLD, &replaced, NULL);
    t->taken = false;
}

/* Brings the disposition in line with who listens. newcomer: somebody wants the handler from now on. */
static int settle(bool newcomer)
{
    struct sigaction current;
    bool stops;
    bool wanted = anybody_listens(&stops);

    sigaction(SIGCHLD, NULL, &current);
    struct trampoline *t = ours(&current);
    if (wanted && !t)
        return newcomer ? install(&current, stops) : 0;
    if (wanted)
        update(t, &current, stops);
    while (!wanted && t) {
        take_back(t);
        sigaction(SIGCHLD, NULL, &current);
        t = ours(&current);
    }
    return 0;
}

static struct listener *reserve(void)
{
    struct listener *l = atomic_load(&listeners);

    while (l && (l->reserved || atomic_load(&l->users) != 0))
        l = l->next;
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l)
            return NULL;
        atomic_store(&l->fd, -1);
        l->next = atomic_load(&listeners);
        atomic_store(&listeners, l);
    }
    l->reserved = true;
    return l;
}

static int listen_to(struct listener *l, int fd, unsigned size, enum listen_to to)
{
    bool newcomer = !active(l) && to != LISTEN_TO_SIBLINGS;

    l->to = to;
    atomic_store(&l->pid, getpid());
    atomic_store(&l->size, size);
    atomic_store(&l->fd, fd);
    int error = settle(newcomer);
    if (error < 0)
        atomic_store(&l->fd, -1);
    return error;
}

static void silence(struct listener *l)
{
    atomic_store(&l->fd, -1);
    while (atomic_load(&l->users) != 0)
        poll(NULL, 0, 1);
}

struct listener *sigchld_reserve(void)
{
    sigchld_lock();
    struct listener *l = reserve();
    sigchld_unlock();
    return l;
}

int sigchld_listen(struct listener *l, int fd, unsigned size, enum listen_to to)
{
    sigchld_lock();
    int error = listen_to(l, fd, size, to);
    sigchld_unlock();
    return error;
}

void sigchld_unlisten(struct listener *l)
{
    sigchld_lock();
    silence(l);
    settle(false);
    sigchld_unlock();
}

void sigchld_release(struct listener *l)
{
    sigchld_lock();
    l->reserved = false;
    sigchld_unlock();
}

void sigchld_tell_siblings(const struct listener *except)
{
    write_to_all(except);
}

enum sigchld_state sigchld_get_state(bool *no_zombies)
{
    struct sigaction current;

    sigaction(SIGCHLD, NULL, &current);
    bool ignored = function_of(&current) == (uintptr_t)SIG_IGN;
    *no_zombies = ignored || current.sa_flags & SA_NOCLDWAIT;
    return ignored ? SIGCHLD_IGNORED : ours(&current) ? SIGCHLD_OURS : SIGCHLD_OTHER;
}

bool sigchld_is_blocked(void)
{
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, SIGCHLD) == 1;
}

/* A blocking write in a handler could wait for ever for a reader that is the interrupted thread itself. */
static int make_writable_without_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int replace_primitive(int fd, int *old_fd)
{
    int error = 0;

    *old_fd = primitive ? atomic_load(&primitive->fd) : -1;
    if (fd >= 0) {
        struct listener *l = primitive ? primitive : reserve();
        if (!l)
            return -ENOMEM;
        if (primitive)
            silence(l);
        error = listen_to(l, fd, 1, LISTEN_EXITS);
        if (error < 0 && *old_fd >= 0)
            atomic_store(&l->fd, *old_fd);
        else if (error < 0)
            l->reserved = false;
        else
            primitive = l;
    } else if (primitive) {
        silence(primitive);
        settle(false);
        primitive->reserved = false;
        primitive = NULL;
    }
    return error;
}

int exitfd_install_handler(int fd, int *ret_old_fd)
{
    int old_fd;
    int error = fd < -1 ? -EBADF : process_init();

    if (error == 0 && fd >= 0)
        error = make_writable_without_blocking(fd);
    if (error < 0)
        return error;
    sigchld_lock();
    error = replace_primitive(fd, &old_fd);
    sigchld_unlock();
    if (error == 0 && ret_old_fd)
        *ret_old_fd = old_fd;
    return error;
}

int exitfd_is_default_handler(void)
{
    struct sigaction current;

    sigaction(SIGCHLD, NULL, &current);
    return function_of(&current) == (uintptr_t)SIG_DFL;
}
