// SPDX-License-Identifier: MIT
// The sharp edge: one operation gives one event, so start the next one in the
// handler. And a handler that comes with operation_aborted has no event: that is
// still in the exitfd.
#include "children.h"
#include <exitfd/asio.hpp>

static void receive(exitfd_asio::exits &exits)
{
    exits.async_next([&exits](asio::error_code error, const exitfd_event &event) {
        if (print_end(-error.value(), &event) < CHILDREN)
            receive(exits);
    });
}

int main()
{
    exitfd *x = open_with_children();
    asio::io_context loop;
    exitfd_asio::exits exits(loop);
    must(-exits.attach(x).value(), "attach");
    receive(exits);
    loop.run();
    exits.detach();
    exitfd_close(x);
}
