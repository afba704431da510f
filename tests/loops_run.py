#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: loops_run.py PROGRAM [ARGUMENT]... | --not-built

Runs one program of examples/loops and compares what it prints; the order is that of the exits, so any will do.
--not-built stands for one whose library is missing: it is a test that was skipped."""
import subprocess
import sys

from script_support import PATIENCE

EXPECTED = ["exit 0: exited 0", "exit 3: exited 3", "kill -KILL $$: killed 9"]
NOT_HERE = ("io_uring_queue_init: ", "exitfd_open: Operation not supported")
SKIPPED = 77


def main():
    if sys.argv[1:] == ["--not-built"]:
        print("its library is not installed")
        return SKIPPED
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        return 0 if sys.argv[1:] == ["--help"] else 2
    run = subprocess.run(sys.argv[1:], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if run.returncode == 1 and run.stderr.startswith(NOT_HERE):
        print(f"skipped, not on this kernel: {run.stderr}")
        return SKIPPED
    if run.returncode or run.stderr or sorted(run.stdout.splitlines()) != EXPECTED:
        print(f"exit status {run.returncode}\n{run.stdout}{run.stderr}\nexpected, in any order:\n", "\n".join(EXPECTED))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
