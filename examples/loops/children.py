# SPDX-License-Identifier: MIT
"""What is the same in both Python loops: three children to start, and a line to print for each."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python"))
import exitfd  # noqa: E402

COMMANDS = ("exit 0", "exit 3", "kill -KILL $$")
CHILDREN = len(COMMANDS)


def must_open():
    try:
        return exitfd.ExitFd()
    except OSError as error:
        sys.exit(f"exitfd_open: {error.strerror}")


def start_children(x):
    for command in COMMANDS:
        x.spawn(["sh", "-c", command], data=command)


def print_ends(x):
    """Prints what has ended; returns how many did. Call it when the fd is readable."""
    ends = x.wait(timeout=0)
    for end in ends:
        how = "unknown" if end.origin == exitfd.UNKNOWN else "exited" if end.code == os.CLD_EXITED else "killed"
        print(f"{end.data}: {how} {end.status}")
    return len(ends)
