#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example init: as PID 1 of a namespace and as a sub-reaper, statuses, signals, and orphans."""
import os
import signal
import sys
import tempfile

import examples_support
from script_support import NAMESPACE, PATIENCE, has_namespaces, state_of, until

# 100 orphans, whose parents may end first. The shell exits once only itself and
# PID 1 are left.
ORPHANS = """(for i in 1 2 3 4 5 6 7 8 9 10; do (for j in 1 2 3 4 5 6 7 8 9 10; do (exit $j) & done) & done)
until set -- /proc/[0-9]*; [ $# = 2 ]; do sleep 0.02; done; exit 6"""
ADOPTED = """init=$PPID
(sh -c 'until [ "$(cut -d " " -f 4 /proc/$$/stat)" = '$init' ]; do sleep 0.02; done; : > '$1 &)
until [ -e $1 ]; do sleep 0.02; done; exit 5"""


class InitTest(examples_support.UsageTest, examples_support.ExampleTest):
    lasting = ["sleep", "1000"]
    wrong_usages = [[], ["--unknown"], ["-h"]]

    def need_namespaces(self):
        if not has_namespaces():
            self.skipTest("this process may not make a pid namespace (unshare)")

    def test_its_status_is_that_of_the_command(self):
        for command, wanted in (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + signal.SIGKILL)):
            self.assertEqual(self.run_program("sh", "-c", command), (wanted, "", ""))

    def test_a_command_that_is_not_there(self):
        self.assertEqual(self.run_program("/nowhere/at all"), (127, "", "init: /nowhere/at all: No such file or directory\n"))

    def test_as_pid_1_every_orphan_is_reaped(self):
        self.need_namespaces()
        self.assertEqual(self.run_program("sh", "-c", ORPHANS, before=NAMESPACE), (6, "", ""))

    def test_as_pid_1_it_ends_with_the_command_and_all_else_with_it(self):
        self.need_namespaces()
        status, output, _ = self.run_program("sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo $$; exit 4", before=NAMESPACE)
        self.assertEqual((status, output), (4, "2\n"))

    def test_elsewhere_orphans_come_to_it_too(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.run_program("sh", "-c", ADOPTED, "sh", folder + "/adopted"), (5, "", ""))

    def test_signals_go_to_the_group_of_the_command(self):
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"):
            process = self.start("sh", "-c", f"trap 'exit 9' {name}; echo $$; while :; do sleep 0.02; done")
            pid = int(process.stdout.readline())
            process.send_signal(getattr(signal, "SIG" + name))
            self.assertEqual(process.wait(PATIENCE), 9, name)
            until(lambda pid=pid: state_of(pid) is None, "the command is reaped")

    def test_a_signal_arrives_however_many_others_wait_before_it(self):
        process = self.start("sh", "-c", "trap 'exit 9' TERM; trap '' HUP; echo ready; while :; do sleep 0.02; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(process.pid) == "T", "it is stopped")
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            fill(f"/proc/{process.pid}/fd/{fd}")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(PATIENCE), 9)


def fill(path):
    """If it is a pipe that it writes its signals to: as a flood of SIGHUP does."""
    try:
        if int(path.rpartition("/")[2]) <= 2 or not os.readlink(path).startswith("pipe:"):
            return
        with open(path, "wb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as pipe:
            while pipe.write(bytes([signal.SIGHUP]) * 4096):
                pass
    except PermissionError:
        pass  # an fd that is only read


if __name__ == "__main__":
    sys.exit(examples_support.main())
