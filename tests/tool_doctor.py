# SPDX-License-Identifier: MIT
"""exitfd doctor in environments that are spoilt on purpose."""
import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import subprocess

from tool_support import PATIENCE, TOOL, ToolTest, has_pidfds, has_record, main

KEYS = ["type", "check", "verdict", "value", "text"]
CHECKS = ["exitfd", "kernel", "pidfd_open", "waitid(P_PIDFD)", "pidfd_send_signal", "clone3", "io_uring_setup", "default",
          "pidfd", "io_uring", "signalfd", "self-pipe", "record", "seccomp", "SIGCHLD", "SIGCHLD mask", "open files",
          "processes"]
PIDFD_OPEN = 434
SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000


def forbid_pidfd_open(answer):
    """A seccomp filter for this process: load the number, compare, answer or allow."""
    load_number, jump_if_equal, give = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in (
        (load_number, 0, 0, 0), (jump_if_equal, 0, 1, PIDFD_OPEN), (give, 0, 0, answer), (give, 0, 0, SECCOMP_RET_ALLOW)))
    buffer = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, mode_filter, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


class Doctor(ToolTest):
    def examine(self, **options):
        result = self.run_tool("doctor", "--json", **options)
        checks = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual({tuple(check) for check in checks}, {tuple(KEYS)})
        self.assertEqual(result.returncode, int(any(check["verdict"] == "problem" for check in checks)))
        return {check["check"]: check for check in checks}

    def test_every_check_is_there(self):
        self.assertEqual(list(self.examine()), CHECKS)

    def test_values_are_true(self):
        checks = self.examine(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)))
        self.assertEqual(checks["kernel"]["value"], platform.release())
        self.assertEqual(checks["open files"]["value"], "100")
        self.assertIn("can be raised to 200", checks["open files"]["text"])
        checks = self.examine(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
        self.assertNotIn("raised", checks["open files"]["text"])
        self.assertEqual((checks["SIGCHLD"]["value"], checks["SIGCHLD mask"]["value"]), ("default", "unblocked"))

    def test_for_people_there_is_a_line_for_each(self):
        result = self.run_tool("doctor")
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), len(CHECKS))
        for line, check in zip(lines, CHECKS):
            self.assertRegex(line, rf"^(ok|--|!!)  {check.replace('(', '.').replace(')', '.')}  *\S")

    def test_forced_back_end(self):
        checks = self.examine(env=dict(self.env, EXITFD_BACKEND="self-pipe"))
        self.assertEqual((checks["default"]["value"], checks["default"]["verdict"]), ("self-pipe", "ok"))
        self.assertIn("EXITFD_BACKEND", checks["default"]["text"])

    def test_unknown_back_end(self):
        checks = self.examine(env=dict(self.env, EXITFD_BACKEND="none-such"))
        self.assertEqual((checks["default"]["value"], checks["default"]["verdict"]), ("none", "problem"))
        self.assertIn("EXITFD_BACKEND is 'none-such'", checks["default"]["text"])

    def test_sigchld_ignored(self):
        checks = self.examine(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(checks["SIGCHLD"]["value"], "ignored")
        self.assertNotEqual(checks["SIGCHLD"]["verdict"], "ok")

    def test_sigchld_ignored_spoils_no_pidfd(self):
        if not has_record():
            self.skipTest("without the kernel's record the status of a child is lost where SIGCHLD is ignored")
        for _ in range(20):
            checks = self.examine(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
            self.assertEqual((checks["pidfd"]["value"], checks["default"]["verdict"]), ("yes", "ok"))

    def test_without_proc_nothing_is_made_up(self):
        hidden = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-m", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"]
        # $ORIGIN in a program's library path means nothing without /proc.
        env = dict(self.env, LD_LIBRARY_PATH=os.path.join(os.path.dirname(TOOL), "..", "src"))
        if subprocess.run([*hidden, TOOL, "--version"], env=env, capture_output=True, check=False).returncode:
            self.skipTest("this process may not hide /proc (unshare), or the program does not run without it (a sanitizer)")
        result = subprocess.run([*hidden, TOOL, "doctor"], env=env, capture_output=True, text=True, timeout=PATIENCE,
                                check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, "seccomp  *unknown")
        self.assertNotIn("are open", result.stdout)

    def test_sigchld_blocked(self):
        checks = self.examine(preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD]))
        self.assertEqual((checks["SIGCHLD mask"]["value"], checks["SIGCHLD mask"]["verdict"]), ("blocked", "note"))

    def without_pidfd_open(self, answer):
        if not has_pidfds():
            self.skipTest("pidfd_open is not to be had here anyway")
        try:
            checks = self.examine(preexec_fn=lambda: forbid_pidfd_open(answer))
        except OSError:
            self.skipTest("seccomp filters cannot be set here")
        self.assertEqual(checks["seccomp"]["value"], "filter")
        self.assertIn("no_new_privs is set", checks["seccomp"]["text"])
        self.assertEqual((checks["waitid(P_PIDFD)"]["value"], checks["record"]["value"]), ("yes", "no"))
        return checks

    def test_seccomp_that_answers_with_an_error(self):
        checks = self.without_pidfd_open(SECCOMP_RET_ERRNO | errno.EPERM)
        self.assertEqual(checks["pidfd_open"]["value"], "EPERM")
        self.assertIn("forbidden", checks["pidfd_open"]["text"])
        self.assertEqual((checks["pidfd"]["value"], checks["pidfd"]["text"]),
                         ("no", "pidfd_open is not to be had: see above"))
        self.assertEqual((checks["default"]["value"], checks["default"]["verdict"]), ("self-pipe", "ok"))

    def test_seccomp_that_kills(self):
        checks = self.without_pidfd_open(SECCOMP_RET_KILL_PROCESS)
        self.assertEqual(checks["pidfd_open"]["value"], "SIGSYS")
        self.assertIn("killed", checks["pidfd_open"]["text"])
        self.assertIn("killed by SIGSYS", checks["pidfd"]["text"])
        self.assertEqual((checks["default"]["verdict"], checks["self-pipe"]["value"]), ("problem", "yes"))
        self.assertIn("set EXITFD_BACKEND", checks["default"]["text"])

    def test_nothing_is_left_behind(self):
        self.examine()
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    main()
