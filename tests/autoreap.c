/* SPDX-License-Identifier: MIT */
/* Children of clone3(2) that leave no zombie, or die with their pidfd (Linux
   7.1), and what a core dump tells (Linux 6.19). */
#include "life_support.h"

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

#define MANY 20

enum {
    LEAVES_NO_ZOMBIE = 1,   /* CLONE_AUTOREAP */
    DIES_WITH_ITS_PIDFD = 7 /* and CLONE_NNP, CLONE_PIDFD_AUTOKILL */
};

static struct exitfd *open_with_autoreap(void)
{
    if (!have_autoreap())
        SKIP("CLONE_AUTOREAP takes Linux 7.1");
    return open_for_truth();
}

static pid_t clone_child(uint64_t kind, int *pidfd)
{
    uint64_t arguments[11] = { 0x1000 | kind << 34, (uintptr_t)pidfd };
    pid_t pid = (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);
    CHECK(pid >= 0, "clone3: %s", strerror(errno));
    return pid;
}

/* It has executed a program, which does nothing until it is killed. */
static pid_t start_program(int *pidfd)
{
    int executed[2];
    char byte;
    CHECK_EQ(pipe2(executed, O_CLOEXEC), 0);
    pid_t pid = clone_child(LEAVES_NO_ZOMBIE, pidfd);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("sleep", "sleep", "300", (char *)NULL);
        _exit(1);
    }
    close(executed[1]);
    CHECK_EQ(read(executed[0], &byte, 1), 0);
    close(executed[0]);
    return pid;
}

static void wait_until_gone(pid_t pid)
{
    while (kill(pid, 0) == 0)
        sched_yield();
}

TEST(autoreap, one_that_has_exited_before_the_add)
{
    struct exitfd *x = open_with_autoreap();
    for (int i = 0; i < MANY; i++) {
        int pidfd;
        pid_t pid = clone_child(LEAVES_NO_ZOMBIE, &pidfd);
        if (pid == 0)
            _exit(7);
        wait_until_gone(pid);
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
        close(pidfd);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, 0, CLD_EXITED, 7, EXITFD_RECORDED, x);
    }
    expect_quiet(x);
    exitfd_close(x);
}

/* It is between its exit and the end of it when it is added: nobody waits for
   it. */
TEST(autoreap, one_that_exits_meanwhile)
{
    struct exitfd *x = open_with_autoreap();
    if (!tracks_by_pidfd()) {
        exitfd_close(x);
        SKIP("a SIGCHLD back end: this child sends none");
    }
    for (int i = 0; i < stress_rounds(); i++) {
        int pidfd;
        pid_t pid = clone_child(LEAVES_NO_ZOMBIE, &pidfd);
        if (pid == 0)
            _exit(7);
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
        close(pidfd);
        struct exitfd_event event = wait_event(x);
        CHECK(event.pid == pid || event.pid == 0);
        expect_event(&event, event.pid, CLD_EXITED, 7, EXITFD_RECORDED, x);
    }
    expect_quiet(x);
    exitfd_close(x);
}

/* Without a pidfd there is no SIGCHLD, no zombie and no count. They are found
   by a look, all by the same one. */
TEST(autoreap, many_that_end_at_once)
{
    struct exitfd *x = open_with_autoreap();
    struct exitfd_event events[MANY];
    pid_t pids[MANY];
    int told = 0;
    for (int i = 0; i < MANY; i++) {
        int pidfd;
        pids[i] = start_program(&pidfd);
        CHECK_EQ(exitfd_add(x, pids[i], 0, x), 0);
        close(pidfd);
    }
    expect_quiet_soon(x);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(kill(pids[i], SIGTERM), 0);
    for (int i = 0; i < MANY; i++)
        wait_until_gone(pids[i]);
    wait_readable(exitfd_get_fd(x));
    while (is_readable(exitfd_get_fd(x))) {
        int count = exitfd_wait(x, events, 7, 0);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++)
            if (tracks_by_pidfd())
                expect_event(&events[i], events[i].pid, CLD_KILLED, SIGTERM, EXITFD_RECORDED, x);
            else
                expect_unknown(&events[i], events[i].pid, x);
        told += count;
    }
    CHECK_EQ(told, MANY);
    exitfd_close(x);
}

