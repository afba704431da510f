/* SPDX-License-Identifier: MIT */
/* Processes that have one pid, one after the other: two children of two starts,
   and the opener and a later process. */
#include "life_support.h"

#include <fcntl.h>
#include <stdatomic.h>

static struct exitfd *first_exitfd, *second_exitfd;
static int pid_of_first[2];
static atomic_bool armed;
static int first_data, second_data;

static void *start_second(void *wanted)
{
    set_next_pid(*(pid_t *)wanted);
    pid_t pid = exitfd_fork(second_exitfd, 0, &second_data);
    while (pid == 0)
        pause();
    CHECK(pid == *(pid_t *)wanted);
    return NULL;
}

/* Before exitfd_fork has returned, its child exits, other code reaps it, and
   another start gets the pid. */
static void steal_and_start_another(void)
{
    pthread_t thread;
    pid_t pid;
    int status;

    if (!atomic_exchange(&armed, false))
        return;
    CHECK(read(pid_of_first[0], &pid, sizeof pid) == sizeof pid);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    CHECK(pthread_create(&thread, NULL, start_second, &pid) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static pid_t start_both(void)
{
    CHECK(pipe2(pid_of_first, O_CLOEXEC) == 0);
    CHECK(pthread_atfork(NULL, steal_and_start_another, NULL) == 0);
    set_next_pid(1000);
    atomic_store(&armed, true);
    pid_t pid = exitfd_fork(first_exitfd, 0, &first_data);
    if (pid == 0) {
        pid = getpid();
        _exit(write(pid_of_first[1], &pid, sizeof pid) == sizeof pid ? 3 : 4);
    }
    CHECK(pid > 0);
    return pid;
}

static struct exitfd_event next_event(struct exitfd *x)
{
    struct exitfd_event event;
    CHECK(exitfd_wait(x, &event, 1, DEADLINE_MS) == 1);
    return event;
}

static void expect_both(pid_t pid)
{
    struct exitfd_event event = next_event(first_exitfd);
    CHECK(event.data == &first_data && event.pid == pid);
    CHECK(event.origin == EXITFD_UNKNOWN || (event.origin == EXITFD_RECORDED && event.status == 3));
    CHECK(kill(pid, SIGTERM) == 0);
    event = next_event(second_exitfd);
    CHECK(event.data == &second_data && event.pid == pid);
    CHECK(event.origin == EXITFD_REAPED && event.code == CLD_KILLED && event.status == SIGTERM);
}

static void in_one_exitfd(void)
{
    CHECK(exitfd_open(&first_exitfd, 0) == 0);
    second_exitfd = first_exitfd;
    expect_both(start_both());
}

static void in_two_exitfds(void)
{
    CHECK(exitfd_open(&first_exitfd, 0) == 0);
    CHECK(exitfd_open(&second_exitfd, 0) == 0);
    expect_both(start_both());
}

/* The number may be taken for a moment yet, by work of the kernel for a process
   that has ended. */
static void expect_stale_in_process(pid_t wanted)
{
    for (long long end = now_ms() + DEADLINE_MS; now_ms() < end;) {
        set_next_pid(wanted);
        pid_t pid = fork();
        if (pid == 0)
            _exit(getpid() != wanted ? 77 : exitfd_get_fd(first_exitfd) == -ESTALE ? 0 : 1);
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        if (pid == wanted) {
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return;
        }
        poll(NULL, 0, 10);
    }
    CHECK(!"the pid can be had again");
}

/* The opener ends. Its child goes on with the copy, and has a child of its own
   that gets the opener's pid. */
static void open_and_leave_a_copy(const int *opener_is_reaped, const int *result)
{
    char byte;
    pid_t self = getpid();

    CHECK(exitfd_open(&first_exitfd, 0) == 0);
    pid_t copy = fork();
    CHECK(copy >= 0);
    if (copy != 0)
        _exit(0);
    CHECK(read(opener_is_reaped[0], &byte, 1) == 1);
    expect_stale_in_process(self);
    CHECK(write(result[1], "", 1) == 1);
    _exit(0);
}

static void in_a_process_with_the_pid_of_the_opener(void)
{
    int opener_is_reaped[2], result[2];
    char byte;

    CHECK(pipe(opener_is_reaped) == 0 && pipe(result) == 0);
    set_next_pid(1000);
    pid_t opener = fork();
    if (opener == 0)
        open_and_leave_a_copy(opener_is_reaped, result);
    CHECK(opener > 0 && waitpid(opener, NULL, 0) == opener);
    close(result[1]);
    CHECK(write(opener_is_reaped[1], "", 1) == 1);
    CHECK(read(result[0], &byte, 1) == 1);
}

TEST(starts, a_later_start_with_the_pid_of_a_stolen_child_has_its_own_event)
{
    run_where_pids_can_be_chosen(in_one_exitfd);
}

TEST(starts, a_later_start_by_another_exitfd_has_its_own_event)
{
    run_where_pids_can_be_chosen(in_two_exitfds);
}

TEST(starts, a_copy_in_a_process_with_the_pid_of_the_opener_is_stale)
{
    run_where_pids_can_be_chosen(in_a_process_with_the_pid_of_the_opener);
}
