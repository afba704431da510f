/* SPDX-License-Identifier: MIT */
/*
 * The listeners of the SIGCHLD handler, in every order of their steps. It is
 * the source of src/posix itself. Threads listen and stop listening, while
 * handlers run in others. What must hold:
 *
 *   - No byte is written to an fd after xfd_sigchld_unlisten returned, nor
 *     after a call that failed. The fd may be closed by then, and its number
 *     another file's.
 *   - What is written has the size that goes with the file.
 *   - A handler writes if it starts after xfd_sigchld_listen returned, and ends
 *     before that is taken back.
 *
 * Not here: fork, and what is installed as SIGCHLD's disposition. handlers.c
 * has the latter.
 */
#include "explore.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What the listeners call. */
static int model_poll(struct pollfd *fds, nfds_t count, int timeout);
static ssize_t model_write(int fd, const void *buffer, size_t size);
static void *model_calloc(size_t count, size_t size);
static int model_lock(pthread_mutex_t *mutex);
static int model_unlock(pthread_mutex_t *mutex);
static int model_fcntl(int fd, int command, ...);
static void model_mask(const sigset_t *set, sigset_t *old);

#undef atomic_load
#undef atomic_store
#undef atomic_fetch_add
#undef atomic_fetch_sub
#define atomic_load(object)                                                                                            \
    __extension__({                                                                                                    \
        explore_point();                                                                                               \
        __typeof__((void)0, *(object)) loaded = *(object);                                                             \
        explore_note((uint64_t)(uintptr_t)loaded);                                                                     \
        loaded;                                                                                                        \
    })
#define atomic_store(object, value)                                                                                    \
    __extension__({                                                                                                    \
        explore_point();                                                                                               \
        *(object) = (value);                                                                                           \
        explore_changed();                                                                                             \
        explore_note(0);                                                                                               \
    })
#define atomic_add(object, operand)                                                                                    \
    __extension__({                                                                                                    \
        explore_point();                                                                                               \
        *(object) += (operand);                                                                                        \
        explore_changed();                                                                                             \
        explore_note(0);                                                                                               \
    })
#define atomic_fetch_add(object, operand) atomic_add(object, operand)
/* The end of one listener's turn in a handler: which it was is all that counts
   from here on. */
#define atomic_fetch_sub(object, operand)                                                                              \
    __extension__({                                                                                                    \
        atomic_add(object, -(operand));                                                                                \
        explore_forget_all_but((uintptr_t)(object));                                                                   \
    })
#define poll model_poll
#define write model_write
#define calloc model_calloc
#define pthread_mutex_lock model_lock
#define pthread_mutex_unlock model_unlock
#define pthread_sigmask(how, set, old) model_mask(set, old)
#define fcntl model_fcntl
#define getpid() 42
#undef sigfillset
#define sigfillset(set) memset(set, 0, sizeof(*(set)))

#include LISTENERS

#undef calloc
#undef poll

#define FDS 3
#define LISTENERS 4

static struct listener pool[LISTENERS];
static unsigned pool_used;
static bool locked;

enum file_state {
    CLOSED,
    OPEN,     /* ours, and nothing may be written */
    HEARS,    /* a call that makes it listen has begun */
    LISTENING /* and returned */
};
static struct file {
    enum file_state state;
    unsigned size;
    bool written[3];  /* by each thread since its start */
    unsigned listens; /* tells one time of listening from another */
} files[FDS];

static int model_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    (void)fds, (void)count, (void)timeout;
    explore_wait_for_change();
    return 0;
}

static ssize_t model_write(int fd, const void *buffer, size_t size)
{
    (void)buffer;
    explore_point();
    explore_expect(files[fd].state >= HEARS, "a byte is written to a file that does not listen");
    explore_expect(files[fd].state < HEARS || files[fd].size == size, "a write of the wrong size");
    files[fd].written[explore_self()] = true;
    explore_changed();
    explore_note(0);
    return (ssize_t)size;
}

static void *model_calloc(size_t count, size_t size)
{
    (void)count, (void)size;
    return pool_used < LISTENERS ? &pool[pool_used++] : NULL;
}

static int model_lock(pthread_mutex_t *mutex)
{
    (void)mutex;
    for (explore_point(); locked; explore_wait_for_change())
        ;
    locked = true;
    explore_changed();
    explore_note(0);
    return 0;
}

