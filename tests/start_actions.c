/* SPDX-License-Identifier: MIT */
/* The actions of exitfd_start. The first start of a process reports by a pipe
   too, and each test is a process. */
#include "start_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    MOST_FD = 24 /* what a program of these tests is shown of its fds */
};

/* Those above all that the runner has. */
static const char list_fds[] = "for fd in $(ls -v /proc/self/fd); do [ $fd -lt 40 ] || echo $fd; done";

static void expect_failure(const struct exitfd_action *actions, size_t count, int wanted)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t pid = -77;
    command.actions = actions;
    command.action_count = count;
    for (int i = 0; i < 3; i++)
        expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), wanted, pid);
    exitfd_close(x);
}

#define EXPECT_FAILURE(wanted, ...)                                                                                    \
    do {                                                                                                               \
        const struct exitfd_action actions_[] = { __VA_ARGS__ };                                                       \
        expect_failure(actions_, sizeof(actions_) / sizeof(*actions_), wanted);                                        \
    } while (0)

static struct output shell_output(struct exitfd *x, const char *script, const struct exitfd_action *actions,
                                  size_t count)
{
    struct exitfd_command command = shell_command(script);
    command.actions = actions;
    command.action_count = count;
    return output_of_command(x, &command);
}

TEST(start_actions, they_are_done_in_their_order)
{
    struct exitfd *x = open_exitfd();
    const struct exitfd_action actions[] = {
        { .type = EXITFD_CHDIR, .path = "/proc" },
        { .type = EXITFD_OPEN, .fd = 0, .path = "self/comm", .flags = O_RDONLY },
        { .type = EXITFD_CHDIR, .path = "/" },
        { .type = EXITFD_DUP2, .fd = 0, .target = 9 },
        { .type = EXITFD_CLOSE, .fd = 0 },
        { .type = EXITFD_DUP2, .fd = 1, .target = 2 },
    };
    struct output output = shell_output(x, "pwd; read name <&9; echo $name; echo to stderr >&2", actions, 6);
    CHECK_STR(output.text, "/\nsh\nto stderr\n");
    exitfd_close(x);
}

TEST(start_actions, a_file_is_opened_with_its_flags_and_mode)
{
    struct exitfd *x = open_exitfd();
    char directory[] = "/tmp/exitfd-start-XXXXXX", name[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(name, sizeof(name), "%s/file", directory);
    umask(022);
    const struct exitfd_action actions[] = {
        { .type = EXITFD_OPEN, .fd = 5, .path = name, .flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 0640 },
        { .type = EXITFD_FCHDIR, .fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) },
    };
    struct output output = shell_output(x, "echo text >&5; stat -c %a file; cat file", actions, 2);
    CHECK_STR(output.text, "640\ntext\n");
    close(actions[1].fd);
    EXPECT_FAILURE(-EEXIST, actions[0]);
    unlink(name);
    rmdir(directory);
    exitfd_close(x);
}

TEST(start_actions, the_step_that_fails_gives_its_errno)
{
    EXPECT_FAILURE(-ENOENT, { .type = EXITFD_OPEN, .fd = 5, .path = "/no/such/file" });
    EXPECT_FAILURE(-EISDIR, { .type = EXITFD_OPEN, .fd = 5, .path = "/", .flags = O_WRONLY });
    EXPECT_FAILURE(-ENOENT, { .type = EXITFD_CHDIR, .path = "/no/such/directory" });
    EXPECT_FAILURE(-ENOTDIR, { .type = EXITFD_CHDIR, .path = "/etc/passwd" });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_FCHDIR, .fd = -1 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_DUP2, .fd = -1, .target = 5 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_DUP2, .fd = 1, .target = -1 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_OPEN, .fd = -1, .path = "/" });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_CLOSE, .fd = -1 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_CLOSE_FROM, .fd = -1 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_CLOSE, .fd = 1 }, { .type = EXITFD_DUP2, .fd = 1, .target = 2 });
    EXPECT_FAILURE(-EBADF, { .type = EXITFD_DUP2, .fd = 1, .target = 1 << 30 });
}

/* Nothing of ours is there for an action to use, neither at the first start nor
   later. */
TEST(start_actions, no_fd_of_ours_can_be_used)
{
    struct exitfd *x = open_exitfd();
    bool used[MOST_FD];
    for (int fd = 3; fd < MOST_FD; fd++)
        used[fd] = fcntl(fd, F_GETFD) >= 0;
    for (int fd = 3; fd < MOST_FD; fd++) {
        const struct exitfd_action action = { .type = EXITFD_DUP2, .fd = fd, .target = fd };
        struct exitfd_command command = command_of((char *[]){ "true", NULL });
        pid_t pid = -77;
        command.actions = &action;
        command.action_count = 1;
        if (!used[fd])
            expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -EBADF, pid);
    }
    exitfd_close(x);
}

