// SPDX-License-Identifier: MIT
// The sharp edge: a data pointer has to outlive its event, so declare what it
// points at before the owner. And closing an exitfd does not wait. Children
// still watched are not reaped, and the program has to wait for them.
#include <cerrno>
#include <exitfd/exitfd.hpp>
#include <iostream>
#include <poll.h>
#include <string>
#include <unistd.h>
#include <vector>

static void must(std::error_code error, const char *what)
{
    if (!error)
        return;
    std::cerr << what << ": " << error.message() << '\n';
    std::exit(1);
}

int main()
{
    std::vector<std::string> commands{ "exit 0", "exit 3", "kill -KILL $$" };
    exitfdpp::owner exits;
    must(exits.open(), "exitfd_open");
    for (std::string &command : commands) {
        char shell[] = "sh", option[] = "-c";
        char *arguments[] = { shell, option, command.data(), nullptr };
        must(exits.spawn("sh", arguments, environ, 0, &command), "exitfd_spawn");
    }

    for (std::size_t left = commands.size(); left > 0;) {
        pollfd ready{ exits.fd(), POLLIN, 0 };
        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            must(std::error_code(errno, std::generic_category()), "poll");
        for (const exitfd_event &end : exits.events()) {
            const char *how = end.origin == EXITFD_UNKNOWN ? "unknown" : end.code == CLD_EXITED ? "exited" : "killed";
            std::cout << *static_cast<std::string *>(end.data) << ": " << how << ' ' << end.status << '\n';
            left--;
        }
    }
}