static int model_unlock(pthread_mutex_t *mutex)
{
    (void)mutex;
    explore_point();
    locked = false;
    explore_changed();
    explore_note(0);
    return 0;
}

static void model_mask(const sigset_t *set, sigset_t *old)
{
    (void)set;
    if (old != NULL)
        memset(old, 0, sizeof(*old));
}

static int model_fcntl(int fd, int command, ...)
{
    (void)fd, (void)command;
    return O_RDWR | O_NONBLOCK;
}

int xfd_process_init(void)
{
    return 0;
}

/* Only for the lock, which is model_lock here. */
void *xfd_private_alloc(size_t kept, size_t size)
{
    (void)kept, (void)size;
    return NULL;
}

void xfd_private_free(void *memory, size_t kept, size_t size)
{
    (void)memory, (void)kept, (void)size;
}

static bool may_fail;

int xfd_disposition_install(bool stops, bool newcomer)
{
    (void)stops;
    return newcomer && may_fail && explore_choose(2) == 1 ? -EAGAIN : 0;
}

void xfd_disposition_restore(void)
{
}

static void reset(void)
{
    memset(pool, 0, sizeof(pool));
    memset(files, 0, sizeof(files));
    pool_used = 0;
    locked = false;
    listeners = NULL;
    user_fd = NULL;
}

static uint64_t hash_bytes(uint64_t hash, const void *start, size_t size)
{
    const unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++)
        hash = explore_mix(hash, bytes[i]);
    return hash;
}

static uint64_t hash_shared(uint64_t hash)
{
    for (unsigned i = 0; i < pool_used; i++) {
        const struct listener *l = &pool[i];
        const uint64_t fields[] = { (uintptr_t)l->next, (uint64_t)l->fd, (uint64_t)l->size,    (uint64_t)l->users,
                                    (uint64_t)l->pid,   (uint64_t)l->to, (uint64_t)l->reserved };
        hash = hash_bytes(hash, fields, sizeof(fields));
    }
    hash = hash_bytes(hash, files, sizeof(files));
    hash = explore_mix(hash, (uintptr_t)listeners);
    return explore_mix(hash, (uintptr_t)user_fd ^ (uintptr_t)locked);
}

/* The lowest number that is free, as the kernel gives it: what was closed is
   used again. */
static int open_file(unsigned size)
{
    int fd = 0;
    explore_point();
    while (files[fd].state != CLOSED)
        fd++;
    files[fd].state = OPEN;
    files[fd].size = size;
    explore_note((uint64_t)fd);
    return fd;
}

static void set_state(int fd, enum file_state state)
{
    explore_point();
    files[fd].state = state;
    files[fd].listens += state == LISTENING;
    explore_note(0);
}

/* For where nothing else is alive in a thread that listens: its line and
   these. */
#define HERE(l, first, second)                                                                                         \
    explore_forget_all_but(                                                                                            \
        explore_mix(explore_mix(__LINE__, (uintptr_t)(l)), (uint64_t)(first) << 32 | (unsigned)(second)))

static void handler(void)
{
    unsigned before[FDS]; /* which time of listening; 0: it does not */
    unsigned self = explore_self();
    uint64_t kept = 0;

    explore_point();
    for (int fd = 0; fd < FDS; fd++) {
        before[fd] = files[fd].state == LISTENING ? files[fd].listens : 0;
        kept = explore_mix(kept, before[fd]);
    }
    explore_keep(kept);
    explore_forget_all_but(0);
    xfd_listeners_write(NULL);
    explore_point();
    for (int fd = 0; fd < FDS; fd++)
        explore_expect(before[fd] == 0 || files[fd].state != LISTENING || files[fd].listens != before[fd] ||
                           files[fd].written[self],
                       "a signal after listen returned was not written");
}

/* Two exitfds, one after the other: a pipe's end, then an eventfd, which gets
   the same number and the same listener. */
