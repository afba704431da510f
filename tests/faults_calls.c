/* SPDX-License-Identifier: MIT */
/*
 * The stand-ins for the C library. The linker puts each in front of a call of
 * the library (--wrap). Each asks fault_due whether it has to fail now.
 */
#include "faults_calls.h"
#include "stand_in.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define P_PIDFD_TYPE 3

enum fault_world fault_world;
static struct fault armed;
static volatile sig_atomic_t inside;
static unsigned seen, failed;
static long allocations;

void fault_arm(const struct fault *fault)
{
    armed = *fault;
    seen = failed = 0;
}

void fault_cease(void)
{
    armed.lasting = false;
}

bool fault_is(const char *symbol, int error)
{
    return armed.symbol != NULL && strcmp(armed.symbol, symbol) == 0 && (error == 0 || armed.error == error);
}

unsigned fault_count(void)
{
    return failed;
}

long fault_allocations(void)
{
    return allocations;
}

void fault_enter(void)
{
    inside = 1;
}

void fault_leave(void)
{
    inside = 0;
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

int fault_due(const char *symbol, const char *what)
{
    if (!inside || armed.symbol == NULL || !is_same(armed.symbol, symbol) || !is_same(armed.what, what))
        return 0;
    seen++;
    if (seen != armed.nth && !(armed.lasting && seen > armed.nth))
        return 0;
    failed++;
    return armed.error;
}

#define REAL(name, type, parameters) extern type __real_##name parameters

/* A function that returns `failure` with errno set. */
#define STAND_IN(name, symbol, type, failure, parameters, ...)                                                         \
    REAL(name, type, parameters);                                                                                      \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        int error = fault_due(symbol, NULL);                                                                           \
        if (error == 0)                                                                                                \
            return __real_##name(__VA_ARGS__);                                                                         \
        errno = error;                                                                                                 \
        return failure;                                                                                                \
    }

STAND_IN(epoll_create1, "epoll_create1", int, -1, (int flags), flags)
STAND_IN(eventfd, "eventfd", int, -1, (unsigned initial, int flags), initial, flags)
STAND_IN(pipe2, "pipe2", int, -1, (int ends[2], int flags), ends, flags)
STAND_IN(signalfd, "signalfd", int, -1, (int fd, const sigset_t *mask, int flags), fd, mask, flags)
STAND_IN(timerfd_create, "timerfd_create", int, -1, (int clock, int flags), clock, flags)
STAND_IN(epoll_wait, "epoll_wait", int, -1, (int set, struct epoll_event *events, int max, int timeout), set, events,
         max, timeout)
STAND_IN(poll, "poll", int, -1, (struct pollfd * fds, nfds_t count, int timeout), fds, count, timeout)
STAND_IN(kill, "kill", int, -1, (pid_t pid, int signum), pid, signum)
STAND_IN(fork, "fork", pid_t, -1, (void), )
STAND_IN(mmap64, "mmap", void *, MAP_FAILED, (void *at, size_t size, int prot, int flags, int fd, off_t offset), at,
         size, prot, flags, fd, offset)
REAL(mremap, void *, (void *at, size_t size, size_t new_size, int flags, ...));
void *__wrap_mremap(void *at, size_t size, size_t new_size, int flags, ...);
void *__wrap_mremap(void *at, size_t size, size_t new_size, int flags, ...)
{
    int error = fault_due("mremap", NULL);
    if (error == 0)
        return __real_mremap(at, size, new_size, flags);
    errno = error;
    return MAP_FAILED;
}

STAND_IN(madvise, "madvise", int, -1, (void *at, size_t size, int advice), at, size, advice)
STAND_IN(sigtimedwait, "sigtimedwait", int, -1, (const sigset_t *set, siginfo_t *info, const struct timespec *limit),
         set, info, limit)
STAND_IN(opendir, "opendir", DIR *, NULL, (const char *path), path)
STAND_IN(posix_spawnp, "posix_spawnp", int, error,
         (pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
          char *const argv[], char *const envp[]),
         pid, file, actions, attr, argv, envp)
STAND_IN(mprotect, "mprotect", int, -1, (void *at, size_t size, int prot), at, size, prot)
STAND_IN(socketpair, "socketpair", int, -1, (int domain, int type, int protocol, int *ends), domain, type, protocol,
         ends)
STAND_IN(xfd_clone, "xfd_clone", pid_t, -error,
         (void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd), run, argument, stack, size, pidfd)
STAND_IN(xfd_clone_clear, "xfd_clone_clear", pid_t, -error,
         (void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd), run, argument, stack, size, pidfd)
STAND_IN(posix_spawnattr_init, "posix_spawnattr_init", int, error, (posix_spawnattr_t * attr), attr)
STAND_IN(pthread_mutex_init, "pthread_mutex_init", int, error,
         (pthread_mutex_t * mutex, const pthread_mutexattr_t *attr), mutex, attr)

/* Fails when the library is loaded, so that each run tries again. */
REAL(pthread_atfork, int, (void (*prepare)(void), void (*parent)(void), void (*child)(void)));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    static bool is_loaded;
    int error = is_loaded ? fault_due("pthread_atfork", NULL) : ENOMEM;
    is_loaded = true;
    return error != 0 ? error : __real_pthread_atfork(prepare, parent, child);
}

REAL(malloc, void *, (size_t));
REAL(calloc, void *, (size_t, size_t));
REAL(realloc, void *, (void *, size_t));
REAL(free, void, (void *));
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static bool has_memory(const char *symbol)
{
    errno = fault_due(symbol, NULL);
    return errno == 0;
}

