#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the lines of the benchmark programs into a page in Markdown and the data of a plot.

Usage: report.py RESULTS.tsv PAGE.md PLOT.dat
"""
import os
import platform
import re
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from statistics import median

LIMIT = "hand-written pidfd + epoll"
BARE, BARE_NESTED = "bare calls", "bare calls, nested"
BARE_SAME = "bare calls, those of exitfd"
BLOCKED = "blocking waitpid(-1)"
PIDFD, NESTED, URING = "exitfd pidfd", "exitfd pidfd in a loop", "exitfd io_uring"
SIGNALFD, SELFPIPE = "exitfd signalfd", "exitfd self-pipe"
PEER_LIBRARIES = ["libuv", "libevent", "glib-2.0", "libsystemd"]


WHY_MISSED = """\
The hand-written loop does less. This is what exitfd does besides.

* `exitfd_add` asks with `waitid` whether the pid is a child of this process. If
  not, it fails with `-ECHILD` at once, and the caller does not wait for an event
  that never comes. This is the fifth system call.
* `exitfd_wait` blocks in `poll` before it calls `epoll_wait`. The latter
  fails with EINTR after SIGSTOP and SIGCONT too, where no handler ran. This is
  the sixth system call. A program that polls the fd in its own loop is spared
  it.
* The reap asks for the rusage of the child. The pid is entered into a table,
  where `exitfd_remove` and `exitfd_kill` find it. A lock is taken. This takes
  some 1,400 instructions. The pages that it writes to are not shared with
  forked children, so that a loop that forks pays no page fault for them.
* An io_uring needs a pidfd for each child too, and `pidfd_open` is most of an
  add. A waitid request needs none, and its add costs a fifth of that of a
  pidfd. But then each exit
  among 10,000 costs five times as much ([uring.md](uring.md)).
* The SIGCHLD back ends ask the kernel for any child that has exited. The kernel
  looks through all children for that.
* Wakes while idle are counted for 0.3 seconds. Where SIGCHLD is needed, a
  blocked wait also wakes once a second to check that it still arrives.
