# SPDX-License-Identifier: MIT
"""exitfd run through pipes: outputs, results, time limits, the list, JSON."""
import json
import os
import re
import select
import signal
import subprocess
import sys

from tool_support import PATIENCE, TOOL, ToolTest, children_of, hear, main, read, tell, until

JOB_KEYS = ["type", "line", "command", "argument", "pid", "outcome", "status", "signal", "core", "origin", "error", "timed_out",
            "stopped", "output_limit", "wall", "cpu", "peak_kib", "stdout", "stderr"]
SUMMARY_KEYS = ["type", "commands", "succeeded", "failed", "timed_out", "stopped", "unknown", "not_run", "list_read",
                "wall", "cpu", "peak_kib"]


class RunTest(ToolTest):
    def fifos(self, count):
        folder = self.folder()
        paths = [os.path.join(folder, f"fifo{i}") for i in range(count)]
        for path in paths:
            os.mkfifo(path)
        return paths

    def run_lines(self, *lines, options=(), **popen):
        return self.run_tool("run", *options, input="".join(line + "\n" for line in lines), **popen)

    def run_json(self, *lines, options=(), **popen):
        result = self.run_lines(*lines, options=("--json", *options), **popen)
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        return result, {job["line"]: job for job in objects[:-1]}, objects[-1]


