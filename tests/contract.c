/* SPDX-License-Identifier: MIT */
/* What an event says, and that each exit gives exactly one. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

static void report_exit_status(int status)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(status);
    add_child(x, pid, 0, &pid);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, status, &pid);
    CHECK(!is_child(pid), "reported but not reaped");
    expect_quiet(x);
    exitfd_close(x);
}

TEST(contract, exit_status_0)
{
    report_exit_status(0);
}

TEST(contract, exit_status_1)
{
    report_exit_status(1);
}

TEST(contract, exit_status_255)
{
    report_exit_status(255);
}

static void report_death_by(int sig)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_killed(sig);
    add_child(x, pid, 0, NULL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, sig, EXITFD_REAPED, NULL);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(contract, death_by_sigkill)
{
    report_death_by(SIGKILL);
}

TEST(contract, death_by_sigterm)
{
    report_death_by(SIGTERM);
}

TEST(contract, death_by_a_real_time_signal)
{
    report_death_by(SIGRTMAX);
}

static void empty_and_remove(const char *directory)
{
    DIR *dir = opendir(directory);
    CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            CHECK_EQ(unlinkat(dirfd(dir), entry->d_name, 0), 0, "%s: %s", entry->d_name, strerror(errno));
    closedir(dir);
    CHECK_EQ(rmdir(directory), 0);
}

/* A shell, for the core of a program built with a sanitizer is huge. */
static pid_t start_core_dumper(const char *directory)
{
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
    if (chdir(directory) == 0)
        execl("/bin/sh", "sh", "-c", "kill -ABRT $$", (char *)NULL);
    _exit(97);
}

TEST(contract, core_dump_flag_set_when_the_kernel_dumped)
{
    char directory[] = "/tmp/exitfd-core-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    int twin_status = reap(start_core_dumper(directory));
    CHECK(WIFSIGNALED(twin_status) && WTERMSIG(twin_status) == SIGABRT, "status %#x", twin_status);
    if (!WCOREDUMP(twin_status)) {
        empty_and_remove(directory);
        SKIP("no core dumps here: RLIMIT_CORE or kernel.core_pattern forbids them");
    }

    struct exitfd *x = open_exitfd();
    pid_t pid = start_core_dumper(directory);
    add_child(x, pid, 0, NULL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_DUMPED, SIGABRT, EXITFD_REAPED, NULL);
    exitfd_close(x);
    empty_and_remove(directory);
}

#ifdef __linux__
TEST(contract, core_dump_flag_clear_when_it_did_not)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = fork_guarded();
    if (pid == 0) {
        prctl(PR_SET_DUMPABLE, 0);
        kill(getpid(), SIGABRT);
        _exit(97);
    }
    add_child(x, pid, 0, NULL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGABRT, EXITFD_REAPED, NULL);
    exitfd_close(x);
}
#endif

static long long used_us(const struct rusage *usage)
{
    return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000LL + usage->ru_utime.tv_usec +
           usage->ru_stime.tv_usec;
}

TEST(contract, rusage_is_that_of_the_child)
{
    enum {
        used_mb = 64,
        burnt_us = 30000
    };
    struct exitfd *x = open_exitfd();
    pid_t heavy = fork_guarded();
    if (heavy == 0) {
        char *memory =
            mmap(NULL, used_mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        struct rusage usage;
        do
            getrusage(RUSAGE_SELF, &usage);
        while (used_us(&usage) < burnt_us);
        _exit(memory == MAP_FAILED ? 97 : 0);
    }
    wait_until_zombie(heavy);
    pid_t light = start_child_exit(0);
    wait_until_zombie(light);
    add_child(x, heavy, 0, NULL);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, heavy, 0, NULL);
    CHECK(used_us(&event.rusage) >= burnt_us);
    CHECK(event.rusage.ru_maxrss >= (used_mb << 10));

    add_child(x, light, 0, NULL);
    event = wait_event(x);
    expect_exited(&event, light, 0, NULL);
    CHECK(event.rusage.ru_maxrss > 0);
    CHECK(event.rusage.ru_maxrss < (used_mb << 10), "the rusage of all children, not of this one");
    exitfd_close(x);
}

