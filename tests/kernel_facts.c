/* SPDX-License-Identifier: MIT */
/* What exitfd(7) says of the kernel alone. exitfd has no part in any of it. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 5
#define P_PIDFD_ID ((idtype_t)3) /* musl has no P_PIDFD */
#define PIDFS_MAGIC 0x50494446

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static short poll_events(int fd, int timeout_ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    return poll(&pollfd, 1, timeout_ms) == 1 ? pollfd.revents : 0;
}

static void set_mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    CHECK(sigprocmask(how, &set, NULL) == 0);
}

static int open_signalfd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd >= 0);
    return fd;
}

static void make_zombies(pid_t pids[CHILDREN])
{
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = start_exit(i);
        wait_until_zombie(pids[i]);
    }
}

static void reap_zombies(const pid_t pids[CHILDREN])
{
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        SOFT_CHECK(waitpid(pids[i], &status, WNOHANG) == pids[i]);
        SOFT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i);
    }
}

static void a_zombie_keeps_its_pid_until_it_is_reaped(void)
{
    pid_t pid = start_exit(7);
    wait_until_zombie(pid);
    SOFT_CHECK(kill(pid, 0) == 0);
    SOFT_CHECK(waitpid(pid, NULL, 0) == pid);
    SOFT_CHECK(kill(pid, 0) < 0 && errno == ESRCH);
}

static void a_process_has_closed_its_fds_when_its_exit_is_reported(void)
{
    char byte, path[64];
    int fds[2], fd = memfd_create("lock", MFD_CLOEXEC);
    CHECK(fd >= 0 && pipe(fds) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        int own = open(path, O_RDWR);
        _exit(own >= 0 && flock(own, LOCK_EX) == 0 ? 0 : 1);
    }
    close(fds[1]);
    wait_until_zombie(pid);
    SOFT_CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
    SOFT_CHECK(poll_events(fds[0], 0) == POLLHUP && read(fds[0], &byte, 1) == 0);
    int status;
    SOFT_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(fds[0]);
    close(fd);
}

static void a_group_keeps_its_number_until_its_last_member_is_reaped(void)
{
    pid_t leader = start_sleeper(), member = start_sleeper();
    CHECK(setpgid(leader, leader) == 0);
    CHECK(setpgid(member, leader) == 0);
    kill_and_reap(leader);
    CHECK(kill(-leader, 0) == 0);
    kill_and_reap(member);
    CHECK(kill(-leader, 0) < 0 && errno == ESRCH);
}

static void pending_sigchlds_coalesce(void)
{
    pid_t pids[CHILDREN];
    sigset_t set;
    set_mask(SIG_BLOCK);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    siginfo_t info;
    /* Of the tests before, where SIGCHLD is blocked throughout. */
    while (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGCHLD)
        ;
    make_zombies(pids);
    SOFT_CHECK(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGCHLD);
    SOFT_CHECK(info.si_pid == pids[0]);
    SOFT_CHECK(sigtimedwait(&set, &info, &(struct timespec){ 0 }) < 0 && errno == EAGAIN);
    set_mask(SIG_UNBLOCK);
    reap_zombies(pids);
}

static void pending_sigchlds_coalesce_in_a_signalfd_too(void)
{
    pid_t pids[CHILDREN];
    struct signalfd_siginfo info[CHILDREN];
    set_mask(SIG_BLOCK);
    int fd = open_signalfd();
    make_zombies(pids);
    SOFT_CHECK(read(fd, info, sizeof info) == sizeof info[0]);
    SOFT_CHECK(info[0].ssi_pid == (unsigned)pids[0]);
    SOFT_CHECK(poll_events(fd, 0) == 0);
    close(fd);
    set_mask(SIG_UNBLOCK);
    reap_zombies(pids);
}

static void a_signalfd_is_silent_where_sigchld_is_not_blocked(void)
{
    pid_t pids[CHILDREN];
    int fd = open_signalfd();
    make_zombies(pids);
    SOFT_CHECK(poll_events(fd, 0) == 0);
    close(fd);
    reap_zombies(pids);
}

/* field is SigBlk or SigIgn of /proc/PID/status: the fifth hexadecimal digit
   from the right holds SIGCHLD. */
