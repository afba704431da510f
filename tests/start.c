/* SPDX-License-Identifier: MIT */
/* exitfd_start: what it starts, how it seeks the file, and what a failure
   leaves behind: nothing. */
#include "start_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

extern char **environ;

TEST(start, its_exit_is_reported_with_its_data)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = shell_command("exit 7");
    pid_t pid;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    expect_quiet_soon(x);
    exitfd_close(x);
}

TEST(start, an_end_by_a_signal_is_reported_as_such)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = shell_command("kill -TERM $$");
    pid_t pid;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, NULL);
    exitfd_close(x);
}

TEST(start, pid_may_be_null)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "false", NULL });
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 1);
    exitfd_close(x);
}

TEST(start, the_environment_is_the_callers_unless_it_is_given)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = shell_command("echo $WHOSE");
    setenv("WHOSE", "the caller's", 1);
    CHECK_STR(output_of_command(x, &command).text, "the caller's\n");
    command.envp = (char *[]){ "WHOSE=its own", NULL };
    CHECK_STR(output_of_command(x, &command).text, "its own\n");
    exitfd_close(x);
}

/* In each test the first failure comes before any child has started, and the
   others after one has. */
static void expect_failure(const char *file, int wanted)
{
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 50; i++) {
        struct exitfd_command command = command_of((char *[]){ (char *)file, NULL });
        pid_t pid = -77;
        expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), wanted, pid);
        if (i == 0) {
            command.file = "true";
            CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), 0);
            CHECK_EQ(wait_event(x).status, 0);
        }
    }
    exitfd_close(x);
}

TEST(start, a_file_that_is_not_there_leaves_no_child_and_no_event)
{
    expect_failure("/no/such/file", -ENOENT);
    expect_failure("no such file", -ENOENT);
    expect_failure("", -ENOENT);
}

TEST(start, a_file_that_may_not_be_executed_leaves_no_child_and_no_event)
{
    expect_failure("/etc/passwd", -EACCES);
    expect_failure("/", -EACCES);
    expect_failure("/etc/passwd/file", -ENOTDIR);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0, "%s: %s", name, strerror(errno));
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    CHECK_EQ(fchmod(fd, mode), 0);
    close(fd);
}

TEST(start, a_script_without_an_interpreter_is_no_program)
{
    char name[] = "/tmp/exitfd-start-XXXXXX";
    close(mkstemp(name));
    write_file(name, "exit 7\n", 0755);
    expect_failure(name, -ENOEXEC);
    unlink(name);
}

TEST(start, arguments_that_are_too_long_leave_no_child_and_no_event)
{
    struct exitfd *x = open_exitfd();
    size_t length = 8 << 20;
    char *argument = malloc(length + 1);
    CHECK(argument != NULL);
    memset(argument, 'a', length);
    argument[length] = '\0';
    struct exitfd_command command = command_of((char *[]){ "true", argument, NULL });
    pid_t pid = -77;
    expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -E2BIG, pid);
    free(argument);
    exitfd_close(x);
}

/* What posix_spawnp says of a file, as a negative errno, or the status of the
   program that it found. */
static int outcome_of_spawnp(const char *file)
{
    pid_t pid;
    int error = posix_spawnp(&pid, file, NULL, NULL, (char *[]){ (char *)file, NULL }, environ);
    return error ? -error : WEXITSTATUS(reap(pid));
}

static int outcome_of_start(struct exitfd *x, const char *file)
{
    struct exitfd_command command = command_of((char *[]){ (char *)file, NULL });
    int result = exitfd_start(x, NULL, &command, 0, NULL);
    return result < 0 ? result : wait_event(x).status;
}

static void expect_same(struct exitfd *x, const char *path, const char *file, int wanted)
{
    if (path != NULL)
        setenv("PATH", path, 1);
    else
        unsetenv("PATH");
    CHECK_EQ(outcome_of_spawnp(file), wanted, "posix_spawnp of %s in %s", file, path ? path : "no PATH");
    CHECK_EQ(outcome_of_start(x, file), wanted, "exitfd_start of %s in %s", file, path ? path : "no PATH");
}

