// SPDX-License-Identifier: MIT
// exitfd/exitfd.hpp, built with -fno-exceptions and -fno-rtti.
#include <exitfd/exitfd.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/wait.h>
#include <type_traits>
#include <unistd.h>
#include <vector>

extern "C" {
#include "tap.h"
}

namespace
{

exitfdpp::owner open_owner()
{
    exitfdpp::owner exits;
    CHECK(!exits.open(), "open");
    return exits;
}

pid_t watch_exit(exitfdpp::owner &exits, int status, void *data = nullptr)
{
    pid_t pid = -1;
    CHECK(!exits.fork(pid, 0, data), "fork");
    if (pid == 0)
        _exit(status);
    wait_until_zombie(pid);
    return pid;
}

bool is_stale_fd(int fd)
{
    return dup(fd) < 0;
}

void one_owner_that_moves()
{
    static_assert(!std::is_copy_constructible_v<exitfdpp::owner>);
    static_assert(std::is_nothrow_move_constructible_v<exitfdpp::owner>);
    static_assert(std::is_nothrow_move_assignable_v<exitfdpp::owner>);

    exitfdpp::owner first = open_owner(), second = open_owner();
    int kept = first.fd(), closed = second.fd();
    CHECK(kept >= 0 && closed >= 0 && kept != closed);
    second = std::move(first);
    CHECK(!first && first.get() == nullptr && second.fd() == kept && is_stale_fd(closed));
    exitfdpp::owner &same = second;
    second = std::move(same);
    CHECK(second.fd() == kept);
    {
        exitfdpp::owner third(std::move(second));
        CHECK(third.fd() == kept && exitfd_get_backend(third.get()) == third.backend());
    }
    CHECK(is_stale_fd(kept));

    exitfd *released = open_owner().release();
    exitfdpp::owner again(released);
    CHECK(again.get() == released);
    again.reset();
    CHECK(!again);
}

void errors_are_those_of_the_library()
{
    exitfdpp::owner empty, exits = open_owner();
    exitfd_event event;
    bool found = true;
    pid_t pid = 77;
    CHECK(empty.fd() == -1 && empty.backend() == nullptr);
    CHECK(empty.add(1) == std::errc::invalid_argument && empty.fork(pid) == std::errc::invalid_argument && pid == 77);
    CHECK(empty.wait(event, found) == std::errc::invalid_argument && !found);
    exitfd *before = exits.get();
    CHECK(exits.open(~0U) == std::errc::invalid_argument && exits.get() == before);
    CHECK(exits.remove(1) == std::error_code(ENOENT, std::generic_category()));
    CHECK(exits.discard(1) && exits.kill(1, 0) && exits.pidfd(1) == -1);
    CHECK(empty.count() == -1 && empty.start(exitfdpp::command("true")) == std::errc::invalid_argument);
    CHECK(empty.start(exitfd_command{}) == std::errc::invalid_argument);
    CHECK(exits.add(getpid()) == std::errc::no_child_process);
    const std::error_code no_pidfd = exits.add_pidfd(-1); /* not supported in a build without pidfds */
    CHECK(no_pidfd == std::errc::bad_file_descriptor || no_pidfd == std::errc::not_supported);
    auto none = empty.events();
    CHECK(none.begin() == none.end() && none.error() == std::errc::invalid_argument);
}

void a_range_that_a_break_takes_nothing_from()
{
    exitfdpp::owner exits = open_owner();
    int data[3] = { 1, 2, 3 };
    for (int &number : data)
        watch_exit(exits, number, &number);

    int sum = 0, taken = 0;
    for (const exitfd_event &event : exits.events()) {
        CHECK(event.status == *static_cast<int *>(event.data));
        sum += event.status;
        taken++;
        break;
    }
    CHECK(taken == 1);
    auto rest = exits.events();
    taken += static_cast<int>(std::count_if(rest.begin(), rest.end(), [&sum](const exitfd_event &event) {
        sum += event.status;
        return !exitfdpp::succeeded(event);
    }));
    CHECK(taken == 3 && sum == 6 && !rest.error());
    auto none = exits.events();
    CHECK(none.begin() == none.end() && !none.error());
}

void starting_and_waiting()
{
    exitfdpp::owner exits = open_owner();
    char shell[] = "sh", option[] = "-c", command[] = "kill -TERM $$";
    char *argv[] = { shell, option, command, nullptr };
    pid_t pid = 0;
    exitfd_event event{};
    bool found = true;
    CHECK(!exits.wait(event, found, std::chrono::milliseconds(0)) && !found);
    CHECK(exits.spawn("/nowhere/at all", argv, environ) == std::errc::no_such_file_or_directory);
    CHECK(!exits.spawn("sh", argv, environ, 0, &pid, &pid));
    CHECK(!exits.wait(event, found) && found);
    CHECK(is_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED) && event.data == &pid);
    CHECK(exitfdpp::describe(event) == "killed by SIGTERM" && !exitfdpp::succeeded(event));
}