static bool program_is_born_with_sigchld_in(const char *field, bool blocked, bool ignored)
{
    char pattern[64];
    int status;
    snprintf(pattern, sizeof pattern, "^%s:.*[13579bdf]....$", field);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        signal(SIGCHLD, ignored ? SIG_IGN : SIG_DFL);
        set_mask(blocked ? SIG_BLOCK : SIG_UNBLOCK);
        execlp("grep", "grep", "-q", pattern, "/proc/self/status", (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
}

static void a_blocked_sigchld_is_inherited_by_exec(void)
{
    SOFT_CHECK(program_is_born_with_sigchld_in("SigBlk", true, false));
    SOFT_CHECK(!program_is_born_with_sigchld_in("SigBlk", false, false));
}

static void an_ignored_sigchld_is_inherited_by_exec(void)
{
    SOFT_CHECK(program_is_born_with_sigchld_in("SigIgn", false, true));
    SOFT_CHECK(!program_is_born_with_sigchld_in("SigIgn", false, false));
}

static void an_ignored_sigchld_leaves_nothing_to_wait_for(void)
{
    int status;
    signal(SIGCHLD, SIG_IGN);
    pid_t pid = start_exit(7);
    SOFT_CHECK(waitpid(pid, &status, 0) < 0 && errno == ECHILD);
    signal(SIGCHLD, SIG_DFL);
}

static void waitpid_any_takes_everybodys_child(void)
{
    pid_t pid = start_exit(7);
    SOFT_CHECK(waitpid(-1, NULL, 0) == pid);
    SOFT_CHECK(waitpid(pid, NULL, 0) < 0 && errno == ECHILD);
}

static void the_reap_shows_as_a_hangup_of_the_pidfd(void)
{
    pid_t pid = start_exit(7);
    int pidfd = open_pidfd(pid);
    SOFT_CHECK(poll_events(pidfd, DEADLINE_MS) == POLLIN);
    SOFT_CHECK(waitpid(pid, NULL, 0) == pid);
    struct statfs filesystem;
    bool linux_6_9 = fstatfs(pidfd, &filesystem) == 0 && (unsigned)filesystem.f_type == PIDFS_MAGIC;
    SOFT_CHECK(poll_events(pidfd, 0) == (linux_6_9 ? POLLIN | POLLHUP : POLLIN));
    close(pidfd);
}

static void a_stop_does_not_show_on_a_pidfd(void)
{
    int status;
    pid_t pid = start_sleeper();
    int pidfd = open_pidfd(pid);
    kill(pid, SIGSTOP);
    SOFT_CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    SOFT_CHECK(poll_events(pidfd, 0) == 0);
    kill_and_reap(pid);
    close(pidfd);
}

static int epoll_of(int fd)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = { .events = EPOLLIN };
    CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest) == 0);
    return set;
}

static void a_closed_pidfd_stays_in_an_epoll_set_while_a_forked_child_has_it(void)
{
    struct epoll_event event;
    pid_t pid = start_sleeper();
    int pidfd = open_pidfd(pid);
    int set = epoll_of(pidfd);
    pid_t holder = start_sleeper();
    close(pidfd);
    kill_and_reap(pid);
    SOFT_CHECK(epoll_wait(set, &event, 1, DEADLINE_MS) == 1);
    kill_and_reap(holder);
    SOFT_CHECK(epoll_wait(set, &event, 1, 0) == 0);
    close(set);
}

static void what_a_forked_child_takes_out_of_an_epoll_set_is_gone_for_both(void)
{
    struct epoll_event event;
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "", 1) == 1);
    int set = epoll_of(ends[0]);
    SOFT_CHECK(epoll_wait(set, &event, 1, 0) == 1);
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL) != 0);
    SOFT_CHECK(waitpid(pid, NULL, 0) == pid);
    SOFT_CHECK(epoll_wait(set, &event, 1, 0) == 0);
    close(set);
    close(ends[0]);
    close(ends[1]);
}

static void a_pidfd_is_readable_while_a_tracer_has_the_zombie(void)
{
    int go[2], seized[2];
    char byte;
    siginfo_t info;
    CHECK(pipe(go) == 0 && pipe(seized) == 0);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        if (write(seized[1], "", 1) != 1)
            _exit(1);
        _exit(read(go[0], &byte, 1) == 1 ? 7 : 1);
    }
    SOFT_CHECK(read(seized[0], &byte, 1) == 1);
    pid_t tracer = fork_guarded();
    if (tracer == 0) {
        byte = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
        while (write(seized[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    SOFT_CHECK(read(seized[0], &byte, 1) == 1 && byte == 1);
    int pidfd = open_pidfd(pid);
    SOFT_CHECK(write(go[1], "", 1) == 1);
    SOFT_CHECK(poll_events(pidfd, DEADLINE_MS) & POLLIN);

    memset(&info, 0, sizeof info);
    SOFT_CHECK(waitid(P_PIDFD_ID, (id_t)pidfd, &info, WEXITED | WNOHANG) == 0);
    SOFT_CHECK(info.si_pid == 0);
    kill_and_reap(tracer);
    SOFT_CHECK(waitid(P_PIDFD_ID, (id_t)pidfd, &info, WEXITED) == 0);
    SOFT_CHECK(info.si_pid == pid && info.si_status == 7);
    close(pidfd);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(seized[i]);
    }
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
int main(int argc, char *argv[])
{
    int pidfd = open_pidfd(getpid());
    if (pidfd < 0) {
        puts("ok 1 - kernel_facts # SKIP no pidfds here\n1..1");
        return 0;
    }
    close(pidfd);
    static const struct tap_case cases[] = {
        CASE(a_zombie_keeps_its_pid_until_it_is_reaped),
        CASE(a_process_has_closed_its_fds_when_its_exit_is_reported),
        CASE(a_group_keeps_its_number_until_its_last_member_is_reaped),
        CASE(pending_sigchlds_coalesce),
        CASE(pending_sigchlds_coalesce_in_a_signalfd_too),
        CASE(a_signalfd_is_silent_where_sigchld_is_not_blocked),
        CASE(a_blocked_sigchld_is_inherited_by_exec),
        CASE(an_ignored_sigchld_is_inherited_by_exec),
        CASE(an_ignored_sigchld_leaves_nothing_to_wait_for),
        CASE(waitpid_any_takes_everybodys_child),
        CASE(the_reap_shows_as_a_hangup_of_the_pidfd),
        CASE(a_stop_does_not_show_on_a_pidfd),
        CASE(a_closed_pidfd_stays_in_an_epoll_set_while_a_forked_child_has_it),
        CASE(what_a_forked_child_takes_out_of_an_epoll_set_is_gone_for_both),
        CASE(a_pidfd_is_readable_while_a_tracer_has_the_zombie),
    };
    return tap_main(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