"""


def prose(text):
    """Paragraphs of at most 80 columns; a paragraph that is a list item is indented."""
    for paragraph in text.split("\n\n"):
        for item in re.split(r"\n(?=\* )", paragraph):
            yield textwrap.fill(" ".join(item.split()), 80, break_long_words=False, break_on_hyphens=False,
                                subsequent_indent="  " if item.startswith("* ") else "")
        yield ""


class Results:
    """values[question, size, implementation, figure] is a list with one value for each round."""

    def __init__(self, path):
        self.values = defaultdict(list)
        self.voids = {}
        self.implementations, self.sizes, self.rounds = [], defaultdict(list), defaultdict(int)
        for line in open(path, encoding="utf-8"):
            self.take(*line.rstrip("\n").split("\t"))

    def take(self, question, size, implementation, round_number, figure, value):
        size = int(size)
        if implementation not in self.implementations:
            self.implementations.append(implementation)
        if size not in self.sizes[question]:
            self.sizes[question].append(size)
        self.rounds[question, size] = max(self.rounds[question, size], int(round_number))
        if figure == "void":
            self.voids[question, size, implementation] = value
        else:
            self.values[question, size, implementation, figure].append(float(value))

    def of(self, question, size, implementation, figure):
        if (question, size, implementation) in self.voids:
            return []
        return self.values.get((question, size, implementation, figure), [])

    def median(self, *key):
        values = self.of(*key)
        return median(values) if values else None

    def ratio(self, question, size, implementation, figure, base):
        """The median of the ratios within each round, so that a machine that slows down meanwhile cancels out."""
        pairs = zip(self.of(question, size, implementation, figure), self.of(question, size, base, figure))
        ratios = [a / b for a, b in pairs if b > 0]
        return median(ratios) if ratios else None

    def rows(self, question, size):
        return [i for i in self.implementations
                if any(k[:3] == (question, size, i) for k in self.values) or (question, size, i) in self.voids]


def number(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(results, key, base=None):
    values = results.of(*key)
    if not values:
        return "void" if key[:3] in results.voids else "-"
    text = number(median(values))
    if len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    ratio = results.ratio(*key, base) if base else None
    return text + (f" **{ratio:.2f}x**" if ratio is not None else "")


def table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def table_of_figures(results, question, size, figures, base=None, unit="N ="):
    """figures: (figure, heading, whether to compare it with the base)"""
    rows = [[name] + [cell(results, (question, size, name, figure), base if compared else None)
                      for figure, _, compared in figures]
            for name in results.rows(question, size)]
    size_text = f"{size:,} {unit}" if unit == "MiB" else f"{unit} {size:,}"
    yield from table([size_text] + [heading for _, heading, _ in figures], rows)


def table_over_sizes(results, question, figure, base, unit="microseconds"):
    sizes = results.sizes[question]
    names = [n for n in results.implementations if any(n in results.rows(question, s) for s in sizes)]
    rows = [[name] + [cell(results, (question, s, name, figure), base) for s in sizes] for name in names]
    yield from table([unit] + [f"N = {s:,}" for s in sizes], rows)


def table_of_ratios(results, question, figure, base, title):
    sizes = results.sizes[question]
    ratios = [[name] + [results.ratio(question, size, name, figure, base) for size in sizes] for name in results.implementations]
    yield from table([title] + [f"N = {s:,}" for s in sizes],
                     [[name] + [f"{r:.2f}" if r is not None else "-" for r in of_sizes]
                      for name, *of_sizes in ratios if any(r is not None for r in of_sizes)])


def section_of_forks(results):
    """What a daemon pays that forks its own children: add and collect, a fork, and where the page faults are."""
    yield "## A loop that forks its own children\n"
    yield from prose(
        "N children live. The loop calls `fork` for one more, watches it, and collects "
        "another one that has exited. Each fork leaves the memory of the loop "
        "copy-on-write. Every page that it then writes to costs a page fault. "
        "Nothing sleeps in this. "
        f"**1.00x** is `{BARE}`: `pidfd_open` and `epoll_ctl`, then `epoll_wait`, `waitid` "
        "and `close`, in the epoll set of the whole daemon. It keeps nothing for a child "
        f"and asks nothing about it. `{BARE_NESTED}` is the same in an epoll set of its "
        "own inside that of the daemon, as every library must have that gives a daemon "
        f"one fd. `{BARE_SAME}` makes the system calls of exitfd there: it also asks "
        "whether the process is a child, and for its rusage. What exitfd costs beyond "
        "that is its own.")
    for figure, what in (("both_us", "add and collect, us"), ("add_us", "add, us"), ("collect_us", "collect, us"),
                         ("fork_us", "the fork, us")):
        yield from table_over_sizes(results, "forks", figure, BARE, what)
    for figure, what in (("both_faults", "page faults, add and collect"), ("fork_faults", "page faults, fork")):
        yield from table_over_sizes(results, "forks", figure, None, what)


def section_of_starts(results):
    yield "## Start\n"
    yield from prose(
        "A daemon with so much resident memory starts `/bin/false` and watches it. "
        f"**1.00x** is `posix_spawn`, `pidfd_open` and `epoll_ctl`. The last two columns "
        "are the same while a forked child of the daemon lives.")
    for size in results.sizes["start"]:
        yield from table_of_figures(results, "start", size, [
            ("cpu_us", "CPU, us", True), ("wall_us", "time, us", True), ("faults", "page faults", False),
            ("forked_cpu_us", "CPU beside a fork, us", True), ("forked_faults", "page faults beside a fork", False)],
            BARE, "MiB")


def calls_in_detail(results, size, name):
    others = ("calls", "instructions", "idle_wakes")
    counts = sorted((figure, results.median("calls", size, name, figure))
                    for (q, s, n, figure) in results.values if (q, s, n) == ("calls", size, name) and figure not in others)
    return ", ".join(call if count == 1 else f"{call} {count:g}" for call, count in counts)


def table_of_calls(results, size):
    rows = [[name, cell(results, ("calls", size, name, "calls")), calls_in_detail(results, size, name),
             cell(results, ("calls", size, name, "instructions")), cell(results, ("calls", size, name, "idle_wakes"))]
            for name in results.rows("calls", size)]
    yield from table([f"N = {size:,}", "system calls", "which", "instructions", "wakes while idle"], rows)


def calls_beyond_waiting(results, size, name):
    waits = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
    total = results.median("calls", size, name, "calls")
    if total is None:
        return None
    return total - sum(results.median("calls", size, name, wait) or 0 for wait in waits)


def marks_of_forks(results):
    for size in results.sizes["forks"]:
        for name in (PIDFD, NESTED):
            yield f"{name}, add and collect in a loop that forks, N = {size:,}, against bare calls", \
                results.ratio("forks", size, name, "both_us", BARE), 1.25, False, None
            yield f"{name}, page faults in it beyond those of bare calls, N = {size:,}", \
                difference(results, size, name, BARE if name == PIDFD else BARE_NESTED), 0.1, False, None
    for size, bound in ((1000, 1.10), (10000, 1.15)):
        yield f"{NESTED}, cycle with fork at N = {size:,}, against bare calls", \
            results.ratio("cycle", size, NESTED, "forked_cpu_us", BARE), bound, False, None
    for peer, bound in (("sd-event", 2.5), ("libev", 4), ("libuv", 10)):
        yield f"{peer} against {NESTED}, cycle with fork at N = 1,000", \
            results.ratio("cycle", 1000, peer, "forked_cpu_us", NESTED), bound, True, \
            results.ratio("cycle", 1000, peer, "forked_cpu_us", BARE)
    for size in results.sizes["start"]:
        yield f"exitfd_start with the watch, CPU at {size:,} MiB, against posix_spawn and bare calls", \
            results.ratio("start", size, PIDFD, "cpu_us", BARE), 0.85, False, None
        yield f"exitfd_start with the watch, time at {size:,} MiB, against posix_spawn and bare calls", \
            results.ratio("start", size, PIDFD, "wall_us", BARE), 0.8, False, None


def difference(results, size, name, base):
    values = [results.median("forks", size, i, "both_faults") for i in (name, base)]
    return values[0] - values[1] if None not in values else None


def marks(results):
    """(what, value, bound, whether it is a lower bound, what the limit itself comes to or None where that is 1)"""
    yield from marks_of_forks(results)
    cycles = (("cpu_us", "cycle"), ("forked_cpu_us", "cycle with fork"))
    for name in (PIDFD, NESTED):
        for figure, title in cycles:
            for size in results.sizes["cycle"]:
                yield f"{name}, {title} at N = {size:,}, against hand-written", \
                    results.ratio("cycle", size, name, figure, LIMIT), 1.10, False, None
    yield f"{PIDFD}, cycle at N = 10,000 against N = 10", growth(results, PIDFD), 1.3, False, growth(results, LIMIT)
    for size in results.sizes["add"]:
        yield f"{PIDFD}, add at N = {size:,}, against hand-written", \
            results.ratio("add", size, PIDFD, "cpu_us", LIMIT), 1.10, False, None
        yield f"{URING}, add at N = {size:,}, against hand-written", \
            results.ratio("add", size, URING, "cpu_us", LIMIT), 0.4, False, None
    for size in results.sizes["storm"]:
        yield f"{URING}, storm at N = {size:,}, against hand-written", \
            results.ratio("storm", size, URING, "cpu_us", LIMIT), 1.0, False, None
    for peer, name, size, bound in (("libuv", PIDFD, 1000, 10), ("GLib", PIDFD, 1000, 10), ("libev", PIDFD, 1000, 3),
                                    ("sd-event", PIDFD, 1000, 1.3), ("libuv", PIDFD, 4000, 50), ("GLib", PIDFD, 4000, 50),
                                    ("libuv", SIGNALFD, 1000, 5), ("libuv", SELFPIPE, 1000, 5)):
        limit = LIMIT if name == PIDFD else BLOCKED
        for figure, title in cycles:
            yield f"{peer} against {name}, {title} at N = {size:,}", \
                results.ratio("cycle", size, peer, figure, name), bound, True, \
                results.ratio("cycle", size, peer, figure, limit)
    for size in results.sizes["latency"]:
        yield f"{PIDFD}, latency p50 at N = {size:,}, against a thread blocked in waitpid", \
            results.ratio("latency", size, PIDFD, "idle_p50_us", BLOCKED), 1.05, False, \
            results.ratio("latency", size, LIMIT, "idle_p50_us", BLOCKED)
    for size in results.sizes["calls"]:
        yield f"{PIDFD}, system calls in a child's life beyond epoll_wait, N = {size:,}", \
            calls_beyond_waiting(results, size, PIDFD), 4, False, calls_beyond_waiting(results, size, LIMIT)
        yield f"{PIDFD}, wakes while idle, N = {size:,}", results.median("calls", size, PIDFD, "idle_wakes"), 0, False, \
            results.median("calls", size, LIMIT, "idle_wakes")
    for size in results.sizes["memory"]:
        yield f"{PIDFD}, bytes of resident memory for each of {size:,} watched children", \
            results.median("memory", size, PIDFD, "resident"), 64, False, results.median("memory", size, LIMIT, "resident")
        yield f"{PIDFD}, bytes of resident memory without any child", \
            results.median("memory", size, PIDFD, "empty"), 8192, False, results.median("memory", size, LIMIT, "empty")


def growth(results, name):
    values = [results.median("cycle", size, name, "cpu_us") for size in (10, 10000)]
    return values[1] / values[0] if all(values) else None


def table_of_marks(results):
    rows = []
    for what, value, bound, at_least, limit in marks(results):
        if value is None:
            continue
        met = value >= bound if at_least else value <= bound
        rows.append([what, f"{value:.2f}", f"{'>=' if at_least else '<='} {bound:g}", "met" if met else "**missed**",
                     f"{limit:.2f}" if limit is not None else ""])
    yield from table(["goal", "measured", "wanted", "", "hand-written"], rows)


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    cores = len(os.sched_getaffinity(0))
    peers = ", ".join(f"{p} {v}" for p in PEER_LIBRARIES if (v := first_line(["pkg-config", "--modversion", p])))
    ev = first_line(["dpkg-query", "-W", "-f", "${Version}", "libev-dev"])
    return (f"{time.strftime('%Y-%m-%d')}, Linux {platform.release()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}, "
            f"{model}, {cores} cores. Peers: {peers}{', libev ' + ev if ev else ''}.")


def rounds_of(results, question):
    sizes = results.sizes[question]
    usual = results.rounds[question, sizes[0]]
    others = [f"{results.rounds[question, s]} at N = {s:,}" for s in sizes if results.rounds[question, s] != usual]
    return f"{question} {usual}" + (f" ({', '.join(others)})" if others else "")


def page(results):
    yield "# Benchmark\n"
    yield from prose("Made by `ci/bench`. " + machine())
    yield from prose(
        "A figure is the median of the rounds (least to most). The rounds are interleaved, "
        "and every sample is a fresh process. An implementation that reports a wrong pid, "
        "a wrong status or a child too few is void. **1.00x** is the ratio to "
        f"`{LIMIT}` within the rounds. Compare times only within one run. "
        "Counts repeat exactly.\n\n"
        f"Rounds: {', '.join(rounds_of(results, question) for question in results.sizes)}.")
    yield "![CPU of the loop thread for each exit against the number of live children](benchmark.svg)\n"
    if results.sizes["forks"]:
        yield from section_of_forks(results)
    if results.sizes["start"]:
        yield from section_of_starts(results)
    yield "## Cycle\n"
    yield from prose(
        "N children live. One exits, is collected, and a new one is watched. The figure is "
        "the CPU time of the loop thread for each exit, without the start of the child. It "
        "is the mean of the middle half of the cycles. For libuv `uv_spawn` is left out "
        "altogether, because libuv watches only what it has spawned.\n\n"
        "Here the children start without a copy of the memory of the loop, as "
        "`posix_spawn` and `exitfd_start` make them.")
    yield from table_over_sizes(results, "cycle", "cpu_us", LIMIT)
    yield from prose(
        "Here the loop itself calls `fork` for each. That leaves its memory copy-on-write. "
        "Every page that it then writes to costs a page fault.")
    yield from table_over_sizes(results, "cycle", "forked_cpu_us", LIMIT)
    yield from prose("This is the same CPU time as a ratio to the bare calls.")
    yield from table_of_ratios(results, "cycle", "forked_cpu_us", BARE, "cycle with fork, against the bare calls")
    yield from table_over_sizes(results, "cycle", "forked_faults", None, "page faults")
    yield "## Add\n\nCPU time to start watching one of N children that are there already.\n"
    yield from table_over_sizes(results, "add", "cpu_us", LIMIT)
    yield "## Storm\n\nN watched children exit at once. The figures are per child.\n"
    for size in results.sizes["storm"]:
        yield from table_of_figures(results, "storm", size, [
            ("cpu_us", "CPU, collecting meanwhile, us", True), ("wall_us", "until the last, us", False),
            ("zombies_cpu_us", "CPU, collecting afterwards, us", True)], LIMIT)
    yield "## Latency\n"
    yield from prose(
        "The time from just before the `_exit` of the child until the loop holds the "
        f"event, in microseconds. Ratios are to `{BLOCKED}`.")
    for size in results.sizes["latency"]:
        yield from table_of_figures(results, "latency", size, [
            (f"{c}_{p}_us", f"{c} {p}", p == "p50") for c in ("idle", "busy") for p in ("p50", "p99", "p99.9")], BLOCKED)
    yield "## Memory and fds\n\nFor each watched child, beyond an empty loop.\n"
    for size in results.sizes["memory"]:
        yield from table_of_figures(results, "memory", size, [
            ("allocated", "bytes in use", False), ("resident", "bytes of resident memory", False), ("fds", "fds", False),
            ("empty", "bytes without any child", False)])
    yield "## System calls and instructions\n"
    yield from prose(
        "Of one watched child, from the add to the event. System calls are counted by "
        "`ptrace`, and instructions are those of user space.")
    for size in results.sizes["calls"]:
        yield from table_of_calls(results, size)
    yield "## Spawn\n\nTo start `/bin/false` and watch it, beside N watched children.\n"
    for size in results.sizes["spawn"]:
        yield from table_of_figures(results, "spawn", size, [("cpu_us", "CPU, us", True), ("wall_us", "time, us", True)],
                                    LIMIT)
    yield "## Goals\n"
    yield from prose(
        "The last column has the same figure for the hand-written loop, which does nothing "
        "but its four system calls. For the SIGCHLD back ends it has that of a blocking "
        "`waitpid(-1)`. For a peer against `exitfd pidfd in a loop` it has that of the "
        "bare calls. If that misses a goal too, the cost is in the kernel.")
    yield from table_of_marks(results)
    yield from prose(WHY_MISSED.strip())
    if results.voids:
        yield "## Void\n"
        for (question, size, name), why in sorted(results.voids.items()):
            yield f"* {question}, N = {size:,}, {name}: {why}"
        yield ""


def plot_data(results):
    blocks = []
    for name in results.implementations:
        points = [(s, results.of("cycle", s, name, "cpu_us")) for s in results.sizes["cycle"]]
        lines = [f"{s} {median(v)} {min(v)} {max(v)}" for s, v in points if v]
        if lines:
            blocks.append("\n".join([f'"{name}"'] + lines))
    yield "\n\n\n".join(blocks)


def main():
    if len(sys.argv) != 4 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stderr if len(sys.argv) != 2 else sys.stdout)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    results = Results(sys.argv[1])
    for path, lines in ((sys.argv[2], page(results)), (sys.argv[3], plot_data(results))):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
