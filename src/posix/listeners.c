/* SPDX-License-Identifier: MIT */
/*
 * The handler walks a list of listeners without a lock. Listeners are never
 * freed, only reused, so the walk is always over valid memory. `users` counts
 * the handlers that are between reading a listener's fd and having written to
 * it. A thread that takes the fd away waits until that is 0. So no byte can
 * land in a file that got the same number meanwhile.
 */
#include "posix/listeners.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static _Atomic(struct listener *) listeners;

static void write_to(struct listener *l)
{
    static const uint64_t one = 1;

    atomic_fetch_add(&l->users, 1);
    int fd = atomic_load(&l->fd);
    if (fd >= 0)
        (void)!write(fd, &one, atomic_load(&l->size));
    atomic_fetch_sub(&l->users, 1);
}

/* In a forked child that shares our pipes getpid() differs from the pid of who
   listens. */
static struct listener *skip(struct listener *l, const struct listener *except, pid_t self)
{
    while (l && (l == except || atomic_load(&l->fd) < 0 || atomic_load(&l->pid) != self))
        l = l->next;
    return l;
}

/*
 * A thread counted in `users` must come back, or others wait for ever. So it
 * must not be cancelled. write(2) is a cancellation point, and the signal may
 * have come in the middle of malloc. Nor may another handler run, which could
 * leave by siglongjmp(3), or fork.
 */
void xfd_listeners_write(const struct listener *except)
{
    pid_t self = getpid();
    struct listener *l = skip(atomic_load(&listeners), except, self);
    sigset_t all, before;
    int cancel_state;

    if (!l)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    for (; l; l = skip(l->next, except, self))
        write_to(l);
    pthread_setcancelstate(cancel_state, &cancel_state);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool xfd_listener_is_active(const struct listener *l)
{
    return atomic_load(&l->fd) >= 0 && atomic_load(&l->pid) == getpid() && l->to != LISTEN_TO_SIBLINGS;
}

bool xfd_listeners_want_handler(bool *to_stops)
{
    bool any = false;

    *to_stops = false;
    for (struct listener *l = atomic_load(&listeners); l; l = l->next) {
        if (xfd_listener_is_active(l)) {
            any = true;
            *to_stops |= l->to == LISTEN_STOPS;
        }
    }
    return any;
}

struct listener *xfd_listeners_reserve(void)
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

void xfd_listener_release(struct listener *l)
{
    l->reserved = false;
}

void xfd_listener_set_fd(struct listener *l, int fd)
{
    atomic_store(&l->fd, fd);
}

void xfd_listener_set(struct listener *l, int fd, unsigned size, enum listen_to to)
{
    l->to = to;
    if (atomic_load(&l->pid) != getpid()) /* a copy from the parent, whose handlers are not here */
        atomic_store(&l->users, 0);
    atomic_store(&l->pid, getpid());
    atomic_store(&l->size, size);
    atomic_store(&l->fd, fd);
}

/* In a forked child that shares the listener with its parent, `users` counts
   threads that exist in the parent only. */
void xfd_listener_wait_for_users(const struct listener *l)
{
    while (atomic_load(&l->pid) == getpid() && atomic_load(&l->users) > 0)
        poll(NULL, 0, 1);
}

void xfd_listener_silence(struct listener *l)
{
    xfd_listener_set_fd(l, -1);
    xfd_listener_wait_for_users(l);
}

void xfd_listeners_forked(void)
{
    for (struct listener *l = atomic_load(&listeners); l; l = l->next) {
        atomic_store(&l->fd, -1);
        atomic_store(&l->users, 0);
    }
}
