/* SPDX-License-Identifier: MIT */
/* SIGCHLD and the handler across threads, alternate stacks, fork without exec,
   vfork, posix_spawn and exec. */
#include "signals.h"
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* On an alternate stack */

static volatile uintptr_t handler_frame;

static void note_frame(int sig)
{
    char local = (char)sig;
    handler_frame = (uintptr_t)&local;
}

TEST(processes, the_handler_runs_on_the_alternate_stack_where_the_one_found_does)
{
    const size_t size = 1 << 16;
    char *memory = malloc(size);
    stack_t alternate = { .ss_sp = memory, .ss_size = size };
    stack_t none = { .ss_flags = SS_DISABLE };
    CHECK_EQ(sigaltstack(&alternate, NULL), 0);
    set_sigchld(note_frame, SA_ONSTACK);
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);

    send_sigchld();
    CHECK(handler_frame >= (uintptr_t)memory && handler_frame < (uintptr_t)memory + size,
          "it ran on the thread's own stack, which in a Go or a green-thread program has no room for it");

    exitfd_close(x);
    sigaltstack(&none, NULL);
    free(memory);
}

/* In threads that block SIGCHLD or not */

struct sleeper {
    pthread_t thread;
    bool blocks_sigchld;
    int pipe_ends[2];
};

static void *sleep_until_reported(void *argument)
{
    struct sleeper *sleeper = argument;
    if (sleeper->blocks_sigchld)
        block_sigchld();
    else
        unblock_sigchld();
    char byte;
    while (read(sleeper->pipe_ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    return NULL;
}

static void start_sleeper(struct sleeper *sleeper, bool blocks_sigchld)
{
    sleeper->blocks_sigchld = blocks_sigchld;
    CHECK_EQ(pipe(sleeper->pipe_ends), 0);
    CHECK_EQ(pthread_create(&sleeper->thread, NULL, sleep_until_reported, sleeper), 0);
}

static void stop_sleeper(struct sleeper *sleeper)
{
    close(sleeper->pipe_ends[1]);
    pthread_join(sleeper->thread, NULL);
    close(sleeper->pipe_ends[0]);
}

TEST(processes, sigchld_blocked_in_all_threads_but_one_that_never_calls_us)
{
    struct exitfd *x = open_exitfd();
    struct sleeper blocking[3], open_one;
    bool keep_blocked = backend_is("signalfd");
    block_sigchld();
    for (int i = 0; i < 3; i++)
        start_sleeper(&blocking[i], true);
    start_sleeper(&open_one, keep_blocked);
    for (int status = 0; status < 20; status++)
        expect_served(x, status);
    stop_sleeper(&open_one);
    for (int i = 0; i < 3; i++)
        stop_sleeper(&blocking[i]);
    exitfd_close(x);
}

/* In a child that forks again without exec */

static int status_of_child_that(void (*act)(void *), void *argument)
{
    pid_t pid = fork_guarded();
    if (pid == 0) {
        act(argument);
        _exit(0);
    }
    return reap(pid);
}

static void raise_and_have_children(void *unused)
{
    (void)unused;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    kill(getpid(), SIGCHLD);
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

TEST(processes, a_forked_childs_own_children_do_not_wake_the_parent)
{
    struct wakeup wakeup = open_wakeup();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    install(wakeup.write_end);

    block_sigchld();
    status_of_child_that(raise_and_have_children, NULL);
    CHECK_EQ(take_bytes(&wakeup), 0, "the child wrote into the parent's pipe");
    CHECK(!is_readable(exitfd_get_fd(x)), "the child made the parent's exitfd readable");

    unblock_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 1, "the parent's own byte for that child");
    expect_served(x, 1);
    install(-1);
    exitfd_close(x);
    close_wakeup(&wakeup);
}

static volatile sig_atomic_t guest_calls;

static void count_guest(int sig)
{
    (void)sig;
    guest_calls++;
}

static void expect_guest_called(void *unused)
{
    (void)unused;
    int before = guest_calls;
    kill(getpid(), SIGCHLD);
    _exit(guest_calls == before + 1 ? 0 : 1);
}

TEST(processes, a_handler_found_before_still_works_in_a_forked_child)
{
    set_sigchld(count_guest, 0);
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    unblock_sigchld();
    CHECK_EQ(status_of_child_that(expect_guest_called, NULL), 0);
    exitfd_close(x);
}

static void open_own_exitfd(void *inherited)
{
    struct exitfd *x = NULL;
    struct exitfd_event event = { .pid = 0 };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exitfd_close(inherited);
    if (exitfd_open(&x, EXITFD_SELFPIPE) < 0)
        _exit(1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(9);
    if (exitfd_add(x, pid, 0, NULL) < 0)
        _exit(2);
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    while (poll(&item, 1, DEADLINE_MS) < 0 && errno == EINTR)
        ;
    if (exitfd_wait(x, &event, 1, 0) != 1 || event.pid != pid || event.status != 9)
        _exit(3);
    exitfd_close(x);
    _exit(0);
}

TEST(processes, a_forked_child_may_have_an_exitfd_of_its_own)
{
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    block_sigchld();
    CHECK_EQ(status_of_child_that(open_own_exitfd, x), 0);
    CHECK(!is_readable(exitfd_get_fd(x)));
    unblock_sigchld();
    expect_served(x, 1);
    exitfd_close(x);
}

/* In a child that borrows the parent's memory */

TEST(processes, sigchld_handled_in_a_vfork_child_writes_nothing_into_the_parents_pipe)
{
    struct wakeup wakeup = open_wakeup();
    unblock_sigchld();
    install(wakeup.write_end);
    pid_t pid = vfork();
    if (pid == 0) {
        kill(getpid(), SIGCHLD);
        _exit(0);
    }
    CHECK(pid > 0);
    reap(pid);
    CHECK_EQ(take_bytes(&wakeup), 1, "one byte, for the exit");
    install(-1);
    close_wakeup(&wakeup);
}

TEST(processes, posix_spawn_children_are_tracked_beside_the_handler)
{
    struct exitfd *x = open_exitfd();
    char *argv[] = { "sh", "-c", "exit 5", NULL };
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        CHECK_EQ(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ), 0);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 5, NULL);
    }
    exitfd_close(x);
}

/* Beyond exec */

static unsigned long read_signal_set(const char *field)
{
    char command[128], line[64] = "";
    snprintf(command, sizeof(command), "exec grep ^%s /proc/self/status", field);
    FILE *output = popen(command, "r");
    CHECK(output != NULL);
    CHECK(fgets(line, sizeof(line), output) != NULL);
    pclose(output);
    return strtoul(strchr(line, ':') + 1, NULL, 16);
}

static int count_fds_beyond_exec(void)
{
    int lines = 0;
    FILE *output = popen("exec ls /proc/self/fd", "r");
    CHECK(output != NULL);
    for (int c; (c = fgetc(output)) != EOF;)
        lines += c == '\n';
    pclose(output);
    return lines;
}

TEST(processes, exec_leaves_no_handler_and_no_fd)
{
    int fds_without = count_fds_beyond_exec();
    struct exitfd *x = open_exitfd(), *with_handler = open_exitfd_flags(EXITFD_SELFPIPE);
    CHECK_EQ(count_fds_beyond_exec(), fds_without, "an fd of an exitfd outlived exec");
    CHECK_EQ(read_signal_set("SigCgt") & 1UL << (SIGCHLD - 1), 0);
    CHECK_EQ(read_signal_set("SigIgn") & 1UL << (SIGCHLD - 1), 0);
    exitfd_close(with_handler);
    exitfd_close(x);
}
