/* SPDX-License-Identifier: MIT */
/*
 * Who wants the one SIGCHLD handler of the process. Exitfds and
 * exitfd_install_handler reserve a listener, give it an fd and take the fd away
 * again. The handler is installed while a listener needs it. The lock here
 * guards all of that, and a thread that holds it has all signals blocked.
 */
#include "posix/sigchld.h"

#include "posix/disposition.h"
#include "private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static void *_Atomic memory;     /* private.h: of the lock, which each fork of the process writes to */
static struct listener *user_fd; /* of exitfd_install_handler */

/* Of the thread that holds the lock. A page that libc writes to in a fork as
   well. */
static _Thread_local sigset_t mask_before_lock;
static _Thread_local int cancel_state_before_lock;

static pthread_mutex_t *lock(void)
{
    return atomic_load_explicit(&memory, memory_order_acquire);
}

static bool init(void *mutex)
{
    return pthread_mutex_init(mutex, NULL) == 0;
}

int xfd_sigchld_init(void)
{
    return xfd_private_alloc_once(&memory, sizeof(pthread_mutex_t), init) ? 0 : -ENOMEM;
}

/*
 * All signals are blocked as well: a handler of the application that forks must
 * not find us holding the lock. Nor may the thread end, cancelled, where
 * xfd_listener_silence sleeps.
 */
void xfd_sigchld_lock(void)
{
    sigset_t all, before;
    int cancel_state;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(lock());
    mask_before_lock = before;
    cancel_state_before_lock = cancel_state;
}

void xfd_sigchld_restore_thread(void)
{
    int cancel_state;

    pthread_setcancelstate(cancel_state_before_lock, &cancel_state);
    pthread_sigmask(SIG_SETMASK, &mask_before_lock, NULL);
}

void xfd_sigchld_unlock_alone(void)
{
    pthread_mutex_unlock(lock());
}

void xfd_sigchld_unlock(void)
{
    xfd_sigchld_unlock_alone();
    xfd_sigchld_restore_thread();
}

static void release_user_fd(void)
{
    if (user_fd)
        xfd_listener_release(user_fd);
    user_fd = NULL;
}

void xfd_sigchld_reset_lock(void)
{
    pthread_mutex_init(lock(), NULL);
}

void xfd_sigchld_unlock_in_child(void)
{
    /*
     * Unlocked first: TSan would else think that it is locked for ever. A wiped
     * one is unlocked already, and on Linux it does no harm to unlock it again.
     */
    pthread_mutex_unlock(lock());
    xfd_sigchld_reset_lock();
    xfd_sigchld_restore_thread();
}

void xfd_sigchld_forked(void)
{
    xfd_listeners_forked();
    release_user_fd();
}

/* newcomer: a listener wants the handler from now on. */
static int sync_handler(bool newcomer)
{
    bool stops;
    bool wanted = xfd_listeners_want_handler(&stops);

    if (wanted)
        return xfd_disposition_install(stops, newcomer);
    xfd_disposition_restore();
    return 0;
}

/* The fd before goes only when the new one is there: no SIGCHLD between the two
   is missed. */
static int listen_to(struct listener *l, int fd, unsigned size, enum listen_to to, bool newcomer)
{
    int before = xfd_listener_is_active(l) ? atomic_load(&l->fd) : -1;

    xfd_listener_set(l, fd, size, to);
    int error = sync_handler(newcomer);
    if (error < 0)
        xfd_listener_set_fd(l, before);
    xfd_listener_wait_for_users(l); /* one may have read the fd that is not, or no longer, to be written to */
    return error;
}

struct listener *xfd_sigchld_reserve(void)
{
    xfd_sigchld_lock();
    struct listener *l = xfd_listeners_reserve();
    xfd_sigchld_unlock();
    return l;
}

int xfd_sigchld_listen(struct listener *l, int fd, unsigned size, enum listen_to to)
{
    xfd_sigchld_lock();
    int error = listen_to(l, fd, size, to, !xfd_listener_is_active(l) && to != LISTEN_TO_SIBLINGS);
    xfd_sigchld_unlock();
    return error;
}

void xfd_sigchld_unlisten(struct listener *l)
{
    xfd_sigchld_lock();
    xfd_listener_silence(l);
    sync_handler(false);
    xfd_sigchld_unlock();
}

void xfd_sigchld_release(struct listener *l)
{
    xfd_sigchld_lock();
    xfd_listener_release(l);
    xfd_sigchld_unlock();
}

bool xfd_sigchld_is_blocked(void)
{
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, SIGCHLD) == 1;
}

static int set_user_fd(int fd)
{
    struct listener *l = user_fd ? user_fd : xfd_listeners_reserve();

    if (!l)
        return -ENOMEM;
    int error = listen_to(l, fd, 1, LISTEN_EXITS, true);
    if (error == 0)
        user_fd = l;
    else if (!user_fd)
        xfd_listener_release(l);
    return error;
}

/* In a forked child the handler is put back as well, although the fd is the
   parent's. */
static void clear_user_fd(void)
{
    if (user_fd)
        xfd_listener_silence(user_fd);
    sync_handler(false);
    release_user_fd();
}

int xfd_sigchld_replace_user_fd(int fd, int *old_fd)
{
    *old_fd = user_fd ? atomic_load(&user_fd->fd) : -1;
    if (fd >= 0)
        return set_user_fd(fd);
    clear_user_fd();
    return 0;
}