static pid_t start_mortal(int *pidfd)
{
    pid_t pid = clone_child(DIES_WITH_ITS_PIDFD, pidfd);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static struct exitfd *open_for_mortals(void)
{
    struct exitfd *x = open_with_autoreap();
    if (tracks_by_pidfd())
        return x;
    exitfd_close(x);
    SKIP("a SIGCHLD back end: this child sends none");
    return NULL;
}

TEST(autoreap, a_watch_has_no_share_in_the_life_of_a_child)
{
    struct exitfd *x = open_for_mortals();
    int pidfd;
    pid_t pid = start_mortal(&pidfd);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
    close(pidfd);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_RECORDED, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(autoreap, to_end_the_watch_kills_nobody)
{
    struct exitfd *x = open_for_mortals();
    int pidfd, another;
    pid_t pid = start_mortal(&pidfd), second = start_mortal(&another);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
    CHECK_EQ(exitfd_add_pidfd(x, another, 0, x), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_no_event(x);
    exitfd_close(x);
    CHECK_EQ(kill(pid, 0), 0);
    CHECK_EQ(kill(second, 0), 0);
    close(pidfd);
    close(another);
    wait_until_gone(pid);
    wait_until_gone(second);
}

/* A socket at which no dump is read, so that none ends. */
static int open_core_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    unlink(path);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(fd, 1), 0);
    return fd;
}

static void core_pattern(int (*function)(int, char *, size_t), int flags, char *text, size_t size)
{
    int fd = open("/proc/sys/kernel/core_pattern", flags | O_CLOEXEC);
    CHECK(fd >= 0 && function(fd, text, size) == 0, "core_pattern: %s", strerror(errno));
    close(fd);
}

static int get_text(int fd, char *text, size_t size)
{
    ssize_t got = read(fd, text, size - 1);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? 0 : -1;
}

static int put_text(int fd, char *text, size_t size)
{
    (void)size;
    return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static pid_t start_dumping(int server, int *connection)
{
    pid_t pid = fork_guarded();
    if (pid == 0) {
        const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
        const size_t size = 16 << 20;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, size); /* more than fits into a socket */
        setrlimit(RLIMIT_CORE, &all);
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        _exit(1);
    }
    *connection = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    return pid;
}

static void expect_killed_in_a_dump(struct exitfd *x, unsigned flags, int server)
{
    int connection;
    pid_t pid = start_dumping(server, &connection);
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    expect_no_event(x);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, flags ? EXITFD_PEEKED : EXITFD_REAPED, x);
    CHECK_EQ(event.crash_signal, tracks_by_pidfd() ? SIGSEGV : 0);
    close(connection);
    if (flags)
        reap(pid);
}

/* The record has the signal too. */
static void expect_recorded_in_a_dump(struct exitfd *x, int server)
{
    int connection;
    pid_t pid = start_dumping(server, &connection);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    reap(pid);
    struct exitfd_event event = wait_event(x);
    if (tracks_by_pidfd())
        expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_RECORDED, x);
    else
        expect_unknown(&event, pid, x);
    CHECK_EQ(event.crash_signal, tracks_by_pidfd() ? SIGSEGV : 0);
    close(connection);
}

static void expect_recorded_before_the_add(struct exitfd *x, int server)
{
    int connection;
    pid_t pid = start_dumping(server, &connection);
    int pidfd = open_pidfd(pid);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    reap(pid);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, 0, CLD_KILLED, SIGKILL, EXITFD_RECORDED, x);
    CHECK_EQ(event.crash_signal, SIGSEGV);
    close(pidfd);
    close(connection);
}

static void expect_killed_without_a_dump(struct exitfd *x)
{
    pid_t pid = start_child_killed(SIGKILL);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    CHECK_EQ(event.crash_signal, 0);
}

/* All in one test, because core_pattern is of the whole machine. */
TEST(autoreap, one_that_is_killed_while_it_dumps_core)
{
    char found[256] = "", ours[] = "@/tmp/exitfd-core";
    if (!have_autoreap())
        SKIP("CLONE_AUTOREAP takes Linux 7.1");
    if (!getenv("EXITFD_TEST_CORE_PATTERN"))
        SKIP("EXITFD_TEST_CORE_PATTERN is not set: core_pattern of this machine stays as it is");
    struct exitfd *x = open_for_truth();
    int server = open_core_socket(ours + 1);
    core_pattern(get_text, O_RDONLY, found, sizeof found);
    core_pattern(put_text, O_WRONLY, ours, sizeof ours);
    expect_killed_in_a_dump(x, 0, server);
    expect_killed_in_a_dump(x, EXITFD_OBSERVE, server);
    expect_recorded_in_a_dump(x, server);
    expect_recorded_before_the_add(x, server);
    core_pattern(put_text, O_WRONLY, found, sizeof found);
    expect_killed_without_a_dump(x);
    close(server);
    unlink(ours + 1);
    exitfd_close(x);
}
