/* SPDX-License-Identifier: MIT */
/*
 * Beside libuv and GLib, each minding children of its own in the same process,
 * both orders. Neither chains to the handler it finds, and both leave SIG_DFL
 * behind: with a handler of ours that is -EPIPE once, and no child lost.
 */
#include "signals.h"
#include "support.h"
#include "truth_inject.h"

#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <string.h>
#include <uv.h>

/* Also where the handler was replaced: -EPIPE once, and then every exitfd_wait
   still reports. */
static void expect_reported(struct exitfd *x, pid_t pid, int status)
{
    struct exitfd_event event;
    wait_until_zombie(pid);
    int ret = exitfd_wait(x, &event, 1, 0);
    if (ret == -EPIPE && backend_is("self-pipe"))
        ret = exitfd_wait(x, &event, 1, 0);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, status, NULL);
}

/* libuv */

struct uv_side {
    uv_loop_t loop;
    uv_process_t process;
    int ending; /* of its child: the exit status, or minus the signal */
};

static void note_uv_exit(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct uv_side *uv = process->data;
    uv->ending = term_signal != 0 ? -term_signal : (int)exit_status;
    uv_close((uv_handle_t *)process, NULL);
}

/* Its child lives until it is killed, so that the exit comes when the test
   wants it. */
static void start_uv(struct uv_side *uv)
{
    char *arguments[] = { "sleep", "100", NULL };
    uv_process_options_t options = { .exit_cb = note_uv_exit, .file = arguments[0], .args = arguments };
    if (backend_is("signalfd"))
        SKIP("signalfd has SIGCHLD blocked in every thread, and libuv needs it delivered");
    CHECK_EQ(uv_loop_init(&uv->loop), 0);
    uv->process.data = uv;
    int ret = uv_spawn(&uv->loop, &uv->process, &options);
    CHECK_EQ(ret, 0, "uv_spawn: %s", uv_strerror(ret));
}

static void finish_uv(struct uv_side *uv)
{
    uv->ending = 0;
    uv_process_kill(&uv->process, SIGKILL);
    CHECK_EQ(uv_run(&uv->loop, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&uv->loop), 0);
    uv_library_shutdown();
    CHECK_EQ(uv->ending, -SIGKILL);
}

TEST(loops, libuv_that_starts_after_us_gets_its_exits_and_we_get_ours)
{
    struct uv_side uv;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 21);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);

    start_uv(&uv);
    let_through(&gate, 1);
    expect_reported(x, pid, 21);
    finish_uv(&uv);

    exitfd_close(x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&gate);
}

TEST(loops, libuv_that_was_there_before_us_gets_its_exits_and_we_get_ours)
{
    struct uv_side uv;
    start_uv(&uv);
    struct exitfd *x = open_exitfd();
    expect_served(x, 22);
    finish_uv(&uv);

    /* With its last child libuv took the handler away, ours too. */
    pid_t pid = start_child_exit(23);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    expect_reported(x, pid, 23);
    exitfd_close(x);
}

TEST(loops, closed_while_libuv_still_has_children_libuv_keeps_its_handler)
{
    struct uv_side uv;
    start_uv(&uv);
    struct exitfd *x = open_exitfd();
    expect_served(x, 24);
    exitfd_close(x);
    finish_uv(&uv);
}

/* GLib */

static void note_glib_exit(GPid pid, gint wait_status, gpointer ending)
{
    *(int *)ending = WIFSIGNALED(wait_status) ? -WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    g_spawn_close_pid(pid);
}

enum {
    NOT_YET = 1 << 16
};

static void glib_finish(const int *ending)
{
    for (long long end = now_ms() + DEADLINE_MS; *ending == NOT_YET;) {
        g_main_context_iteration(NULL, FALSE);
        CHECK(now_ms() < end, "GLib did not report its child");
    }
}

static void glib_start(struct gate *gate, int *ending)
{
    *ending = NOT_YET;
    g_child_watch_add(start_child(gate, 31), note_glib_exit, ending);
}

/* GLib's worker thread and its eventfds stay for the life of the process: they
   are no leak of the test. */
static void warm_up_glib(void)
{
    /* GLib takes pidfds where it can. Without them it installs a SIGCHLD
       handler, which is what is wanted here. */
    if (backend_is("self-pipe"))
        inject_pidfd_open = (struct injection){ .error = ENOSYS, .times = INT_MAX };
    int ending;
    struct gate gate = open_gate();
    glib_start(&gate, &ending);
    let_through(&gate, 1);
    glib_finish(&ending);
    close_gate(&gate);
}

#define GLIB_TEST(name)                                                                                                \
    static void name##_with_glib(void);                                                                                \
    Test(loops, name)                                                                                                  \
    {                                                                                                                  \
        warm_up_glib();                                                                                                \
        begin_test();                                                                                                  \
        name##_with_glib();                                                                                            \
        end_test();                                                                                                    \
    }                                                                                                                  \
    static void name##_with_glib(void)

GLIB_TEST(glib_that_starts_after_us_gets_its_exits_and_we_get_ours)
{
    struct exitfd *x = open_exitfd();
    struct gate ours = open_gate(), theirs = open_gate();
    int ending;
    pid_t pid = start_child(&ours, 32);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    glib_start(&theirs, &ending);

    let_through(&ours, 1);
    expect_reported(x, pid, 32);
    let_through(&theirs, 1);
    glib_finish(&ending);
    CHECK_EQ(ending, 31);

    exitfd_close(x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&ours);
    close_gate(&theirs);
}

GLIB_TEST(glib_that_was_there_before_us_gets_its_exits_and_we_get_ours)
{
    struct gate theirs = open_gate();
    int ending;
    glib_start(&theirs, &ending);
    struct exitfd *x = open_exitfd();
    expect_served(x, 33);
    let_through(&theirs, 1);
    glib_finish(&ending);
    CHECK_EQ(ending, 31);

    pid_t pid = start_child_exit(34);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    expect_reported(x, pid, 34);
    exitfd_close(x);
    close_gate(&theirs);
}

GLIB_TEST(closed_while_glib_still_has_children_glib_keeps_its_handler)
{
    struct gate theirs = open_gate();
    int ending;
    glib_start(&theirs, &ending);
    struct exitfd *x = open_exitfd();
    expect_served(x, 35);
    exitfd_close(x);
    let_through(&theirs, 1);
    glib_finish(&ending);
    CHECK_EQ(ending, 31);
    close_gate(&theirs);
}
