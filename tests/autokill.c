/* SPDX-License-Identifier: MIT */
/* EXITFD_AUTOKILL: a child that cannot outlive the exitfd, nor the process that
   has it. */
#include "start_support.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct exitfd *open_for_autokill(void)
{
    if (!backend_is("pidfd"))
        SKIP("EXITFD_AUTOKILL takes the pidfd back end");
    if (!have_autoreap())
        SKIP("EXITFD_AUTOKILL takes Linux 7.1");
    return open_exitfd();
}

/* A child, and a pipe that is at its end when the child is dead. */
struct mortal {
    pid_t pid;
    int pipe;
};

static struct mortal start_mortal(struct exitfd *x)
{
    int ends[2];
    struct mortal mortal = { .pid = -77 };
    struct exitfd_action action = { .type = EXITFD_DUP2, .target = 1 };
    struct exitfd_command command = command_of((char *[]){ "sleep", "300", NULL });
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    action.fd = ends[1];
    command.actions = &action;
    command.action_count = 1;
    CHECK_EQ(exitfd_start(x, &mortal.pid, &command, EXITFD_AUTOKILL, x), 0);
    close(ends[1]);
    mortal.pipe = ends[0];
    return mortal;
}

static void expect_alive(const struct mortal *mortal)
{
    CHECK_EQ(poll(&(struct pollfd){ .fd = mortal->pipe, .events = POLLIN }, 1, 0), 0);
    CHECK_EQ(kill(mortal->pid, 0), 0);
}

/* Its files are closed before the kernel reaps it. */
static void expect_dead(struct mortal *mortal)
{
    CHECK_EQ(poll(&(struct pollfd){ .fd = mortal->pipe, .events = POLLIN }, 1, DEADLINE_MS), 1);
    close(mortal->pipe);
    while (is_child(mortal->pid))
        sched_yield();
}

TEST(autokill, is_for_exitfd_start_alone)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t pid = -77, child = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, child, EXITFD_AUTOKILL, NULL), -EINVAL);
    CHECK_EQ(exitfd_fork(x, EXITFD_AUTOKILL, NULL), -EINVAL);
    CHECK_EQ(exitfd_spawn(x, &pid, "true", NULL, NULL, (char *[]){ "true", NULL }, NULL, EXITFD_AUTOKILL, NULL),
             -EINVAL);
    CHECK_EQ(exitfd_start(x, &pid, &command, EXITFD_AUTOKILL | EXITFD_HOLD, NULL), -EINVAL);
    CHECK_EQ(pid, -77);
    reap(child);
    exitfd_close(x);
}

TEST(autokill, elsewhere_nothing_is_started)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t pid = -77;
    if (backend_is("pidfd") && have_autoreap()) {
        exitfd_close(x);
        SKIP("EXITFD_AUTOKILL is in this kernel");
    }
    for (int i = 0; i < 20; i++)
        expect_nothing_started(x, exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, NULL), -ENOTSUP, pid);
    exitfd_close(x);
}

TEST(autokill, exits_are_reported_truly_and_leave_no_fd)
{
    struct exitfd *x = open_for_autokill();
    struct exitfd_command command = shell_command("exit 7");
    int lowest_free = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(lowest_free);
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        CHECK_EQ(exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, x), 0);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, pid, CLD_EXITED, 7, EXITFD_RECORDED, x);
    }
    int again = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(again);
    CHECK_EQ(again, lowest_free);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(autokill, with_no_fd_left_nothing_is_started)
{
    struct exitfd *x = open_for_autokill();
    struct exitfd_command command = shell_command("exit 7");
    pid_t pid = -77;
    struct rlimit before = forbid_new_fds();
    expect_nothing_started(x, exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, x), -EMFILE, pid);
    allow_new_fds(&before);
    exitfd_close(x);
}

TEST(autokill, what_cannot_be_executed_leaves_nothing)
{
    struct exitfd *x = open_for_autokill();
    struct exitfd_command command = command_of((char *[]){ "/no/such/file", NULL });
    pid_t pid = -77;
    for (int i = 0; i < 20; i++)
        expect_nothing_started(x, exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, NULL), -ENOENT, pid);
    exitfd_close(x);
}