TEST(start, the_file_is_sought_as_posix_spawnp_does)
{
    struct exitfd *x = open_exitfd();
    char directory[] = "/tmp/exitfd-start-XXXXXX";
    CHECK(mkdtemp(directory) != NULL);
    CHECK_EQ(chdir(directory), 0);
    CHECK_EQ(mkdir("one", 0700) | mkdir("two", 0700), 0);
    write_file("one/both", "#!/bin/sh\nexit 1\n", 0700);
    write_file("two/both", "#!/bin/sh\nexit 2\n", 0700);
    write_file("one/denied", "", 0600);
    write_file("one/denied-first", "", 0600);
    write_file("two/denied-first", "#!/bin/sh\nexit 3\n", 0700);
    write_file("one/no-program", "exit 4\n", 0700);
    write_file("two/no-program", "#!/bin/sh\nexit 4\n", 0700);
    write_file("here", "#!/bin/sh\nexit 5\n", 0700);
    write_file("file", "", 0600);
    char long_name[300];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    char long_path[5000];
    memset(long_path, 'p', sizeof(long_path) - 1);
    strcpy(long_path + sizeof(long_path) - 5, ":two");

    expect_same(x, "one:two", "both", 1);
    expect_same(x, "two:one", "both", 2);
    expect_same(x, "/none:two", "both", 2);
    expect_same(x, "file:two", "both", 2);
    expect_same(x, "one:two", "denied", -EACCES);
    expect_same(x, "one:two", "denied-first", 3);
    expect_same(x, "one:two", "no-program", -ENOEXEC);
    expect_same(x, "one:two", "none", -ENOENT);
    expect_same(x, "one:file", "none", -ENOTDIR);
    expect_same(x, "one", "here", -ENOENT);
    expect_same(x, "", "here", 5);
    expect_same(x, ":one", "here", 5);
    expect_same(x, "one:", "here", 5);
    expect_same(x, "one::two", "here", 5);
    expect_same(x, "one/:two//", "both", 1);
    expect_same(x, "", "none", -ENOENT);
    expect_same(x, NULL, "here", -ENOENT);
    expect_same(x, NULL, "false", 1);
    expect_same(x, "one:two", "", -ENOENT);
    expect_same(x, "one:two", long_name, -ENAMETOOLONG);
    expect_same(x, long_path, "both", 2);
    expect_same(x, "", "./here", 5);
    expect_same(x, "", "one/denied", -EACCES);

    setenv("PATH", "/bin:/usr/bin", 1);
    CHECK_EQ(system("rm -r one two here file"), 0);
    CHECK_EQ(rmdir(directory), 0);
    exitfd_close(x);
}

TEST(start, a_file_that_is_missing_is_sought_in_the_directory_that_an_action_changes_to)
{
    struct exitfd *x = open_exitfd();
    char directory[] = "/tmp/exitfd-start-XXXXXX", name[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(name, sizeof(name), "%s/only-there", directory);
    write_file(name, "#!/bin/sh\nexit 23\n", 0700);
    struct exitfd_action action = { .type = EXITFD_CHDIR, .path = directory };
    struct exitfd_command command = command_of((char *[]){ "./only-there", NULL });
    pid_t pid = -77;
    expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -ENOENT, pid);
    command.actions = &action;
    command.action_count = 1;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 23);
    unlink(name);
    rmdir(directory);
    exitfd_close(x);
}

TEST(start, what_is_no_command_is_refused)
{
    struct exitfd *x = open_exitfd();
    char *argv[] = { "true", NULL };
    const struct exitfd_command good = command_of(argv);
    struct exitfd_action action = { .type = EXITFD_OPEN };
    struct exitfd_command command = good;
    pid_t pid = -77;
    CHECK_EQ(exitfd_start(NULL, &pid, &command, 0, NULL), -EINVAL);
    CHECK_EQ(exitfd_start(x, &pid, NULL, 0, NULL), -EINVAL);
    CHECK_EQ(exitfd_start(x, &pid, &command, 1 << 20, NULL), -EINVAL);
    CHECK_EQ(exitfd_start(x, &pid, &command, EXITFD_NEW_SESSION, NULL), -EINVAL);
    command.file = NULL;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    command = good;
    command.argv = NULL;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    command = good;
    command.options = 1;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    command = good;
    command.action_count = 1;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    command.actions = &action; /* without a path */
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    action.type = EXITFD_CHDIR;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), -EINVAL);
    action.type = (enum exitfd_action_type)100;
    action.path = "/";
    expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -EINVAL, pid);
    exitfd_close(x);
}

