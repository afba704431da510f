# SPDX-License-Identifier: MIT
"""exitfd doctor in environments that are spoilt on purpose."""
import errno
import json
import os
import platform
import resource
import shutil
import signal
import subprocess

from tool_seccomp import SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, forbid, number_of
from tool_support import PATIENCE, TOOL, ToolTest, has_address_sanitizer, has_pidfds, has_record, main

KEYS = ["type", "check", "verdict", "value", "text"]
SYSCALLS = ["pidfd_open", "waitid(P_PIDFD)", "pidfd_send_signal", "clone3", "io_uring_setup", "io_uring poll", "waitid", "epoll_create1",
            "epoll_ctl", "epoll_wait", "timerfd_create", "eventfd2", "signalfd4", "pipe2", "poll", "PIDFD_GET_INFO",
            "sub-reaper", "autoreap/autokill"]
BACK_ENDS = ["pidfd", "io_uring", "signalfd", "self-pipe"]
CHECKS = ["exitfd", "kernel", *SYSCALLS, "default", *BACK_ENDS, "record", "seccomp", "tracer", "SIGCHLD", "SIGCHLD mask",
          "/dev/null", "open files", "processes"]
PIDFD_OPEN = 434


class Doctor(ToolTest):
    def setUp(self):
        super().setUp()
        self.forgo_leak_checks()

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

    def test_the_record_is_that_of_the_back_end_that_is_chosen(self):
        if not has_record():
            self.skipTest("this kernel keeps no record")
        record = self.examine(env=dict(self.env, EXITFD_BACKEND="self-pipe"))["record"]
        self.assertEqual((record["value"], record["verdict"]), ("no", "note"))
        self.assertIn("The self-pipe back end does not read", record["text"])

    def test_few_file_descriptors_are_not_an_old_kernel(self):
        if not has_record():
            self.skipTest("this kernel keeps no record")
        for limit in range(4, 10):
            record = self.examine(preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))["record"]
            self.assertNotIn("Linux", record["text"], limit)

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
            checks = self.examine(preexec_fn=lambda: forbid(PIDFD_OPEN, answer))
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

    def without(self, name, answer=SECCOMP_RET_ERRNO | errno.EPERM):
        number = number_of(name)
        if number is None:
            self.skipTest(f"no {name} on this machine, or libseccomp2 is not installed")
        try:
            checks = self.examine(preexec_fn=lambda: forbid(number, answer))
        except OSError:
            self.skipTest("seccomp filters cannot be set here")
        self.assertEqual([check for check in checks if check in CHECKS], [check for check in CHECKS if check in checks])
        return checks

    def test_no_reason_is_made_up_for_a_call_that_is_forbidden(self):
        usual = self.examine()
        there = [back_end for back_end in BACK_ENDS if usual[back_end]["value"] == "yes"]
        for name in ("timerfd_create", "epoll_create1", "epoll_ctl", "eventfd2", "signalfd4", "waitid"):
            checks = self.without(name)
            self.assertEqual(checks[name]["value"], "EPERM")
            for back_end in there:
                self.assertNotIn("build", checks[back_end]["text"], name)
                if checks[back_end]["value"] == "no":
                    self.assertIn(name, checks[back_end]["text"])

    def test_an_operation_of_io_uring_is_tried_and_not_the_set_up_alone(self):
        usual = self.examine()
        if usual["io_uring"]["value"] != "yes":
            self.skipTest("no io_uring back end here")
        self.assertEqual(usual["io_uring poll"]["value"], "yes")
        checks = self.without("io_uring_enter")
        self.assertEqual([checks[name]["value"] for name in ("io_uring_setup", "io_uring poll")], ["yes", "EPERM"])
        self.assertEqual((checks["io_uring"]["value"], checks["io_uring"]["text"]), ("no", "io_uring poll is not to be had: see above"))

    def test_who_killed_is_not_made_up(self):
        """A signal of seccomp is SIGSYS. Any other may be anybody's."""
        if has_address_sanitizer():
            self.skipTest("the sanitizer must come before any other preloaded library")
        program = os.path.join(self.folder(), "killer.so")
        source = "#include <signal.h>\nint signalfd(int a, void *b, int c) { return raise(SIGKILL); }\n"
        subprocess.run(["cc", "-w", "-shared", "-fPIC", "-xc", "-", "-o", program], input=source, text=True, check=True)
        preload = ":".join(filter(None, (os.environ.get("LD_PRELOAD"), program)))
        check = self.examine(env=dict(self.env, LD_PRELOAD=preload))["signalfd4"]
        self.assertEqual((check["value"], check["text"]), ("SIGKILL", "the process that asked was killed: not known why"))

    def test_no_pipe_of_its_own_is_needed(self):
        checks, usual = self.without("pipe2"), self.examine()
        self.assertEqual([checks[name]["value"] for name in SYSCALLS if name != "pipe2"],
                         [usual[name]["value"] for name in SYSCALLS if name != "pipe2"])

    def test_waitid_is_all_that_it_waits_by(self):
        checks, usual = self.without("wait4"), self.examine()
        self.assertEqual([checks[name]["value"] for name in (*SYSCALLS, "default", *BACK_ENDS, "record")],
                         [usual[name]["value"] for name in (*SYSCALLS, "default", *BACK_ENDS, "record")])

    def test_what_was_not_asked_is_unknown(self):
        checks = self.without("clone")  # fork(2) of glibc
        if checks["pidfd_open"]["value"] == "yes":
            self.skipTest("fork does without clone here")
        for name in (*SYSCALLS, "default", *BACK_ENDS, "record"):
            self.assertEqual((checks[name]["value"], checks[name]["verdict"]), ("unknown", "note"))
            self.assertIn("doctor cannot start a process", checks[name]["text"])

    def test_no_call_is_made_that_is_none_of_its_business(self):
        checks, usual = self.without("alarm", SECCOMP_RET_KILL_PROCESS), self.examine()
        self.assertEqual([checks[name]["value"] for name in (*SYSCALLS, *BACK_ENDS)],
                         [usual[name]["value"] for name in (*SYSCALLS, *BACK_ENDS)])

    def test_what_cannot_be_asked_is_unknown_and_the_rest_is_told(self):
        # The C library itself asks for limits before main: that cannot be a
        # kill.
        error = SECCOMP_RET_ERRNO | errno.EPERM
        rows = [("uname", error, ["kernel"]), ("uname", SECCOMP_RET_KILL_PROCESS, ["kernel"]),
                ("getdents64", SECCOMP_RET_KILL_PROCESS, ["open files"])]
        if not has_address_sanitizer():  # which asks for a limit itself
            rows.append(("prlimit64", error, ["open files", "processes"]))
        for name, answer, told in rows:
            checks = self.without(name, answer)
            self.assertEqual([checks[check]["value"] for check in told], ["unknown"] * len(told))
            self.assertIn("processes", checks)

    def test_the_record_is_not_said_to_take_a_kernel_that_is_here(self):
        if not has_record():
            self.skipTest("this kernel keeps no record")
        text = self.without("ioctl")["record"]["text"]
        self.assertIn("PIDFD_GET_INFO", text)
        self.assertNotIn("Linux", text)

    def test_a_tracer_is_reported(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        result = subprocess.run(["strace", "-qq", "-o", os.devnull, TOOL, "doctor"], capture_output=True, text=True,
                                timeout=PATIENCE, check=False)
        self.assertRegex(result.stdout, r"--  tracer  *\d+ ")

    def test_a_report_that_is_cut_off_is_an_error(self):
        size = len(self.run_tool("doctor").stdout)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 10, size - 10))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        with open(os.path.join(self.folder(), "report"), "wb") as file:
            doctor = self.start("doctor", stdout=file, text=True, preexec_fn=limit, restore_signals=False)
        self.assertIn("cannot write standard output: File too large", doctor.communicate(timeout=PATIENCE)[1])
        self.assertEqual(doctor.returncode, 1)

    def test_nothing_is_left_behind(self):
        self.examine()
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    main()
