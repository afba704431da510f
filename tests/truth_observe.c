/* SPDX-License-Identifier: MIT */
/* EXITFD_OBSERVE of own children: reported, never reaped. */
#include "life_support.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/time.h>

enum {
    OBSERVERS = 3
};

static void open_observers(struct exitfd *observers[OBSERVERS], pid_t pid)
{
    for (int i = 0; i < OBSERVERS; i++) {
        observers[i] = open_for_truth();
        CHECK_EQ(exitfd_add(observers[i], pid, EXITFD_OBSERVE, observers[i]), 0);
    }
}

TEST(observe, own_child_observers_first_then_the_owner)
{
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 61);
    struct exitfd *observers[OBSERVERS], *owner = open_for_truth();
    open_observers(observers, pid);
    CHECK_EQ(exitfd_add(owner, pid, 0, owner), 0);
    let_through(&gate, 1);
    for (int i = 0; i < OBSERVERS; i++)
        expect_peeked(observers[i], pid, CLD_EXITED, 61);
    CHECK(is_zombie(pid), "an observer reaped it");
    for (int i = 0; i < OBSERVERS; i++)
        expect_no_spin(observers[i]);
    struct exitfd_event event = wait_event(owner);
    expect_exited(&event, pid, 61, owner);
    for (int i = 0; i < OBSERVERS; i++) {
        expect_no_event(observers[i]);
        exitfd_close(observers[i]);
    }
    expect_quiet(owner);
    exitfd_close(owner);
    close_gate(&gate);
}

TEST(observe, own_child_the_owner_first_then_observers)
{
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 62);
    struct exitfd *observers[OBSERVERS], *owner = open_for_truth();
    open_observers(observers, pid);
    CHECK_EQ(exitfd_add(owner, pid, 0, owner), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(owner);
    expect_exited(&event, pid, 62, owner);
    for (int i = 0; i < OBSERVERS; i++) {
        event = wait_event(observers[i]);
        expect_stolen(&event, pid, CLD_EXITED, 62, observers[i]);
        expect_quiet(observers[i]);
        exitfd_close(observers[i]);
    }
    exitfd_close(owner);
    close_gate(&gate);
}

TEST(observe, own_child_waitpid_of_the_owner_still_works)
{
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, -SIGTERM);
    struct exitfd *observers[OBSERVERS];
    open_observers(observers, pid);
    let_through(&gate, 1);
    for (int i = 0; i < OBSERVERS; i++)
        expect_peeked(observers[i], pid, CLD_KILLED, SIGTERM);
    CHECK_EQ(reap(pid), SIGTERM);
    for (int i = 0; i < OBSERVERS; i++) {
        expect_no_spin(observers[i]);
        exitfd_close(observers[i]);
    }
    close_gate(&gate);
}

TEST(observe, own_child_that_is_a_zombie_already)
{
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(63);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), 0);
    expect_peeked(x, pid, CLD_EXITED, 63);
    expect_no_spin(x);
    reap(pid);
    exitfd_close(x);
}

static void expect_stop_reported(struct exitfd *x, pid_t pid)
{
    stop_child(pid);
    struct exitfd_event event = wait_event(x);
    CHECK(event.pid == pid && event.code == CLD_STOPPED && event.data == x); /* by which signal gVisor hides */
}

/* Without observers the owner takes the stops, and so can tell a new one from
   the last. */
TEST(observe, after_the_close_of_an_observer_of_stops_each_stop_of_another_child_is_reported)
{
    struct exitfd *observer = open_for_truth(), *owner = open_for_truth();
    pid_t observed = start_paused(), pid = start_paused();
    CHECK_EQ(exitfd_add(observer, observed, EXITFD_OBSERVE | EXITFD_STOPPED, observer), 0);
    CHECK_EQ(exitfd_add(owner, pid, EXITFD_STOPPED, owner), 0);
    exitfd_close(observer);
    for (int i = 0; i < 3; i++) {
        expect_stop_reported(owner, pid);
        continue_child(pid);
    }
    CHECK_EQ(exitfd_remove(owner, pid), 0);
    exitfd_close(owner);
    kill_and_reap(observed);
    kill_and_reap(pid);
}

/* A megabyte through the disk, which a file system in memory counts as
   nothing. */
static void write_and_read(int fd, char *buffer, size_t size)
{
    for (int i = 0; i < 16; i++)
        if (write(fd, buffer, size) != (ssize_t)size)
            _exit(97);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (off_t i = 0; i < 8; i++)
        if (pread(fd, buffer, size, i * (off_t)size) < 0)
            _exit(97);
}

/* What is preempted for a thread of the same processor: the more of it, the
   less the counts can be equal by chance. */
static void be_preempted(void)
{
    for (int i = 0; i < 200; i++)
        sched_yield();
}

static pid_t start_busy_child(int fd, const struct gate *gate, int blockings)
{
    static char buffer[65536];
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
    pid_t rival = fork();
    be_preempted();
    if (rival == 0)
        _exit(0);
    write_and_read(fd, buffer, sizeof(buffer));
    for (int i = 0; i < blockings; i++)
        wait_behind(gate);
    waitpid(rival, NULL, 0);
    _exit(64);
}

TEST(observe, own_child_with_all_of_its_rusage)
{
    enum {
        BLOCKINGS = 7
    };
    if (build_is_posix())
        SKIP("POSIX's waitid has no rusage");
    char path[] = "/var/tmp/exitfd-rusage-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    CHECK(fd >= 0, "%s: %s", path, strerror(errno));
    unlink(path);
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_busy_child(fd, &gate, BLOCKINGS);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), 0);
    let_through(&gate, BLOCKINGS);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 64, EXITFD_PEEKED, x);
    struct rusage wanted = { 0 };
    CHECK_EQ(wait4(pid, NULL, 0, &wanted), pid);
#define EXPECT_SAME(field) CHECK_EQ(event.rusage.field, wanted.field, #field)
    EXPECT_SAME(ru_maxrss);
    EXPECT_SAME(ru_minflt);
    EXPECT_SAME(ru_majflt);
    EXPECT_SAME(ru_inblock);
    EXPECT_SAME(ru_oublock);
#undef EXPECT_SAME
    /* A zombie that has not left its processor yet adds to these
       (findings/a-zombie-uses-more-time.sh). */
    CHECK(event.rusage.ru_nvcsw <= wanted.ru_nvcsw && event.rusage.ru_nvcsw + 1 >= wanted.ru_nvcsw);
    CHECK(event.rusage.ru_nivcsw <= wanted.ru_nivcsw);
    CHECK(timerisset(&event.rusage.ru_utime) || timerisset(&event.rusage.ru_stime));
    CHECK(!timercmp(&event.rusage.ru_utime, &wanted.ru_utime, >));
    CHECK(!timercmp(&event.rusage.ru_stime, &wanted.ru_stime, >));
    close(fd);
    close_gate(&gate);
    exitfd_close(x);
}