class Outputs(RunTest):
    def test_each_is_whole_though_they_print_in_turns(self):
        to_a, to_b = self.fifos(2)
        # Each line of one command is printed after a line of the other.
        ping = f"exec 3<>{to_a} 4<>{to_b}; for i in 1 2 3; do echo a$i; echo go >&4; read x <&3; done"
        pong = f"exec 3<>{to_a} 4<>{to_b}; for i in 1 2 3; do read x <&4; echo b$i; echo go >&3; done"
        result = self.run_lines(ping, pong, options=("-j", 2))
        self.assertEqual(result.returncode, 0)
        self.assertIn(result.stdout, ("a1\na2\na3\nb1\nb2\nb3\n", "b1\nb2\nb3\na1\na2\na3\n"))

    def test_stdout_and_stderr_stay_apart(self):
        result = self.run_lines("echo out; echo err >&2", options=("-q",))
        self.assertEqual((result.stdout, result.stderr), ("out\n", "err\n"))

    def out_of_order(self, *options):
        (fifo,) = self.fifos(1)
        return self.run_lines(f"read x <{fifo}; echo first", f"echo second; echo go >{fifo}", options=("-j", 2, *options))

    def test_in_the_order_of_ending(self):
        lines = self.out_of_order().stdout.splitlines()
        self.assertEqual(sorted(lines), ["first", "second"])

    def test_in_the_order_of_the_list(self):
        self.assertEqual(self.out_of_order("--keep-order").stdout, "first\nsecond\n")
        self.assertEqual(self.out_of_order("-k").stdout, "first\nsecond\n")

    def test_bytes_are_untouched(self):
        result = self.run_lines(r"printf 'a\000\377'", "printf b", options=("-j", 1))
        self.assertEqual(result.stdout, "a\0\udcffb")

    def test_reopening_stderr_loses_nothing(self):
        result = self.run_lines("echo one >/dev/stderr; echo two >/dev/stderr", options=("-q",))
        self.assertEqual(result.stderr, "one\ntwo\n")

    def test_much_of_it_is_held_on_disk_and_not_in_memory(self):
        release, printed = self.fifos(2)
        much = 100 << 20
        lines = f"read x <{release}; echo first\nhead -c {much} /dev/zero; echo go >{printed}\n"
        with open(os.path.join(self.folder(), "output"), "w+b") as output:
            tool = self.start("run", "-k", "-j", 2, stdin=subprocess.PIPE, stdout=output)
            tool.stdin.write(lines.encode())
            tool.stdin.close()
            hear(printed)
            (worker,) = children_of(tool.pid)
            peak = int(re.search(rb"VmHWM:\s*(\d+) kB", read(f"/proc/{worker}/status"))[1])
            tell(release)
            self.assertEqual(tool.wait(PATIENCE), 0)
            output.seek(0)
            self.assertEqual(output.read(6), b"first\n")
            self.assertEqual(output.read().count(b"\0"), much)
        self.assertLess(peak << 10, much / 2)  # a sanitizer's overhead included

    def test_many_small_ones_are_held_until_their_turn(self):
        (fifo,) = self.fifos(1)
        count, numbers = 200, 22000  # each is more than a block, all are more than is held in memory
        lines = [f"read x <{fifo}; echo 0", *(f"seq {i} {i + numbers}" for i in range(1, count)), f"echo go >{fifo}"]
        result = self.run_lines(*lines, options=("-j", 4, "-k", "-q"))
        expected = ["0"] + [str(n) for i in range(1, count) for n in range(i, i + numbers + 1)]
        self.assertEqual(result.stdout.split("\n"), expected + [""])

    def test_no_room_for_it_ends_that_command_alone(self):
        lines = "head -c 1M /dev/zero; sleep 1000\nsleep 0.1; echo whole\n"
        result = subprocess.run([TOOL, "run", "-j", "2"], input=lines, capture_output=True, text=True,
                                env=dict(self.env, TMPDIR="/no/such/folder"), timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 1: cannot keep its output: No such file or directory. Ending it.", result.stderr)
        self.assertIn("Set TMPDIR", result.stderr)
        self.assertIn("line 1: output lost after", result.stderr)
        self.assertIn("1 succeeded, 1 failed;", result.stderr)
        self.assertTrue(result.stdout.endswith("whole\n") or result.stdout.startswith("whole\n"))
        self.assert_nothing_left()

    def test_what_a_command_leaves_running_holds_up_nothing(self):
        result = self.run_lines("sleep 1000 & echo here")
        self.assertEqual((result.returncode, result.stdout), (0, "here\n"))
        self.assertEqual(len(self.leftovers()), 1)  # a run that ends by itself ends nothing else

    def test_what_prints_for_ever_in_the_background_holds_up_nothing(self):
        result = self.run_lines("while :; do echo more; done & echo first")
        self.assertEqual(result.returncode, 0)
        self.assert_nothing_left()  # its output is gone, and so is it

    def test_full_device_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([TOOL, "run"], input="echo a\n", stdout=full, stderr=subprocess.PIPE, text=True,
                                    env=self.env, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot print the output of a command: No space left on device", result.stderr)


class Results(RunTest):
    def test_all_succeeded(self):
        result = self.run_lines("true", "true")
        self.assertEqual(result.returncode, 0)
        self.assertIn("2 commands in ", result.stderr)
        self.assertIn("2 succeeded;", result.stderr)

    def test_empty_list(self):
        self.assertEqual(self.run_tool("run").returncode, 0)

    def test_failures_are_told_at_once_and_first_in_the_summary(self):
        (fifo,) = self.fifos(1)
        result = self.run_lines(f"read x <{fifo}", f"echo go >{fifo}; exit 3", "kill -9 $$", options=("-j", 3))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"exitfd run: line 2: exit 3 after 0\.\d+ s: echo go")
        self.assertRegex(result.stderr, r"exitfd run: line 3: SIGKILL after 0\.\d+ s: kill -9 ")
        self.assertIn("1 succeeded, 2 failed;", result.stderr)
        table = result.stderr[result.stderr.index("RESULT") :].splitlines()[1:]
        verdicts = [(" ".join(row.split()[:2]) if row.split()[0] == "exit" else row.split()[0]) for row in table]
        self.assertEqual((set(verdicts[:2]), verdicts[2]), ({"exit 3", "SIGKILL"}, "exit 0"))

    def test_slowest_come_first(self):
        result = self.run_lines("true", "sleep 0.4", "sleep 0.2", options=("-j", 3))
        # On a busy machine none of these has to be the slowest. The rows say
        # which one was.
        walls = [float(wall) for wall in re.findall(r"exit 0 +([\d.]+) s ", result.stderr)]
        self.assertEqual(len(walls), 3)
        self.assertEqual(walls, sorted(walls, reverse=True))

    def test_summary_has_as_many_rows_as_asked_for(self):
        for rows, shown in ((0, 0), (2, 2), (100, 5)):
            result = self.run_lines(*["true"] * 5, options=("--summary", rows))
            self.assertEqual(result.stderr.count("exit 0"), shown)
            self.assertEqual("and 3 more" in result.stderr, rows == 2)

    def test_quiet_says_nothing(self):
        result = self.run_lines("false", options=("--quiet",))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (1, "", ""))

    def test_quiet_says_what_could_not_be_started(self):
        result = self.run_lines("echo a\0b", options=("--quiet",))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("line 1: not started: the line holds a null byte", result.stderr)

    def test_cpu_and_memory_are_those_of_the_command(self):
        script = os.path.join(self.folder(), "hog.py")
        with open(script, "w", encoding="ascii") as file:
            file.write("import time\nx = bytearray(64 << 20)\nwhile time.process_time() < 0.3:\n    pass\n")
        _, jobs, summary = self.run_json(f"exec {sys.executable} {script}", "true", options=("-j", 1))
        self.assertGreater(jobs[1]["cpu"], 0.25)
        self.assertGreater(jobs[1]["peak_kib"], 64 << 10)
        self.assertLess(jobs[2]["cpu"], 0.25)
        self.assertLess(jobs[2]["peak_kib"], 64 << 10)
        self.assertGreater(summary["cpu"], 0.25)


