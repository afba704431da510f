/* SPDX-License-Identifier: MIT */
/* What an event holds besides what every test looks at, and its other forms: a
   wait status, words. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct exitfd_event event_of(struct exitfd *x, pid_t pid, unsigned flags)
{
    struct exitfd_event event;

    CHECK_EQ(exitfd_add(x, pid, flags, NULL), 0);
    wait_readable(exitfd_get_fd(x));
    memset(&event, 0xee, sizeof event);
    CHECK_EQ(exitfd_wait(x, &event, 1, DEADLINE_MS), 1);
    return event;
}

static void expect_zeros_at_its_end(const struct exitfd_event *event)
{
    CHECK_EQ(event->crash_signal, 0);
    for (size_t i = 0; i < sizeof event->reserved / sizeof event->reserved[0]; i++)
        CHECK_EQ(event->reserved[i], 0, "reserved[%zu] is %d", i, event->reserved[i]);
}

TEST(events, the_new_members_are_0)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event = event_of(x, start_child_exit(3), 0);
    expect_zeros_at_its_end(&event);
    event = event_of(x, start_child_killed(SIGKILL), 0);
    expect_zeros_at_its_end(&event);
    exitfd_close(x);
}

TEST(events, the_new_members_are_0_of_an_observed_child)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(3);
    struct exitfd_event event = event_of(x, pid, EXITFD_OBSERVE);
    expect_zeros_at_its_end(&event);
    reap(pid);
    exitfd_close(x);
}

static void expect_wait_status_of(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = event_of(x, pid, EXITFD_OBSERVE);
    CHECK_EQ(exitfd_get_wait_status(&event), reap(pid));
}

TEST(events, wait_status_is_that_of_waitpid)
{
    struct exitfd *x = open_exitfd();
    const int endings[] = { 0, 1, 127, 255, -SIGKILL, -SIGTERM, -SIGSEGV, -SIGABRT };
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        expect_wait_status_of(x, endings[i] < 0 ? start_child_killed(-endings[i]) : start_child_exit(endings[i]));
    exitfd_close(x);
}

TEST(events, wait_status_for_the_macros)
{
    struct exitfd_event event = { .code = CLD_STOPPED, .status = SIGTSTP, .origin = EXITFD_PEEKED };
    int status = exitfd_get_wait_status(&event);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);

    event.code = CLD_CONTINUED;
    event.status = SIGCONT;
    CHECK(WIFCONTINUED(exitfd_get_wait_status(&event)));

    event.code = CLD_DUMPED;
    event.status = SIGQUIT;
    status = exitfd_get_wait_status(&event);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT && WCOREDUMP(status));
}

TEST(events, no_wait_status)
{
    struct exitfd_event unknown = { .code = CLD_EXITED, .origin = EXITFD_UNKNOWN };
    CHECK_EQ(exitfd_get_wait_status(&unknown), -1);
    CHECK_EQ(exitfd_get_wait_status(NULL), -1);
}

static void expect_words(int code, int status, int origin, const char *wanted)
{
    struct exitfd_event event = { .code = code, .status = status, .origin = origin };
    char text[64];

    memset(text, 'x', sizeof text);
    CHECK_EQ(exitfd_describe(&event, text, sizeof text), (int)strlen(wanted), "wanted %s", wanted);
    CHECK_STR(text, wanted);
}

TEST(events, words)
{
    expect_words(CLD_EXITED, 3, EXITFD_REAPED, "exited 3");
    expect_words(CLD_KILLED, SIGTERM, EXITFD_RECORDED, "killed by SIGTERM");
    expect_words(CLD_DUMPED, SIGSEGV, EXITFD_REAPED, "killed by SIGSEGV (core dumped)");
    expect_words(CLD_STOPPED, SIGTSTP, EXITFD_PEEKED, "stopped by SIGTSTP");
    expect_words(CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, "continued");
    expect_words(0, 0, EXITFD_UNKNOWN, "ended, status unknown");
}

TEST(events, words_for_signals_without_a_common_name)
{
    expect_words(CLD_KILLED, SIGRTMIN, EXITFD_REAPED, "killed by SIGRTMIN");
    expect_words(CLD_KILLED, SIGRTMIN + 3, EXITFD_REAPED, "killed by SIGRTMIN+3");
    expect_words(CLD_KILLED, 4711, EXITFD_REAPED, "killed by signal 4711");
}

TEST(events, words_in_a_small_buffer)
{
    struct exitfd_event event = { .code = CLD_EXITED, .status = 3, .origin = EXITFD_REAPED };
    char text[5] = "xxxx";

    CHECK_EQ(exitfd_describe(&event, NULL, 0), 8);
    CHECK_EQ(exitfd_describe(&event, text, 4), 8);
    CHECK_STR(text, "exi");
    CHECK_EQ(text[4], 0);
}

TEST(events, no_words)
{
    struct exitfd_event event = { .code = CLD_EXITED };
    char text[] = "untouched";

    CHECK_EQ(exitfd_describe(NULL, text, sizeof text), -EINVAL);
    CHECK_STR(text, "untouched");
    CHECK_EQ(exitfd_describe(&event, NULL, 1), -EINVAL);
}