TEST(contract, child_dead_before_the_add)
{
    enum {
        children = 20
    };
    pid_t pids[children];
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < children; i++) {
        pids[i] = start_child_exit(i);
        wait_until_zombie(pids[i]);
    }
    for (int i = 0; i < children; i++) {
        add_child(x, pids[i], 0, &pids[i]);
        wait_readable(exitfd_get_fd(x));
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pids[i], i, &pids[i]);
        expect_quiet(x);
    }
    exitfd_close(x);
}

/* data is the child's place in pids, and the status follows from it. */
static void check_off(const struct exitfd_event *event, pid_t *pids, int children)
{
    intptr_t place = (intptr_t)event->data;
    CHECK(place >= 0 && place < children, "data %d", (int)place);
    CHECK(pids[place] != 0, "child %d of %d reported twice", (int)place, children);
    expect_exited(event, pids[place], (int)(place % 251), (const void *)place);
    pids[place] = 0;
}

static void report_all_at_once(int children)
{
    raise_fd_limit();
    pid_t *pids = calloc((size_t)children, sizeof(*pids));
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    for (intptr_t i = 0; i < children; i++) {
        pids[i] = start_light_child(&gate, (int)(i % 251));
        add_child(x, pids[i], 0, (void *)i);
    }
    expect_quiet(x);
    let_through(&gate, children);

    struct exitfd_event events[64];
    for (int got = 0; got < children;) {
        wait_readable(exitfd_get_fd(x));
        int n = exitfd_wait(x, events, 64, 0);
        CHECK(n >= 0, "exitfd_wait: %s", strerror(-n));
        for (int i = 0; i < n; i++)
            check_off(&events[i], pids, children);
        got += n;
    }
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
    free(pids);
}

TEST(contract, one_at_once)
{
    report_all_at_once(1);
}

TEST(contract, hundred_at_once)
{
    report_all_at_once(100);
}

TEST(contract, three_thousand_at_once)
{
    report_all_at_once(3000);
}

TEST(contract, every_zombie_of_a_coalesced_sigchld)
{
    enum {
        children = 50
    };
    pid_t pids[children];
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    for (intptr_t i = 0; i < children; i++) {
        pids[i] = start_child(&gate, (int)i);
        add_child(x, pids[i], 0, (void *)i);
    }
    let_through(&gate, children);
    for (int i = 0; i < children; i++)
        wait_until_zombie(pids[i]);
    struct exitfd_event events[children];
    wait_events(x, events, children);
    for (int i = 0; i < children; i++)
        check_off(&events[i], pids, children);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(contract, unread_events_keep_the_fd_readable_whatever_max_is)
{
    enum {
        children = 10
    };
    pid_t pids[children];
    struct exitfd *x = open_exitfd();
    for (intptr_t i = 0; i < children; i++) {
        pids[i] = start_child_exit((int)i);
        add_child(x, pids[i], 0, (void *)i);
    }
    for (int i = 0; i < children; i++)
        wait_until_zombie(pids[i]);
    for (int taken = 0; taken < children;) {
        wait_readable(exitfd_get_fd(x));
        CHECK(is_readable(exitfd_get_fd(x)), "only the first poll after an exit sees it");
        struct exitfd_event events[3];
        int n = exitfd_wait(x, events, 3, 0);
        CHECK(n >= 1 && n <= 3, "exitfd_wait: %d with %d events due", n, children - taken);
        for (int i = 0; i < n; i++)
            check_off(&events[i], pids, children);
        taken += n;
    }
    expect_quiet(x);
    exitfd_close(x);
}

TEST(contract, reaped_only_on_delivery)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(5);
    add_child(x, pid, 0, NULL);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    CHECK(is_zombie(pid), "reaped before anybody took the event");
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    CHECK(!is_child(pid), "reported but not reaped");
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT, "still watched after its event");
    exitfd_close(x);
}

TEST(contract, events_of_a_batch_beyond_max_are_not_reaped_yet)
{
    struct exitfd *x = open_exitfd();
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = start_child_exit(0);
        add_child(x, pids[i], 0, NULL);
        wait_until_zombie(pids[i]);
    }
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    pid_t other = event.pid == pids[0] ? pids[1] : pids[0];
    CHECK(is_zombie(other), "reaped before its event was taken");
    event = wait_event(x);
    expect_exited(&event, other, 0, NULL);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(contract, one_exitfd_for_generations_of_children)
{
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 300; i++) {
        pid_t pid = start_child_exit(i % 256);
        add_child(x, pid, 0, NULL);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, i % 256, NULL);
    }
    expect_quiet(x);
    exitfd_close(x);
}