static void live_twice(void)
{
    for (unsigned size = 1; size <= 8; size += 7) {
        struct listener *l = xfd_sigchld_reserve();
        int fd = open_file(size);
        set_state(fd, HEARS);
        HERE(l, size, fd);
        int error = xfd_sigchld_listen(l, fd, size, LISTEN_EXITS);
        set_state(fd, error ? OPEN : LISTENING);
        HERE(l, size, fd << 1 | !error);
        if (error == 0) {
            xfd_sigchld_listen(l, fd, size, LISTEN_STOPS);
            set_state(fd, HEARS);
            xfd_sigchld_unlisten(l);
        }
        HERE(l, size, fd);
        set_state(fd, CLOSED);
        xfd_sigchld_release(l);
        HERE(l, size, 0);
    }
}

static void live_once(void)
{
    struct listener *l = xfd_sigchld_reserve();
    int fd = open_file(8);

    set_state(fd, HEARS);
    HERE(l, fd, 0);
    xfd_sigchld_listen(l, fd, 8, LISTEN_EXITS);
    set_state(fd, LISTENING);
    set_state(fd, HEARS);
    HERE(l, fd, 0);
    xfd_sigchld_unlisten(l);
    set_state(fd, CLOSED);
    HERE(l, fd, 0);
    xfd_sigchld_release(l);
}

/* Two at once, of one thread. */
static void live_side_by_side(void)
{
    struct listener *first = xfd_sigchld_reserve();
    int fd = open_file(1);
    set_state(fd, HEARS);
    xfd_sigchld_listen(first, fd, 1, LISTEN_EXITS);
    set_state(fd, LISTENING);
    explore_keep((uintptr_t)first ^ (unsigned)fd);
    live_once();
    HERE(first, fd, 0);
    set_state(fd, HEARS);
    xfd_sigchld_unlisten(first);
    set_state(fd, CLOSED);
    xfd_sigchld_release(first);
}

/* One fd, another in its place, none; what fails or is replaced is closed at
   once. */
static void use_user_fd(void)
{
    int registered = -1;

    for (int round = 0; round < 2; round++) {
        int old = -1, fd = open_file(1);
        set_state(fd, HEARS);
        if (registered >= 0)
            set_state(registered, HEARS);
        HERE(NULL, round, fd << 4 | (registered + 1));
        if (exitfd_install_handler(fd, &old) < 0) {
            set_state(fd, CLOSED);
            if (registered >= 0)
                set_state(registered, LISTENING);
        } else {
            set_state(fd, LISTENING);
            explore_expect(old == registered, "another fd than the one registered before");
            if (registered >= 0)
                set_state(registered, CLOSED);
            registered = fd;
        }
        HERE(NULL, round, registered);
    }
    if (registered >= 0)
        set_state(registered, HEARS);
    exitfd_install_handler(-1, NULL);
    if (registered >= 0)
        set_state(registered, CLOSED);
}

static const struct {
    struct scenario scenario;
    bool may_fail, is_large;
} scenarios[] = {
    { { "one lives twice where the handler may not be had", reset, { live_twice, handler }, hash_shared },
      true,
      false },
    { { "two side by side and a handler", reset, { live_side_by_side, handler }, hash_shared }, false, false },
    { { "the user's fd beside a handler, which may not be had", reset, { use_user_fd, handler }, hash_shared },
      true,
      false },
    { { "one lives twice beside two handlers", reset, { live_twice, handler, handler }, hash_shared }, false, true },
    { { "two live beside a handler", reset, { live_once, live_once, handler }, hash_shared }, false, true },
    { { "the user's fd beside a life and a handler", reset, { use_user_fd, live_once, handler }, hash_shared },
      false,
      true },
};

static int explain(const char *name, FILE *output)
{
    fprintf(output,
            "usage: %s [--quick | --help]\n"
            "Tries the handler's listeners in every order of their steps, and prints TAP. --quick leaves out what is "
            "large.\n",
            name);
    return output == stderr ? 2 : 0;
}

int main(int argc, char *argv[])
{
    bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    size_t tried = 0, failed = 0;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return explain(argv[0], stdout);
    if (argc > 1 && !quick)
        return explain(argv[0], stderr);
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (quick && scenarios[i].is_large)
            continue;
        may_fail = scenarios[i].may_fail;
        bool is_well = explore(&scenarios[i].scenario);
        printf("%sok %zu - %s\n", is_well ? "" : "not ", ++tried, scenarios[i].scenario.name);
        fflush(stdout);
        failed += !is_well;
    }
    printf("1..%zu\n", tried);
    return failed > 0;
}
