/* SPDX-License-Identifier: MIT */
/* A pid that is used again by another process: exitfd_kill says so, and does
   not hit it. */
#include "life_support.h"

#include <fcntl.h>

static pid_t start_living(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    while (pid == 0)
        pause();
    return pid;
}

static int exit_status_of(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct exitfd *open_for_recycling(void)
{
    struct exitfd *x;
    CHECK(exitfd_open(&x, 0) == 0);
    set_next_pid(1000);
    return x;
}

/* The number may be taken for a moment yet, by work of the kernel for a process
   that is gone. */
static bool start_with(pid_t pid)
{
    for (long long end = now_ms() + DEADLINE_MS; now_ms() < end;) {
        set_next_pid(pid);
        pid_t started = start_living();
        if (started == pid)
            return true;
        kill(started, SIGKILL);
        waitpid(started, NULL, 0);
        poll(NULL, 0, 10);
    }
    return false;
}

static void recycle_for_own_child(pid_t pid)
{
    CHECK(start_with(pid));
}

/* Returns its parent, which ends as it does, so that it is no child of ours. */
static pid_t recycle_for_stranger(pid_t pid)
{
    int ends[2];
    char byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t parent = fork();
    CHECK(parent >= 0);
    if (parent == 0) {
        CHECK(start_with(pid));
        CHECK(write(ends[1], "", 1) == 1);
        _exit(exit_status_of(pid));
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    close(ends[0]);
    close(ends[1]);
    return parent;
}

static void try_to_hit(struct exitfd *x, pid_t pid, int wanted)
{
    CHECK(exitfd_kill(x, pid, 0) == wanted);
    CHECK(exitfd_kill(x, pid, SIGTERM) == wanted);
    CHECK(exitfd_kill(x, pid, SIGKILL) == wanted);
}

/* Of several deadly signals the first one counts: its status tells whether one
   came before this. */
static void expect_not_hit(pid_t pid, pid_t whose_status)
{
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(exit_status_of(whose_status) == 128 + SIGUSR1);
}

static pid_t watch_zombie(struct exitfd *x, unsigned flags)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    CHECK(exitfd_add(x, pid, flags, x) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    return pid;
}

static void expect_stolen_3(const struct exitfd_event *event, pid_t pid, const void *data)
{
    CHECK(event->pid == pid && event->data == data);
    CHECK(event->origin == EXITFD_UNKNOWN ||
          (event->origin == EXITFD_RECORDED && event->code == CLD_EXITED && event->status == 3));
}

static void expect_one_event(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    try_to_hit(x, pid, -ENOENT);
}

static void after_its_event(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, 0);
    CHECK(wait_event_blocked(x).pid == pid);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void after_remove(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, 0);
    CHECK(exitfd_remove(x, pid) == 0);
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void after_discard(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, 0);
    CHECK(exitfd_discard(x, pid) == 0);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void reaped_by_somebody_else(unsigned flags)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, flags);
    CHECK(exit_status_of(pid) == 3);
    pid_t parent = recycle_for_stranger(pid);
    try_to_hit(x, pid, -ESRCH);
    expect_one_event(x, pid);
    expect_not_hit(pid, parent);
}

static void reaped_by_somebody_else_and_child_again(unsigned flags)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, flags);
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ESRCH);
    expect_one_event(x, pid);
    expect_not_hit(pid, pid);
}

static void owned_then_strangers(void)
{
    reaped_by_somebody_else(0);
}

static void observed_then_strangers(void)
{
    reaped_by_somebody_else(EXITFD_OBSERVE);
}

static void owned_then_owned(void)
{
    reaped_by_somebody_else_and_child_again(0);
}

static void observed_then_owned(void)
{
    reaped_by_somebody_else_and_child_again(EXITFD_OBSERVE);
}

/* exitfd_fork until the child has the wanted pid, which may be taken for a
   moment yet. */
