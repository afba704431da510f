/* SPDX-License-Identifier: MIT */
/* docs/environments.md: each back end works under a filter that allows what the
   page names, and little more. */
#include "life_support.h"

#include <seccomp.h>
#include <stdlib.h>

/* What the tests and a program's start need besides. */
static const char *const of_any_program[] = {
    "access",          "arch_prctl",      "brk",         "execve", "exit",    "exit_group", "futex",
    "getrandom",       "lseek",           "newfstatat",  "openat", "pread64", "prlimit64",  "rseq",
    "set_robust_list", "set_tid_address", "close_range",
};

static char page[16384];

static void read_page(void)
{
    FILE *file = fopen(ENVIRONMENTS, "re");
    if (file == NULL)
        SKIP("no docs/environments.md on this machine");
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
}

/* What stands in backticks in the row of the first table. False: it has no such
   row. */
static bool for_each_call(const char *row, void (*function)(const char *name, void *argument), void *argument)
{
    char start[64], name[64];
    snprintf(start, sizeof start, "\n| %s | `", row);
    const char *at = strstr(page, start);
    if (at == NULL)
        return false;
    const char *end = strchr(at + 1, '\n');
    for (at = strchr(at, '`'); at != NULL && at < end; at = strchr(strchr(at + 1, '`') + 1, '`')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "`"), at + 1);
        function(name, argument);
    }
    return true;
}

/* EXITFD_TEST_WITHOUT: one that is left out, to see what then fails. */
static void allow(const char *name, void *filter)
{
    const char *without = getenv("EXITFD_TEST_WITHOUT");
    if (without != NULL && strcmp(name, without) == 0)
        return;
    int number = seccomp_syscall_resolve_name(name);
    CHECK(number != __NR_SCMP_ERROR, "%s is no system call", name);
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static const char *backend(void)
{
    static const char *const names[] = { "pidfd", "io_uring", "signalfd", "self-pipe" };
    for (int i = 0; i < 3; i++)
        if (backend_is(names[i]))
            return names[i];
    return names[3];
}

static void allow_only_what_is_named(void)
{
    const char *const rows[] = { "every back end", backend(), "SIGCHLD", "starting children" };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    for (size_t i = 0; i < sizeof of_any_program / sizeof *of_any_program; i++)
        allow(of_any_program[i], filter);
    for (int i = 0; i < 4; i++)
        CHECK(for_each_call(rows[i], allow, filter), "no row for %s", rows[i]);
    CHECK_EQ(seccomp_load(filter), 0);
    seccomp_release(filter);
}

static struct exitfd_event next_event(struct exitfd *x)
{
    struct exitfd_event event = { .pid = 0 };
    int count;
    while ((count = exitfd_wait(x, &event, 1, DEADLINE_MS)) == -EINTR)
        ;
    CHECK_EQ(count, 1);
    return event;
}

static void expect_killed(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = next_event(x);
    CHECK_EQ(event.pid, pid);
    CHECK_EQ(event.code, CLD_KILLED);
    CHECK_EQ(event.status, SIGKILL);
}

static void use_it(void)
{
    pid_t watched = start_paused(), stops = start_paused(), orphan = start_paused(), stolen = start_paused();
    struct exitfd *x;
    pid_t many[60]; /* the table grows beyond a page */
    for (int i = 0; i < 60; i++)
        many[i] = start_paused();
    allow_only_what_is_named();
    CHECK_EQ(exitfd_open(&x, 0), 0);
    for (int i = 0; i < 60; i++)
        CHECK_EQ(exitfd_add(x, many[i], 0, NULL), 0);
    for (int i = 0; i < 60; i++) {
        CHECK_EQ(exitfd_kill(x, many[i], SIGKILL), 0);
        expect_killed(x, many[i]);
    }
    CHECK_EQ(exitfd_add(x, watched, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, stops, EXITFD_STOPPED, NULL), 0);
    CHECK_EQ(exitfd_kill(x, watched, SIGKILL), 0);
    expect_killed(x, watched);
    CHECK_EQ(exitfd_kill(x, stops, SIGSTOP), 0);
    CHECK_EQ(next_event(x).code, CLD_STOPPED);
    CHECK_EQ(exitfd_kill(x, stops, SIGKILL), 0);
    expect_killed(x, stops);
    CHECK_EQ(exitfd_add(x, stolen, 0, NULL), 0);
    kill(stolen, SIGKILL);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)stolen, &info, WEXITED), 0);
    CHECK_EQ(next_event(x).origin, reports_stolen_status() ? EXITFD_RECORDED : EXITFD_UNKNOWN);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    kill(orphan, SIGKILL);
    expect_killed(x, orphan);
    CHECK_EQ(exitfd_remove(x, -1), 0);
    char *argv[] = { "true", NULL };
    const struct exitfd_command command = { .size = sizeof command, .file = "true", .argv = argv };
    pid_t pid;
    CHECK_EQ(exitfd_start(x, &pid, &command, 0, NULL), 0);
    struct exitfd_event event = next_event(x);
    expect_exited(&event, pid, 0, NULL);
    pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(9);
    event = next_event(x);
    expect_exited(&event, pid, 9, NULL);
    exitfd_close(x);
}

TEST(allow_list, of_the_page_is_enough)
{
    if (build_is_posix())
        SKIP("the page is about a build for Linux");
    exitfd_close(open_for_truth());
    reports_stolen_status();
    read_page();
    run_in_process(use_it, "");
}

static void expect_in_ready_lines(const char *name, void *unused)
{
    char in_json[80], *line, *rest;
    static char copy[sizeof page];
    bool in_unit = false;
    (void)unused;
    snprintf(in_json, sizeof in_json, "\"%s\"", name);
    CHECK(strstr(page, in_json) != NULL, "the container's list lacks %s", name);
    memcpy(copy, page, sizeof page);
    for (line = strtok_r(copy, " \n=", &rest); line != NULL; line = strtok_r(NULL, " \n=", &rest))
        in_unit |= strcmp(line, name) == 0;
    CHECK(in_unit, "the systemd unit lacks %s", name);
}

TEST(allow_list, of_the_page_is_in_its_ready_lines)
{
    const char *const rows[] = { "every back end", "pidfd",   "io_uring",         "signalfd",
                                 "self-pipe",      "SIGCHLD", "starting children" };
    read_page();
    for (int i = 0; i < 7; i++)
        CHECK(for_each_call(rows[i], expect_in_ready_lines, NULL), "no row for %s", rows[i]);
}
