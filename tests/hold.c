/* SPDX-License-Identifier: MIT */
/* EXITFD_HOLD, the process group of a child, exitfd_count, and pidfds of
   processes that are reaped. */
#include "start_support.h"

#include <limits.h>

static struct exitfd_event expect_held(struct exitfd *x, pid_t pid, int status)
{
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, status, EXITFD_PEEKED, x);
    CHECK(is_zombie(pid));
    expect_quiet_soon(x);
    return event;
}

TEST(hold, the_zombie_stays_until_it_is_discarded)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_HOLD, x), 0);
    let_through(&gate, 1);
    expect_held(x, pid, 7);
    CHECK_EQ(exitfd_kill(x, pid, 0), 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), -EEXIST);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    CHECK(!is_child(pid));
    CHECK_EQ(exitfd_discard(x, pid), -ENOENT);
    expect_quiet_soon(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(hold, the_zombie_is_the_callers_again_once_it_is_removed)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(8);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_HOLD, x), 0);
    expect_held(x, pid, 8);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 8);
    exitfd_close(x);
}

TEST(hold, an_exitfd_that_is_closed_leaves_the_zombie)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_HOLD, x), 0);
    expect_held(x, pid, 9);
    exitfd_close(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 9);
}

TEST(hold, a_child_that_is_discarded_before_its_exit_is_reaped)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_HOLD, x), 0);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    expect_quiet_soon(x);
    CHECK(!is_child(pid));
    close_gate(&gate);
    exitfd_close(x);
}

/* Of a user who has no other process: the same test may run on another back end
   at this moment. */
static void start_two_with_a_limit_of_two(void)
{
    uid_t user = 0x10000 + (uid_t)getpid();
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "true", NULL });
    pid_t first;
    if (setresuid(user, user, user) != 0)
        _exit(CHECK_SKIPPED);
    CHECK_EQ(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 2, 2 }), 0);
    CHECK_EQ(exitfd_start(x, &first, &command, EXITFD_HOLD, x), 0);
    expect_held(x, first, 0);
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), -EAGAIN);
    CHECK_EQ(exitfd_discard(x, first), 0);
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), 0);
    CHECK_EQ(wait_event(x).status, 0);
    exitfd_close(x);
}

TEST(hold, the_zombie_counts_in_the_limit_of_processes)
{
    if (geteuid() != 0)
        SKIP("needs root: a user who has no process");
    exitfd_close(open_exitfd()); /* skips, here and not in the child */
    run_in_process(start_two_with_a_limit_of_two, "this user namespace has too few users");
}

/* Each event of another child is found past the zombies. */
TEST(hold, others_are_reported_beside_those_that_are_held)
{
    struct exitfd *x = open_exitfd();
    pid_t held[3];
    for (int i = 0; i < 3; i++) {
        held[i] = start_child_exit(i);
        CHECK_EQ(exitfd_add(x, held[i], EXITFD_HOLD, x), 0);
        expect_held(x, held[i], i);
        expect_report(x);
    }
    CHECK_EQ(exitfd_count(x), 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exitfd_discard(x, held[i]), 0);
    CHECK_EQ(exitfd_count(x), 0);
    exitfd_close(x);
}

TEST(hold, it_is_refused_to_an_observer)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, getpid(), EXITFD_HOLD | EXITFD_OBSERVE, NULL), -EINVAL);
    exitfd_close(x);
}

/* A group with a member that ignores SIGTERM, whose leader has ended with 5.
   The fd ends with the member. */
static pid_t start_group(struct exitfd *x, int *alive)
{
    int ends[2];
    char byte;
    CHECK_EQ(pipe(ends), 0);
    const struct exitfd_action action = { .type = EXITFD_DUP2, .fd = ends[1], .target = 9 };
    struct exitfd_command command = shell_command("trap '' TERM; sh -c 'echo >&9; exec sleep 1000' & exit 5");
    command.actions = &action;
    command.action_count = 1;
    command.options = EXITFD_NEW_GROUP;
    pid_t pid;
    CHECK_EQ(exitfd_start(x, &pid, &command, EXITFD_HOLD, x), 0);
    close(ends[1]);
    CHECK_EQ(read(ends[0], &byte, 1), 1, "the rest of the group runs");
    *alive = ends[0];
    return pid;
}

TEST(hold, the_rest_of_the_group_is_reached_after_the_leaders_event)
{
    struct exitfd *x = open_exitfd();
    int alive;
    char byte;
    pid_t pid = start_group(x, &alive);
    expect_held(x, pid, 5);
    CHECK_EQ(exitfd_kill(x, -pid, SIGTERM), 0);
    CHECK_EQ(exitfd_kill(x, -pid, 0), 0);
    CHECK_EQ(exitfd_kill(x, -pid, SIGKILL), 0);
    CHECK_EQ(read(alive, &byte, 1), 0, "it has ended");
    CHECK_EQ(exitfd_discard(x, pid), 0);
    CHECK_EQ(exitfd_kill(x, -pid, 0), -ENOENT);
    close(alive);
    exitfd_close(x);
}

/* No zombie keeps the number any more. Only a pidfd can still name the group
   then (Linux 6.9). */
