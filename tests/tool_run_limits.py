# SPDX-License-Identifier: MIT
"""exitfd run at its limits: outputs that are too long or outlive the command, full disks, no memory, processes that do not end."""
import fcntl
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

from tool_support import (PATIENCE, TOOL, ToolTest, children_of, full_pipe, hear, is_alive, main, process_fields, read, read_until,
                          stopped_terminal, tell, until)

LEAVE_GROUP = "import os, time; os.setpgid(0, os.getpgid(os.getppid())); open({0!r}, 'w').write('go'); time.sleep(1000)"


class LimitTest(ToolTest):
    def run_lines(self, *lines, options=(), env=None, **popen):
        return subprocess.run([TOOL, "run", *map(str, options)], input="".join(line + "\n" for line in lines), env=env or self.env,
                              capture_output=True, text=True, timeout=PATIENCE, check=False, **popen)

    def run_json(self, *lines, options=(), **popen):
        result = self.run_lines(*lines, options=("--json", *options), **popen)
        objects = [json.loads(line) for line in result.stdout.splitlines()]
        return result, {job["line"]: job for job in objects if job["type"] == "job"}


class Output(LimitTest):
    def test_a_command_that_prints_more_than_is_kept_is_ended_alone(self):
        result, jobs = self.run_json("yes", "sleep 0.3; echo whole", options=("-j", 2, "--output-limit", "100K"))
        self.assertEqual((jobs[1]["output_limit"], jobs[1]["signal"], len(jobs[1]["stdout"])), (True, "SIGTERM", 100 << 10))
        self.assertEqual((jobs[2]["output_limit"], jobs[2]["status"], jobs[2]["stdout"]), (False, 0, "whole\n"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 1: it has printed more than --output-limit. Ending it", result.stderr)
        self.assert_nothing_left()

    def run_with_a_message(self, reader, writer):
        """The message is about the first command. The second one has begun, and nothing of the reader was read."""
        self.addCleanup(os.close, reader)
        begun = os.path.join(self.folder(), "begun")
        run = self.start("run", "-j", 1, "-s", 0, "--output-limit", 1000, stdin=subprocess.PIPE, stderr=writer)
        os.close(writer)
        run.stdin.write(f"yes\n: > {begun}\n".encode())
        run.stdin.close()
        run.stdin = None
        until(lambda: os.path.exists(begun), "the next command")
        return run

    def assert_output_limit(self, run, errors):
        self.assertEqual(errors[0], "exitfd run: line 1: it has printed more than --output-limit. Ending it")
        self.assertIn("exitfd run: line 1: output limit after", errors[1])
        self.assertEqual((run.communicate(timeout=PATIENCE)[0], run.returncode), (b"y\n" * 500, 1))

    def test_a_message_that_nobody_reads_holds_up_no_command(self):
        reader, writer = full_pipe()
        run = self.run_with_a_message(reader, writer)
        with open(reader, "rb", closefd=False) as file:
            self.assert_output_limit(run, file.read().lstrip(b"x").decode().splitlines())

    def test_a_message_to_a_stopped_terminal_holds_up_no_command(self):
        reader, writer = stopped_terminal()
        same = os.dup(writer)
        self.addCleanup(os.close, same)
        run = self.run_with_a_message(reader, writer)
        termios.tcflow(same, termios.TCOON)
        self.assert_output_limit(run, read_until(reader, b"peak").splitlines())

    def test_a_message_comes_between_two_outputs(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        begin, ended = self.fifo(), self.fifo()
        tool = self.start("run", "-j", 2, "-p", 0, "-s", 0, "--output-limit", "250K", stdin=subprocess.PIPE,
                          stdout=writer, stderr=writer)
        os.close(writer)
        tool.stdin.write(f"seq 10000 39999 >&2\nread x <{begin}; trap 'echo go >{ended}' TERM; yes\n".encode())
        tool.stdin.close()
        until(lambda: struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))[0] > 3900, "a full pipe")
        tell(begin)
        hear(ended)
        with open(reader, "r", encoding="ascii") as stream:
            output = stream.read()
        self.assertTrue(output.startswith("".join(f"{number}\n" for number in range(10000, 40000))), output[:1000])
        self.assertIn("line 2: it has printed more than --output-limit. Ending it", output)
        self.assertEqual(tool.wait(PATIENCE), 1)

    def test_on_a_terminal_the_tool_begins_a_new_line(self):
        for line in ("printf abc; exit 3", "printf abc >&2", "printf abc >&2; echo into a file"):
            reader, writer = pty.openpty()
            self.addCleanup(os.close, reader)
            output = subprocess.DEVNULL if "file" in line else writer
            subprocess.run([TOOL, "run", "-p", "0", "-s", "0"], input=line.encode(), stdout=output, stderr=writer, env=self.env,
                           timeout=PATIENCE, check=False)
            os.close(writer)
            self.assertRegex(read_until(reader, b"1 command in"), r"abc\r\n(\x1b\[K|\r)*exitfd run: ")

    def test_both_streams_count_and_the_limit_itself_is_no_failure(self):
        both = "head -c 600 /dev/zero; head -c 400 /dev/zero >&2"
        _, jobs = self.run_json(both, options=("--output-limit", 1000))
        self.assertEqual((jobs[1]["output_limit"], jobs[1]["status"]), (False, 0))
        result, jobs = self.run_json(both, options=("--output-limit", 999))
        self.assertEqual((jobs[1]["output_limit"], len(jobs[1]["stdout"] + jobs[1]["stderr"])), (True, 999))
        self.assertEqual(result.returncode, 1)
        self.assertIn("output limit after", self.run_lines(both, options=("--output-limit", 999)).stderr)

    def test_a_limit_on_file_size_is_a_message(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))

        result = self.run_lines("head -c 1M /dev/zero; sleep 1000", "echo whole", options=("-j", 1), preexec_fn=limit)
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 1: cannot keep its output: File too large. Ending it.", result.stderr)
        self.assertIn("1 succeeded, 1 failed;", result.stderr)
        with open(os.path.join(self.folder(), "output"), "wb") as output:
            result = subprocess.run([TOOL, "run"], input=b"seq 20000; seq 20000\n", stdout=output, stderr=subprocess.PIPE, env=self.env,
                                    preexec_fn=limit, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"cannot print the output of a command: File too large", result.stderr)

    def test_a_program_that_outlives_its_shell_prints_all(self):
        fifo = self.fifo()
        tool = self.start("run", "-q", "-j", 1, stdin=subprocess.PIPE, text=True)
        tool.stdin.write(f"(read x <{fifo}; echo later; echo error >&2) & echo first\necho go >{fifo}\n")
        tool.stdin.close()
        self.assertEqual(tool.wait(PATIENCE), 0)
        self.assertEqual((sorted(tool.stdout.read().split()), tool.stderr.read()), (["first", "later"], "error\n"))

    def test_process_substitution_loses_nothing(self):
        folder = self.folder()
        lines = [f"bash -c 'exec > >(sleep 0.2; tee {folder}/{i}); echo hello {i}'" for i in range(8)]
        result = self.run_lines(*lines, options=("-q", "-k", "-j", 4))
        self.assertEqual(result.stdout, "".join(f"hello {i}\n" for i in range(8)))
        self.assertEqual([read(f"{folder}/{i}").decode() for i in range(8)], [f"hello {i}\n" for i in range(8)])

    def test_what_stays_in_the_background_gets_no_sigpipe_and_holds_up_no_other(self):
        fifo, end = self.fifo(), self.fifo()
        writer = f"(while head -c 100000 /dev/zero; do echo go >{fifo}; done) & echo first"
        tool = self.start("run", "-q", "-j", 1, stdin=subprocess.PIPE)
        tool.stdin.write(f"{writer}\nread x <{end}\n".encode())
        tool.stdin.close()
        output = until(lambda: os.read(tool.stdout.fileno(), 6), "the first command is printed before the second ends")
        self.assertEqual(output[:1] in (b"f", b"\0"), True)
        begin = time.monotonic()
        count = 0
        while time.monotonic() - begin < 7:  # well after its output is wanted no more
            hear(fifo)
            count += 1
        self.assertGreater(count, 5)
        tell(end)
        while tool.stdout.read(65536):
            pass
        self.assertEqual(tool.wait(PATIENCE), 0)

    def test_the_summary_waits_for_a_slow_reader(self):
        for flag in (0, os.O_NONBLOCK):
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | flag)
            tool = self.start("run", "-p", 0, "-s", 1000, stdin=subprocess.PIPE, stderr=writer)
            os.close(writer)
            tool.stdin.write((f"true {'x' * 100}\n" * 60).encode())
            tool.stdin.close()
            until(lambda: struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))[0] > 3900, "a full pipe")
            with open(reader, "rb") as stream:
                self.assertEqual(stream.read().count(b"\n"), 62)
            self.assertEqual(tool.wait(PATIENCE), 0)

    def test_outputs_and_verdicts_wait_for_slow_readers(self):
        lines = "".join(f"echo out {i}; echo err {i} >&2; exit {1 + i % 9} # {'x' * 150}\n" for i in range(40))
        pipes = [os.pipe(), os.pipe()]
        for _, writer in pipes:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
        tool = self.start("run", "-k", "-p", 0, "-s", 0, stdin=subprocess.PIPE, stdout=pipes[0][1], stderr=pipes[1][1])
        tool.stdin.write(lines.encode())
        tool.stdin.close()
        readers = [subprocess.Popen(["dd", "bs=512", "status=none"], stdin=reader, stdout=subprocess.PIPE) for reader, _ in pipes]
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        self.assertEqual(tool.wait(2 * PATIENCE), 1)
        output, errors = (reader.communicate()[0].decode() for reader in readers)
        self.assertEqual(output, "".join(f"out {i}\n" for i in range(40)))
        self.assertEqual([line for line in errors.splitlines() if line.startswith("err")], [f"err {i}" for i in range(40)])
        self.assertEqual(errors.count("exitfd run: line "), 40)


