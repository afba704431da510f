/* SPDX-License-Identifier: MIT */
/*
 * How many system calls a watched child costs in its life: no more than the
 * table below says, however many others live. Times are for the benchmark; a
 * count repeats, so this is what fails when the library grows dearer. When it
 * grows cheaper, lower the table.
 *
 * Counted by standing in for the libc functions by which the library reaches
 * the kernel. cost-imports fails when it comes to import one that is neither
 * counted here nor known to make no system call.
 */
#include "stand_in.h"
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_INSTRUMENTED true
#endif
#endif
#ifndef IS_INSTRUMENTED
#define IS_INSTRUMENTED false
#endif

extern void __gcov_dump(void) __attribute__((weak)); /* with ci/coverage */

struct io_uring;
struct io_uring_cqe;

struct cost {
    int add;     /* exitfd_add */
    int collect; /* the exitfd_wait with time-out 0 that gives the event */
    int sleep;   /* what it costs more without a time-out, where the event comes while it sleeps */
    int next;    /* each further event that the same exitfd_wait gives */
    int look;    /* an exitfd_wait that finds nothing */
    int spawn; /* exitfd_spawn, besides clone or posix_spawnp; with the child's own ones before its exec, where its memory is
                    shared, and with the signal handler if the child is that quick */
};

static struct cost allowed(void)
{
    if (backend_is("pidfd"))
        return (struct cost){ .add = 3, .collect = 3, .sleep = 1, .next = 2, .look = 1, .spawn = 6 };
    if (backend_is("io_uring"))
        return (struct cost){ .add = 3, .collect = 4, .sleep = 1, .next = 2, .look = 2, .spawn = 6 };
    /* The first and the last child start and stop the look of each second. */
    if (backend_is("signalfd"))
        return (struct cost){ .add = 5, .collect = 12, .sleep = 1, .next = 2, .look = 5, .spawn = 4 };
    /*
     * Without MADV_WIPEONFORK each function asks for the pid, to notice a fork,
     * and a take does so before and after: a signal handler may have forked.
     * tgkill is Linux's. The signal handler costs four, wherever it runs.
     */
    if (build_is_posix())
        return (struct cost){ .add = 4, .collect = 12, .sleep = 6, .next = 2, .look = 7, .spawn = 9 };
    /* The timer of the look each second is started and stopped, as above, and
       read. */
    return (struct cost){ .add = 5, .collect = 11, .sleep = 5, .next = 2, .look = 5, .spawn = 8 };
}

/* Of the thread that counts only: Criterion has another one. */
static _Thread_local struct {
    bool on;
    int calls;
    char names[1024];
} counter;

static void count_call(const char *name, long number)
{
    if (!counter.on)
        return;
    size_t used = strlen(counter.names);
    counter.calls++;
    snprintf(counter.names + used, sizeof counter.names - used, number < 0 ? " %s" : " %s(%ld)", name, number);
}

#define CALL_NEXT(name, number, ...)                                                                                   \
    FIND_NEXT(name);                                                                                                   \
    count_call(#name, number);                                                                                         \
    return next(__VA_ARGS__)

#define STAND_IN(name, type, parameters, ...)                                                                          \
    type name parameters                                                                                               \
    {                                                                                                                  \
        CALL_NEXT(name, -1, __VA_ARGS__);                                                                              \
    }

STAND_IN(close, int, (int fd), fd)
STAND_IN(epoll_ctl, int, (int set, int operation, int fd, struct epoll_event *event), set, operation, fd, event)
STAND_IN(epoll_wait, int, (int set, struct epoll_event *events, int max, int timeout), set, events, max, timeout)
STAND_IN(getpid, pid_t, (void), )
STAND_IN(getrusage, int, (__rusage_who_t who, struct rusage *usage), who, usage)
STAND_IN(io_uring_submit, int, (struct io_uring * ring), ring)
STAND_IN(io_uring_submit_and_get_events, int, (struct io_uring * ring), ring)
STAND_IN(kill, int, (pid_t pid, int signum), pid, signum)
STAND_IN(poll, int, (struct pollfd * fds, nfds_t n, int timeout), fds, n, timeout)
STAND_IN(pthread_sigmask, int, (int how, const sigset_t *set, sigset_t *old), how, set, old)
STAND_IN(read, ssize_t, (int fd, void *buffer, size_t size), fd, buffer, size)
STAND_IN(sigaction, int, (int signum, const struct sigaction *action, struct sigaction *old), signum, action, old)
STAND_IN(wait4, pid_t, (pid_t pid, int *status, int options, struct rusage *usage), pid, status, options, usage)
STAND_IN(waitid, int, (idtype_t type, id_t id, siginfo_t *info, int options), type, id, info, options)
STAND_IN(write, ssize_t, (int fd, const void *buffer, size_t size), fd, buffer, size)

/* Counted, but never armed: a look that the timer asks for would come into a
   count by chance. */
int timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *old)
{
    static const struct itimerspec never = { 0 };
    (void)time;
    CALL_NEXT(timerfd_settime, -1, fd, flags, &never, old);
}