TEST(start_actions, any_number_can_be_had)
{
    struct exitfd *x = open_exitfd();
    for (int round = 0; round < 2; round++) {
        struct exitfd_action actions[MOST_FD];
        char wanted[256] = "0 1 2 ";
        size_t count = 0;
        for (int fd = 3; fd < MOST_FD; fd++, count++)
            actions[count] = fd % 2 ? (struct exitfd_action){ .type = EXITFD_DUP2, .fd = 1, .target = fd }
                                    : (struct exitfd_action){ .type = EXITFD_OPEN, .fd = fd, .path = "/" };
        /* ls has one more, with which it reads. */
        for (int fd = 3; fd <= MOST_FD; fd++)
            sprintf(wanted + strlen(wanted), "%d ", fd);
        struct exitfd_command command =
            command_of((char *[]){ "sh", "-c", "ls -v /proc/self/fd | tr '\\n' ' '", NULL });
        command.actions = actions;
        command.action_count = count;
        CHECK_STR(output_of_command(x, &command).text, wanted);
    }
    exitfd_close(x);
}

TEST(start_actions, to_duplicate_an_fd_to_itself_keeps_it)
{
    struct exitfd *x = open_exitfd();
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 45);
    const struct exitfd_action action = { .type = EXITFD_DUP2, .fd = fd, .target = fd };
    CHECK_STR(shell_output(x, list_fds, NULL, 0).text, "");
    CHECK_STR(shell_output(x, list_fds, &action, 1).text, "45\n");
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC, "the caller's own is as it was");
    close(fd);
    exitfd_close(x);
}

TEST(start_actions, what_is_not_open_can_be_closed)
{
    struct exitfd *x = open_exitfd();
    const struct exitfd_action actions[] = {
        { .type = EXITFD_CLOSE, .fd = 100 },
        { .type = EXITFD_CLOSE, .fd = 3 },
        { .type = EXITFD_CLOSE_FROM, .fd = 200 },
    };
    CHECK_STR(shell_output(x, list_fds, actions, 3).text, "");
    exitfd_close(x);
}

static void expect_closed_from(struct exitfd *x, int first, const char *wanted)
{
    const struct exitfd_action action = { .type = EXITFD_CLOSE_FROM, .fd = first };
    CHECK_STR(shell_output(x, list_fds, &action, 1).text, wanted);
}

TEST(start_actions, all_from_a_number_on_are_closed)
{
    struct exitfd *x = open_exitfd();
    int fds[] = { fcntl(0, F_DUPFD, 50), fcntl(0, F_DUPFD, 60), fcntl(0, F_DUPFD, 900) };
    expect_closed_from(x, 1000, "50\n60\n900\n");
    expect_closed_from(x, 61, "50\n60\n");
    expect_closed_from(x, 60, "50\n");
    expect_closed_from(x, 3, "");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    exitfd_close(x);
}

/* The caller has closed fd 0, 1 and 2, so what is made in between has these
   numbers. */
static struct exitfd_event start_without_standard_fds(struct exitfd *x, const struct exitfd_command *command,
                                                      int *result)
{
    int saved[3];
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 50);
        close(fd);
    }
    *result = exitfd_start(x, NULL, command, 0, NULL);
    struct exitfd_event event = { 0 };
    while (*result == 0 && exitfd_wait(x, &event, 1, DEADLINE_MS) == -EINTR)
        ;
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
        close(saved[fd]);
    }
    return event;
}

TEST(start_actions, the_standard_fds_may_be_closed)
{
    struct exitfd *x = open_exitfd();
    int ends[2], result;
    char text[64] = "";
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    for (int round = 0; round < 2; round++) {
        struct exitfd_action actions[] = {
            { .type = EXITFD_DUP2, .fd = 0, .target = 9 },
            { .type = EXITFD_DUP2, .fd = ends[1], .target = 1 },
            { .type = EXITFD_OPEN, .fd = 0, .path = "/dev/null" },
            { .type = EXITFD_DUP2, .fd = 1, .target = 2 },
        };
        struct exitfd_command command = shell_command("echo out; echo error >&2");
        command.actions = actions;
        command.action_count = 4;
        start_without_standard_fds(x, &command, &result);
        CHECK_EQ(result, -EBADF);
        command.actions = actions + 1;
        command.action_count = 3;
        struct exitfd_event event = start_without_standard_fds(x, &command, &result);
        CHECK_EQ(result, 0);
        CHECK(event.code == CLD_EXITED && event.status == 0);
        CHECK_EQ(read(ends[0], text, sizeof(text)), 10);
        CHECK_STR(text, "out\nerror\n");
    }
    close(ends[0]);
    close(ends[1]);
    exitfd_close(x);
}
