/* SPDX-License-Identifier: MIT */
/* exitfd_spawn: what it starts, what it refuses, and that a child that was
   started is watched. */
#include "life_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

extern char **environ;

static int spawn_plain(struct exitfd *x, pid_t *pid, const char *file, unsigned flags)
{
    char *argv[] = { (char *)file, NULL };
    return exitfd_spawn(x, pid, file, NULL, NULL, argv, environ, flags, NULL);
}

TEST(spawn, its_exit_is_reported_with_its_data)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = spawn_shell(x, "exit 7", 0, x);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(spawn, an_end_by_a_signal_is_reported_as_such)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = spawn_shell(x, "kill -TERM $$", 0, NULL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, NULL);
    exitfd_close(x);
}

TEST(spawn, the_file_is_looked_for_on_the_path)
{
    char directory[] = "/tmp/exitfd-spawn-XXXXXX", script[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(script, sizeof(script), "%s/only-there", directory);
    int fd = open(script, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CHECK_EQ(dprintf(fd, "#!/bin/sh\nexit 23\n"), 18);
    close(fd);
    struct exitfd *x = open_exitfd();
    pid_t pid;
    CHECK_EQ(spawn_plain(x, &pid, "only-there", 0), -ENOENT);
    setenv("PATH", directory, 1);
    CHECK_EQ(spawn_plain(x, &pid, "only-there", 0), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 23, NULL);
    exitfd_close(x);
    unlink(script);
    rmdir(directory);
}

static void expect_no_trace(struct exitfd *x, int ret, int wanted, pid_t pid)
{
    CHECK_EQ(ret, wanted);
    CHECK_EQ(pid, -77, "the pid was written in spite of the failure");
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is a child in spite of the failure");
    expect_quiet(x);
}

TEST(spawn, a_file_that_is_not_there_leaves_no_child_and_no_event)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = -77;
    for (int i = 0; i < 100; i++) {
        expect_no_trace(x, spawn_plain(x, &pid, "no such file", 0), -ENOENT, pid);
        expect_no_trace(x, spawn_plain(x, &pid, "/no/such/file", 0), -ENOENT, pid);
    }
    exitfd_close(x);
}

TEST(spawn, a_file_that_may_not_be_executed_leaves_no_child_and_no_event)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = -77;
    expect_no_trace(x, spawn_plain(x, &pid, "/etc/passwd", 0), -EACCES, pid);
    expect_no_trace(x, spawn_plain(x, &pid, "/", 0), -EACCES, pid);
    exitfd_close(x);
}

TEST(spawn, a_failing_file_action_leaves_no_child_and_no_event)
{
    struct exitfd *x = open_exitfd();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/no/such/directory/file", O_WRONLY, 0);
    char *argv[] = { "true", NULL };
    pid_t pid = -77;
    expect_no_trace(x, exitfd_spawn(x, &pid, "true", &actions, NULL, argv, environ, 0, NULL), -ENOENT, pid);
    posix_spawn_file_actions_destroy(&actions);
    exitfd_close(x);
}

TEST(spawn, a_spawn_after_a_failed_one_is_watched)
{
    struct exitfd *x = open_exitfd();
    pid_t other = start_child_exit(1);
    CHECK_EQ(exitfd_add(x, other, 0, NULL), 0);
    pid_t pid;
    CHECK_EQ(spawn_plain(x, &pid, "no such file", 0), -ENOENT);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, other, 1, NULL);
    CHECK_EQ(spawn_plain(x, &pid, "true", 0), 0);
    event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    exitfd_close(x);
}

TEST(spawn, pid_may_be_null)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(spawn_plain(x, NULL, "false", 0), 0);
    CHECK_EQ(wait_event(x).status, 1);
    exitfd_close(x);
}