TEST(start, the_size_tells_what_the_caller_knows)
{
    struct exitfd *x = open_exitfd();
    struct {
        struct exitfd_command known;
        unsigned char later[16];
    } command = { .known = command_of((char *[]){ "true", NULL }) };
    pid_t pid = -77;
    command.known.size = sizeof(command);
    CHECK_EQ(exitfd_start(x, NULL, &command.known, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 0);
    command.later[15] = 1;
    expect_nothing_started(x, exitfd_start(x, &pid, &command.known, 0, NULL), -EINVAL, pid);
    command.known.size = sizeof(command.known);
    CHECK_EQ(exitfd_start(x, NULL, &command.known, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 0);
    command.known.size = 0;
    expect_nothing_started(x, exitfd_start(x, &pid, &command.known, 0, NULL), -EINVAL, pid);
    command.known.size = sizeof(command.known) - 1;
    expect_nothing_started(x, exitfd_start(x, &pid, &command.known, 0, NULL), -EINVAL, pid);
    exitfd_close(x);
}

TEST(start, it_is_stale_in_a_forked_child)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t child = fork_guarded();
    if (child == 0) {
        CHECK(exitfd_start(x, NULL, &command, 0, NULL) == -ESTALE);
        _exit(0);
    }
    expect_success(child);
    exitfd_close(x);
}

static long long group_in_program(struct exitfd *x, unsigned options, pid_t *session, pid_t *pid)
{
    struct exitfd_command command = command_of((char *[]){ "cat", "/proc/self/stat", NULL });
    int group, number, in_session;
    command.options = options;
    struct output output = output_of_command(x, &command);
    if (sscanf(output.text, "%d (%*[^)]) %*c %*d %d %d", &number, &group, &in_session) != 3)
        SKIP("no /proc/self/stat");
    *session = in_session;
    *pid = number;
    return group;
}

TEST(start, a_session_and_a_group_of_its_own_are_there_when_it_returns)
{
    struct exitfd *x = open_exitfd();
    pid_t session, pid;
    CHECK_EQ(group_in_program(x, 0, &session, &pid), getpgrp());
    CHECK_EQ(session, getsid(0));
    CHECK_EQ(group_in_program(x, EXITFD_NEW_GROUP, &session, &pid), pid);
    CHECK_EQ(session, getsid(0));
    CHECK_EQ(group_in_program(x, EXITFD_NEW_SESSION, &session, &pid), pid);
    CHECK_EQ(session, pid);
    CHECK_EQ(group_in_program(x, EXITFD_NEW_SESSION | EXITFD_NEW_GROUP, &session, &pid), pid);
    CHECK_EQ(session, pid);
    struct exitfd_command command = command_of((char *[]){ "sleep", "1000", NULL });
    command.options = EXITFD_NEW_GROUP;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
    CHECK_EQ(kill(-pid, SIGKILL), 0);
    CHECK_EQ(wait_event(x).status, SIGKILL);
    exitfd_close(x);
}

static void *start_with_death_signal(void *argument)
{
    struct exitfd_command command = command_of((char *[]){ "sleep", "1000", NULL });
    command.death_signal = SIGUSR2;
    return (void *)(long)exitfd_start(argument, NULL, &command, 0, NULL);
}

TEST(start, the_death_signal_comes_when_the_thread_ends)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd has one thread");
    struct exitfd *x = open_exitfd();
    struct helper helper = start_helper(start_with_death_signal, x);
    long result = (long)join_helper(&helper);
    if (build_is_posix()) {
        CHECK_EQ(result, -ENOTSUP);
    } else {
        CHECK_EQ(result, 0);
        struct exitfd_event event = wait_event(x);
        CHECK(event.code == CLD_KILLED && event.status == SIGUSR2);
    }
    exitfd_close(x);
}

static bool is_pending(pid_t pid, int signum)
{
    return is_in_mask(status_field(pid, "ShdPnd:", 16), signum);
}

/* What it starts has the signal blocked. So it is pending there once it was
   sent, and nothing has to be waited for. */
static pid_t start_and_end(uid_t user_at_the_end)
{
    int fds[2];
    pid_t pid = -1;
    CHECK_EQ(pipe(fds), 0);
    pid_t parent = fork_guarded();
    if (parent == 0) {
        sigset_t set;
        struct exitfd_command command = command_of((char *[]){ "sleep", "1000", NULL });
        command.death_signal = SIGUSR2;
        command.options = EXITFD_KEEP_SIGNALS;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        CHECK_EQ(exitfd_start(open_exitfd(), &pid, &command, 0, NULL), 0);
        CHECK_EQ(write(fds[1], &pid, sizeof(pid)), sizeof(pid));
        CHECK_EQ(setresuid(user_at_the_end, user_at_the_end, user_at_the_end), 0);
        _exit(0);
    }
    CHECK_EQ(reap(parent), 0);
    CHECK_EQ(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    close(fds[0]);
    close(fds[1]);
    return pid;
}

TEST(start, the_death_signal_needs_the_permission_of_kill)
{
    if (build_is_posix())
        SKIP("this build has no death_signal");
    if (geteuid() != 0)
        SKIP("needs root: a process that changes its user");
    exitfd_close(open_exitfd()); /* skips, here and not in the child */
    pid_t pid = start_and_end(0);
    CHECK(is_pending(pid, SIGUSR2));
    kill(pid, SIGKILL);
    pid = start_and_end(65534);
    CHECK(!is_pending(pid, SIGUSR2));
    kill(pid, SIGKILL);
}

TEST(start, a_wrong_death_signal_leaves_no_child_and_no_event)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t pid = -77;
    command.death_signal = 1000;
    expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), build_is_posix() ? -ENOTSUP : -EINVAL, pid);
    exitfd_close(x);
}
