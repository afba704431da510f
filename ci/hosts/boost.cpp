// SPDX-License-Identifier: MIT
// Boost.Process: wait, or on_exit with HOST_WAY=on_exit.
#include <boost/asio.hpp>
#include <boost/process.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <list>
#include <unistd.h>

namespace bp = boost::process;

static boost::asio::io_context io;
static std::list<std::pair<bp::child, int>> children;
static int right, wrong;

static void judge(int found, int status)
{
    ++(found == status ? right : wrong);
}

static bool by_handler()
{
    const char *way = std::getenv("HOST_WAY");
    return way && std::strcmp(way, "on_exit") == 0;
}

static void start(int status)
{
    const std::string leaf = std::getenv("HOST_LEAF"), number = std::to_string(status);
    if (by_handler())
        children.emplace_back(
            bp::child(
                leaf, number, io, bp::on_exit = [=](int found, const std::error_code &) { judge(found, status); }),
            status);
    else
        children.emplace_back(bp::child(leaf, number), status);
}

static void wait_for_all()
{
    if (by_handler()) {
        io.restart();
        io.run();
    }
    for (auto &child : children) {
        if (by_handler()) {
            child.first.detach();
            continue;
        }
        child.first.wait();
        judge(child.first.exit_code(), child.second);
    }
    children.clear();
}

int main()
{
    const std::string folder = std::getenv("HOST_FOLDER");
    start(0);
    wait_for_all();
    right = 0;
    std::ofstream(folder + "/ready");
    for (int i = 0; i < 20; i++)
        start(100 + i);
    wait_for_all();
    while (access((folder + "/done").c_str(), F_OK) != 0) {
        start(3);
        wait_for_all();
    }
    std::printf("own %d right, %d wrong\n", right, wrong);
}