class TimeLimits(RunTest):
    def test_ends_the_command_with_what_it_started(self):
        result, jobs, summary = self.run_json("sleep 1000 & sleep 1000", "true", options=("-t", 0.2))
        self.assertEqual(result.returncode, 1)
        self.assertEqual((jobs[1]["timed_out"], jobs[1]["signal"]), (True, "SIGTERM"))
        self.assertEqual((jobs[2]["timed_out"], jobs[2]["status"]), (False, 0))
        self.assertEqual((summary["timed_out"], summary["succeeded"], summary["failed"]), (1, 1, 0))
        self.assert_nothing_left()

    def test_kills_what_ignores_sigterm(self):
        """From its birth: a trap would be too late where the machine is busy."""
        _, jobs, _ = self.run_json("exec sleep 1000", options=("-t", 0.01, "-K", 0.01),
                                   preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
        self.assertEqual((jobs[1]["timed_out"], jobs[1]["signal"]), (True, "SIGKILL"))
        self.assert_nothing_left()

    def test_kills_what_the_command_left_in_its_group(self):
        stubborn = "(trap '' TERM; while :; do sleep 0.02; done) & exec sleep 1000"
        _, jobs, _ = self.run_json(stubborn, options=("-t", 0.2, "-K", 0.2))
        self.assertEqual(jobs[1]["signal"], "SIGTERM")
        self.assert_nothing_left()

    def test_ends_a_stopped_command(self):
        _, jobs, _ = self.run_json("kill -STOP $$", options=("-t", 0.2))
        self.assertEqual(jobs[1]["signal"], "SIGTERM")

    def test_a_command_that_goes_well_on_sigterm_has_timed_out_nevertheless(self):
        for limit in (0.3, 3, 30):  # a busy machine may start no shell within the first
            ready = os.path.join(self.folder(), "ready")
            command = f"trap 'exit 0' TERM; : > {ready}; while :; do sleep 0.02; done"
            result, jobs, _ = self.run_json(command, options=("-t", limit))
            if os.path.exists(ready):
                break
        self.assertEqual((result.returncode, jobs[1]["timed_out"], jobs[1]["status"]), (1, True, 0))

    def test_0_is_no_limit(self):
        _, jobs, _ = self.run_json("sleep 0.1", options=("-t", 0))
        self.assertEqual((jobs[1]["timed_out"], jobs[1]["status"]), (False, 0))

    def test_verdict(self):
        result = self.run_lines("sleep 1000", options=("-t", 0.1))
        self.assertIn("line 1: timed out after", result.stderr)
        self.assertIn("0 succeeded, 1 timed out;", result.stderr)


class FailFast(RunTest):
    def test_ends_the_others_and_starts_no_more(self):
        (fifo,) = self.fifos(1)
        lines = [f"echo go >{fifo}; exec sleep 1000", f"read x <{fifo}; exit 9", "echo never", "echo never"]
        result, jobs, summary = self.run_json(*lines, options=("-j", 2, "--fail-fast"))
        self.assertEqual(result.returncode, 1)
        self.assertEqual((jobs[1]["stopped"], jobs[1]["signal"]), (True, "SIGTERM"))
        self.assertEqual((jobs[2]["stopped"], jobs[2]["status"]), (False, 9))
        self.assertEqual(sorted(jobs), [1, 2])
        self.assertEqual((summary["failed"], summary["stopped"], summary["not_run"]), (1, 1, 2))
        self.assert_nothing_left()

    def test_ends_also_what_left_the_group(self):
        (fifo,) = self.fifos(1)
        result = self.run_lines(f"setsid sh -c 'echo go >{fifo}; exec sleep 1000' & wait", f"read x <{fifo}; exit 1",
                                options=("-j", 2, "-f"))
        self.assertEqual(result.returncode, 1)
        self.assert_nothing_left()

    def test_succeeds_when_all_do(self):
        self.assertEqual(self.run_lines("true", "true", options=("-f",)).returncode, 0)


class List(RunTest):
    def commands(self, text, *options):
        result = self.run_tool("run", "--json", *options, input=text)
        return {job["line"]: job for job in map(json.loads, result.stdout.splitlines()) if job["type"] == "job"}

    def test_blank_lines_and_comments_are_skipped(self):
        jobs = self.commands("\n  \n# echo no\n\t# nor this\necho yes # a comment\n\necho again")
        self.assertEqual({line: job["stdout"] for line, job in jobs.items()}, {5: "yes\n", 7: "again\n"})

    def test_from_a_file(self):
        path = os.path.join(self.folder(), "list")
        with open(path, "w", encoding="ascii") as file:
            file.write("echo a\n")
        self.assertEqual(self.run_tool("run", path).stdout, "a\n")

    def test_a_closed_stdin_is_no_list(self):
        result = self.run_tool("run", stdin=None, preexec_fn=lambda: os.close(0))
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot read the list '-': Bad file descriptor", result.stderr)

    def test_a_folder_is_no_list(self):
        result = self.run_tool("run", "--json", self.folder())
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot read the list", result.stderr)
        self.assertIs(json.loads(result.stdout)["list_read"], False)

    def test_commands_read_nothing(self):
        self.assertEqual(self.run_lines("cat; echo end", "echo second", options=("-j", 1, "-q")).stdout, "end\nsecond\n")

    def test_lines_may_end_as_in_dos(self):
        jobs = self.commands("echo a\r\n\r\nprintf 'b\\r'\nprintf c\r")
        self.assertEqual({line: job["stdout"] for line, job in jobs.items()}, {1: "a\n", 3: "b\r", 4: "c"})

    def test_lines_that_can_be_no_command(self):
        jobs = self.commands("echo a\0b\n: " + "x" * 200000 + "\necho c\n")
        self.assertEqual([job["outcome"] for _, job in sorted(jobs.items())], ["not-started", "not-started", "exited"])
        self.assertIn("null byte", jobs[1]["error"])
        self.assertIn("longer than a command can be", jobs[2]["error"])
        self.assertEqual((jobs[1]["pid"], jobs[1]["status"], jobs[3]["error"]), (None, None, None))

    def test_longest_command(self):
        for end in ("", "\n", "\r\n"):
            jobs = self.commands(": " + "x" * 131069 + end)
            self.assertEqual(jobs[1]["status"], 0)
            jobs = self.commands(": " + "x" * 131070 + end)
            self.assertEqual(jobs[1]["outcome"], "not-started")

    def test_commands_are_shown_as_one_clean_line(self):
        result = self.run_lines("exit 3 # \033[31m" + "é" * 200)
        verdict, _, _, row = result.stderr.splitlines()
        self.assertTrue(verdict.endswith("exit 3 # ?[31m" + "é" * 183 + "..."), verdict)
        self.assertTrue(row.endswith(" exit 3 # ?[31m" + "é" * 7 + "..."), row)

    def test_commands_start_as_they_are_typed(self):
        tool = self.start("run", stdin=subprocess.PIPE, bufsize=0)
        tool.stdin.write(b"echo a\n")
        self.assertTrue(select.select([tool.stdout], [], [], PATIENCE)[0])
        self.assertEqual(tool.stdout.read(2), b"a\n")
        self.assertIsNone(tool.poll())
        tool.stdin.close()
        self.assertEqual(tool.wait(PATIENCE), 0)

    def test_no_more_at_a_time_than_asked_for(self):
        log = os.path.join(self.folder(), "log")
        self.run_lines(*[f"printf + >>{log}; printf -- - >>{log}"] * 60, options=("-j", 3, "-q"))
        with open(log, encoding="ascii") as file:
            steps = [1 if c == "+" else -1 for c in file.read()]
        depths = [sum(steps[: i + 1]) for i in range(len(steps))]
        self.assertEqual(len(steps), 120)
        self.assertLessEqual(max(depths), 3)

    def test_as_many_at_a_time_as_asked_for(self):
        fifos = self.fifos(4)
        # Each command waits for the next: only all four together come to an
        # end.
        lines = [f"echo go >{fifos[i]} & read x <{fifos[(i + 1) % 4]}; wait" for i in range(4)]
        self.assertEqual(self.run_lines(*lines, options=("-j", 4)).returncode, 0)

    def test_few_fds_are_enough(self):
        limited = ["/bin/sh", "-c", 'ulimit -n 40; exec "$0" run -q -j 200', TOOL]
        lines = "".join(f"ulimit -n; sleep 0.0{i % 10}\n" for i in range(300))
        result = subprocess.run(limited, input=lines, capture_output=True, text=True, env=self.env, timeout=4 * PATIENCE,
                                check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, "40\n" * 300)


class Environment(RunTest):
    def test_commands_start_with_clean_signals_and_fds(self):
        show = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd"
        result = self.run_lines(show, options=("-q",))
        self.assertEqual(result.stdout.split(), ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16, *"0123"])

    def test_limit_on_open_files_is_the_commands_as_it_was(self):
        limited = ["/bin/sh", "-c", 'ulimit -Sn 100; exec "$0" run -q', TOOL]
        result = subprocess.run(limited, input="ulimit -Sn\n", capture_output=True, text=True, env=self.env, check=False)
        self.assertEqual(result.stdout, "100\n")

    def test_what_was_ignored_stays_ignored(self):
        nohup = ["/bin/sh", "-c", "trap '' HUP; exec \"$0\" run -q", TOOL]
        result = subprocess.run(nohup, input="grep SigIgn /proc/self/status\n", capture_output=True, text=True,
                                env=self.env, check=False)
        self.assertEqual(result.stdout.split(), ["SigIgn:", "0" * 15 + "1"])

    def test_progress_without_a_terminal_is_plain_lines(self):
        (fifo,) = self.fifos(1)
        tool = self.start("run", "-p", "0.02", "-j", 1, stdin=subprocess.PIPE, bufsize=0)
        tool.stdin.write(f"true\nread x <{fifo}\n".encode())
        tool.stdin.close()
        line = until(lambda: (lambda l: l if b"1 running" in l and l.startswith(b"exitfd run: 1/2 done") else None)(
            tool.stderr.readline()), "a progress line")
        self.assertRegex(line, rb"^exitfd run: 1/2 done, 1 running, 0 failed, [0-9.]+/(s|min), ETA \d+:\d\d\n$")
        tell(fifo)
        self.assertEqual(tool.wait(PATIENCE), 0)
        self.assertNotIn(b"\r", tool.stderr.read())

    def test_no_progress(self):
        result = self.run_lines("sleep 0.2", options=("-p", 0))
        self.assertNotIn("running", result.stderr)