TEST(autokill, closing_the_exitfd_kills)
{
    struct exitfd *x = open_for_autokill(), *other = open_exitfd();
    struct mortal mine = start_mortal(x), others = start_mortal(other);
    exitfd_close(x);
    expect_dead(&mine);
    expect_alive(&others);
    exitfd_close(other);
    expect_dead(&others);
}

TEST(autokill, removing_or_discarding_the_watch_does_not)
{
    struct exitfd *x = open_for_autokill();
    struct mortal removed = start_mortal(x), discarded = start_mortal(x);
    CHECK_EQ(exitfd_remove(x, removed.pid), 0);
    CHECK_EQ(exitfd_discard(x, discarded.pid), 0);
    expect_no_event(x);
    expect_alive(&removed);
    expect_alive(&discarded);
    exitfd_close(x);
    expect_dead(&removed);
    expect_dead(&discarded);
}

TEST(autokill, it_can_be_signalled_stopped_and_continued)
{
    struct exitfd *x = open_for_autokill();
    struct mortal mortal = start_mortal(x);
    CHECK_EQ(exitfd_kill(x, mortal.pid, SIGSTOP), 0);
    CHECK_EQ(exitfd_kill(x, mortal.pid, SIGCONT), 0);
    CHECK_EQ(exitfd_kill(x, mortal.pid, SIGTERM), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, mortal.pid, CLD_KILLED, SIGTERM, EXITFD_RECORDED, x);
    expect_dead(&mortal);
    exitfd_close(x);
}

/* Neither a child that executes another program nor one that goes on with
   ours. */
TEST(autokill, no_forked_child_keeps_it_alive)
{
    struct exitfd *x = open_for_autokill();
    struct mortal mortal = start_mortal(x);
    pid_t plain = fork_guarded();
    if (plain == 0)
        for (;;)
            pause();
    pid_t ours = exitfd_fork(x, 0, NULL);
    if (ours == 0)
        for (;;)
            pause();
    pid_t closing = fork_guarded();
    if (closing == 0) {
        exitfd_close(x);
        for (;;)
            pause();
    }
    expect_alive(&mortal);
    exitfd_close(x);
    expect_dead(&mortal);
    kill_and_reap(plain);
    kill_and_reap(ours);
    kill_and_reap(closing);
}

TEST(autokill, the_end_of_the_process_kills)
{
    exitfd_close(open_for_autokill());
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork_guarded();
    if (parent == 0) {
        struct exitfd *x;
        struct exitfd_action action = { .type = EXITFD_DUP2, .fd = ends[1], .target = 1 };
        struct exitfd_command command = command_of((char *[]){ "sleep", "300", NULL });
        command.actions = &action;
        command.action_count = 1;
        CHECK(exitfd_open(&x, 0) == 0);
        CHECK(exitfd_start(x, NULL, &command, EXITFD_AUTOKILL, NULL) == 0);
        CHECK(write(ends[1], "r", 1) == 1);
        for (;;)
            pause();
    }
    char ready;
    close(ends[1]);
    CHECK_EQ(read(ends[0], &ready, 1), 1);
    kill_and_reap(parent);
    struct mortal mortal = { .pid = parent, .pipe = ends[0] };
    expect_dead(&mortal);
}

static void start_without_privileges(void)
{
    struct exitfd *x;
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t pid = -77;
    CHECK(exitfd_open(&x, 0) == 0);
    if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        _exit(CHECK_SKIPPED);
    CHECK(exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, NULL) == -EPERM);
    CHECK(pid == -77);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(exitfd_start(x, &pid, &command, EXITFD_AUTOKILL, NULL) == 0);
    struct exitfd_event event;
    CHECK(exitfd_wait(x, &event, 1, DEADLINE_MS) == 1);
    CHECK(event.pid == pid && event.code == CLD_EXITED && event.status == 0);
    exitfd_close(x);
}

TEST(autokill, it_takes_no_new_privs_or_a_privilege)
{
    exitfd_close(open_for_autokill());
    run_in_process(start_without_privileges, "this user cannot become another");
}
