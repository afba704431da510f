#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example timeout: the exit statuses of timeout(1), beside which it is held, and that nothing is left running."""
import os
import shutil
import signal
import subprocess
import sys
import unittest

import examples_support
from examples_support import ignoring
from script_support import PATIENCE, state_of, until

LONG = ["sleep", "1000"]
IN_TIME = "2"  # for a shell to set its traps, on a machine however busy
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]


class TimeoutTest(examples_support.UsageTest, examples_support.ExampleTest):
    lasting = ["1000", "sleep", "1000"]
    wrong_usages = [[], ["1"], ["x", "true"], ["-1", "true"], ["1w", "true"], ["-s", "0", "1", "true"],
                    ["-s", "1000", "1", "true"], ["-k", "soon", "1", "true"], ["--unknown", "1", "true"]]

    def status(self, *words, **options):
        return self.run_program(*words, **options)[0]

    def test_the_status_of_the_command_is_passed_on(self):
        for status in (0, 1, 2, 124, 255):
            self.assertEqual(self.status("60", "sh", "-c", f"exit {status}"), status)

    def test_an_end_by_a_signal_is_128_and_the_signal(self):
        self.assertEqual(self.status("60", "sh", "-c", "kill -USR1 $$"), 128 + signal.SIGUSR1)

    def test_output_and_arguments_are_untouched(self):
        self.assertEqual(self.run_program("60", "printf", "%s.", "-k", "a b"), (0, "-k.a b.", ""))

    def test_the_deadline_ends_the_command(self):
        self.assertEqual(self.status("0.05", *LONG), 124)

    def test_of_several_units_all_end(self):
        for duration in ("0.05s", "0.001m", "0.00001h", "0.0000005d"):
            self.assertEqual(self.status(duration, *LONG), 124, duration)

    def test_however_short_it_is_no_time_is_not_no_limit(self):
        for duration in ("0.0000005", "1e-10", "1e-300d", "1e-400", "0.0000000001m"):
            self.assertEqual(self.status(duration, *LONG), 124, duration)
            harmless = ["-s", signal.SIGCONT, "-k", duration, "0.001"]
            self.assertEqual(self.status(*harmless, *LONG), 128 + signal.SIGKILL, duration)

    def test_a_command_deaf_to_sigterm_gets_sigkill(self):
        self.assertEqual(self.status("-k", "0.05", IN_TIME, *STUBBORN), 128 + signal.SIGKILL)

    def test_one_that_ends_by_itself_after_sigterm_is_124(self):
        self.assertEqual(self.status(IN_TIME, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done"), 124)

    def test_a_stopped_command_ends_too(self):
        self.assertEqual(self.status("0.2", "sh", "-c", "kill -STOP $$; exit 5"), 124)

    def test_another_signal_can_be_chosen(self):
        self.assertEqual(self.status("-s", signal.SIGKILL, "0.05", *LONG), 128 + signal.SIGKILL)
        catches = "trap 'echo caught; exit' INT; while :; do sleep 0.05; done"
        self.assertEqual(self.run_program("-s", signal.SIGINT, IN_TIME, "sh", "-c", catches)[:2], (124, "caught\n"))

    def test_zero_is_no_deadline(self):
        self.assertEqual(self.status("0", "sh", "-c", "sleep 0.2; exit 6"), 6)

    def test_what_cannot_be_run_is_126_and_127(self):
        status, _, errors = self.run_program("1", "/etc/passwd")
        self.assertEqual(status, 126)
        self.assertIn("/etc/passwd", errors)
        status, _, errors = self.run_program("1", "no such command")
        self.assertEqual(status, 127)
        self.assertIn("no such command", errors)

    def test_a_signal_is_passed_on(self):
        process = self.start("60", "sh", "-c", "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(PATIENCE), 9)

    def test_a_signal_passed_on_does_not_bring_sigkill_nearer(self):
        slow = "trap 'sleep 0.5; exit 9' HUP; echo ready; while :; do sleep 0.05; done"
        process = self.start("-k", "0.05", "60", "sh", "-c", slow)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(PATIENCE), 9)

    def test_after_a_signal_passed_on_the_deadline_still_sends_its_own(self):
        traps = "trap 'echo hup' HUP; trap 'echo term; exit' TERM; echo ready; while :; do sleep 0.05; done"
        process = self.start("-k", "0", IN_TIME, "sh", "-c", traps)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(PATIENCE), 124)
        self.assertEqual(process.stdout.read(), "hup\nterm\n")

    def test_a_signal_found_ignored_stays_ignored(self):
        hang_up = "kill -HUP $PPID; kill -HUP $$; exit 5"
        self.assertEqual(self.status("60", "sh", "-c", hang_up, before=ignoring("HUP")), 5)

    def test_the_rest_of_a_pipeline_deaf_to_sigterm_ends_too(self):
        stubborn = r"trap '' TERM; echo \$\$; while :; do sleep 0.1; done"
        process = self.start(IN_TIME, "sh", "-c", f'sh -c "{stubborn}"; true')
        pid = int(process.stdout.readline())
        self.assertEqual(process.wait(PATIENCE), 124)
        until(lambda: state_of(pid) in (None, "Z"), "the rest is killed")

    def test_only_its_three_fds_are_inherited(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        output = self.run_program("60", "ls", "/proc/self/fd", pass_fds=(writer,))[1]
        self.assertEqual(output.split(), ["0", "1", "2", "3"])  # 3 is the folder that ls reads

    def test_nothing_is_left_running(self):
        process = self.start("3", "sh", "-c", "echo $$; exec sleep 1000")
        pid = int(process.stdout.readline())
        self.assertEqual(process.wait(PATIENCE), 124)
        until(lambda: state_of(pid) is None, f"the command, {pid}, is gone")

    @unittest.skipUnless(shutil.which("timeout"), "there is no timeout(1) here to compare with")
    def test_the_statuses_are_those_of_the_real_one(self):
        for words in (["9", "true"], ["9", "sh", "-c", "exit 77"], ["0.05", *LONG], ["1", "/etc/passwd"],
                      ["1", "no such command"], ["-k", "0.05", IN_TIME, *STUBBORN], ["0", "true"]):
            real = subprocess.run(["timeout", *words], capture_output=True, check=False, timeout=PATIENCE).returncode
            # Python names an end by a signal -N, the shell 128 + N; the real
            # one ends itself as its command did.
            self.assertEqual(self.status(*words), real if real >= 0 else 128 - real, words)


if __name__ == "__main__":
    sys.exit(examples_support.main())
