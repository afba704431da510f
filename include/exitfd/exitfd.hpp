// SPDX-License-Identifier: MIT
/*
 * exitfd/exitfd.hpp: exitfd for C++17, header only, namespace exitfdpp.
 *
 *     exitfdpp::owner exits;
 *     if (std::error_code error = exits.open())
 *         return error;
 *     exitfdpp::command job("sh", "-c", "exit 7");
 *     if (std::error_code error = exits.start(job.chdir("/tmp")))
 *         return error;
 *     ... when exits.fd() is readable:
 *     for (const exitfd_event &event : exits.events())
 *         ...
 *
 * The calls are those of exitfd.h, under the same names, with the same errnos
 * and flags. A std::error_code has the errno in std::generic_category(). So
 * compare it with std::errc::no_such_process and its like. Errors are never
 * thrown, and -fno-exceptions and -fno-rtti are fine. What is not noexcept
 * allocates, and fails only if there is no memory.
 *
 * With C++20 a coroutine can await the end of one child, class awaited below.
 *
 * The namespace is not called exitfd, because exitfd.h has a struct of that
 * name.
 */
#ifndef EXITFD_EXITFD_HPP
#define EXITFD_EXITFD_HPP

#if __cplusplus < 201703L
#error "exitfd/exitfd.hpp needs C++17, for example -std=c++17"
#endif

#include <exitfd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#if defined __cpp_impl_coroutine && __has_include(<coroutine>)
#include <coroutine>
#define EXITFD_HAS_COROUTINES 1
#endif

namespace exitfdpp
{

// What the C functions return: 0 or more is no error.
inline std::error_code to_error(int result) noexcept
{
    return result < 0 ? std::error_code(-result, std::generic_category()) : std::error_code();
}

// "exited 3", "killed by SIGTERM": exitfd_describe.
inline std::string describe(const exitfd_event &event)
{
    std::string text(static_cast<std::size_t>(exitfd_describe(&event, nullptr, 0)), ' ');
    exitfd_describe(&event, text.data(), text.size() + 1);
    return text;
}

// For WIFEXITED and the like: exitfd_get_wait_status. -1 where it is unknown.
inline int wait_status(const exitfd_event &event) noexcept
{
    return exitfd_get_wait_status(&event);
}

inline bool succeeded(const exitfd_event &event) noexcept
{
    return event.origin != EXITFD_UNKNOWN && event.code == CLD_EXITED && event.status == 0;
}

/*
 * The events that are there now, as an input range for a loop such as
 * for (auto &event : events()).
 *
 * Each step takes one event, and that reaps the child. What a break leaves is
 * still there for the next range. The range ends when there is no event left,
 * or at an error, which error() then returns.
 */
class ready_events
{
  public:
    class iterator
    {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = exitfd_event;
        using difference_type = std::ptrdiff_t;
        using pointer = const exitfd_event *;
        using reference = const exitfd_event &;

        explicit iterator(ready_events *range = nullptr) noexcept : range(range)
        {
        }
        reference operator*() const noexcept
        {
            return range->event;
        }
        pointer operator->() const noexcept
        {
            return &range->event;
        }
        iterator &operator++() noexcept
        {
            if (!range->take())
                range = nullptr;
            return *this;
        }
        void operator++(int) noexcept
        {
            ++*this;
        }
        friend bool operator==(const iterator &a, const iterator &b) noexcept
        {
            return a.range == b.range;
        }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept
        {
            return a.range != b.range;
        }

      private:
        ready_events *range;
    };

    explicit ready_events(exitfd *x) noexcept : x(x)
    {
    }
    iterator begin() noexcept
    {
        return iterator(take() ? this : nullptr);
    }
    iterator end() noexcept
    {
        return iterator();
    }
    std::error_code error() const noexcept
    {
        return to_error(result);
    }

  private:
    bool take() noexcept
    {
        result = exitfd_wait(x, &event, 1, 0);
        return result > 0;
    }

