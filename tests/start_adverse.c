/* SPDX-License-Identifier: MIT */
/* exitfd_start where the world is against it: other code that reaps, no fds, no
   processes, many threads, cancellation. */
#include "start_support.h"

#include <fcntl.h>
#include <grp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *const exit_7[] = { "sh", "-c", "exit 7", NULL };

static void start_exit_7(struct exitfd *x, pid_t *pid, void *data)
{
    struct exitfd_command command = command_of(exit_7);
    CHECK_EQ(exitfd_start(x, pid, &command, 0, data), 0);
}

TEST(start_adverse, beside_a_thread_that_reaps_any_child_a_failure_is_one)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of((char *[]){ "/no/such/file", NULL });
    atomic_bool stop = false;
    struct helper reaper = start_helper(steal_children, &stop);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(exitfd_start(x, NULL, &command, 0, NULL), -ENOENT);
    atomic_store(&stop, true);
    join_helper(&reaper);
    expect_quiet_soon(x);
    exitfd_close(x);
}

TEST(start_adverse, with_no_fd_left_the_child_is_still_watched)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = command_of(exit_7);
    pid_t pid = -77;
    struct rlimit before = forbid_new_fds();
    if (build_is_posix()) /* the failure of a forked child comes through a pipe */
        expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -EMFILE, pid);
    for (int i = 0; i < 20 && !build_is_posix(); i++) {
        start_exit_7(x, &pid, x);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 7, x);
        expect_quiet(x);
    }
    allow_new_fds(&before);
    exitfd_close(x);
}

TEST(start_adverse, with_no_fd_left_and_no_signals_there_is_no_child)
{
    struct exitfd *x;
    int ret = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (ret == -ENOTSUP)
        SKIP("EXITFD_NO_SIGNALS: this back end cannot do without");
    CHECK_EQ(ret, 0);
    bool by_pidfd = backend_is("pidfd") || backend_is("io_uring");
    struct exitfd_command command = command_of(exit_7);
    pid_t pid = -77;
    struct rlimit before = forbid_new_fds();
    for (int i = 0; i < 20 && by_pidfd; i++)
        expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -EMFILE, pid);
    allow_new_fds(&before);
    start_exit_7(x, &pid, x);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    exitfd_close(x);
}

static void start_beyond_the_process_limit(void)
{
    struct exitfd *x;
    struct exitfd_command command = command_of(exit_7);
    pid_t pid = -77;
    CHECK(exitfd_open(&x, 0) == 0);
    CHECK(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 }) == 0);
    if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0))
        _exit(CHECK_SKIPPED);
    for (int i = 0; i < 20; i++)
        CHECK(exitfd_start(x, &pid, &command, 0, NULL) == -EAGAIN);
    CHECK(pid == -77);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    struct exitfd_event event;
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    exitfd_close(x);
}

TEST(start_adverse, where_no_process_can_be_made_nothing_is_left)
{
    run_in_process(start_beyond_the_process_limit, "this user cannot become another");
}

static char pids_cgroup[64];

/* Where the controller is, in the first and in the second version of
   cgroups. */
static bool make_pids_cgroup(void)
{
    static const char *const roots[] = { "/sys/fs/cgroup/pids", "/sys/fs/cgroup" };
    char limit[96];
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        snprintf(pids_cgroup, sizeof pids_cgroup, "%s/exitfd-test-%d", roots[i], (int)getpid());
        snprintf(limit, sizeof limit, "%s/pids.max", pids_cgroup);
        if (mkdir(pids_cgroup, 0755) == 0 && access(limit, W_OK) == 0)
            return true;
        rmdir(pids_cgroup);
    }
    return false;
}