class Json(RunTest):
    def test_one_object_for_each_command_and_one_for_the_whole(self):
        result, jobs, summary = self.run_json("echo out; echo err >&2; exit 3", "kill -15 $$", "true")
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        self.assertEqual([list(job) for job in jobs.values()], [JOB_KEYS] * 3)
        self.assertEqual(list(summary), SUMMARY_KEYS)
        self.assertEqual({key: jobs[1][key] for key in ("type", "command", "outcome", "status", "signal", "core", "origin",
                                                        "error", "timed_out", "stopped", "stdout", "stderr")},
                         {"type": "job", "command": "echo out; echo err >&2; exit 3", "outcome": "exited", "status": 3,
                          "signal": None, "core": False, "origin": "reaped", "error": None, "timed_out": False,
                          "stopped": False, "stdout": "out\n", "stderr": "err\n"})
        self.assertEqual((jobs[2]["outcome"], jobs[2]["status"], jobs[2]["signal"]), ("killed", None, "SIGTERM"))
        self.assertEqual({key: summary[key] for key in SUMMARY_KEYS[:9]},
                         {"type": "summary", "commands": 3, "succeeded": 1, "failed": 2, "timed_out": 0, "stopped": 0,
                          "unknown": 0, "not_run": 0, "list_read": True})

    def test_any_output_is_valid_json(self):
        # Overlong, surrogate, above U+10FFFF, cut short at the end of the
        # output.
        raw = r"\042\\\t\001\177 é😀 \300\200 \355\240\200 \364\220\200\200 \303( \340\200\200 \360\200\200\200"
        _, jobs, _ = self.run_json(f"printf '{raw}'; printf '\\342\\202'")
        self.assertEqual(jobs[1]["stdout"], "\"\\\t\x01\x7f é😀 \ufffd\ufffd \ufffd\ufffd\ufffd \ufffd\ufffd\ufffd\ufffd"
                                            " \ufffd( \ufffd\ufffd\ufffd \ufffd\ufffd\ufffd\ufffd\ufffd")

    def test_characters_are_whole_across_the_pieces_of_a_long_output(self):
        _, jobs, _ = self.run_json("printf x; yes é | tr -d '\\n' | head -c 400000")
        self.assertEqual(jobs[1]["stdout"], "x" + "é" * 200000)


if __name__ == "__main__":
    main()