static void fork_watched_with(struct exitfd *x, pid_t wanted, void *data)
{
    for (long long end = now_ms() + DEADLINE_MS; now_ms() < end;) {
        set_next_pid(wanted);
        pid_t pid = exitfd_fork(x, 0, data);
        while (pid == 0)
            pause();
        CHECK(pid > 0);
        if (pid == wanted)
            return;
        CHECK(exitfd_remove(x, pid) == 0);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        poll(NULL, 0, 10);
    }
    CHECK(!"the pid can be had again");
}

static void started_again(void)
{
    int again;
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, 0);
    CHECK(exit_status_of(pid) == 3);
    fork_watched_with(x, pid, &again);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    CHECK(exitfd_kill(x, pid, SIGTERM) == 0);
    event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == &again && event.origin == EXITFD_REAPED);
    CHECK(event.code == CLD_KILLED && event.status == SIGTERM);
    try_to_hit(x, pid, -ENOENT);
}

static struct exitfd *open_with_a_stale_watch(unsigned flags, pid_t *pid)
{
    struct exitfd *x = open_for_recycling();
    *pid = watch_zombie(x, flags);
    CHECK(exit_status_of(*pid) == 3);
    fork_watched_with(x, *pid, NULL);
    CHECK(exitfd_remove(x, *pid) == 0);
    return x;
}

static void started_again_and_removed(void)
{
    pid_t pid;
    struct exitfd *x = open_with_a_stale_watch(0, &pid);
    try_to_hit(x, pid, -ESRCH);
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    CHECK(exit_status_of(pid) == 128 + SIGUSR1);
}

/* The stale watch is another exitfd's than the one that starts the child. */
static void started_again_by_another(void)
{
    struct exitfd *x = open_for_recycling(), *other;
    CHECK(exitfd_open(&other, 0) == 0);
    pid_t pid = watch_zombie(x, 0);
    CHECK(exit_status_of(pid) == 3);
    fork_watched_with(other, pid, other);
    try_to_hit(x, pid, -ESRCH);
    CHECK(exitfd_kill(other, pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    event = wait_event_blocked(other);
    CHECK(event.pid == pid && event.data == other && event.origin == EXITFD_REAPED && event.status == SIGUSR1);
}

static void started_again_and_stopped(void)
{
    pid_t pid;
    struct exitfd *x = open_with_a_stale_watch(EXITFD_STOPPED, &pid);
    CHECK(kill(pid, SIGSTOP) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WSTOPPED | WNOWAIT) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0 && info.si_code == CLD_STOPPED);
}

static void started_again_and_discarded(void)
{
    pid_t pid;
    struct exitfd *x = open_with_a_stale_watch(0, &pid);
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exitfd_wait(x, &(struct exitfd_event){ 0 }, 1, 0) == 0);
    CHECK(exitfd_discard(x, pid) == -ENOENT);
    CHECK(exit_status_of(pid) == 128 + SIGUSR1);
}

static void started_again_and_added(void)
{
    int again;
    pid_t pid;
    struct exitfd *x = open_with_a_stale_watch(0, &pid);
    CHECK(exitfd_add(x, pid, 0, &again) == 0);
    CHECK(exitfd_kill(x, pid, SIGTERM) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    struct exitfd_event events[2];
    events[0] = wait_event_blocked(x);
    events[1] = wait_event_blocked(x);
    int stale = events[0].data == x ? 0 : 1;
    expect_stolen_3(&events[stale], pid, x);
    CHECK(events[!stale].data == &again && events[!stale].origin == EXITFD_REAPED && events[!stale].status == SIGTERM);
}

static int pid_of_the_child[2];
static pid_t parent_of_the_stranger;

/* Between the fork and the pidfd_open: the child exits, is stolen, and a
   stranger gets its pid. */
static void steal_and_recycle(void)
{
    pid_t pid;
    if (parent_of_the_stranger != 0)
        return;
    parent_of_the_stranger = -1; /* what is forked below comes here too */
    CHECK(read(pid_of_the_child[0], &pid, sizeof pid) == sizeof pid);
    CHECK(exit_status_of(pid) == 3);
    parent_of_the_stranger = recycle_for_stranger(pid);
}

static void stolen_before_the_fork_returned(void)
{
    struct exitfd *x = open_for_recycling();
    CHECK(pipe2(pid_of_the_child, O_CLOEXEC) == 0);
    CHECK(pthread_atfork(NULL, steal_and_recycle, NULL) == 0);
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0) {
        pid = getpid();
        _exit(write(pid_of_the_child[1], &pid, sizeof pid) == sizeof pid ? 3 : 4);
    }
    CHECK(pid > 0);
    try_to_hit(x, pid, -ESRCH);
    expect_one_event(x, pid);
    expect_not_hit(pid, parent_of_the_stranger);
}

