/* SPDX-License-Identifier: MIT */
/* exitfd_install_handler and exitfd_is_default_handler. The back end of
   EXITFD_BACKEND plays no part. */
#include "signals.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t application_calls;

static void application_handler(int sig)
{
    (void)sig;
    application_calls++;
}

TEST(primitive, the_first_install_returns_minus_one_and_the_next_the_fd_before)
{
    struct wakeup first = open_wakeup(), second = open_wakeup();
    CHECK_EQ(install(first.write_end), -1);
    CHECK_EQ(install(second.write_end), first.write_end);
    CHECK_EQ(install(second.write_end), second.write_end);
    CHECK_EQ(install(-1), second.write_end);
    CHECK_EQ(install(-1), -1);
    close_wakeup(&first);
    close_wakeup(&second);
}

TEST(primitive, the_old_fd_may_be_of_no_interest)
{
    struct wakeup wakeup = open_wakeup();
    CHECK_EQ(exitfd_install_handler(wakeup.write_end, NULL), 0);
    CHECK_EQ(exitfd_install_handler(-1, NULL), 0);
    close_wakeup(&wakeup);
}

TEST(primitive, each_sigchld_of_kill_writes_one_byte)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    CHECK_EQ(take_bytes(&wakeup), 0);
    for (int sent = 1; sent <= 5; sent++) {
        send_sigchld();
        CHECK_EQ(take_bytes(&wakeup), 1, "after signal %d", sent);
    }
    install(-1);
    close_wakeup(&wakeup);
}

TEST(primitive, a_child_exit_writes_a_byte_and_leaves_the_child_alone)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    unblock_sigchld();
    pid_t pid = start_child_exit(3);
    wait_readable(wakeup.read_end);
    CHECK_EQ(take_bytes(&wakeup), 1);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 3);
    install(-1);
    close_wakeup(&wakeup);
}

static void *deliver_here(void *unused)
{
    send_sigchld();
    return unused;
}

TEST(primitive, a_sigchld_delivered_to_any_thread_writes_a_byte)
{
    struct wakeup wakeup = open_wakeup();
    block_sigchld();
    install(wakeup.write_end);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, deliver_here, NULL), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(take_bytes(&wakeup), 1);
    install(-1);
    close_wakeup(&wakeup);
}

TEST(primitive, a_stop_writes_no_byte)
{
    struct wakeup wakeup = open_wakeup();
    struct gate gate = open_gate();
    install(wakeup.write_end);
    pid_t pid = start_child(&gate, 0);
    kill(pid, SIGSTOP);
    int status;
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 1);
    kill(pid, SIGKILL);
    reap(pid);
    install(-1);
    close_gate(&gate);
    close_wakeup(&wakeup);
}

TEST(primitive, minus_one_removes_it_completely)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    install(-1);
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 0);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_wakeup(&wakeup);
}

TEST(primitive, minus_one_in_a_forked_child_removes_the_handler_of_its_parent)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(exitfd_install_handler(-1, NULL) != 0 || exitfd_is_default_handler() != 1);
    CHECK_EQ(reap(pid), 0);
    CHECK_EQ(exitfd_is_default_handler(), 0);
    install(-1);
    close_wakeup(&wakeup);
}

TEST(primitive, minus_one_without_an_install_touches_nothing)
{
    set_sigchld(application_handler, SA_RESTART);
    CHECK_EQ(install(-1), -1);
    CHECK_EQ(current_disposition().sa_handler, application_handler);
    send_sigchld();
    CHECK_EQ(application_calls, 1);
}

TEST(primitive, only_sig_dfl_is_the_default_handler)
{
    CHECK_EQ(exitfd_is_default_handler(), 1);
    set_sigchld(SIG_IGN, 0);
    CHECK_EQ(exitfd_is_default_handler(), 0);
    set_sigchld(application_handler, 0);
    CHECK_EQ(exitfd_is_default_handler(), 0);
    set_sigchld(SIG_DFL, SA_NOCLDWAIT);
    CHECK_EQ(exitfd_is_default_handler(), 1);

    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    CHECK_EQ(exitfd_is_default_handler(), 0);
    install(-1);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_wakeup(&wakeup);
}

static void expect_refused(int fd)
{
    int old_fd = -2;
    CHECK_EQ(exitfd_install_handler(fd, &old_fd), -EBADF, "fd %d", fd);
    CHECK_EQ(old_fd, -2, "written to on failure");
}

TEST(primitive, an_fd_that_cannot_be_written_to_is_refused_and_changes_nothing)
{
    struct wakeup wakeup = open_wakeup(), closed = open_wakeup();
    close_wakeup(&closed);
    int read_only_file = open("/dev/null", O_RDONLY);
    int path_only = open("/dev/null", O_PATH);

    expect_refused(closed.write_end);
    CHECK_EQ(exitfd_is_default_handler(), 1, "a refused fd installed the handler");

    install(wakeup.write_end);
    const int refused[] = { closed.write_end, wakeup.read_end, read_only_file, path_only, -2, 1 << 30 };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect_refused(refused[i]);
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 1, "a refused fd replaced the one before");
    CHECK_EQ(install(-1), wakeup.write_end);

    close(read_only_file);
    close(path_only);
    close_wakeup(&wakeup);
}