static void write_to_cgroup(const char *name, const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", pids_cgroup, name);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

struct fd_user {
    atomic_bool stop;
    int lost;
};

/* Uses an fd as any thread does, and counts those that somebody else has
   closed. */
static void *use_fds(void *argument)
{
    struct fd_user *user = argument;
    while (!atomic_load(&user->stop)) {
        int fd = open("/dev/null", O_RDONLY);
        user->lost += fcntl(fd, F_GETFD) < 0 || close(fd) < 0;
    }
    return NULL;
}

/* The kernel gives the number of a pidfd before it finds that the limit is
   reached, and then frees that number. */
static void start_beyond_the_limit_of_a_cgroup(void)
{
    struct exitfd *x;
    struct exitfd_command command = command_of(exit_7);
    struct fd_user user = { .lost = 0 };
    pthread_t thread;
    CHECK(exitfd_open(&x, 0) == 0);
    CHECK(pthread_create(&thread, NULL, use_fds, &user) == 0);
    write_to_cgroup("cgroup.procs", "0");
    write_to_cgroup("pids.max", "2");
    for (int i = 0; i < 10000; i++)
        CHECK(exitfd_start(x, NULL, &command, 0, NULL) == -EAGAIN);
    atomic_store(&user.stop, true);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(user.lost == 0);
    exitfd_close(x);
}

TEST(start_adverse, where_a_cgroup_forbids_it_no_fd_of_another_thread_is_closed)
{
    if (!make_pids_cgroup())
        SKIP("no cgroup can be made here");
    run_in_process(start_beyond_the_limit_of_a_cgroup, "no cgroup can be joined here");
    CHECK_EQ(rmdir(pids_cgroup), 0);
}

struct starter {
    struct exitfd *x;
    int failures;
    pid_t pids[20];
};

static void *start_many(void *argument)
{
    struct starter *starter = argument;
    struct exitfd_command command = command_of(exit_7);
    struct exitfd_command missing = command_of((char *[]){ "/no/such/file", NULL });
    for (int i = 0; i < 20; i++) {
        starter->failures += exitfd_start(starter->x, &starter->pids[i], &command, 0, &starter->pids[i]) != 0;
        starter->failures += exitfd_start(starter->x, NULL, &missing, 0, NULL) != -ENOENT;
    }
    return NULL;
}

TEST(start_adverse, many_threads_start_at_once)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd has one thread");
    enum {
        THREADS = 8
    };
    struct starter starters[THREADS];
    struct helper helpers[THREADS];
    struct exitfd_event event;
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < THREADS; i++) {
        starters[i] = (struct starter){ .x = x };
        helpers[i] = start_helper(start_many, &starters[i]);
    }
    for (int i = 0; i < 20 * THREADS; i++) {
        wait_events(x, &event, 1);
        expect_event(&event, event.pid, CLD_EXITED, 7, EXITFD_REAPED, event.data);
    }
    for (int i = 0; i < THREADS; i++) {
        join_helper(&helpers[i]);
        CHECK_EQ(starters[i].failures, 0);
    }
    expect_quiet_soon(x);
    exitfd_close(x);
}

static atomic_bool has_started;

static void *start_cancelled(void *argument)
{
    struct exitfd_command command = command_of(exit_7);
    pthread_cancel(pthread_self());
    int result = exitfd_start(argument, NULL, &command, 0, NULL);
    atomic_store(&has_started, true);
    pthread_testcancel();
    return (void *)(long)result;
}

TEST(start_adverse, it_is_no_cancellation_point)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd has one thread");
    struct exitfd *x = open_exitfd();
    struct helper helper = start_helper(start_cancelled, x);
    CHECK_EQ(join_helper(&helper), PTHREAD_CANCELED);
    CHECK(has_started, "it was cancelled inside");
    CHECK_EQ(wait_event(x).status, 7);
    exitfd_close(x);
}

/* What a start keeps for the next one is no other process's. */
TEST(start_adverse, a_forked_child_starts_programs_of_its_own)
{
    struct exitfd *x = open_exitfd();
    pid_t pid;
    start_exit_7(x, &pid, x);
    pid_t child = fork_guarded();
    if (child == 0) {
        struct exitfd *own;
        struct exitfd_command command = command_of(exit_7);
        struct exitfd_event event;
        CHECK(exitfd_open(&own, 0) == 0);
        for (int i = 0; i < 20; i++) {
            CHECK(exitfd_start(own, NULL, &command, 0, NULL) == 0);
            CHECK(exitfd_wait(own, &event, 1, DEADLINE_MS) == 1 && event.status == 7);
        }
        exitfd_close(own);
        _exit(0);
    }
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
    for (int i = 0; i < 20; i++) {
        start_exit_7(x, &pid, x);
        event = wait_event(x);
        expect_exited(&event, pid, 7, x);
    }
    expect_success(child);
    exitfd_close(x);
}
