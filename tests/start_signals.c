/* SPDX-License-Identifier: MIT */
/* The signals of a program that exitfd_start has started, and those that come
   meanwhile. */
#include "start_support.h"

#include <stdatomic.h>
#include <sys/syscall.h>

static void handle_nothing(int signum)
{
    (void)signum;
}

TEST(start_signals, the_mask_is_empty)
{
    struct exitfd *x = open_exitfd();
    block_signal(SIGTERM);
    block_signal(SIGRTMAX);
    block_sigchld();
    CHECK_EQ(masks_in_program(x, 0).blocked, 0);
    exitfd_close(x);
}

/* A daemon that blocks SIGTERM for its signalfd must be able to end its
   children. */
TEST(start_signals, a_signal_that_the_caller_blocks_ends_the_program)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "sleep", "1000", NULL });
    pid_t pid;
    block_signal(SIGTERM);
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), 0);
    CHECK_EQ(wait_event(x).status, SIGTERM);
    exitfd_close(x);
}

TEST(start_signals, what_is_ignored_stays_so_except_sigchld_and_sigpipe)
{
    struct exitfd *x = open_exitfd();
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, handle_nothing);
    signal(SIGRTMAX, SIG_IGN);
    unsigned long long before = masks_in_program(x, 0).ignored;
    CHECK(is_in_mask(before, SIGHUP));
    CHECK(is_in_mask(before, SIGRTMAX));
    CHECK(!is_in_mask(before, SIGPIPE));
    CHECK(!is_in_mask(before, SIGUSR1));
    set_sigchld(SIG_IGN, 0);
    CHECK(!is_in_mask(masks_in_program(x, 0).ignored, SIGCHLD));
    exitfd_close(x);
}

TEST(start_signals, they_can_be_kept)
{
    struct exitfd *x = open_exitfd();
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, handle_nothing);
    block_signal(SIGTERM);
    block_signal(SIGRTMAX);
    struct signal_masks masks = masks_in_program(x, EXITFD_KEEP_SIGNALS);
    CHECK(is_in_mask(masks.blocked, SIGTERM));
    CHECK(is_in_mask(masks.blocked, SIGRTMAX));
    CHECK(!is_in_mask(masks.blocked, SIGINT));
    CHECK(is_in_mask(masks.ignored, SIGHUP));
    CHECK(is_in_mask(masks.ignored, SIGPIPE));
    CHECK(!is_in_mask(masks.ignored, SIGUSR1));
    exitfd_close(x);
}

static bool same_mask(const sigset_t *one, const sigset_t *other)
{
    for (int signum = 1; signum < NSIG; signum++)
        if (sigismember(one, signum) != sigismember(other, signum))
            return false;
    return true;
}

TEST(start_signals, the_callers_mask_is_as_it_was)
{
    struct exitfd *x = open_exitfd();
    sigset_t before, after;
    block_signal(SIGUSR2);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), 0);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(same_mask(&before, &after));
    command.file = "/no/such/file";
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), -ENOENT);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    CHECK(same_mask(&before, &after));
    CHECK_EQ(wait_event(x).status, 0);
    exitfd_close(x);
}

static pid_t process;
static atomic_int handled_elsewhere;
static atomic_bool is_over;

static void expect_own_process(int signum)
{
    (void)signum;
    if (syscall(SYS_getpid) != process)
        atomic_store(&handled_elsewhere, 1);
}

static void *send_to_group(void *argument)
{
    while (!atomic_load(&is_over))
        kill(0, SIGUSR1);
    return argument;
}

/* Of a group's signals the child gets its share, in our memory, before it runs
   its program. */
TEST(start_signals, no_handler_runs_in_the_child)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    int rounds = stress_rounds();
    setpgid(0, 0); /* fails for the leader of a session, which has a group of its own */
    CHECK_EQ(getpgrp(), getpid());
    process = getpid();
    sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = expect_own_process, .sa_flags = SA_RESTART }, NULL);
    struct helper sender = start_helper(send_to_group, NULL);
    for (int i = 0; i < rounds; i++) {
        struct exitfd_event event;
        pid_t pid;
        CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
        int count;
        do
            count = exitfd_wait(x, &event, 1, DEADLINE_MS);
        while (count == -EINTR);
        CHECK_EQ(count, 1);
        CHECK_EQ(event.pid, pid);
        CHECK((event.code == CLD_KILLED && event.status == SIGUSR1) || (event.code == CLD_EXITED && event.status == 0));
    }
    atomic_store(&is_over, true);
    join_helper(&sender);
    CHECK_EQ(handled_elsewhere, 0);
    exitfd_close(x);
}