TEST(primitive, a_blocking_fd_is_made_non_blocking)
{
    struct wakeup wakeup = open_wakeup();
    CHECK_EQ(fcntl(wakeup.write_end, F_GETFL) & O_NONBLOCK, 0);
    install(wakeup.write_end);
    CHECK_EQ(fcntl(wakeup.write_end, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    install(-1);
    close_wakeup(&wakeup);
}

TEST(primitive, a_full_pipe_does_not_block_and_the_next_byte_comes_after_it_is_read)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    int capacity = 0;
    while (write(wakeup.write_end, "", 1) == 1)
        capacity++;
    errno = 0;
    send_sigchld();
    CHECK_EQ(errno, 0, "the handler left errno at %s", strerror(errno));
    CHECK_EQ(take_bytes(&wakeup), capacity);
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 1);
    install(-1);
    close_wakeup(&wakeup);
}

TEST(primitive, an_fd_closed_under_it_does_no_harm)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    close(wakeup.write_end);
    errno = EXDEV;
    send_sigchld();
    CHECK_EQ(errno, EXDEV, "the handler left errno at %s", strerror(errno));
    install(-1);
    close(wakeup.read_end);
}

TEST(primitive, other_fds_than_pipes_will_do)
{
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    install(ends[1]);
    send_sigchld();
    struct wakeup as_socket = { .read_end = ends[0], .write_end = ends[1] };
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(take_bytes(&as_socket), 1);
    install(-1);
    close_wakeup(&as_socket);
}

TEST(primitive, the_disposition_found_is_put_back_flags_and_mask_included)
{
    struct wakeup wakeup = open_wakeup();
    struct sigaction found = { .sa_handler = application_handler, .sa_flags = SA_NODEFER | SA_NOCLDSTOP };
    sigemptyset(&found.sa_mask);
    sigaddset(&found.sa_mask, SIGUSR2);
    CHECK_EQ(sigaction(SIGCHLD, &found, NULL), 0);
    found = current_disposition();

    install(wakeup.write_end);
    install(wakeup.write_end);
    install(-1);

    struct sigaction restored = current_disposition();
    CHECK_EQ(restored.sa_handler, found.sa_handler);
    CHECK_EQ(restored.sa_flags, found.sa_flags, "flags %#x, were %#x", restored.sa_flags, found.sa_flags);
    CHECK_EQ(sigismember(&restored.sa_mask, SIGUSR2), 1);
    CHECK_EQ(sigismember(&restored.sa_mask, SIGUSR1), 0);
    close_wakeup(&wakeup);
}

TEST(primitive, sig_ign_is_replaced_so_that_children_leave_statuses_and_put_back)
{
    struct wakeup wakeup = open_wakeup();
    set_sigchld(SIG_IGN, 0);
    install(wakeup.write_end);
    CHECK_EQ(WEXITSTATUS(reap(start_child_exit(5))), 5);
    install(-1);
    CHECK_EQ(current_disposition().sa_handler, SIG_IGN);
    set_sigchld(SIG_DFL, 0);
    close_wakeup(&wakeup);
}

TEST(primitive, sa_nocldwait_found_with_a_handler_is_kept)
{
    struct wakeup wakeup = open_wakeup();
    set_sigchld(application_handler, SA_NOCLDWAIT);
    install(wakeup.write_end);
    CHECK_EQ(current_disposition().sa_flags & SA_NOCLDWAIT, SA_NOCLDWAIT);
    pid_t pid = start_child_exit(5);
    CHECK(waitpid(pid, NULL, 0) < 0 && errno == ECHILD, "the application asked for no zombies and got one");
    install(-1);
    CHECK_EQ(current_disposition().sa_flags & SA_NOCLDWAIT, SA_NOCLDWAIT);
    set_sigchld(SIG_DFL, 0);
    close_wakeup(&wakeup);
}

TEST(primitive, the_handler_runs_beside_one_found_before)
{
    struct wakeup wakeup = open_wakeup();
    set_sigchld(application_handler, 0);
    install(wakeup.write_end);
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 1);
    CHECK_EQ(application_calls, 1);
    install(-1);
    send_sigchld();
    CHECK_EQ(take_bytes(&wakeup), 0);
    CHECK_EQ(application_calls, 2);
    close_wakeup(&wakeup);
}

TEST(primitive, it_and_a_self_pipe_exitfd_serve_at_once_whichever_goes_first)
{
    struct wakeup wakeup = open_wakeup();
    unblock_sigchld();
    for (int exitfd_goes_first = 0; exitfd_goes_first <= 1; exitfd_goes_first++) {
        set_sigchld(application_handler, 0);
        struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
        CHECK_EQ(install(wakeup.write_end), -1);

        pid_t pid = start_child_exit(9);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 9, NULL);
        wait_readable(wakeup.read_end);
        CHECK_EQ(take_bytes(&wakeup), 1);

        if (exitfd_goes_first) {
            exitfd_close(x);
            send_sigchld();
            CHECK_EQ(take_bytes(&wakeup), 1, "the exitfd's end took the primitive's handler away");
            install(-1);
        } else {
            install(-1);
            pid = start_child_exit(10);
            CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
            event = wait_event(x);
            expect_exited(&event, pid, 10, NULL);
            CHECK_EQ(take_bytes(&wakeup), 0);
            exitfd_close(x);
        }
        CHECK_EQ(current_disposition().sa_handler, application_handler);
    }
    close_wakeup(&wakeup);
}
