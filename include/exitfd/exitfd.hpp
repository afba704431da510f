// SPDX-License-Identifier: MIT
/*
 * exitfd/exitfd.hpp: exitfd for C++17, header only.
 *
 *     exitfdpp::owner exits;
 *     if (std::error_code error = exits.open())
 *         return error;
 *     exits.spawn("sh", argv, environ);
 *     ... when exits.fd() is readable:
 *     for (const exitfd_event &event : exits.events())
 *         ...
 *
 * The calls are those of exitfd.h, under the same names, with the same errnos.
 * A std::error_code has the errno in std::generic_category(), so that
 * error == std::errc::no_such_process compares as one expects. Nothing here
 * throws, and -fno-exceptions and -fno-rtti are fine.
 *
 * With C++20 a coroutine can await the end of one child, class awaited below.
 *
 * The namespace is not called exitfd, because exitfd.h has a struct of that name.
 */
#ifndef EXITFD_EXITFD_HPP
#define EXITFD_EXITFD_HPP

#include <exitfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

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
    std::array<char, 80> text{};
    exitfd_describe(&event, text.data(), text.size());
    return text.data();
}

inline bool succeeded(const exitfd_event &event) noexcept
{
    return event.origin != EXITFD_UNKNOWN && event.code == CLD_EXITED && event.status == 0;
}

/*
 * The events that are there now, as an input range: for (auto &event : events()).
 *
 * Each step takes one event, and that child is reaped by it. What a break leaves
 * is still there for the next range. The end is reached when there is none left,
 * or at an error, which error() then says.
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
 * Owns an exitfd and closes it. Move only. An empty one answers
 * std::errc::invalid_argument.
 *
 * A close does not wait: children still watched are the program's again,
 * un-reaped. What a data pointer points at must outlive its event, so declare it
 * before the owner.
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

    std::error_code add(pid_t pid, unsigned flags = 0, void *data = nullptr) noexcept
    {
        return to_error(exitfd_add(x, pid, flags, data));
    }
    std::error_code add_pidfd(int pidfd, unsigned flags = 0, void *data = nullptr) noexcept
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

    // pid is written on success, and may be null.
    std::error_code spawn(const char *file, char *const argv[], char *const envp[], unsigned flags = 0,
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

    // Blocks for one event. A negative time has no limit. found is false after the
    // time, and for an error.
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
 *     ... when exits.fd() is readable:
 *     ends.resume_ready();
 *
 * The coroutines run inside resume_ready, in the thread that calls it. The data
 * pointers of these watches are in use here. So every watch of that exitfd must
 * come from of(), and none may ask for stops. A coroutine that is destroyed while
 * it awaits is not resumed, and its child is no longer watched.
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
        operation(exitfd *x, pid_t pid) noexcept : x(x), pid(pid)
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
        // False, which resumes at once, where the child cannot be watched.
        bool await_suspend(std::coroutine_handle<> coroutine) noexcept
        {
            handle = coroutine;
            end.error = to_error(exitfd_add(x, pid, 0, this));
            waiting = !end.error;
            return waiting;
        }
        end_of_child await_resume() const noexcept
        {
            return end;
        }

      private:
        friend awaited;
        exitfd *x;
        pid_t pid;
        bool waiting = false;
        end_of_child end{};
        std::coroutine_handle<> handle;
    };

    explicit awaited(const owner &of) noexcept : x(of.get())
    {
    }
    operation of(pid_t pid) const noexcept
    {
        return operation(x, pid);
    }
    // An error of exitfd_wait resumes no coroutine, because the children are still awaited.
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
