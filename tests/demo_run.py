#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: demo_run.py EXITFD

Lets `exitfd run` work through a list of real programs, of which some fail, some are killed and one hangs, shows it, and checks
how each ended."""
import json
import os
import subprocess
import sys
import tempfile

import demo_client
from script_support import PATIENCE

FILES = 8
COMMANDS = {  # and how each ends
    **{f"gzip -9 log.{n}; wc -c <log.{n}.gz": "exit 0" for n in range(1, FILES + 1)},
    "gzip -t damaged.gz": "exit 1",
    "no-such-program": "exit 127",
    "kill -SEGV $$": "SIGSEGV",
    "sleep 1000": "timed out",
}
OPTIONS = ["-j", "4", "-t", "5", "-s", "5"]

check = demo_client.Checks()


def fill(folder):
    for n in range(1, FILES + 1):
        with open(os.path.join(folder, f"log.{n}"), "w", encoding="ascii") as file:
            file.writelines(f"{n} {i} {i * i % 9973}\n" for i in range(1000 * n))
    with open(os.path.join(folder, "damaged.gz"), "wb") as file:
        file.write(b"\x1f\x8b\x08\x00")
    with open(os.path.join(folder, "list"), "w", encoding="ascii") as file:
        file.writelines(command + "\n" for command in COMMANDS)


class Run:
    """exitfd run with the list in a folder of its own."""

    def __init__(self, exitfd, *options, **more):
        self.folder = tempfile.TemporaryDirectory()
        fill(self.folder.name)
        self.process = subprocess.Popen([exitfd, "run", *OPTIONS, *options, "list"], cwd=self.folder.name, **more)

    def finish(self):
        """Its exit status and output."""
        output = self.process.communicate(timeout=PATIENCE)[0]
        self.folder.cleanup()
        return self.process.returncode, output


def verdict(job):
    return "timed out" if job["timed_out"] else job["signal"] or f"exit {job['status']}"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        return 0 if sys.argv[1:] == ["--help"] else 2
    exitfd = os.path.abspath(sys.argv[1])
    print(f"$ exitfd run {' '.join(OPTIONS)} list", flush=True)
    # What it says on standard error belongs into the same picture; a status
    # line lives on a terminal only.
    for_people = Run(exitfd, stderr=None if sys.stderr.isatty() else subprocess.STDOUT)
    for_programs = Run(exitfd, "--json", stdout=subprocess.PIPE, encoding="utf-8")
    status, _ = for_people.finish()
    check(status == 1, f"exitfd run: exit status {status}, expected 1")

    *jobs, summary = map(json.loads, for_programs.finish()[1].splitlines())
    ended = {job["command"]: verdict(job) for job in jobs}
    for command, expected in COMMANDS.items():
        check(ended.get(command) == expected, f"{command}: {ended.get(command)}, expected {expected}")
    counts = [summary[key] for key in ("commands", "succeeded", "failed", "timed_out")]
    check(counts == [len(COMMANDS), FILES, 3, 1], f"the summary counts {counts}")
    print("the same list with --json: " + (f"{check.wrong} wrong" if check.wrong else "each ended as it should"))
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
