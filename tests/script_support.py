# SPDX-License-Identifier: MIT
"""What all test scripts share: how long anything may take, processes in /proc, pid namespaces, the text of a file."""
import functools
import os
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 240  # seconds: a failure, never a measurement
# Put before a command, makes it PID 1 of its own namespace.
NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "--pid", "--fork", "--kill-child", "--mount-proc"]


def until(condition, what):
    """Returns what condition returns once that is true; fails when it never is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError("never: " + what)


def text_of(*path):
    """Of a file of the repository."""
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def process_fields(pid):
    """State, parent, process group and so on: what follows the name in /proc/PID/stat, or None."""
    stat = read(f"/proc/{pid}/stat").decode(errors="replace")
    return stat[stat.rindex(")") + 2 :].split() if stat else None


def state_of(pid):
    """R, S, T, Z and so on; None if there is no such process."""
    fields = process_fields(pid)
    return fields[0] if fields else None


def cpu_ticks(pid):
    """What the process has used so far, of os.sysconf("SC_CLK_TCK") in a second."""
    user, system = process_fields(pid)[11:13]
    return int(user) + int(system)


@functools.cache
def has_namespaces():
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
