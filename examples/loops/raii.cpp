// SPDX-License-Identifier: MIT
// The sharp edge: a data pointer has to outlive its event, so declare what it points at before the exitfd. And closing an
// exitfd does not wait: children still watched are the program's again, un-reaped.
#include <cerrno>
#include <exitfd.h>
#include <iostream>
#include <memory>
#include <poll.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

static int must(int r, const char *what)
{
    if (r < 0)
        throw std::system_error(-r, std::generic_category(), what);
    return r;
}

struct Close {
    void operator()(exitfd *x) const
    {
        exitfd_close(x);
    }
};

static std::unique_ptr<exitfd, Close> open_exitfd()
{
    exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    return std::unique_ptr<exitfd, Close>(x);
}

int main()
{
    std::vector<std::string> commands{ "exit 0", "exit 3", "kill -KILL $$" };
    auto exits = open_exitfd();
    for (std::string &command : commands) {
        char shell[] = "sh", option[] = "-c";
        char *arguments[] = { shell, option, command.data(), nullptr };
        must(exitfd_spawn(exits.get(), nullptr, shell, nullptr, nullptr, arguments, environ, 0, &command), "spawn");
    }

    for (std::size_t left = commands.size(); left > 0;) {
        pollfd ready{ exitfd_get_fd(exits.get()), POLLIN, 0 };
        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            must(-errno, "poll");
        exitfd_event end;
        for (; must(exitfd_wait(exits.get(), &end, 1, 0), "exitfd_wait") > 0; left--) {
            const char *how = end.origin == EXITFD_UNKNOWN ? "unknown" : end.code == CLD_EXITED ? "exited" : "killed";
            std::cout << *static_cast<std::string *>(end.data) << ": " << how << ' ' << end.status << '\n';
        }
    }
}