static void added_again(unsigned flags)
{
    int again;
    struct exitfd *x = open_for_recycling();
    pid_t pid = watch_zombie(x, flags);
    CHECK(exitfd_add(x, pid, 0, &again) == -EEXIST);
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    CHECK(exitfd_add(x, pid, 0, &again) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    CHECK(exitfd_kill(x, pid, SIGTERM) == 0);
    event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == &again && event.origin == EXITFD_REAPED && event.status == SIGTERM);
}

static void owned_then_added(void)
{
    added_again(0);
}

static void observed_then_added(void)
{
    added_again(EXITFD_OBSERVE);
}

/* Held after an event that says it was reaped: from then on its pid is not its
   own. */
static pid_t hold_what_was_stolen(struct exitfd *x)
{
    pid_t pid = watch_zombie(x, EXITFD_HOLD);
    CHECK(exit_status_of(pid) == 3);
    struct exitfd_event event = wait_event_blocked(x);
    expect_stolen_3(&event, pid, x);
    try_to_hit(x, pid, -ESRCH);
    recycle_for_own_child(pid);
    return pid;
}

static void held_and_stolen_and_discarded(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_was_stolen(x);
    try_to_hit(x, pid, -ESRCH);
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exitfd_discard(x, pid) == -ENOENT);
    CHECK(exit_status_of(pid) == 128 + SIGUSR1);
}

static void held_and_stolen_and_added(void)
{
    int again;
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_was_stolen(x);
    CHECK(exitfd_add(x, pid, 0, &again) == 0);
    CHECK(exitfd_kill(x, pid, SIGTERM) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == &again && event.origin == EXITFD_REAPED && event.status == SIGTERM);
    CHECK(exitfd_count(x) == 1);
    try_to_hit(x, pid, -ESRCH);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exitfd_count(x) == 0);
}

static void held_and_stolen_and_an_orphan(void)
{
    int any;
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_was_stolen(x);
    CHECK(exitfd_add(x, -1, 0, &any) == 0);
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == &any && event.origin == EXITFD_REAPED && event.status == SIGUSR1);
    CHECK(exitfd_remove(x, pid) == 0);
}

/* The zombie is stolen after its event, and another child has its pid. */
static pid_t hold_what_is_stolen_later(struct exitfd *x)
{
    pid_t pid = watch_zombie(x, EXITFD_HOLD);
    struct exitfd_event event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.origin == EXITFD_PEEKED && event.status == 3);
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    return pid;
}

static void held_and_stolen_later(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_is_stolen_later(x);
    try_to_hit(x, pid, -ESRCH);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exitfd_count(x) == 0);
    expect_not_hit(pid, pid);
}

/* Its end makes it a zombie with that pid, which is the caller's to reap. */
static void held_and_stolen_later_and_discarded_late(void)
{
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_is_stolen_later(x);
    CHECK(exitfd_kill(x, pid, 0) == -ESRCH);
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    CHECK(exitfd_kill(x, pid, 0) == -ESRCH);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exit_status_of(pid) == 128 + SIGUSR1);
}

static void held_and_stolen_later_and_added(void)
{
    int again;
    struct exitfd *x = open_for_recycling();
    pid_t pid = hold_what_is_stolen_later(x);
    CHECK(exitfd_add(x, pid, 0, &again) == 0);
    CHECK(exitfd_kill(x, pid, SIGTERM) == 0);
    struct exitfd_event event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == &again && event.origin == EXITFD_REAPED && event.status == SIGTERM);
    CHECK(exitfd_discard(x, pid) == 0);
    CHECK(exitfd_count(x) == 0);
}