void *__wrap_malloc(size_t size)
{
    void *memory = has_memory("malloc") ? __real_malloc(size) : NULL;
    allocations += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = has_memory("calloc") ? __real_calloc(count, size) : NULL;
    allocations += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *old, size_t size)
{
    void *memory = has_memory("realloc") ? __real_realloc(old, size) : NULL;
    allocations += memory != NULL && old == NULL;
    return memory;
}

void __wrap_free(void *memory)
{
    allocations -= memory != NULL;
    __real_free(memory);
}

REAL(close, int, (int));
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int error = fault_due("close", NULL);
    int result = __real_close(fd);
    if (error == 0)
        return result;
    errno = error;
    return -1;
}

REAL(epoll_ctl, int, (int, int, int, struct epoll_event *));
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    int error = fault_due("epoll_ctl", operation == EPOLL_CTL_ADD   ? "add"
                                       : operation == EPOLL_CTL_DEL ? "delete"
                                                                    : "modify");
    if (error == 0 || operation == EPOLL_CTL_DEL) {
        int result = __real_epoll_ctl(set, operation, fd, event);
        if (error == 0)
            return result;
    }
    errno = error;
    return -1;
}

/* Full: an eventfd at its last number, a pipe to its last byte. */
static void fill(int fd)
{
    static const uint64_t most = UINT64_MAX - 1;
    static const char bytes[4096];

    if (write(fd, &most, sizeof(most)) < 0 || fcntl(fd, F_GETPIPE_SZ) < 0)
        return;
    while (write(fd, bytes, sizeof(bytes)) > 0)
        ;
}

REAL(write, ssize_t, (int, const void *, size_t));
ssize_t __wrap_write(int fd, const void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
    if (fault_due("write", NULL) == EAGAIN) {
        fault_leave();
        fill(fd);
        fault_enter();
    }
    return __real_write(fd, buffer, size);
}

REAL(fcntl64, int, (int, int, ...));
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    errno = fault_due("fcntl", command == F_DUPFD_CLOEXEC ? "duplicate" : "flags");
    return errno ? -1 : __real_fcntl64(fd, command, argument);
}

REAL(ioctl, int, (int, unsigned long, ...));
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    errno = fault_world == WORLD_WITHOUT_RECORDS ? ENOTTY : fault_due("ioctl", NULL);
    return errno ? -1 : __real_ioctl(fd, request, argument);
}

REAL(fstatfs64, int, (int, struct statfs *));
int __wrap_fstatfs64(int fd, struct statfs *fs);
int __wrap_fstatfs64(int fd, struct statfs *fs)
{
    errno = fault_due("fstatfs", NULL);
    int result = errno ? -1 : __real_fstatfs64(fd, fs);
    if (result == 0 && fault_world == WORLD_WITHOUT_RECORDS)
        fs->f_type = 0x09041934; /* anon_inodefs */
    return result;
}

REAL(fopen64, FILE *, (const char *, const char *));
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
    errno = fault_due("fopen", NULL);
    if (errno == EISDIR)
        return __real_fopen64("/proc/self", mode);
    return errno ? NULL : __real_fopen64(path, mode);
}

/* Other code reaps it, if it can be reaped. */
static void steal(int type, int id)
{
    siginfo_t info;
    int options = WEXITED | WNOHANG | (type == P_PIDFD_TYPE ? __WALL : 0);
    fault_leave(); /* or this call would be one to fail */
    syscall(SYS_waitid, type, id, &info, options, NULL);
    fault_enter();
}

static bool is_stolen(const char *symbol, const char *what, int type, int id)
{
    int error = fault_due(symbol, what);
    if (error == ECHILD && type != P_ALL)
        steal(type, id);
    return error == EINTR;
}

REAL(waitid, int, (idtype_t, id_t, siginfo_t *, int));
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    if (!is_stolen("waitid", NULL, (int)type, (int)id))
        return __real_waitid(type, id, info, options);
    errno = EINTR;
    return -1;
}

REAL(wait4, pid_t, (pid_t, int *, int, struct rusage *));
pid_t __wrap_wait4(pid_t pid, int *status, int options, struct rusage *usage);
pid_t __wrap_wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    if (!is_stolen("wait4", NULL, P_PID, pid))
        return __real_wait4(pid, status, options, usage);
    errno = EINTR;
    return -1;
}

static int due_of_system_call(long number, long first, long second)
{
    int error = 0;

    if (number == SYS_waitid && first == P_PIDFD_TYPE && second == INT_MAX)
        error = fault_due("syscall", "waitid probe");
    else if (number == SYS_waitid)
        error = is_stolen("syscall", "waitid", (int)first, (int)second) ? EINTR : 0;
    else if (number == SYS_pidfd_open && first == INT_MAX)
        error = fault_due("syscall", "pidfd_open probe");
    else if (number == SYS_pidfd_open)
        error = inside && fault_world == WORLD_WITHOUT_PIDFDS ? EMFILE : fault_due("syscall", "pidfd_open");
    else if (number == SYS_pidfd_send_signal)
        error = fault_due("syscall", "pidfd_send_signal");
    else if (number == SYS_tgkill)
        error = fault_due("syscall", "tgkill");
    if (error != ESRCH)
        return error;
    steal(number == SYS_pidfd_open ? P_PID : P_PIDFD_TYPE, (int)first);
    return 0;
}

REAL(syscall, long, (long, ...));
long __wrap_syscall(long number, ...);

static long answer(long number, const long a[6])
{
    errno = due_of_system_call(number, a[0], a[1]);
    return errno ? -1 : __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

READ_SIX_ARGUMENTS(__wrap_syscall, answer)
