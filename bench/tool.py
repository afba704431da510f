#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exitfd run beside xargs, 4 commands at a time.

bench/tool.py build/tools/exitfd [ROUNDS [LINES]], by default 5 and 2,000.

They take turns, so that what else the machine does falls on both. Each must print all. The ratios are of the medians.
"""
import os
import resource
import statistics
import subprocess
import sys
import time

LINES = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
LIST = "".join(f"echo {i}\n" for i in range(LINES)).encode()
WHOLE = sorted(f"{i}" for i in range(LINES))


def measure(command):
    """Wall and CPU seconds, those of all children included."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    output = subprocess.run(command, input=LIST, stdout=subprocess.PIPE, check=True).stdout
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if sorted(output.decode().split()) != WHOLE:
        sys.exit(f"{command[0]} has not printed all")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    tool, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    commands = {"xargs": ["xargs", "-P4", "-I{}", "sh", "-c", "{}"], "exitfd run": [tool, "run", "-q", "-j4"]}
    measured = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            measured[name].append(measure(command))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in measured.items()}
    for name, (wall, cpu) in medians.items():
        print(f"{name:12} {wall:7.2f} s {cpu:7.2f} s of CPU")
    ours, theirs = medians["exitfd run"], medians["xargs"]
    print(f"{'ratio':12} {ours[0] / theirs[0]:7.2f}   {ours[1] / theirs[1]:7.2f}      (wanted: 0.5, 0.8)")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
