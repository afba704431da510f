#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exitfd run beside xargs, 4 commands at a time.

bench/tool.py build/tools/exitfd [ROUNDS [LINES]], by default 5 and 2,000.

They take turns, so that what else the machine does falls on all. Each must print all. The ratios are of the medians. The
row "bare" is the limit: posix_spawn(3) of the commands, four at a time, and nothing else.
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


def bare():
    """What the commands themselves cost."""
    running = 0
    for line in sys.stdin:
        if running == 4:
            os.wait()
            running -= 1
        os.posix_spawnp("echo", line.split(), os.environ)
        running += 1
    for _ in range(running):
        os.wait()


def main():
    tool, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    commands = {"xargs": ["xargs", "-P4", "-I{}", "sh", "-c", "{}"], "exitfd run": [tool, "run", "-q", "-j4"],
                "bare": [sys.executable, __file__, "--bare"]}
    measured = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            measured[name].append(measure(command))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in measured.items()}
    for name, (wall, cpu) in medians.items():
        print(f"{name:12} {wall:7.2f} s {cpu:7.2f} s of CPU")
    theirs = medians["xargs"]
    for name in ("exitfd run", "bare"):
        wall, cpu = (ours / xargs for ours, xargs in zip(medians[name], theirs))
        print(f"{name:12} {wall:7.2f}   {cpu:7.2f}      of xargs")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    bare() if sys.argv[1:] == ["--bare"] else main()
