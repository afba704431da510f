// SPDX-License-Identifier: MIT
// What loops_cases.c needs to drive Asio's loop, and cases of this adapter
// alone. With EXITFD_BOOST_ASIO it is Boost's Asio.
#include "loops_side.h"

// Stand-alone Asio, and Boost's with EXITFD_BOOST_ASIO.
#include <exitfd/asio.hpp>
#include <unistd.h>

namespace
{

#if defined ASIO_HAS_CO_AWAIT || defined BOOST_ASIO_HAS_CO_AWAIT
#define CAN_AWAIT
#endif

namespace asio = exitfd_asio::net;
using exitfd_asio::error_code;

struct attachment {
    attachment(asio::io_context &context, receiver *r) : exits(context), r(r)
    {
    }
    exitfd_asio::exits exits;
    receiver *r;
    bool detached = false;
};

// The handler keeps the attachment: operation_aborted comes after the detach.
void receive_next(const std::shared_ptr<attachment> &a)
{
    a->exits.async_next([a](error_code error, exitfd_event event) {
        if (error == asio::error::operation_aborted)
            return;
        a->r->take(a->r, -error.value(), error ? nullptr : &event);
        if (!a->detached && (!error || error.value() == EPIPE))
            receive_next(a);
    });
}

void *new_loop()
{
    return new asio::io_context(1);
}

void free_loop(void *loop)
{
    delete static_cast<asio::io_context *>(loop);
}

void after_fork(void *loop)
{
    static_cast<asio::io_context *>(loop)->notify_fork(asio::io_context::fork_child);
}

void *attach(void *loop, exitfd *x, receiver *r)
{
    auto a = std::make_shared<attachment>(*static_cast<asio::io_context *>(loop), r);
    if (a->exits.attach(x))
        return nullptr;
    receive_next(a);
    return new std::shared_ptr<attachment>(a);
}

void detach(void *attached)
{
    auto *a = static_cast<std::shared_ptr<attachment> *>(attached);
    (*a)->detached = true;
    (*a)->exits.detach();
    (*a)->r->released++;
    delete a;
}

void run_once(void *loop)
{
    auto *context = static_cast<asio::io_context *>(loop);
    context->restart();
    context->run_one();
}

void run_now(void *loop)
{
    auto *context = static_cast<asio::io_context *>(loop);
    context->restart();
    context->poll();
}

const side asio_side = { new_loop, free_loop, after_fork, attach, detach, run_once, run_now };

pid_t watch_exit(exitfd *x, int status)
{
    pid_t pid = exitfd_fork(x, 0, nullptr);
    if (pid == 0)
        _exit(status);
    wait_until_zombie(pid);
    return pid;
}

void an_operation_under_way_is_aborted_and_its_event_stays()
{
    asio::io_context context;
    exitfd *x = open_exitfd();
    error_code told;
    {
        exitfd_asio::exits exits(context);
        CHECK(!exits.attach(x));
        exits.async_next([&](error_code error, exitfd_event) { told = error; });
        watch_exit(x, 2);
    }
    context.run();
    CHECK(told == asio::error::operation_aborted);
    CHECK(next_event(x).status == 2);
    exitfd_close(x);
}

// Both are ready in one look of the reactor: the second is queued when the first closes it.
void a_queued_operation_does_not_touch_what_was_closed()
{
    asio::io_context context;
    exitfd *x[2] = { open_exitfd(), open_exitfd() };
    exitfd_asio::exits exits[2] = { exitfd_asio::exits(context), exitfd_asio::exits(context) };
    int events = 0, aborted = 0;
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        CHECK(!exits[i].attach(x[i]));
        exits[i].async_next([&, i](error_code error, exitfd_event) {
            error == asio::error::operation_aborted ? aborted++ : events++;
            if (error)
                return;
            exits[1 - i].detach();
            x[1 - i] = exitfd_close(x[1 - i]);
        });
        pids[i] = watch_exit(x[i], 2);
    }
    context.run();
    CHECK(events == 1 && aborted == 1);
    for (int i = 0; i < 2; i++) {
        exits[i].detach();
        exitfd_close(x[i]);
        if (is_child(pids[i]))
            kill_and_reap(pids[i]);
    }
}

void it_moves()
{
    asio::io_context context;
    exitfd *x = open_exitfd();
    exitfd_asio::exits first(context), second(context);
    CHECK(!first.attach(x));
    second = std::move(first);
    exitfd_asio::exits third(std::move(second));
    int status = -1;
    third.async_next([&](error_code, exitfd_event event) { status = event.status; });
    watch_exit(x, 6);
    context.run();
    CHECK(status == 6);
    third.detach();
    exitfd_close(x);
}

#ifdef CAN_AWAIT
void a_coroutine_awaits()
{
    asio::io_context context;
    exitfd *x = open_exitfd();
    exitfd_asio::exits exits(context);
    CHECK(!exits.attach(x));
    watch_exit(x, 1);
    watch_exit(x, 2);
    int sum = 0;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            for (int i = 0; i < 2; i++) {
                exitfd_event event = co_await exits.async_next(asio::use_awaitable);
                sum += event.status;
            }
        },
        [](std::exception_ptr failed) { CHECK(!failed); });
    context.run();
    CHECK(sum == 3);
    exits.detach();
    exitfd_close(x);
}
#endif

} // namespace

int main(int argc, char *argv[])
{
    static const tap_case more[] = {
        { "an_operation_under_way_is_aborted_and_its_event_stays",
          an_operation_under_way_is_aborted_and_its_event_stays },
        { "a_queued_operation_does_not_touch_what_was_closed", a_queued_operation_does_not_touch_what_was_closed },
        { "it_moves", it_moves },
#ifdef CAN_AWAIT
        { "a_coroutine_awaits", a_coroutine_awaits },
#endif
    };
    return loops_main(argc, argv, &asio_side, more, sizeof more / sizeof *more);
}
