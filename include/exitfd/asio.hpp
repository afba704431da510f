// SPDX-License-Identifier: MIT
/*
 * exitfd/asio.hpp: the exits of an exitfd as asynchronous operations of Asio.
 *
 *     exitfd_asio::exits exits(io);
 *     if (auto error = exits.attach(x)) ...
 *     exits.async_next([](asio::error_code error, exitfd_event event) { ... });
 *     exitfd_event event = co_await exits.async_next(asio::use_awaitable);
 *
 * Optional and header only. Only a program that includes this needs Asio
 * (1.18, standalone, C++14). With EXITFD_BOOST_ASIO defined it is Boost's
 * (1.74).
 *
 * One operation completes with one event. The handler runs in its associated
 * executor, else in that of the exits. After an event start the next operation,
 * as with every read of Asio. One at a time.
 */
#ifndef EXITFD_ASIO_HPP
#define EXITFD_ASIO_HPP

#include <exitfd.h>

#include <cerrno>
#include <memory>
#include <utility> // before Boost 1.74, which needs it and does not include it

#ifdef EXITFD_BOOST_ASIO
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

namespace exitfd_asio
{

#ifdef EXITFD_BOOST_ASIO
namespace net = boost::asio;
using error_code = boost::system::error_code;
#else
namespace net = asio;
using error_code = asio::error_code;
#endif

namespace detail
{

// Outlives the exits while an operation is on its way. x is null once detached.
struct state {
    explicit state(const net::any_io_executor &executor) : descriptor(executor)
    {
    }
    net::posix::stream_descriptor descriptor;
    exitfd *x = nullptr;
    unsigned attached = 0; // how often, so that an operation knows its own x
};

inline error_code to_error(int result)
{
    return error_code(-result, net::error::get_system_category());
}

struct next_operation {
    std::shared_ptr<state> shared;
    unsigned attached;

    template <typename Self> void wait(Self &self)
    {
        auto &descriptor = shared->descriptor;
        descriptor.async_wait(net::posix::stream_descriptor::wait_read, std::move(self));
    }

    // Only begins. Asio calls no handler inside the function that starts it.
    template <typename Self> void operator()(Self &self)
    {
        wait(self);
    }

    template <typename Self> void operator()(Self &self, error_code error)
    {
        exitfd_event event{};
        if (!error && (!shared->x || shared->attached != attached))
            error = net::error::operation_aborted;
        int n = error ? 1 : exitfd_wait(shared->x, &event, 1, 0);
        if (n == 0) {
            wait(self);
            return;
        }
        shared.reset();
        self.complete(n < 0 ? to_error(n) : error, event);
    }
};

} // namespace detail

// Borrows an exitfd. Move only. To be used from one thread or strand at a time.
class exits
{
  public:
    using executor_type = net::any_io_executor;

    explicit exits(const executor_type &executor) : shared(std::make_shared<detail::state>(executor))
    {
    }
    template <typename Context> explicit exits(Context &context) : exits(executor_type(context.get_executor()))
    {
    }
    exits(exits &&) = default;
    exits &operator=(exits &&other) noexcept
    {
        if (this != &other) {
            if (shared)
                detach();
            shared = std::move(other.shared);
        }
        return *this;
    }
    ~exits()
    {
        if (shared)
            detach();
    }

    executor_type get_executor() const
    {
        return shared->descriptor.get_executor();
    }

    // x must stay open until detach, or until this object is destroyed.
    error_code attach(exitfd *x)
    {
        error_code error;
        int fd = exitfd_get_fd(x);
        if (fd < 0)
            return detail::to_error(fd);
        detach();
        shared->descriptor.assign(fd, error);
        if (!error) {
            shared->x = x;
            shared->attached++;
        }
        return error;
    }

    // x may be closed at once. An operation under way completes with
    // operation_aborted, and no event is lost: x still has it.
    void detach()
    {
        if (shared->x)
            shared->descriptor.release();
        shared->x = nullptr;
    }

    // Has an operation under way complete with operation_aborted.
    void cancel()
    {
        error_code ignored;
        shared->descriptor.cancel(ignored);
    }

    // Completes with void(error_code, exitfd_event): one event, or the errno of
    // exitfd_wait. After EPIPE go on; after another error detach. After fork,
    // the child calls notify_fork, then detach, then exitfd_close.
    template <typename Token> auto async_next(Token &&token)
    {
        return net::async_compose<Token, void(error_code, exitfd_event)>(
            detail::next_operation{ shared, shared->attached }, token, shared->descriptor);
    }

  private:
    std::shared_ptr<detail::state> shared;
};

} // namespace exitfd_asio

#endif
