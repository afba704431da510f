# SPDX-License-Identifier: MIT
"""What the tests of the example programs share: the program, what every one of them owes its user, deadlines, TAP."""
import ctypes
import os
import signal
import subprocess
import sys
import unittest

import demo_tap
from script_support import PATIENCE, state_of, until

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def kill_session(session):
    """Whether there was anything to kill."""
    found = False
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            if os.getsid(pid) == session and state_of(pid) not in (None, "Z"):
                found = True
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return found


def begin_child():
    """It dies with us, and ignores no signal that a shell let us ignore because we run in its background."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)


def ignoring(name):
    """For `before`: as nohup does it, or a shell without job control in its background."""
    return ["sh", "-c", f"trap '' {name}; exec \"$@\"", "sh"]


def has_opened_something(pid):
    """A pipe or a thing of the kernel: no library that is being loaded."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if fd != "0" and os.readlink(f"/proc/{pid}/fd/{fd}").startswith(("pipe:", "anon_inode:")):
                return True
        except FileNotFoundError:
            pass
    return False


class ExampleTest(unittest.TestCase):
    program = None
    wrong_usages = []

    def start(self, *words, **options):
        """In a session of its own, so that nothing it starts outlives the test; nor does it, when that is killed."""
        command = [*options.pop("before", []), self.program, *map(str, words)]
        process = subprocess.Popen(command, text=True, start_new_session=True,
                                   preexec_fn=begin_child,
                                   **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                      **options})
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        until(lambda: not kill_session(process.pid), f"session {process.pid} ends")
        process.communicate(timeout=PATIENCE)

    def run_program(self, *words, **options):
        process = self.start(*words, **options)
        output, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, output, errors


class UsageTest:
    """Mixed into a test case of each program."""

    lasting = []  # words with which it runs until it is killed

    def test_what_it_prints_goes_into_no_fd_of_its_own(self):
        """Where its outputs are closed."""
        process = self.start(*self.lasting, stdin=subprocess.PIPE, before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])
        until(lambda: os.readlink(f"/proc/{process.pid}/exe") == self.program and has_opened_something(process.pid),
              "it has begun")
        self.assertEqual([os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in (1, 2)], ["/dev/null"] * 2)

    def test_help_goes_to_the_output(self):
        status, output, errors = self.run_program("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertTrue(output.startswith("usage: " + os.path.basename(self.program)))

    def test_wrong_usage_is_told_and_exits_with_2(self):
        for words in self.wrong_usages:
            status, output, errors = self.run_program(*words)
            self.assertEqual((status, output), (2, ""), words)
            self.assertIn(os.path.basename(self.program) + ":", errors)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        asked = sys.argv[1:] == ["--help"]
        print(f"usage: {os.path.basename(sys.argv[0])} PROGRAM [TEST]...", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    ExampleTest.program = os.path.abspath(sys.argv.pop(1))
    unittest.main(testRunner=demo_tap.Runner)
    return 0
