# SPDX-License-Identifier: MIT
"""exitfd wait, and what all subcommands have in common: --help, --version, wrong usage."""
import json
import os
import resource
import select
import signal
import subprocess
import sys
import unittest

from tool_support import (PATIENCE, TOOL, ToolTest, doctor, has_pidfds, has_record, is_alive, main, process_fields, until,
                          watches)


class Common(ToolTest):
    def test_help_of_each_goes_to_stdout(self):
        for words in (["--help"], ["-h"], *([name, option] for name in ("wait", "run", "init", "doctor")
                                            for option in ("--help", "-h"))):
            result = self.run_tool(*words)
            self.assertEqual((result.returncode, result.stderr), (0, ""), words)
            self.assertIn("Usage: exitfd", result.stdout)

    def test_help_of_a_command_is_its_own(self):
        for name in ("wait", "run", "init", "doctor"):
            result = self.run_tool("help", name)
            self.assertEqual((result.returncode, result.stdout), (0, self.run_tool(name, "--help").stdout))
        self.assertEqual(self.run_tool("help").stdout, self.run_tool("--help").stdout)

    def test_version_names_program_and_library(self):
        result = self.run_tool("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^exitfd \d+\.\d+\.\d+ \(library \d+\.\d+\.\d+\)\n$")

    def test_wrong_usage_is_status_2_and_says_where_help_is(self):
        for words, what in (([], "a command is missing"), (["wiat"], "'wiat' is not a command"),
                            (["wait"], "a PID is missing"), (["wait", "--foo", "1"], "--foo"),
                            (["wait", "x"], "'x' is not a PID"), (["wait", "0"], "'0' is not a PID"),
                            (["wait", "-5"], "invalid option"), (["wait", "1:"], "'1:' is not a PID"),
                            (["wait", "1:x"], "'1:x' is not a PID"), (["wait", "-t", "soon", "1"], "'soon' is not a time"),
                            (["wait", "-t", "-1", "1"], "'-1' is not a time"),
                            (["wait", "-t", "nan", "1"], "'nan' is not a time"),
                            (["wait", "-n", "0", "1"], "'0' is not a whole number"),
                            (["wait", "-n", "2", "1"], "more than the PIDs given (1)"),
                            (["run", "-j", "0"], "and not '0'"), (["run", "a", "b"], "one list at a time"),
                            (["run", "/no/such/list"], "cannot open the list"), (["run", "-t", "1y"], "'1y' is not a time"),
                            (["init"], "a command is missing"), (["init", "-e", "256", "true"], "'256' is not a whole number"),
                            (["init", "-p", "SIGNOT", "true"], "'SIGNOT' is not a signal"),
                            (["doctor", "me"], "takes no arguments"), (["help", "wiat"], "'wiat' is not a command"),
                            (["help", "run", "init"], "help takes one command")):
            result = self.run_tool(*words)
            self.assertEqual((result.returncode, result.stdout), (2, ""), words)
            self.assertIn(what, result.stderr)
            self.assertIn("--help'.", result.stderr)

    def test_options_of_other_programs_name_ours(self):
        for words, ours in ((["wait", "-c", "1", "1"], "-n COUNT"), (["wait", "--exited", "1"], "does not exist"),
                            (["wait", "-o", "1"], "-n 1"), (["wait", "--any", "1"], "-n 1"),
                            (["wait", "--pid=1"], "exitfd wait PID"), (["wait", "-s", "TERM", "1"], "kill(1)"),
                            (["wait", "nginx"], "pgrep(1)"), (["wait", "--foo", "1"], "invalid option '--foo'\n"),
                            (["init", "-c", "true"], "-g"), (["init", "--rewrite=15:3", "true"], "shell"),
                            (["init", "-k", "5", "true"], "-K SECONDS"), (["init", "--version"], "exitfd --version"),
                            (["init", "-t", "5", "true"], "exitfd init -- timeout"), (["init", "-z"], "invalid option '-z'\n"),
                            (["--", "true"], "exitfd init -g -- COMMAND"), (["-g", "true"], "exitfd init -g -- COMMAND")):
            with self.subTest(words):
                result = self.run_tool(*words)
                self.assertEqual((result.returncode, result.stdout), (2, ""), words)
                self.assertIn(ours, result.stderr)

    def test_a_back_end_that_is_none_is_named(self):
        for words in (["wait", "1"], ["run", os.devnull], ["init", "true"]):
            result = self.run_tool(*words, env={**self.env, "EXITFD_BACKEND": "epoll"})
            self.assertEqual((result.returncode, result.stdout), (1, ""), words)
            self.assertIn("EXITFD_BACKEND is 'epoll'. It takes pidfd, ", result.stderr)

    def test_a_tiny_time_is_not_no_limit(self):
        for time in ("1e-10", "1e-400", "0.0000000001d"):
            result = self.run_tool("run", "-q", "-t", time, input="sleep 1000\n")
            self.assertEqual(result.returncode, 1, time)
            self.assert_nothing_left()

    def test_output_that_cannot_be_written_is_an_error(self):
        for words in (["--help"], ["--version"], ["doctor"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                result = subprocess.run([TOOL, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn("cannot write standard output: No space left", result.stderr)

    def test_closed_standard_fds_are_no_trap(self):
        result = subprocess.run(["/bin/sh", "-c", '"$0" run -q 0<&- 1>&- 2>&-', TOOL], check=False)
        self.assertEqual(result.returncode, 1)  # there is no list to read, and none of the three was needed to find out

    def test_output_to_a_closed_fd_is_an_error(self):
        for words in ("--help", "--version", "doctor", "wait --help"):
            result = subprocess.run(["/bin/sh", "-c", f'"$0" {words} 1>&-', TOOL], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 1, words)
            self.assertIn("cannot write standard output", result.stderr)
        result = subprocess.run(["/bin/sh", "-c", 'echo "echo lost" | "$0" run -q 1>&-', TOOL], capture_output=True, text=True,
                                check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot print the output of a command: Bad file descriptor", result.stderr)


class Wait(ToolTest):
    """Each process waited for is a child of this test and not of the tool."""

    def setUp(self):
        super().setUp()
        if not has_pidfds():
            self.skipTest("without pidfds exitfd wait has no way to wait for a process that is no child")

    def process(self, script):
        """A shell that runs script when its input ends."""
        return self.start("sh", "-c", "read line; " + script, tool=False, stdin=subprocess.PIPE)

    def wait_for(self, *words, ending):
        """The tool, started with words, after it has begun to wait and the processes in ending have ended."""
        tool = self.start("wait", *words, text=True)
        for process in ending:
            until(lambda process=process: watches(tool.pid, process.pid), "the tool has a pidfd")
        until(lambda: process_fields(tool.pid)[0] == "S", "the tool has seen that they live")
        for process in ending:
            process.stdin.close()
            process.wait()
        output, errors = tool.communicate(timeout=PATIENCE)
        return tool.returncode, output, errors

    def assert_ending(self, script, status, words, members):
        if not has_record():
            status, words = 125, "ended, but its status is unknown"
            members = {"outcome": "unknown", "status": None, "signal": None, "origin": "unknown"}
        process = self.process(script)
        returncode, output, errors = self.wait_for(process.pid, ending=[process])
        self.assertEqual((returncode, errors), (status, ""))
        self.assertTrue(output.startswith(f"{process.pid} {words}"), output)
        process = self.process(script)
        returncode, output, errors = self.wait_for("--json", process.pid, ending=[process])
        self.assertEqual((returncode, errors), (status, ""))
        expected = {"type": "process", "pid": process.pid, "core": False, **members}
        self.assertEqual(json.loads(output), expected)

    def test_status_of_a_process_that_is_no_child(self):
        self.assert_ending("exit 7", 7, "exited with status 7\n",
                           {"outcome": "exited", "status": 7, "signal": None, "origin": "recorded"})

    def test_success(self):
        self.assert_ending("exit 0", 0, "exited with status 0\n",
                           {"outcome": "exited", "status": 0, "signal": None, "origin": "recorded"})

    def test_signal(self):
        self.assert_ending("kill -TERM $$", 128 + 15, "was killed by SIGTERM\n",
                           {"outcome": "killed", "status": None, "signal": "SIGTERM", "origin": "recorded"})

    def test_real_time_signal_has_a_name(self):
        number = signal.SIGRTMIN + 3
        self.assert_ending(f"kill -{number} $$", 128 + number, "was killed by SIGRTMIN+3\n",
                           {"outcome": "killed", "status": None, "signal": "SIGRTMIN+3", "origin": "recorded"})

    def test_process_that_ended_before_but_is_not_reaped_yet(self):
        process = self.process("exit 3")
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        returncode, _, _ = self.wait_for(process.pid, ending=[process])
        self.assertEqual(returncode, 3 if has_record() else 125)

    def test_several_all_well_is_0(self):
        processes = [self.process("exit 0") for _ in range(3)]
        returncode, output, _ = self.wait_for(*(p.pid for p in processes), ending=processes)
        self.assertEqual(returncode, 0 if has_record() else 125)
        self.assertEqual({int(line.split()[0]) for line in output.splitlines()}, {p.pid for p in processes})

    def test_several_one_failed_is_123(self):
        processes = [self.process("exit 0"), self.process("exit 4")]
        returncode, _, _ = self.wait_for(*(p.pid for p in processes), ending=processes)
        self.assertEqual(returncode, 123 if has_record() else 125)

    def test_a_pid_named_twice_is_one_process(self):
        process = self.process("exit 0")
        returncode, output, _ = self.wait_for(process.pid, process.pid, ending=[process])
        self.assertEqual((returncode, len(output.splitlines())), (0 if has_record() else 125, 1))

    def test_count_returns_after_so_many(self):
        staying, ending = self.process("exit 0"), self.process("exit 0")
        returncode, output, _ = self.wait_for("-n", 1, staying.pid, ending.pid, ending=[ending])
        self.assertEqual(returncode, 0 if has_record() else 125)
        self.assertTrue(output.startswith(f"{ending.pid} "))
        self.assertTrue(is_alive(staying.pid))

    def test_endings_are_printed_as_they_come(self):
        first, second = self.process("exit 0"), self.process("exit 0")
        tool = self.start("wait", first.pid, second.pid, text=True)
        until(lambda: watches(tool.pid, second.pid), "the tool has a pidfd")
        first.stdin.close()
        first.wait()
        self.assertTrue(select.select([tool.stdout], [], [], PATIENCE)[0])
        self.assertTrue(tool.stdout.readline().startswith(f"{first.pid} "))
        self.assertIsNone(tool.poll())

    def test_ending_that_cannot_be_printed_is_an_error(self):
        process = self.process("exit 0")
        with open("/dev/full", "w", encoding="ascii") as full:
            tool = self.start("wait", process.pid, stdout=full, text=True)
        until(lambda: watches(tool.pid, process.pid), "the tool has a pidfd")
        process.stdin.close()
        process.wait()
        self.assertIn("cannot write standard output", tool.communicate(timeout=PATIENCE)[1])
        self.assertEqual(tool.returncode, 1)

    def test_soft_limit_on_open_files_is_no_limit(self):
        processes = [self.process("exit 0") for _ in range(30)]
        result = self.run_tool("wait", "-t", 0, *(process.pid for process in processes),
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 100)))
        self.assertEqual((result.returncode, result.stderr.count("still running")), (124, 30), result.stderr)

    def test_itself_is_nothing_to_wait_for(self):
        result = subprocess.run(["sh", "-c", 'exec "$0" wait $$', TOOL], capture_output=True, text=True, timeout=PATIENCE,
                                check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("would wait for itself", result.stderr)

    def test_time_out_is_124_and_names_what_still_runs(self):
        process = self.process("exit 0")
        result = self.run_tool("wait", "-t", "0.05", "--json", process.pid)
        self.assertEqual(result.returncode, 124)
        self.assertEqual(result.stderr, f"exitfd wait: {process.pid}: time-out: still running\n")
        self.assertEqual(json.loads(result.stdout), {"type": "process", "pid": process.pid, "outcome": "running",
                                                     "status": None, "signal": None, "core": False, "origin": None})
        self.assertTrue(is_alive(process.pid))

    def test_time_out_comes_before_an_output_that_cannot_be_written(self):
        process = self.process("exit 0")
        with open("/dev/full", "w", encoding="ascii") as full:
            tool = self.start("wait", "-t", "0", "--json", process.pid, stdout=full, text=True)
        self.assertIn("cannot write standard output", tool.communicate(timeout=PATIENCE)[1])
        self.assertEqual(tool.returncode, 124)

    def test_a_status_of_124_is_no_time_out(self):
        process = self.process("exit 124")
        with open("/dev/full", "w", encoding="ascii") as full:
            tool = self.start("wait", process.pid, stdout=full)
        until(lambda: watches(tool.pid, process.pid), "the tool has a pidfd")
        process.stdin.close()
        process.wait()
        self.assertEqual(tool.wait(PATIENCE), 1)

    def test_what_is_missing_is_printed_at_once(self):
        gone = self.process("exit 0")
        gone.stdin.close()
        gone.wait()
        tool = self.start("wait", "--json", gone.pid, self.process("exit 0").pid, text=True)
        self.assertTrue(select.select([tool.stdout], [], [], PATIENCE)[0], "nothing is printed")
        self.assertEqual(json.loads(tool.stdout.readline())["outcome"], "missing")
        self.assertIsNone(tool.poll())

    def test_time_out_0_only_looks(self):
        process = self.process("exit 0")
        self.assertEqual(self.run_tool("wait", "-t", "0", process.pid).returncode, 124)

    def test_time_out_tells_a_zombie_from_a_process_that_runs(self):
        process = self.process("exit 0")
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        result = self.run_tool("wait", "-t", "0.05", process.pid)
        if "its status is unknown" in result.stdout:
            self.skipTest("before Linux 6.9 nothing tells a zombie from a reaped process")
        self.assertEqual(result.returncode, 124)
        self.assertIn(f"has ended, but its parent {os.getpid()} has not waited for it", result.stderr)

    def test_a_zombie_is_one_even_if_fds_ran_out(self):
        self.forgo_leak_checks()
        zombies = [self.process("exit 0") for _ in range(4)]
        for process in zombies:
            process.stdin.close()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        has_told = 0
        for limit in range(8, 16):
            result = self.run_tool("wait", "-t", "0.05", *(process.pid for process in zombies),
                                   preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            self.assertNotIn("still running", result.stderr, limit)
            has_told += result.returncode == 124 and "has ended, but its parent" in result.stderr
        self.assertGreater(has_told, 0)

    def test_a_zombie_is_reported_at_once(self):
        if not has_record():
            self.skipTest("without the kernel's record a zombie may count as ended")
        process = self.process("exit 3")
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        tool = self.start("wait", process.pid, text=True)
        self.assertEqual(tool.stderr.readline(), f"exitfd wait: {process.pid}: it has ended, but its parent {os.getpid()} "
                                                 "has not waited for it yet. Its status is known only then\n")
        process.wait()
        self.assertEqual((tool.communicate(timeout=PATIENCE)[1], tool.returncode), ("", 3))

    def test_a_process_whose_first_thread_has_ended_is_no_zombie(self):
        script = ("import ctypes, os, sys, threading\n"
                  "threading.Thread(target=lambda: (sys.stdin.read(), os._exit(4))).start()\n"
                  "ctypes.CDLL(None).pthread_exit(None)")
        process = self.start(sys.executable, "-c", script, tool=False, stdin=subprocess.PIPE)
        until(lambda: process_fields(process.pid)[0] == "Z", "the first thread has ended")
        result = self.run_tool("wait", "-t", "0.05", process.pid)
        self.assertEqual((result.returncode, result.stderr),
                         (124, f"exitfd wait: {process.pid}: time-out: still running\n"))

    def test_without_a_proc_of_its_own_nothing_is_called_a_zombie(self):
        """In a new pid namespace, and with the /proc that was there before, where the same pid is a zombie."""
        if os.geteuid() != 0:
            self.skipTest("only root may choose the next pid")
        self.forgo_leak_checks()
        zombie = self.process("exit 0")
        zombie.stdin.close()
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        script = (f"open('/proc/sys/kernel/ns_last_pid', 'w').write('{zombie.pid - 1}')\n"
                  "import subprocess, sys\n"
                  f"process = subprocess.Popen(['sleep', '1000'])\nassert process.pid == {zombie.pid}\n"
                  "result = subprocess.run([sys.argv[1], 'wait', '-t', '0.05', str(process.pid)])\n"
                  "process.kill()\nsys.exit(result.returncode)")
        words = ["unshare", "-pf", "--kill-child"]
        if subprocess.run([*words, "sh", "-c", "echo 1000 > /proc/sys/kernel/ns_last_pid"], capture_output=True,
                          check=False).returncode:
            self.skipTest("this process may not make a pid namespace (unshare), or may not choose a pid in it")
        result = subprocess.run([*words, sys.executable, "-c", script, TOOL], capture_output=True, text=True,
                                timeout=PATIENCE, check=False, env=self.env)
        self.assertEqual((result.returncode, result.stderr),
                         (124, f"exitfd wait: {zombie.pid}: time-out: still running, or a zombie. "
                               "/proc is missing, or of another pid namespace\n"))

    def test_missing_pid_is_1_after_the_others_were_waited_for(self):
        gone = self.process("exit 0")
        gone.stdin.close()
        gone.wait()
        process = self.process("exit 0")
        returncode, output, errors = self.wait_for("--json", gone.pid, process.pid, ending=[process])
        self.assertEqual((returncode, errors), (1, f"exitfd wait: {gone.pid}: no such process\n"))
        outcomes = {line["pid"]: line["outcome"] for line in map(json.loads, output.splitlines())}
        self.assertEqual(outcomes, {gone.pid: "missing", process.pid: "exited" if has_record() else "unknown"})

    def test_one_that_cannot_be_watched_does_not_end_the_wait_for_the_others(self):
        self.forgo_leak_checks()
        processes = [self.process("exit 0") for _ in range(8)]
        tool = self.start("wait", *(process.pid for process in processes), 2 ** 31 - 1, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)))
        errors = [tool.stderr.readline()]
        while "no such process" not in errors[-1]:  # the last one is looked for too
            self.assertIn("cannot wait for it: Too many open files. Raise the limit", errors[-1])
            errors.append(tool.stderr.readline())
        unwatched = {int(line.split(":")[1]) for line in errors[:-1]}
        watched = {process.pid for process in processes} - unwatched
        self.assertTrue(watched and unwatched, errors)
        self.assertIsNone(tool.poll())
        for process in processes:
            process.stdin.close()
            process.wait()
        output, _ = tool.communicate(timeout=PATIENCE)
        self.assertEqual((tool.returncode, {int(line.split()[0]) for line in output.splitlines()}), (1, watched))

    def inode(self, process):
        pidfd = os.pidfd_open(process.pid)
        try:
            return os.fstat(pidfd).st_ino
        finally:
            os.close(pidfd)

    def test_inode_names_the_very_process(self):
        process = self.process("exit 5")
        if self.inode(process) == self.inode(self.process("exit 0")):
            self.skipTest("pidfds have inodes of their own from Linux 6.9")
        inode = self.inode(process)
        returncode, _, _ = self.wait_for(f"{process.pid}:{inode}", ending=[process])
        self.assertEqual(returncode, 5 if has_record() else 125)
        other = self.process("exit 0")
        result = self.run_tool("wait", f"{other.pid}:{inode}")
        self.assertEqual(result.returncode, 1)
        self.assertIn("belongs to another process now", result.stderr)

    def test_a_wrong_inode_takes_no_other_target_away(self):
        if self.inode(self.process("exit 0")) == self.inode(self.process("exit 0")):
            self.skipTest("pidfds have inodes of their own from Linux 6.9")
        for order in (1, -1):
            process = self.process("exit 5")
            words = [process.pid, f"{process.pid}:{self.inode(process) + 1}"][::order]
            returncode, output, errors = self.wait_for(*words, ending=[process])
            self.assertEqual((returncode, len(output.splitlines()), output.split()[0]), (1, 1, str(process.pid)), words)
            self.assertEqual(errors, f"exitfd wait: {process.pid}: the PID belongs to another process now. "
                                     "Its pidfd has another inode\n")


class WithoutPidfds(ToolTest):
    def test_says_why_it_cannot_wait(self):
        result = self.run_tool("wait", os.getpid(), env=dict(self.env, EXITFD_BACKEND="self-pipe"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("sees only its own children. See 'exitfd doctor'", result.stderr)

    def test_unknown_back_end_is_no_crash(self):
        result = self.run_tool("wait", os.getpid(), env=dict(self.env, EXITFD_BACKEND="none-such"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("EXITFD_BACKEND is 'none-such'", result.stderr)


if __name__ == "__main__":
    main()