    exitfd *x;
    exitfd_event event{};
    int result = 0;
};

/*
 * What exitfd_start starts, and what the child does before that, in this order:
 *
 *     exitfdpp::command job("make", "-k");
 *     job.chdir("/tmp").open(1, "log", O_WRONLY | O_CREAT, 0644).dup2(1, 2);
 *     job.options(EXITFD_NEW_GROUP);
 *
 * It has copies of all strings, may be copied, and may be started many times.
 * Where nothing may be allocated, fill a struct exitfd_command instead.
 */
class command
{
  public:
    template <typename... More> explicit command(std::string name, More &&...more)
    {
        argv.reserve(1 + sizeof...(more));
        argv.push_back(std::move(name));
        (argv.emplace_back(std::forward<More>(more)), ...);
    }
    explicit command(std::vector<std::string> argv) : argv(std::move(argv))
    {
    }

    // The program, where it is not argv[0].
    command &file(std::string name)
    {
        program = std::move(name);
        return *this;
    }
    // All of it, as "NAME=value". Without this call it is the caller's.
    command &environment(std::vector<std::string> variables)
    {
        envp = std::move(variables);
        has_environment = true;
        return *this;
    }

    command &dup2(int fd, int target)
    {
        exitfd_action action = empty(EXITFD_DUP2, fd);
        action.target = target;
        return add(action);
    }
    command &open(int fd, std::string path, int flags, mode_t mode = 0)
    {
        exitfd_action action = empty(EXITFD_OPEN, fd);
        action.flags = flags;
        action.mode = mode;
        return add(action, std::move(path));
    }
    command &close(int fd)
    {
        return add(empty(EXITFD_CLOSE, fd));
    }
    command &close_from(int fd)
    {
        return add(empty(EXITFD_CLOSE_FROM, fd));
    }
    command &chdir(std::string path)
    {
        return add(empty(EXITFD_CHDIR, 0), std::move(path));
    }
    command &fchdir(int fd)
    {
        return add(empty(EXITFD_FCHDIR, fd));
    }

    // EXITFD_NEW_SESSION, EXITFD_NEW_GROUP, EXITFD_KEEP_SIGNALS
    command &options(unsigned flags) noexcept
    {
        option_bits = flags;
        return *this;
    }
    command &death_signal(int signal) noexcept
    {
        last_signal = signal;
        return *this;
    }

    // exitfd_start, whose result it returns.
    int start(exitfd *x, pid_t *pid, unsigned flags, void *data) const
    {
        std::vector<char *> arguments = pointers(argv), variables = pointers(envp);
        std::vector<exitfd_action> steps = actions;
        for (std::size_t i = 0; i < steps.size(); i++)
            steps[i].path = paths[i].c_str();
        exitfd_command all{};
        all.size = sizeof all;
        all.file = program.empty() ? arguments[0] : program.c_str();
        all.argv = arguments.data();
        all.envp = has_environment ? variables.data() : nullptr;
        all.actions = steps.data();
        all.action_count = steps.size();
        all.options = option_bits;
        all.death_signal = last_signal;
        return exitfd_start(x, pid, &all, flags, data);
    }

  private:
    static exitfd_action empty(exitfd_action_type type, int fd) noexcept
    {
        exitfd_action action{};
        action.type = type;
        action.fd = fd;
        return action;
    }
    // A path for each action, so that a copy of this object has its own.
    command &add(const exitfd_action &action, std::string path = std::string())
    {
        paths.push_back(std::move(path));
        actions.push_back(action);
        return *this;
    }
    static std::vector<char *> pointers(const std::vector<std::string> &strings)
    {
        std::vector<char *> all;
        for (const std::string &text : strings)
            all.push_back(const_cast<char *>(text.c_str())); // C wants it so
        all.push_back(nullptr);
        return all;
    }

