/* SPDX-License-Identifier: MIT */
/* A child that takes long to start, as from a file server that does not answer,
   delays no other call. */
#include "life_support.h"
#include "stand_in.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * The child opens `started` for writing and then `go` for reading, each when we
 * have opened the other end. It ends when that of `go` is closed.
 */
struct stuck_spawn {
    char directory[32], started[48], go[48];
    struct exitfd *x;
    pthread_t thread;
    pid_t pid;
    int result, go_end;
};

static void *spawn_stuck(void *arg)
{
    struct stuck_spawn *stuck = arg;
    char *argv[] = { "sh", "-c", "read unused <&3; exit 6", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 3, stuck->started, O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 3, stuck->go, O_RDONLY, 0);
    stuck->result = exitfd_spawn(stuck->x, &stuck->pid, argv[0], &actions, NULL, argv, environ, 0, stuck);
    posix_spawn_file_actions_destroy(&actions);
    return NULL;
}

static void begin(struct stuck_spawn *stuck, struct exitfd *x)
{
    strcpy(stuck->directory, "/tmp/exitfd-stuck-XXXXXX");
    CHECK(mkdtemp(stuck->directory) != NULL);
    snprintf(stuck->started, sizeof(stuck->started), "%s/started", stuck->directory);
    snprintf(stuck->go, sizeof(stuck->go), "%s/go", stuck->directory);
    CHECK_EQ(mkfifo(stuck->started, 0600), 0);
    CHECK_EQ(mkfifo(stuck->go, 0600), 0);
    stuck->x = x;
    CHECK_EQ(pthread_create(&stuck->thread, NULL, spawn_stuck, stuck), 0);
    int started = open(stuck->started, O_RDONLY | O_CLOEXEC);
    CHECK(started >= 0, "%s: %s", stuck->started, strerror(errno));
    close(started);
}

static void let_start(struct stuck_spawn *stuck)
{
    stuck->go_end = open(stuck->go, O_WRONLY | O_CLOEXEC);
    CHECK(stuck->go_end >= 0, "%s: %s", stuck->go, strerror(errno));
    CHECK_EQ(pthread_join(stuck->thread, NULL), 0);
    CHECK_EQ(stuck->result, 0, "exitfd_spawn: %s", strerror(-stuck->result));
    unlink(stuck->started);
    unlink(stuck->go);
    rmdir(stuck->directory);
}

static void let_end(struct stuck_spawn *stuck)
{
    close(stuck->go_end);
}

static void skip_if_one_thread_only(struct exitfd *x)
{
    if (!backend_is("io_uring"))
        return;
    exitfd_close(x);
    SKIP("an io_uring exitfd belongs to one thread");
}

TEST(stuck_spawn, the_others_open_wait_and_close_meanwhile)
{
    struct exitfd *x = open_exitfd();
    skip_if_one_thread_only(x);
    struct stuck_spawn stuck;
    begin(&stuck, x);
    alarm(120);
    struct exitfd *other = open_exitfd();
    expect_report(other);
    CHECK_EQ(exitfd_add(other, -1, 0, other), 0);
    CHECK_EQ(exitfd_remove(other, -1), 0);
    exitfd_close(other);
    expect_report(x);
    alarm(0);
    let_start(&stuck);
    let_end(&stuck);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, stuck.pid, 6, &stuck);
    expect_quiet(x);
    exitfd_close(x);
}

/* Which of the children is an orphan cannot be known meanwhile: they are
   reported once it is. */
TEST(stuck_spawn, orphans_are_reported_once_it_has_started)
{
    struct exitfd *x = open_exitfd();
    skip_if_one_thread_only(x);
    struct exitfd *spawner = open_exitfd();
    struct stuck_spawn stuck;
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    begin(&stuck, spawner);
    alarm(120);
    pid_t orphan = start_child_exit(7);
    wait_until_zombie(orphan);
    expect_quiet_soon(x);
    alarm(0);
    let_start(&stuck);
    /* The started child lives on: no SIGCHLD of its own makes x look. */
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, orphan, 7, x);
    let_end(&stuck);
    event = wait_event(spawner);
    expect_exited(&event, stuck.pid, 6, &stuck);
    expect_quiet_soon(x);
    exitfd_close(spawner);
    exitfd_close(x);
}

/* A start that begins after the zombie was seen cannot have brought it
   forth. */
TEST(stuck_spawn, an_orphan_waits_only_for_the_starts_that_had_begun)
{
    if (build_is_posix())
        SKIP("without pidfds an orphan waits until no child is being started");
    struct exitfd *x = open_exitfd();
    skip_if_one_thread_only(x);
    struct exitfd *spawner = open_exitfd();
    struct stuck_spawn first, second;
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    begin(&first, spawner);
    alarm(60);
    pid_t orphan = start_child_exit(7);
    wait_until_zombie(orphan);
    expect_quiet_soon(x);
    begin(&second, spawner);
    let_start(&first);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, orphan, 7, x);
    alarm(0);
    let_start(&second);
    let_end(&first);
    let_end(&second);
    for (int i = 0; i < 2; i++) {
        event = wait_event(spawner);
        CHECK_EQ(event.status, 6);
    }
    expect_quiet_soon(x);
    exitfd_close(spawner);
    exitfd_close(x);
}