TEST(spawn, arguments_and_environment_are_handed_over)
{
    struct exitfd *x = open_exitfd();
    char *argv[] = { "sh",   "-c",   "test \"$0 $1 $EXITFD_WORD\" = 'zero a  b there' && test -z \"$HOME\"",
                     "zero", "a  b", NULL };
    char *envp[] = { "EXITFD_WORD=there", NULL };
    CHECK_EQ(exitfd_spawn(x, NULL, "sh", NULL, NULL, argv, envp, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 0);
    exitfd_close(x);
}

TEST(spawn, file_actions_are_carried_out)
{
    struct exitfd *x = open_exitfd();
    struct output output = output_of(x, NULL, (char *[]){ "echo", "to the pipe", NULL });
    CHECK_STR(output.text, "to the pipe\n");
    exitfd_close(x);
}

TEST(spawn, attributes_are_carried_out_and_not_changed)
{
    struct exitfd *x = open_exitfd();
    posix_spawnattr_t attr;
    short flags;
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    char *argv[] = { "sleep", "60", NULL };
    pid_t pid;
    CHECK_EQ(exitfd_spawn(x, &pid, "sleep", NULL, &attr, argv, environ, 0, NULL), 0);
    CHECK_EQ(getpgid(pid), pid);
    posix_spawnattr_getflags(&attr, &flags);
    CHECK_EQ(flags, POSIX_SPAWN_SETPGROUP);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, NULL);
    posix_spawnattr_destroy(&attr);
    exitfd_close(x);
}

TEST(spawn, an_observed_child_is_left_to_its_owner)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = spawn_shell(x, "exit 9", EXITFD_OBSERVE, x);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 9, EXITFD_PEEKED, x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 9);
    exitfd_close(x);
}

TEST(spawn, bad_arguments_start_nothing)
{
    struct exitfd *x = open_exitfd();
    char *argv[] = { "true", NULL };
    pid_t pid = -77;
    expect_no_trace(x, exitfd_spawn(NULL, &pid, "true", NULL, NULL, argv, environ, 0, NULL), -EINVAL, pid);
    expect_no_trace(x, exitfd_spawn(x, &pid, NULL, NULL, NULL, argv, environ, 0, NULL), -EINVAL, pid);
    expect_no_trace(x, exitfd_spawn(x, &pid, "true", NULL, NULL, NULL, environ, 0, NULL), -EINVAL, pid);
    for (unsigned bit = 1; bit != 0; bit <<= 1)
        if ((bit & (EXITFD_OBSERVE | EXITFD_STOPPED | EXITFD_CONTINUED | EXITFD_HOLD)) == 0)
            expect_no_trace(x, spawn_plain(x, &pid, "true", bit), -EINVAL, pid);
    exitfd_close(x);
}

TEST(spawn, no_fd_of_ours_reaches_the_child)
{
    char *list_fds[] = { "ls", "/proc/self/fd", NULL };
    struct output without = output_of(NULL, NULL, list_fds);
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    struct gate gate = open_gate();
    fcntl(gate.wait_end, F_SETFD, FD_CLOEXEC);
    fcntl(gate.go_end, F_SETFD, FD_CLOEXEC);
    pid_t waiting = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, waiting, EXITFD_STOPPED, NULL), 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    CHECK_EQ(exitfd_add(y, waiting, EXITFD_OBSERVE, NULL), 0);
    struct output with = output_of(y, NULL, list_fds);
    CHECK_STR(with.text, without.text);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(y);
    expect_event(&event, waiting, CLD_EXITED, 0, EXITFD_PEEKED, NULL);
    event = wait_event(x);
    expect_exited(&event, waiting, 0, NULL);
    close_gate(&gate);
    exitfd_close(y);
    exitfd_close(x);
}

TEST(spawn, five_hundred_at_once_each_report_once)
{
    enum {
        CHILDREN = 500
    };
    struct exitfd *x = open_exitfd();
    static pid_t pids[CHILDREN];
    static struct exitfd_event events[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        char script[16];
        snprintf(script, sizeof(script), "exit %d", i % 256);
        pids[i] = spawn_shell(x, script, 0, &pids[i]);
    }
    wait_events(x, events, CHILDREN);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t *own = events[i].data;
        expect_exited(&events[i], *own, (int)(own - pids) % 256, own);
        *own = 0;
    }
    expect_quiet(x);
    exitfd_close(x);
}