exitfd_event next(exitfdpp::owner &exits)
{
    exitfd_event event{};
    bool found = false;
    CHECK(!exits.wait(event, found) && found);
    return event;
}

std::string contents(int fd)
{
    char text[200];
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    ssize_t length = read(fd, text, sizeof text);
    CHECK(length >= 0);
    return std::string(text, static_cast<std::size_t>(length));
}

void a_command_says_all_that_a_start_can()
{
    exitfdpp::owner exits = open_owner();
    char name[] = "/tmp/loops_cpp-XXXXXX";
    int file = mkstemp(name), root = open("/", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && root >= 0);

    pid_t pid = 0;
    exitfdpp::command job("shell", "-c", "pwd; echo $A $HOME $0 >&2; exit 3", std::string(30, 'a'));
    job.file("/bin/sh").environment({ "A=b" }).options(EXITFD_NEW_GROUP);
    job.chdir("/proc").fchdir(root).open(1, name, O_WRONLY | O_APPEND).dup2(1, 2).close(0).close_from(3);
    const exitfdpp::command copy = job;
    job.file("/nowhere/at all");
    CHECK(exits.start(job, 0, nullptr, &pid) == std::errc::no_such_file_or_directory && pid == 0);
    CHECK(!exits.start(copy, EXITFD_HOLD, &file, &pid) && exits.count() == 1);

    exitfd_event event = next(exits);
    CHECK(is_event(&event, pid, CLD_EXITED, 3, EXITFD_PEEKED) && event.data == &file);
    CHECK(contents(file) == "/\nb " + std::string(30, 'a') + "\n");
    CHECK(exits.count() == 1 && is_zombie(pid) && !exits.kill(-pid, 0));
    CHECK(!exits.discard(pid));
    CHECK(is_quiet(exits.get()) && exits.count() == 0 && !is_child(pid));
    CHECK(!close(root) && !close(file) && !unlink(name));
}

void a_command_in_c()
{
    exitfdpp::owner exits = open_owner();
    char shell[] = "sh", option[] = "-c", words[] = "kill -KILL $$";
    char *argv[] = { shell, option, words, nullptr };
    exitfd_command job{};
    job.size = sizeof job;
    job.file = "sh";
    job.argv = argv;
    CHECK(!exits.start(job));
    const exitfd_event event = next(exits);
    CHECK(WIFSIGNALED(exitfdpp::wait_status(event)) && WTERMSIG(exitfdpp::wait_status(event)) == SIGKILL);
    CHECK(exitfdpp::describe(event) == "killed by SIGKILL");

    CHECK(exits.start(exitfdpp::command(std::vector<std::string>())) == std::errc::invalid_argument);
    exitfd_event lost{};
    lost.origin = EXITFD_UNKNOWN;
    CHECK(exitfdpp::wait_status(lost) == -1 && exitfdpp::describe(lost) == "ended, status unknown");
}