static void skip_unless_by_pidfd(void)
{
    if (!tracks_by_pidfd())
        SKIP("no pidfd: a stolen child cannot be kept apart from a later child with its pid");
}

TEST(recycled, after_its_event_the_pid_is_not_hit)
{
    run_where_pids_can_be_chosen(after_its_event);
}

TEST(recycled, after_remove_the_pid_is_not_hit)
{
    run_where_pids_can_be_chosen(after_remove);
}

TEST(recycled, after_discard_the_pid_is_not_hit)
{
    run_where_pids_can_be_chosen(after_discard);
}

TEST(recycled, a_stranger_with_the_pid_of_a_stolen_child_is_not_hit)
{
    run_where_pids_can_be_chosen(owned_then_strangers);
}

TEST(recycled, a_stranger_with_the_pid_of_an_observed_child_is_not_hit)
{
    run_where_pids_can_be_chosen(observed_then_strangers);
}

TEST(recycled, a_child_started_with_the_pid_of_a_stolen_child_has_its_own_event)
{
    run_where_pids_can_be_chosen(started_again);
}

TEST(recycled, a_child_started_by_another_exitfd_has_its_own_event)
{
    run_where_pids_can_be_chosen(started_again_by_another);
}

TEST(recycled, the_watch_of_a_stolen_child_does_not_reap_a_later_one)
{
    run_where_pids_can_be_chosen(started_again_and_removed);
}

TEST(recycled, the_watch_of_a_stolen_child_does_not_take_the_stop_of_a_later_one)
{
    run_where_pids_can_be_chosen(started_again_and_stopped);
}

TEST(recycled, a_discard_of_a_stolen_child_does_not_reap_a_later_one)
{
    run_where_pids_can_be_chosen(started_again_and_discarded);
}

TEST(recycled, a_child_started_and_added_again_beside_the_stale_watch)
{
    run_where_pids_can_be_chosen(started_again_and_added);
}

TEST(recycled, a_stranger_that_gets_the_pid_before_the_fork_returns_is_not_hit)
{
    run_where_pids_can_be_chosen(stolen_before_the_fork_returned);
}

TEST(recycled, a_later_child_with_the_pid_of_a_stolen_child_can_be_added)
{
    skip_unless_by_pidfd();
    run_where_pids_can_be_chosen(owned_then_added);
}

TEST(recycled, a_later_child_with_the_pid_of_an_observed_child_can_be_added)
{
    skip_unless_by_pidfd();
    run_where_pids_can_be_chosen(observed_then_added);
}

TEST(recycled, a_later_child_with_the_pid_of_a_stolen_child_is_not_hit)
{
    skip_unless_by_pidfd();
    run_where_pids_can_be_chosen(owned_then_owned);
}

TEST(recycled, a_later_child_with_the_pid_of_an_observed_child_is_not_hit)
{
    skip_unless_by_pidfd();
    run_where_pids_can_be_chosen(observed_then_owned);
}

TEST(recycled, a_discard_of_a_held_child_that_was_stolen_does_not_reap_a_later_one)
{
    run_where_pids_can_be_chosen(held_and_stolen_and_discarded);
}

TEST(recycled, a_later_child_with_the_pid_of_a_held_one_that_was_stolen_can_be_added)
{
    run_where_pids_can_be_chosen(held_and_stolen_and_added);
}

TEST(recycled, an_orphan_with_the_pid_of_a_held_child_that_was_stolen_is_reported)
{
    run_where_pids_can_be_chosen(held_and_stolen_and_an_orphan);
}

TEST(recycled, a_later_child_with_the_pid_of_a_held_zombie_that_was_stolen_is_not_hit)
{
    run_where_pids_can_be_chosen(held_and_stolen_later);
}

TEST(recycled, a_later_zombie_with_the_pid_of_a_held_zombie_that_was_stolen_is_not_reaped)
{
    run_where_pids_can_be_chosen(held_and_stolen_later_and_discarded_late);
}

TEST(recycled, a_later_child_with_the_pid_of_a_held_zombie_that_was_stolen_can_be_added)
{
    run_where_pids_can_be_chosen(held_and_stolen_later_and_added);
}
