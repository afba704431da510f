#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns what bench/uring printed, on the input, into one table for each figure: medians, in Markdown."""
import collections
import statistics
import sys

TITLES = {
    "add": "Watch one child: CPU of the loop thread, µs",
    "one": "Learn of one exit among N: CPU of the loop thread, µs",
    "latency": "From that exit until it is known: median, µs",
    "dying": "N children exit at once: wall time until all are zombies, µs each",
    "collect": "Collect them then: CPU of the loop thread, µs each",
    "kernel_bytes": "Memory of the kernel for each child, bytes (N of 5,000 and more)",
}


def read(lines):
    figures = collections.defaultdict(list)
    void = {}
    for line in lines:
        _, size, name, _, figure, value = line.rstrip("\n").split("\t")
        if figure == "void":
            void[int(size), name] = value
        else:
            figures[figure, int(size), name].append(float(value))
    return figures, void


def cell(figures, void, figure, size, name):
    values = figures.get((figure, size, name))
    if not values:
        return "–" if (size, name) in void else ""
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.1f}"


def main():
    if len(sys.argv) > 1:
        asked = sys.argv[1:] == ["--help"]
        print("usage: bench/uring [OPTION]... | uring_table.py", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    figures, void = read(sys.stdin)
    sizes = sorted({size for _, size, _ in figures})
    names = list(dict.fromkeys(name for _, _, name in figures))
    for figure, title in TITLES.items():
        shown = [size for size in sizes if figure != "kernel_bytes" or size >= 5000]
        if not shown:
            continue
        print(f"\n{title}\n\n| | " + " | ".join(f"N = {size:,}" for size in shown) + " |")
        print("|---" * (len(shown) + 1) + "|")
        for name in names:
            print(f"| {name} | " + " | ".join(cell(figures, void, figure, size, name) for size in shown) + " |")
    for (size, name), why in void.items():
        print(f"\n{name}, N = {size:,}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