static int first_that_does_not_work(struct exitfd *stale)
{
    struct exitfd *x;
    struct exitfd_event event;

    alarm(60);
    CHECK(exitfd_close(stale) == NULL);
    CHECK(exitfd_open(&x, 0) == 0);
    CHECK(exitfd_add(x, -1, 0, x) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    CHECK(exitfd_wait(x, &event, 1, -1) == 1);
    CHECK(event.pid == pid && event.status == 5);
    exitfd_close(x);
    return 0;
}

/* The thread that starts a child exists in the parent only, and no
   pthread_atfork handler has said so. */
TEST(stuck_spawn, it_holds_up_no_child_of_a_bare_fork)
{
    if (build_is_posix())
        SKIP("such a fork is noticed where the kernel wipes pages in the child");
    struct exitfd *x = open_exitfd();
    skip_if_one_thread_only(x);
    struct stuck_spawn stuck;
    begin(&stuck, x);
    pid_t pid = fork_without_libc();
    if (pid == 0)
        _exit(first_that_does_not_work(x));
    expect_success(pid);
    let_start(&stuck);
    let_end(&stuck);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, stuck.pid, 6, &stuck);
    exitfd_close(x);
}

/*
 * A forked child that does not come forward, as where a debugger has stopped
 * it. It is held at its first getppid.
 */
static struct {
    pid_t parent;
    struct gate gate;
    int born[2];
} held;

/*
 * In the thread that forks it, and so in the child, but in no other. There the
 * parent has no time-out, and what waits for the fork never ends.
 */
static _Thread_local bool is_patient;

pid_t getppid(void)
{
    if (is_patient && getpid() != held.parent) {
        close(held.gate.go_end); /* so that it ends when the test does */
        (void)!write(held.born[1], "", 1);
        wait_behind(&held.gate);
    }
    return (pid_t)syscall(SYS_getppid);
}

/* Or its patience has an end, which does not come before the test says so. */
static struct gate end_of_patience = { -1, -1 };

int poll(struct pollfd *items, nfds_t count, int timeout_ms)
{
    FIND_NEXT(poll);
    if (is_patient && end_of_patience.wait_end >= 0 && getpid() == held.parent) {
        wait_behind(&end_of_patience);
        return 0;
    }
    return next(items, count, is_patient ? -1 : timeout_ms);
}

static void *fork_held(void *unused)
{
    (void)unused;
    struct exitfd *x = open_exitfd();
    is_patient = true;
    pid_t pid = exitfd_fork(x, 0, x);
    is_patient = false;
    if (pid == 0)
        _exit(8);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 8, x);
    exitfd_close(x);
    return NULL;
}

static void skip_if_forked_without_meeting(void)
{
    if (!backend_is("pidfd") && !backend_is("io_uring"))
        SKIP("there the parent of a forked child does not wait for it");
}

static pthread_t begin_held_fork(void)
{
    pthread_t thread;
    char byte;

    held.gate = open_gate();
    CHECK_EQ(pipe(held.born), 0);
    held.parent = getpid();
    alarm(60);
    CHECK_EQ(pthread_create(&thread, NULL, fork_held, NULL), 0);
    CHECK_EQ(read(held.born[0], &byte, 1), 1);
    return thread;
}

static void end_held_fork(pthread_t thread)
{
    let_through(&held.gate, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    alarm(0);
    close(held.born[0]);
    close(held.born[1]);
    close_gate(&held.gate);
}

TEST(stuck_spawn, a_forked_child_that_is_held_up_holds_up_its_own_fork_alone)
{
    skip_if_forked_without_meeting();
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    add_child(x, watched, EXITFD_STOPPED, x);
    pthread_t thread = begin_held_fork();

    kill(watched, SIGKILL);
    wait_until_zombie(watched);
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_event(&event, watched, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    exitfd_close(open_exitfd());
    exitfd_close(x);
    end_held_fork(thread);
}

/* The other child has a copy of the parent's end, so that its close is
   hidden. */
TEST(stuck_spawn, a_forked_child_that_comes_too_late_goes_on_though_another_was_forked)
{
    skip_if_forked_without_meeting();
    end_of_patience = open_gate();
    pthread_t thread = begin_held_fork();
    struct gate gate = open_gate();
    pid_t other = start_child(&gate, 0);

    let_through(&end_of_patience, 1);
    end_held_fork(thread);
    let_through(&gate, 1);
    reap(other);
    close_gate(&gate);
    close_gate(&end_of_patience);
}