#ifdef EXITFD_HAS_COROUTINES
struct task {
    struct promise_type {
        task get_return_object()
        {
            return { std::coroutine_handle<promise_type>::from_promise(*this) };
        }
        std::suspend_never initial_suspend() noexcept
        {
            return {};
        }
        std::suspend_always final_suspend() noexcept
        {
            return {};
        }
        void return_void()
        {
        }
        void unhandled_exception()
        {
        }
    };
    std::coroutine_handle<promise_type> handle;
};

task wait_for_both(const exitfdpp::awaited &ends, pid_t first, pid_t second, std::vector<int> &statuses)
{
    for (pid_t pid : { first, second }) {
        auto [error, event] = co_await ends.of(pid);
        statuses.push_back(error ? -error.value() : event.status);
    }
}

void coroutines_await_children()
{
    exitfdpp::owner exits = open_owner();
    exitfdpp::awaited ends(exits);
    std::vector<int> one, two, three;
    pid_t sleeper = start_sleeper();
    task first = wait_for_both(ends, start_exit(1), start_exit(2), one);
    task second = wait_for_both(ends, start_exit(3), getpid(), two); /* the second cannot be watched */
    task third = wait_for_both(ends, sleeper, sleeper, three);
    while (one.size() + two.size() < 4) {
        CHECK(is_readable(exits.get(), DEADLINE_MS));
        CHECK(!ends.resume_ready());
    }
    CHECK(one == (std::vector<int>{ 1, 2 }) && two == (std::vector<int>{ 3, -ECHILD }));
    CHECK(first.handle.done() && second.handle.done() && !third.handle.done());
    first.handle.destroy();
    second.handle.destroy();
    third.handle.destroy();
    CHECK(exits.remove(sleeper) == std::errc::no_such_file_or_directory);
    kill_and_reap(sleeper);
    CHECK(is_quiet(exits.get()));
}

task start_and_hold(const exitfdpp::awaited &ends, std::vector<exitfd_event> &events, pid_t &pid)
{
    auto [no_file, nothing] = co_await ends.start(exitfdpp::command("/nowhere/at all"), 0, &pid);
    CHECK(no_file == std::errc::no_such_file_or_directory && pid == 0);
    auto [error, event] = co_await ends.start(exitfdpp::command("sh", "-c", "exit 5"), EXITFD_HOLD, &pid);
    CHECK(!error);
    events.push_back(event);
}

void coroutines_start_children()
{
    exitfdpp::owner exits = open_owner();
    exitfdpp::awaited ends(exits);
    std::vector<exitfd_event> events;
    pid_t pid = 0;
    task starter = start_and_hold(ends, events, pid);
    CHECK(pid > 0 && exits.count() == 1);
    while (events.empty()) {
        CHECK(is_readable(exits.get(), DEADLINE_MS));
        CHECK(!ends.resume_ready());
    }
    CHECK(is_event(&events[0], pid, CLD_EXITED, 5, EXITFD_PEEKED) && starter.handle.done());
    starter.handle.destroy();
    CHECK(exits.count() == 1 && is_zombie(pid) && !exits.discard(pid));
    CHECK(is_quiet(exits.get()));
}
#endif

} // namespace

int main(int argc, char *argv[])
{
    static const tap_case cases[] = {
        { "one_owner_that_moves", one_owner_that_moves },
        { "errors_are_those_of_the_library", errors_are_those_of_the_library },
        { "a_range_that_a_break_takes_nothing_from", a_range_that_a_break_takes_nothing_from },
        { "starting_and_waiting", starting_and_waiting },
        { "a_command_says_all_that_a_start_can", a_command_says_all_that_a_start_can },
        { "a_command_in_c", a_command_in_c },
#ifdef EXITFD_HAS_COROUTINES
        { "coroutines_await_children", coroutines_await_children },
        { "coroutines_start_children", coroutines_start_children },
#endif
    };
    return tap_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
