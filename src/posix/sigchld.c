/* SPDX-License-Identifier: MIT */
/*
 * The handler walks a list of listeners without a lock. Listeners are never freed, only reused, so the walk is always
 * over valid memory. `users` counts the handlers that are between reading a listener's fd and having written to it: who
 * takes the fd away waits for it to become 0, so that no byte can land in a file that got the same number meanwhile.
 */
#include "posix/sigchld.h"

#include "exitfd.h"
#include "posix/disposition.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
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

static _Atomic(struct listener *) listeners;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sigset_t mask_before_lock;
static int cancel_state_before_lock;
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
static struct listener *skip(struct listener *l, const struct listener *except, pid_t self)
{
    while (l && (l == except || atomic_load(&l->fd) < 0 || atomic_load(&l->pid) != self))
        l = l->next;
    return l;
}

/*
 * Who is counted in `users` must come back, or others wait for ever. So it must not be cancelled (write(2) is a
 * cancellation point, and the signal may have found the thread in the middle of malloc), and no other handler may run that
 * leaves by siglongjmp(3), or that forks.
 */
static void write_to_all(const struct listener *except)
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

/* All signals are blocked as well: a handler of the application that forks must not find us holding the lock. Nor may the
   thread end, cancelled, where silence sleeps. */
void xfd_sigchld_lock(void)
{
    sigset_t all, before;
    int cancel_state;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&lock);
    mask_before_lock = before;
    cancel_state_before_lock = cancel_state;
}

static void restore_thread(const sigset_t *mask, int cancel_state)
{
    pthread_setcancelstate(cancel_state, &cancel_state);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
}

void xfd_sigchld_unlock(void)
{
    sigset_t mask = mask_before_lock;
    int cancel_state = cancel_state_before_lock;

    pthread_mutex_unlock(&lock);
    restore_thread(&mask, cancel_state);
}

void xfd_sigchld_forked(void)
{
    for (struct listener *l = atomic_load(&listeners); l; l = l->next) {
        atomic_store(&l->fd, -1);
        atomic_store(&l->users, 0);
    }
    if (primitive)
        primitive->reserved = false;
    primitive = NULL;
    xfd_sigchld_unlock(); /* this thread has locked it, before the fork */
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

/* newcomer: somebody wants the handler from now on. */
static int settle(bool newcomer)
{
    bool stops;
    bool wanted = anybody_listens(&stops);

    if (wanted)
        return xfd_disposition_install(stops, newcomer);
    xfd_disposition_restore();
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

static void wait_for_users(const struct listener *l)
{
    while (atomic_load(&l->users) > 0)
        poll(NULL, 0, 1);
}

static void silence(struct listener *l)
{
    atomic_store(&l->fd, -1);
    wait_for_users(l);
}

/* The fd before goes only when the new one is there: no SIGCHLD between the two is missed. */
static int listen_to(struct listener *l, int fd, unsigned size, enum listen_to to, bool newcomer)
{
    int before = active(l) ? atomic_load(&l->fd) : -1;

    l->to = to;
    atomic_store(&l->pid, getpid());
    atomic_store(&l->size, size);
    atomic_store(&l->fd, fd);
    int error = settle(newcomer);
    if (error < 0)
        atomic_store(&l->fd, before);
    wait_for_users(l); /* one may have read the fd that is not, or no longer, to be written to */
    return error;
}

struct listener *xfd_sigchld_reserve(void)
{
    xfd_sigchld_lock();
    struct listener *l = reserve();
    xfd_sigchld_unlock();
    return l;
}

int xfd_sigchld_listen(struct listener *l, int fd, unsigned size, enum listen_to to)
{
    xfd_sigchld_lock();
    int error = listen_to(l, fd, size, to, !active(l) && to != LISTEN_TO_SIBLINGS);
    xfd_sigchld_unlock();
    return error;
}

void xfd_sigchld_unlisten(struct listener *l)
{
    xfd_sigchld_lock();
    silence(l);
    settle(false);
    xfd_sigchld_unlock();
}

void xfd_sigchld_release(struct listener *l)
{
    xfd_sigchld_lock();
    l->reserved = false;
    xfd_sigchld_unlock();
}

void xfd_sigchld_tell_siblings(const struct listener *except)
{
    write_to_all(except);
}

bool xfd_sigchld_is_blocked(void)
{
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, SIGCHLD) == 1;
}

/* A blocking write in a handler could wait for ever for a reader that is the interrupted thread itself. */
static int make_writable_without_blocking(int fd, int *flags)
{
    *flags = fcntl(fd, F_GETFL);
    if (*flags < 0 || (*flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!(*flags & O_NONBLOCK) && fcntl(fd, F_SETFL, *flags | O_NONBLOCK) < 0)
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
        error = listen_to(l, fd, 1, LISTEN_EXITS, true);
        if (error == 0)
            primitive = l;
        else if (!primitive)
            l->reserved = false;
    } else {
        if (primitive)
            silence(primitive);
        settle(false); /* in a forked child too, where the primitive is its parent's */
        if (primitive)
            primitive->reserved = false;
        primitive = NULL;
    }
    return error;
}

int exitfd_install_handler(int fd, int *ret_old_fd)
{
    int old_fd, flags = 0;
    int error = fd < -1 ? -EBADF : xfd_process_init();

    if (error == 0 && fd >= 0)
        error = make_writable_without_blocking(fd, &flags);
    if (error < 0)
        return error;
    xfd_sigchld_lock();
    error = replace_primitive(fd, &old_fd);
    xfd_sigchld_unlock();
    if (error < 0)
        fcntl(fd, F_SETFL, flags);
    else if (ret_old_fd)
        *ret_old_fd = old_fd;
    return error;
}