static void expect_group_only_by_pidfd(struct exitfd *x, pid_t pid, int alive)
{
    bool by_pidfd = have_pidfs() && tracks_by_pidfd();
    char byte;
    CHECK_EQ(exitfd_kill(x, -pid, SIGKILL), by_pidfd ? 0 : -ESRCH);
    if (!by_pidfd)
        CHECK_EQ(kill(-pid, SIGKILL), 0);
    CHECK_EQ(read(alive, &byte, 1), 0, "it has ended");
    CHECK_EQ(exitfd_count(x), 1);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    CHECK_EQ(exitfd_count(x), 0);
    close(alive);
}

TEST(hold, a_group_whose_leader_other_code_has_reaped)
{
    struct exitfd *x = open_exitfd();
    int alive;
    pid_t pid = start_group(x, &alive);
    expect_held(x, pid, 5);
    reap(pid);
    expect_group_only_by_pidfd(x, pid, alive);
    exitfd_close(x);
}

TEST(hold, a_group_whose_leader_the_kernel_has_reaped)
{
    struct exitfd *x = open_exitfd();
    int alive;
    set_sigchld(SIG_IGN, 0);
    pid_t pid = start_group(x, &alive);
    struct exitfd_event event = call_until_event(x);
    CHECK(event.pid == pid && event.origin != EXITFD_REAPED && event.data == x);
    CHECK(!is_child(pid));
    expect_group_only_by_pidfd(x, pid, alive);
    exitfd_close(x);
}

TEST(hold, a_group_is_signalled_by_the_name_of_its_leader_alone)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_kill(x, -1, 0), -EINVAL);
    CHECK_EQ(exitfd_kill(x, 0, 0), -EINVAL);
    CHECK_EQ(exitfd_kill(x, INT_MIN, 0), -EINVAL);
    CHECK_EQ(exitfd_kill(x, -pid - 1, 0), -ENOENT);
    CHECK_EQ(exitfd_kill(x, -pid, SIGTERM), -ESRCH);
    CHECK_EQ(setpgid(pid, pid), 0);
    CHECK_EQ(exitfd_kill(x, -pid, 1000), -EINVAL);
    CHECK_EQ(exitfd_kill(x, -pid, SIGTERM), 0);
    CHECK_EQ(wait_event(x).status, SIGTERM);
    exitfd_close(x);
}

TEST(hold, watches_are_counted)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_count(NULL), -EINVAL);
    CHECK_EQ(exitfd_count(x), 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    CHECK_EQ(exitfd_count(x), 0);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_count(x), 1);
    struct exitfd_command command = command_of((char *[]){ "/no/such/file", NULL });
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), -ENOENT);
    CHECK_EQ(exitfd_count(x), 1);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    wait_event(x);
    CHECK_EQ(exitfd_count(x), 0);
    exitfd_close(x);
}

TEST(hold, a_pidfd_of_a_reaped_process_gives_its_recorded_status)
{
    if (!have_pidfd())
        SKIP("no pidfds");
    struct exitfd *x = open_exitfd();
    int pidfds[3];
    for (int i = 0; i < 3; i++) {
        pid_t pid = start_child_exit(20 + i);
        pidfds[i] = open_pidfd(pid);
        reap(pid);
    }
    bool recorded = have_exit_record() && !build_is_posix();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exitfd_add_pidfd(x, pidfds[i], 0, &pidfds[i]), recorded ? 0 : build_is_posix() ? -ENOTSUP : -ESRCH);
    if (recorded)
        CHECK_EQ(exitfd_add_pidfd(x, pidfds[0], EXITFD_OBSERVE, x), 0);
    CHECK_EQ(exitfd_count(x), recorded ? 4 : 0);
    int seen = 0;
    for (int i = 0; i < 4 && recorded; i++) {
        struct exitfd_event event = wait_event(x);
        int status = event.data == x ? 20 : 20 + (int)((int *)event.data - pidfds);
        expect_event(&event, 0, CLD_EXITED, status, EXITFD_RECORDED, event.data);
        seen |= event.data == x ? 8 : 1 << (status - 20);
    }
    CHECK_EQ(seen, recorded ? 15 : 0);
    if (recorded) /* and one that is never taken */
        CHECK_EQ(exitfd_add_pidfd(x, pidfds[1], 0, x), 0);
    exitfd_close(x);
    for (int i = 0; i < 3; i++)
        close(pidfds[i]);
}

/* Its first watch has the pid, its second one cannot have it: each gives the
   event that it was added for. */
TEST(hold, a_pidfd_of_a_reaped_process_that_is_still_watched)
{
    if (!have_pidfd())
        SKIP("no pidfds");
    int first, second;
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(24);
    CHECK_EQ(exitfd_add(x, pid, 0, &first), 0);
    int pidfd = open_pidfd(pid);
    bool recorded = have_exit_record() && !build_is_posix();
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, &second), build_is_posix() ? -ENOTSUP : -EEXIST);
    reap(pid);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, &second), recorded ? 0 : build_is_posix() ? -ENOTSUP : -ESRCH);
    int firsts = 0, seconds = 0;
    for (int i = 0; i < 1 + recorded; i++) {
        struct exitfd_event event = wait_event(x);
        CHECK_EQ(event.pid, event.data == &first ? pid : 0);
        CHECK(event.origin == EXITFD_UNKNOWN || (event.origin == EXITFD_RECORDED && event.status == 24));
        firsts += event.data == &first;
        seconds += event.data == &second;
    }
    CHECK_EQ(firsts, 1);
    CHECK_EQ(seconds, recorded ? 1 : 0);
    expect_quiet_soon(x);
    close(pidfd);
    exitfd_close(x);
}