/* Where nothing is ready it may, and counts as if it did, enter the kernel. */
STAND_IN(__io_uring_get_cqe, int,
         (struct io_uring * ring, struct io_uring_cqe **cqe, unsigned submit, unsigned wait_nr, sigset_t *mask), ring,
         cqe, submit, wait_nr, mask)

int fstatfs(int fd, struct statfs *buffer)
{
    CALL_NEXT(fstatfs, -1, fd, buffer);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    CALL_NEXT(fcntl, command, fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    CALL_NEXT(ioctl, -1, fd, request, argument);
}

STAND_IN_FOR_SYSCALL(count_system_call)

static long count_system_call(long number, const long a[6])
{
    count_call("syscall", number);
    return next_syscall(number, a);
}

static void start_counting(void)
{
    counter.calls = 0;
    counter.names[0] = '\0';
    counter.on = true;
}

static void stop_counting(void)
{
    counter.on = false;
}

static void expect_at_most(int limit, const char *what)
{
    CHECK(counter.calls <= limit, "%s costs %d system calls, %d are allowed:%s", what, counter.calls, limit,
          counter.names);
}

static void watch(struct exitfd *x, pid_t pid)
{
    start_counting();
    int error = exitfd_add(x, pid, 0, NULL);
    stop_counting();
    expect_at_most(allowed().add, "exitfd_add");
    CHECK_EQ(error, 0);
}

static void collect(struct exitfd *x, int children, int timeout, int also_allowed)
{
    struct exitfd_event events[16];

    start_counting();
    int found = exitfd_wait(x, events, 16, timeout);
    stop_counting();
    expect_at_most(allowed().collect + (children - 1) * allowed().next + also_allowed, "exitfd_wait");
    CHECK_EQ(found, children, "%d events instead of %d", found, children);
}

static void live(struct exitfd *x, int children)
{
    struct gate gate = open_gate();
    pid_t pids[16];

    for (int i = 0; i < children; i++)
        watch(x, pids[i] = start_child(&gate, i));
    let_through(&gate, children);
    for (int i = 0; i < children; i++)
        wait_until_zombie(pids[i]);
    collect(x, children, 0, 0);
    close_gate(&gate);
}

TEST(cost, one_life)
{
    struct exitfd *x = open_exitfd();

    live(x, 1);
    live(x, 1);
    exitfd_close(x);
}

struct late_exit {
    pid_t waiting_tid;
    const struct gate *gate;
};

static void *let_through_once_it_sleeps(void *arg)
{
    const struct late_exit *exit = arg;

    if (wait_until_asleep(exit->waiting_tid))
        let_through(exit->gate, 1);
    return NULL;
}

TEST(cost, one_that_exits_while_the_wait_sleeps)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct late_exit exit = { .waiting_tid = own_tid(), .gate = &gate };
    pthread_t thread;

    watch(x, start_child(&gate, 0));
    CHECK_EQ(pthread_create(&thread, NULL, let_through_once_it_sleeps, &exit), 0);
    collect(x, 1, -1, allowed().sleep);
    pthread_join(thread, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(cost, ten_that_are_collected_together)
{
    struct exitfd *x = open_exitfd();

    live(x, 10);
    exitfd_close(x);
}

TEST(cost, one_life_among_many)
{
    enum {
        OTHERS = 100
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event events[OTHERS];

    for (int i = 0; i < OTHERS; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
    live(x, 1);
    live(x, 1);
    let_through(&gate, OTHERS);
    wait_events(x, events, OTHERS);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(cost, looking_while_nothing_happened)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event event;

    watch(x, start_child(&gate, 0));
    expect_no_event(x);
    start_counting();
    int found = exitfd_wait(x, &event, 1, 0);
    stop_counting();
    expect_at_most(allowed().look, "exitfd_wait with nothing to give");
    CHECK_EQ(found, 0);
    let_through(&gate, 1);
    wait_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

/*
 * After a fork the first write to a page costs a page fault, for as long as the
 * child lives. None of that is for a page of the library's own. The stack and
 * what libc keeps of a thread any code writes to: so the test does it first.
 */
static __attribute__((noinline)) void write_to_what_any_code_writes_to(struct exitfd_event *event)
{
    volatile char stack[65536];
    int state;

    for (size_t i = 0; i < sizeof(stack); i += 1024)
        stack[i] = 0;
    memset(event, 0, sizeof(*event));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setcancelstate(state, &state);
    start_counting();
    stop_counting();
}

/* Twice: the answer may cross a page that the fork has shared, and only the
   second one does not cost a fault itself. */
static long page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_THREAD, &usage);
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

static long faults_of_add(struct exitfd *x, pid_t forked, struct exitfd_event *event)
{
    write_to_what_any_code_writes_to(event);
    long before = page_faults();
    int error = exitfd_add(x, forked, 0, NULL);
    long faults = page_faults() - before;
    CHECK_EQ(error, 0);
    return faults;
}

static long faults_of_wait(struct exitfd *x, pid_t dead, struct exitfd_event *event)
{
    write_to_what_any_code_writes_to(event);
    long before = page_faults();
    int found = exitfd_wait(x, event, 1, 0);
    long faults = page_faults() - before;
    CHECK_EQ(found, 1);
    CHECK_EQ(event->pid, dead);
    return faults;
}

/* Valgrind, gVisor and qemu-user may not wipe it. A sanitizer and gcov write to
   memory of their own at each turn. */
static bool faults_can_be_counted(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool advised = page != MAP_FAILED && madvise(page, size, MADV_WIPEONFORK) == 0;

    CHECK(page != MAP_FAILED, "mmap: %s", strerror(errno));
    *page = 1;
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(*page);
    int status = reap(pid);
    munmap(page, size);
    return advised && status == 0 && !IS_INSTRUMENTED && &__gcov_dump == NULL;
}

/* A shared page is a fault for each child. The kernel may take a page at any
   time, and that is a few faults in all. */
TEST(cost, no_page_of_ours_is_shared_with_a_forked_child)
{
    enum {
        CHILDREN = 20,
        OF_THE_KERNEL = CHILDREN / 2
    };
    struct exitfd_event event;
    long adds = 0, waits = 0;

    if (build_is_posix() || !(backend_is("pidfd") || backend_is("io_uring")))
        SKIP("SIGCHLD is for a handler, whose memory a forked child shares");
    if (!faults_can_be_counted())
        SKIP("page faults of the library's own cannot be kept apart from others here");
    struct exitfd *x = open_exitfd();
    for (int i = 0; i <= CHILDREN; i++) {
        struct gate gate = open_gate(), bystanders = open_gate();
        pid_t pid = start_child(&gate, 0);
        long add = faults_of_add(x, pid, &event);
        let_through(&gate, 1);
        wait_until_zombie(pid);
        pid_t bystander = start_child(&bystanders, 0); /* the fork that counts for the wait */
        long wait = faults_of_wait(x, pid, &event);
        let_through(&bystanders, 1);
        reap(bystander);
        close_gate(&gate);
        close_gate(&bystanders);
        adds += i > 0 ? add : 0; /* the first child finds memory that was never written to */
        waits += i > 0 ? wait : 0;
    }
    CHECK(adds < OF_THE_KERNEL, "%ld page faults in %d adds", adds, CHILDREN);
    CHECK(waits < OF_THE_KERNEL, "%ld page faults in %d waits", waits, CHILDREN);
    exitfd_close(x);
}

/*
 * Before a fork the handlers run in the reverse of their order, and after it in
 * their order. So those of the library run between these two pairs, of which
 * one is there before the library is loaded.
 */
static struct {
    bool on;
    long before, faults;
} handlers;

static void begin_count(void)
{
    struct exitfd_event event;

    if (!handlers.on)
        return;
    write_to_what_any_code_writes_to(&event);
    handlers.before = page_faults();
}

static void end_count(void)
{
    if (handlers.on)
        handlers.faults += page_faults() - handlers.before;
}

static void surround_from_outside(void)
{
    pthread_atfork(end_count, begin_count, NULL);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all_others)(void) = surround_from_outside;

TEST(cost, no_page_that_the_handlers_of_a_fork_write_to_is_shared_with_its_child)
{
    enum {
        FORKS = 20,
        OF_THE_KERNEL = FORKS / 10
    };

    if (build_is_posix())
        SKIP("there all memory is shared with a forked child");
    if (!faults_can_be_counted())
        SKIP("page faults of the library's own cannot be kept apart from others here");
    CHECK_EQ(pthread_atfork(begin_count, end_count, NULL), 0);
    struct exitfd *x = open_exitfd();
    for (int i = 0; i <= FORKS; i++) {
        struct gate gate = open_gate();
        handlers.on = i > 0;
        pid_t pid = start_child(&gate, 0);
        handlers.on = false;
        let_through(&gate, 1);
        reap(pid);
        close_gate(&gate);
    }
    CHECK(handlers.faults <= OF_THE_KERNEL, "%ld page faults in %d forks", handlers.faults, FORKS);
    exitfd_close(x);
}

/* The second one: the first start of a process finds out what the kernel can
   do. */
TEST(cost, spawned_life)
{
    struct exitfd *x = open_exitfd();
    char *first[] = { "true", NULL }, *argv[] = { "sleep", "1000", NULL };
    pid_t pid;

    CHECK_EQ(exitfd_spawn(x, &pid, first[0], NULL, NULL, first, environ, 0, NULL), 0);
    wait_until_zombie(pid);
    wait_event(x);
    start_counting();
    int error = exitfd_spawn(x, &pid, argv[0], NULL, NULL, argv, environ, 0, NULL); /* no exit comes between */
    stop_counting();
    expect_at_most(allowed().spawn, "exitfd_spawn");
    CHECK_EQ(error, 0);
    kill(pid, SIGTERM);
    wait_until_zombie(pid);
    collect(x, 1, 0, 0);
    exitfd_close(x);
}