    std::vector<std::string> argv, envp, paths;
    std::vector<exitfd_action> actions;
    std::string program;
    bool has_environment = false;
    unsigned option_bits = 0;
    int last_signal = 0;
};

/*
 * Owns an exitfd and closes it. Move only. An empty one answers
 * std::errc::invalid_argument.
 *
 * A close does not wait for children. Those still watched are not reaped, and
 * the program has to wait for them. What a data pointer points at must outlive
 * its event, so declare it before the owner.
 */
class owner
{
  public:
    owner() noexcept = default;
    explicit owner(exitfd *x) noexcept : x(x)
    {
    }
    owner(owner &&other) noexcept : x(other.release())
    {
    }
    owner &operator=(owner &&other) noexcept
    {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    owner(const owner &) = delete;
    owner &operator=(const owner &) = delete;
    ~owner()
    {
        exitfd_close(x);
    }

    // Closes what it had only if the new one could be opened.
    [[nodiscard]] std::error_code open(unsigned flags = 0) noexcept
    {
        exitfd *opened = nullptr;
        int result = exitfd_open(&opened, flags);
        if (result == 0)
            reset(opened);
        return to_error(result);
    }
    void reset(exitfd *other = nullptr) noexcept
    {
        exitfd_close(std::exchange(x, other));
    }
    [[nodiscard]] exitfd *release() noexcept
    {
        return std::exchange(x, nullptr);
    }
    exitfd *get() const noexcept
    {
        return x;
    }
    explicit operator bool() const noexcept
    {
        return x != nullptr;
    }

    // -1 where exitfd_get_fd fails.
    int fd() const noexcept
    {
        int polled = exitfd_get_fd(x);
        return polled < 0 ? -1 : polled;
    }
    const char *backend() const noexcept
    {
        return exitfd_get_backend(x);
    }

    [[nodiscard]] std::error_code add(pid_t pid, unsigned flags = 0, void *data = nullptr) noexcept
    {
        return to_error(exitfd_add(x, pid, flags, data));
    }
    [[nodiscard]] std::error_code add_pidfd(int pidfd, unsigned flags = 0, void *data = nullptr) noexcept
    {
        return to_error(exitfd_add_pidfd(x, pidfd, flags, data));
    }
    std::error_code remove(pid_t pid) noexcept
    {
        return to_error(exitfd_remove(x, pid));
    }
    std::error_code discard(pid_t pid) noexcept
    {
        return to_error(exitfd_discard(x, pid));
    }
    std::error_code kill(pid_t pid, int signal) noexcept
    {
        return to_error(exitfd_kill(x, pid, signal));
    }
    // Borrowed: do not close it. -1 where exitfd_get_pidfd fails.
    int pidfd(pid_t pid) noexcept
    {
        int borrowed = exitfd_get_pidfd(x, pid);
        return borrowed < 0 ? -1 : borrowed;
    }

    // How many watches there are. -1 where exitfd_count fails.
    int count() const noexcept
    {
        int watches = exitfd_count(x);
        return watches < 0 ? -1 : watches;
    }

    // pid is written on success, and may be null.
    [[nodiscard]] std::error_code start(const command &what, unsigned flags = 0, void *data = nullptr,
                                        pid_t *pid = nullptr)
    {
        return to_error(what.start(x, pid, flags, data));
    }
    [[nodiscard]] std::error_code start(const exitfd_command &what, unsigned flags = 0, void *data = nullptr,
                                        pid_t *pid = nullptr) noexcept
    {
        return to_error(exitfd_start(x, pid, &what, flags, data));
    }
    [[nodiscard]] std::error_code spawn(const char *file, char *const argv[], char *const envp[], unsigned flags = 0,
                                        void *data = nullptr, pid_t *pid = nullptr,
                                        const posix_spawn_file_actions_t *actions = nullptr,
                                        const posix_spawnattr_t *attributes = nullptr) noexcept
    {
        return to_error(exitfd_spawn(x, pid, file, actions, attributes, argv, envp, flags, data));
    }
    // As fork(2): pid is 0 in the child.
    [[nodiscard]] std::error_code fork(pid_t &pid, unsigned flags = 0, void *data = nullptr) noexcept
    {
        pid_t forked = exitfd_fork(x, flags, data);
        if (forked >= 0)
            pid = forked;
        return to_error(forked);
    }

    ready_events events() noexcept
    {
        return ready_events(x);
    }

    // Blocks for one event. A negative time has no limit. found is false after
    // the time, and at an error.
    std::error_code wait(exitfd_event &event, bool &found,
                         std::chrono::milliseconds time = std::chrono::milliseconds(-1)) noexcept
    {
        int result = exitfd_wait(x, &event, 1, to_timeout(time));
        found = result > 0;
        return to_error(result);
    }

  private:
    static int to_timeout(std::chrono::milliseconds time) noexcept
    {
        constexpr int most = 0x7fffffff;
        return time.count() < 0 ? -1 : time.count() > most ? most : static_cast<int>(time.count());
    }

    exitfd *x = nullptr;
};

#ifdef EXITFD_HAS_COROUTINES
/*
 * The ends of children for coroutines, whatever the loop:
 *
 *     exitfdpp::awaited ends(exits);
 *     ... in a coroutine:
 *     auto [error, event] = co_await ends.of(pid);
 *     auto [failed, end] = co_await ends.start(exitfdpp::command("true"));
 *     ... when exits.fd() is readable:
 *     ends.resume_ready();
 *
 * The coroutines run inside resume_ready, in the thread that calls it. None of
 * them may close the exitfd there, and it must be open while any awaits. The
 * data pointers of these watches are in use here. So every watch of that exitfd
 * must come from of() or start(), and none may ask for stops. A coroutine that
 * is destroyed while it awaits is not resumed, and its child is no longer
 * watched. Of a child with EXITFD_HOLD the end is awaited, and then it is the
 * owner's to discard or to remove.
 *
 * A coroutine must begin to await in the thread that calls resume_ready. If it
 * is destroyed while it awaits, do that in this thread too. In another thread,
 * hold a lock meanwhile that is also held around each resume_ready. Otherwise
 * the event may resume the coroutine before it is suspended, and the end is
 * lost.
 */
class awaited
{
  public:
    struct end_of_child {
        std::error_code error;
        exitfd_event event;
    };