class Ends(LimitTest):
    def test_a_command_that_left_its_group_is_ended(self):
        for script in (LEAVE_GROUP, LEAVE_GROUP.replace("import os, time;", "import os, signal, time; signal.signal(15, signal.SIG_IGN);")):
            fifo = self.fifo()
            tool = self.start("run", "--json", "-K", "0.2", stdin=subprocess.PIPE, text=True)
            tool.stdin.write(f'exec {sys.executable} -c "{script.format(fifo)}"\n')
            tool.stdin.close()
            hear(fifo)
            tool.terminate()
            tool.wait(PATIENCE)
            job = json.loads(tool.stdout.readline())
            self.assertEqual(job["signal"], "SIGKILL" if "SIG_IGN" in script else "SIGTERM")
            self.assert_nothing_left()

    def test_what_was_killed_is_gone(self):
        folder = self.folder()
        fifo, lock = self.fifo(), os.path.join(folder, "lock")
        program = os.path.join(folder, "program.py")
        with open(program, "w", encoding="ascii") as file:
            file.write("import fcntl, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                       f"lock = open({lock!r}, 'w')\nfcntl.flock(lock, fcntl.LOCK_EX)\nmemory = bytearray(200 << 20)\n"
                       f"memory[::4096] = bytes(len(memory[::4096]))\nopen({fifo!r}, 'w').write('go')\ntime.sleep(1000)\n")
        for _ in range(3):
            result = self.run_lines(f"{sys.executable} {program} & read x <{fifo}; sleep 1000", options=("-t", 5, "-K", 0.1))
            self.assertIn("1 timed out", result.stderr)
            with open(lock, encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_the_number_of_a_group_is_kept_until_the_group_is_gone(self):
        ready, fifo = self.fifo(), self.fifo()
        tool = self.start("run", "--json", "-K", "1d", stdin=subprocess.PIPE, start_new_session=True)
        tool.stdin.write(f"(trap '' TERM; echo go >{ready}; exec sleep 1000) & echo $$ >{fifo}; exec sleep 1000\n".encode())
        tool.stdin.close()
        leader = int(hear(fifo))
        hear(ready)
        tool.terminate()
        self.assertEqual(json.loads(tool.stdout.readline())["pid"], leader)  # its end was noticed
        self.assertEqual(process_fields(leader)[0], "Z")
        tool.terminate()
        self.assertEqual(tool.wait(PATIENCE), -signal.SIGTERM)
        self.assertIsNone(process_fields(leader))
        self.assert_nothing_left()

    def test_what_ended_beside_a_failure_was_not_stopped(self):
        fifos = self.fifo(), self.fifo()
        tool = self.start("run", "--json", "-f", "-j", 2, stdin=subprocess.PIPE, start_new_session=True)
        tool.stdin.write("read x <{}; exit 1\nread x <{}; true\n".format(*fifos).encode())
        tool.stdin.close()
        worker = until(lambda: children_of(tool.pid), "a worker")[0]
        until(lambda: len(children_of(worker)) == 2, "two commands")
        os.kill(worker, signal.SIGSTOP)
        for count, fifo in enumerate(fifos, 1):  # their ends wait for the worker
            tell(fifo)
            until(lambda: [process_fields(pid)[0] for pid in children_of(worker)].count("Z") == count, "an end")
        os.kill(worker, signal.SIGCONT)
        jobs = {job.get("line"): job for job in map(json.loads, tool.stdout)}
        self.assertEqual((jobs[1]["status"], jobs[1]["stopped"]), (1, False))
        self.assertEqual((jobs[2]["status"], jobs[2]["stopped"]), (0, False))
        self.assertEqual(tool.wait(PATIENCE), 1)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_a_process_of_another_user_is_named(self):
        folder = self.folder()
        os.chmod(folder, 0o755)
        other = os.path.join(folder, "other")
        fifo = self.fifo()
        source = ("#include <stdlib.h>\n#include <unistd.h>\nint main(void) {\n"
                  f'    return setresuid(0, 0, 0) || system("echo go >{fifo}") || pause();\n}}\n')
        subprocess.run(["cc", "-D_GNU_SOURCE", "-xc", "-", "-o", other], input=source, text=True, check=True)
        os.chmod(other, 0o4755)

        def be_nobody():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)

        tool = self.start("run", "--json", "-K", "0.1", stdin=subprocess.PIPE, text=True, preexec_fn=be_nobody)
        tool.stdin.write(f"{other}\n")
        tool.stdin.close()
        hear(fifo)
        tool.terminate()
        tool.wait(PATIENCE)
        job, errors = json.loads(tool.stdout.readline()), tool.stderr.read()
        pid = job["pid"]
        self.assertIn(f"line 1: cannot end process {pid}: Operation not permitted", errors)
        self.assertIn(f"line 1: SIGKILL has not ended process {pid}: it is left behind", errors)
        self.assertEqual((job["outcome"], job["stopped"], tool.returncode), ("running", True, -signal.SIGTERM))
        self.assertTrue(is_alive(pid))
        os.kill(pid, signal.SIGKILL)

    def test_no_memory_leaves_nothing(self):
        lines = "".join("true " + "x" * 120000 + "\n" for _ in range(150))
        result = subprocess.run(["/bin/sh", "-c", 'ulimit -v 9000; exec "$0" run -q -j 1', TOOL], timeout=PATIENCE, check=False,
                                input="sleep 1000 & setsid sleep 1000 & sleep 1000\n" + lines, capture_output=True, text=True, env=self.env)
        if result.returncode == 127 or "ReserveShadowMemoryRange" in result.stderr:
            self.skipTest("this build does not start with so little memory")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("out of memory", result.stderr)
        self.assertIn("the process that ran the commands could not go on. Ending them", result.stderr)
        self.assert_nothing_left()

    def test_fds_that_the_background_holds_are_given_back(self):
        """Each command leaves something that holds its outputs: there are fds for a few of them only."""
        limited = ["/bin/sh", "-c", 'ulimit -n 30; exec "$0" run -q -j 1', TOOL]
        result = subprocess.run(limited, input="sleep 1000 & echo here\n" * 12, capture_output=True, text=True, env=self.env,
                                timeout=PATIENCE, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "here\n" * 12, ""))

    def test_what_ignores_sigterm_is_killed_even_if_fds_ran_out(self):
        """/proc tells what is left of a group. To read it takes an fd, and the commands have them all."""
        line = "(trap '' TERM; exec sleep 1000) & head -c 200000 /dev/zero; exec sleep 1000\n"
        timed_out = 0
        for limit in range(12, 22):
            limited = ["/bin/sh", "-c", f'ulimit -n {limit}; exec "$0" run --json -j 9 -t 0.3 -K 0.3', TOOL]
            with self.subTest(limit=limit):
                result = subprocess.run(limited, input=line * 3, capture_output=True, text=True, env=self.env, timeout=PATIENCE,
                                        check=False)
                timed_out += '"timed_out":true' in result.stdout.replace(" ", "")
                self.assert_nothing_left()
        self.assertGreater(timed_out, 0)

    def test_more_commands_without_outputs_than_poll_takes_entries(self):
        """Such a command needs one fd at most. poll takes as many entries as the limit on open files."""
        count, log, gate = 24, os.path.join(self.folder(), "log"), self.fifo()
        limited = ["/bin/sh", "-c", f'ulimit -n 40; exec "$0" run -q -j {count}', TOOL]
        run = self.start(*limited, tool=False, stdin=subprocess.PIPE)
        for started in range(1, count + 1):  # one after the other: a start takes more fds for a moment
            run.stdin.write(f"exec >&- 2>&-; echo >>{log}; read go <{gate}\n".encode())
            run.stdin.flush()
            until(lambda: len(read(log)) == started or run.poll() is not None, "the command runs")
            self.assertIsNone(run.poll(), "it goes on")
        with open(gate, "r+b", buffering=0) as file:
            file.write(b"\n" * count)
            output, errors = run.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, output, errors), (0, b"", b""))

    def test_without_dev_null(self):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            self.skipTest("needs a mount namespace")
        command = 'mount -t tmpfs none /dev && exec "$0" run -q'
        result = subprocess.run(["unshare", "-m", "/bin/sh", "-c", command, TOOL], input="cat; echo end\n", capture_output=True,
                                text=True, env=self.env, timeout=PATIENCE, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "end\n", ""))


@unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
class Processes(LimitTest):
    """RLIMIT_NPROC counts all processes of a user. So each test has a user of its own."""

    def setUp(self):
        super().setUp()
        self.forgo_leak_checks()

    def limited(self, count, *words, input=""):
        uid = 100000 + os.getpid() % 100000

        def be_somebody():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
            os.setresuid(uid, uid, uid)

        try:
            return self.run_tool(*words, input=input, preexec_fn=be_somebody)
        except subprocess.SubprocessError:
            self.skipTest("there is no such user in this namespace")

    def test_as_many_commands_at_once_as_there_may_be_processes(self):
        lines = "".join(f"sleep 0.0{i % 3}\necho {i}\n" for i in range(20))
        for count in (3, 5):  # two are of the tool
            result = self.limited(count, "run", "-k", "-j", 100, input=lines)
            self.assertEqual(result.stdout, "".join(f"{i}\n" for i in range(20)))
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_no_process_for_a_command_is_a_message(self):
        result = self.limited(2, "run", "-j", 2, input="echo one\necho two\n")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        for line in (1, 2):
            self.assertIn(f"exitfd run: line {line}: not started: Resource temporarily unavailable\n", result.stderr)
        self.assert_nothing_left()

    def test_no_process_at_all_is_a_message(self):
        folder = self.folder()
        os.chmod(folder, 0o777)
        for words in (("run",), ("init", "touch", f"{folder}/started")):
            result = self.limited(1, *words, input=f"touch {folder}/started\n")
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertEqual(result.stderr, f"exitfd {words[0]}: cannot start: Resource temporarily unavailable; see 'exitfd doctor'\n")
            self.assertEqual(os.listdir(folder), [])
        self.assert_nothing_left()


class Progress(LimitTest):
    def test_something_that_runs_is_never_0_00_from_its_end(self):
        fifo = self.fifo()
        tool = self.start("run", "-p", "0.02", "-j", 1, stdin=subprocess.PIPE, bufsize=0)
        tool.stdin.write(b"true\n" * 50 + f"read x <{fifo}\n".encode())
        tool.stdin.close()
        line = until(lambda: (lambda l: l if l.startswith(b"exitfd run: 50/51 done") else None)(tool.stderr.readline()), "50 done")
        self.assertRegex(line, rb"ETA 0:0[1-9]\n$")
        tell(fifo)
        self.assertEqual(tool.wait(PATIENCE), 0)


if __name__ == "__main__":
    main()
