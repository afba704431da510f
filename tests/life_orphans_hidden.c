/* SPDX-License-Identifier: MIT */
/* Orphans that are not seen at once: for want of room, or behind the zombie of a watched child. */
#include "life_support.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct exitfd *open_any_watch(void)
{
    become_subreaper();
    struct exitfd *x = open_exitfd();
    expect_result(exitfd_add(x, -1, 0, x), 0);
    return x;
}

/* As many events as there is room for, and one more is due: the fd says so. */
static void expect_orphan_after(int children)
{
    static struct exitfd_event events[256];
    struct exitfd *x = open_any_watch();
    struct gate gate = open_gate();
    pid_t *pids = calloc((size_t)children, sizeof(pid_t));
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, 1);
        expect_result(exitfd_add(x, pids[i], 0, &gate), 0);
    }
    pid_t orphan = start_orphan(&gate, 1);
    let_through(&gate, children + 1);
    for (int i = 0; i < children; i++)
        wait_until_zombie(pids[i]);
    wait_until_zombie(orphan);
    int orphans = 0;
    for (int got = 0; got < children + 1;) {
        wait_readable(exitfd_get_fd(x));
        int n = exitfd_wait(x, events, children, 0);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++)
            orphans += events[i].data == x;
        got += n;
    }
    cr_assert_eq(orphans, 1);
    expect_settled(x);
    free(pids);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(orphans_hidden, one_for_which_exitfd_wait_had_no_room_keeps_the_fd_readable)
{
    const int sizes[] = { 1, 2, 16, 63, 64, 100, 128, 200 };
    raise_fd_limit();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        expect_orphan_after(sizes[i]);
}

/* The look at the front of the queue may come before or after the zombie there is reaped, without an event. */
static void expect_found_behind(struct exitfd *x, struct exitfd *y, bool look_first)
{
    struct exitfd_event event;
    pid_t in_front = start_paused();
    expect_result(exitfd_add(y, in_front, 0, y), 0);
    expect_result(exitfd_discard(y, in_front), 0);
    kill(in_front, SIGKILL);
    wait_until_zombie(in_front);
    pid_t orphan = start_orphan(NULL, 35);
    wait_until_zombie(orphan);
    int early = look_first ? exitfd_wait(x, &event, 1, 0) : 0;
    cr_assert_geq(early, 0);
    wait_readable(exitfd_get_fd(y));
    while (is_child(in_front))
        expect_no_event(y);
    if (early == 0)
        event = wait_event(x);
    expect_exited(&event, orphan, 35, x);
    expect_settled(x);
}

TEST(orphans_hidden, one_behind_a_discarded_zombie_is_found_once_that_is_gone)
{
    struct exitfd *x = open_any_watch(), *y = open_exitfd();
    expect_found_behind(x, y, true);
    expect_found_behind(x, y, false);
    exitfd_close(y);
    exitfd_close(x);
}

/* As of a kernel without CONFIG_PROC_CHILDREN. */
static void hide_lists_of_children(void)
{
    char path[64];
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        _exit(CHECK_SKIPPED);
    CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
    CHECK(mkdir("/proc/self", 0755) == 0 && mkdir("/proc/self/task", 0755) == 0);
    snprintf(path, sizeof(path), "/proc/self/task/%d", (int)getpid());
    CHECK(mkdir(path, 0755) == 0);
}

static pid_t fork_exit(int status)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(status);
    CHECK(pid > 0);
    return pid;
}

static void see_dead(pid_t pid)
{
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
}

static struct exitfd_event take_event(struct exitfd *x)
{
    struct exitfd_event event = { .pid = 0 };
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    while (poll(&item, 1, DEADLINE_MS) != 0)
        if (exitfd_wait(x, &event, 1, 0) == 1)
            return event;
    CHECK(!"no event");
    return event;
}

static void find_behind_without_lists(void)
{
    struct exitfd *x, *y;
    struct exitfd_event event;
    hide_lists_of_children();
    CHECK(exitfd_open(&x, 0) == 0 && exitfd_open(&y, 0) == 0);
    CHECK(exitfd_add(x, -1, 0, x) == 0);
    pid_t in_front = fork_exit(1);
    CHECK(exitfd_add(y, in_front, 0, y) == 0);
    see_dead(in_front);
    pid_t orphan = fork_exit(2);
    see_dead(orphan);
    int early = exitfd_wait(x, &event, 1, 0);
    CHECK(early >= 0);
    CHECK(take_event(y).pid == in_front);
    if (early == 0)
        event = take_event(x);
    CHECK(event.pid == orphan && event.status == 2 && event.data == x);
}

TEST(orphans_hidden, without_lists_of_children_one_behind_a_zombie_is_found_once_that_is_gone)
{
    exitfd_close(open_exitfd());
    run_in_process(find_behind_without_lists, "unshare(CLONE_NEWNS) is not permitted here");
}

struct looker {
    struct exitfd *x;
    atomic_bool stop;
};

static _Thread_local int locks_held;
static atomic_bool holds_two;

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*next)(pthread_mutex_t *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    locks_held++;
    return next(mutex);
}

/* Who looks for orphans, its own lock held, and asks another exitfd whom it watches, takes its time. */
int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    static int (*next)(pthread_mutex_t *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    bool lingers = locks_held-- == 2;
    if (lingers)
        atomic_store(&holds_two, true);
    for (int i = 0; lingers && i < 20; i++)
        sched_yield();
    return next(mutex);
}

static void *look_all_the_time(void *argument)
{
    struct looker *looker = argument;
    struct exitfd_event event;
    while (!atomic_load(&looker->stop))
        exitfd_wait(looker->x, &event, 1, 1);
    return NULL;
}

/* Leaks are what the check around each test finds. */
TEST(orphans_hidden, an_exitfd_closed_while_another_asks_whom_it_watches_leaks_nothing)
{
    enum {
        ZOMBIES = 5,
        ROUNDS = 200
    };
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to the thread that opened it");
    struct looker looker = { .x = open_exitfd() };
    struct exitfd *keeper = open_exitfd();
    pid_t zombies[ZOMBIES];
    for (int i = 0; i < ZOMBIES; i++) {
        zombies[i] = start_child_exit(0);
        expect_result(exitfd_add(keeper, zombies[i], 0, NULL), 0);
        wait_until_zombie(zombies[i]);
    }
    pid_t watched = start_paused();
    expect_result(exitfd_add(looker.x, -1, 0, NULL), 0);
    struct helper helper = start_helper(look_all_the_time, &looker);
    for (int i = 0; i < ROUNDS; i++) {
        struct exitfd *y = open_exitfd();
        expect_result(exitfd_add(y, watched, EXITFD_OBSERVE, NULL), 0);
        expect_result(exitfd_add(y, zombies[0], EXITFD_OBSERVE, NULL), 0);
        atomic_store(&holds_two, false);
        expect_result(exitfd_remove(y, zombies[0]), 0); /* so the other one looks */
        while (!atomic_load(&holds_two))
            sched_yield();
        exitfd_close(y);
    }
    atomic_store(&looker.stop, true);
    join_helper(&helper);
    exitfd_close(looker.x);
    exitfd_close(keeper);
    for (int i = 0; i < ZOMBIES; i++)
        reap(zombies[i]);
    kill_and_reap(watched);
}