    class operation
    {
      public:
        operation(exitfd *x, pid_t pid, unsigned flags) noexcept : x(x), pid(pid), flags(flags)
        {
        }
        operation(exitfd *x, command what, unsigned flags, pid_t *started) noexcept
            : x(x), flags(flags), what(std::move(what)), started(started)
        {
        }
        operation(const operation &) = delete;
        operation &operator=(const operation &) = delete;
        ~operation()
        {
            if (waiting)
                exitfd_remove(x, pid);
        }
        bool await_ready() const noexcept
        {
            return false;
        }
        // False, so that it goes on at once, if there is nothing to await.
        bool await_suspend(std::coroutine_handle<> coroutine)
        {
            handle = coroutine;
            end.error = to_error(what ? what->start(x, &pid, flags, this) : exitfd_add(x, pid, flags, this));
            waiting = !end.error;
            if (waiting && started)
                *started = pid;
            return waiting;
        }
        end_of_child await_resume() const noexcept
        {
            return end;
        }

      private:
        friend awaited;
        exitfd *x;
        pid_t pid = 0;
        unsigned flags;
        std::optional<command> what;
        pid_t *started = nullptr;
        bool waiting = false;
        end_of_child end{};
        std::coroutine_handle<> handle;
    };

    explicit awaited(const owner &of) noexcept : x(of.get())
    {
    }
    operation of(pid_t pid, unsigned flags = 0) const noexcept
    {
        return operation(x, pid, flags);
    }
    // Watched from its birth. If started is given, it has the pid meanwhile.
    operation start(command what, unsigned flags = 0, pid_t *started = nullptr) const noexcept
    {
        return operation(x, std::move(what), flags, started);
    }
    // An error of exitfd_wait resumes no coroutine. The children are still
    // awaited.
    std::error_code resume_ready()
    {
        ready_events ready(x);
        for (const exitfd_event &event : ready) {
            auto *waiter = static_cast<operation *>(event.data);
            waiter->waiting = false;
            waiter->end.event = event;
            waiter->handle.resume();
        }
        return ready.error();
    }

  private:
    exitfd *x;
};
#endif

} // namespace exitfdpp

#endif
