# SPDX-License-Identifier: MIT
"""exitfd run that does not come to its end by itself: signals, and what is left behind."""
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

from tool_support import PATIENCE, TOOL, ToolTest, children_of, hear, is_alive, main, process_fields, read, tell, until

# Each announces itself in the fifo $1 and then stays, with a child of its own.
PLAIN = "echo go >{0}; sleep 1000 & wait"
STUBBORN = "trap '' TERM; echo go >{0}; while :; do sleep 0.05; done"
ESCAPED = "setsid sh -c 'echo go >{0}; exec sleep 1000' & wait"
ORPHANED = "(setsid sh -c 'echo go >{0}; trap \"\" HUP; exec sleep 1000' &) ; exec sleep 1000"


class Ends(ToolTest):
    def started(self, *commands, options=(), **popen):
        """A run whose commands have all announced themselves."""
        self.fifos = [os.path.join(self.folder(), "fifo") for _ in commands]
        for fifo in self.fifos:
            os.mkfifo(fifo)
        path = os.path.join(self.folder(), "list")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(command.format(fifo) + "\n" for command, fifo in zip(commands, self.fifos))
        tool = self.start("run", "-j", len(commands), "-p", 0, *options, path, text=True, **popen)
        for fifo in self.fifos:
            hear(fifo)
        return tool

    def worker(self, tool):
        """Orphans of the commands are children of the tool too, and may have a lower pid where pids wrap around."""
        words = read(f"/proc/{tool.pid}/cmdline")
        return next(child for child in children_of(tool.pid) if read(f"/proc/{child}/cmdline") == words)

    def assert_ended_by(self, tool, signo):
        output, errors = tool.communicate(timeout=PATIENCE)
        self.assertEqual(tool.returncode, -signo, errors)
        self.assert_nothing_left()
        return output, errors

    def test_signals_end_the_commands_and_then_the_tool(self):
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            tool = self.started(PLAIN, ESCAPED, ORPHANED)
            tool.send_signal(signo)
            _, errors = self.assert_ended_by(tool, signo)
            self.assertIn("3 stopped", errors)
            self.assertIn("SIGTERM, stopped after", errors)

    def test_what_was_printed_before_is_printed(self):
        tool = self.started("echo before; " + PLAIN)
        tool.send_signal(signal.SIGINT)
        output, _ = self.assert_ended_by(tool, signal.SIGINT)
        self.assertEqual(output, "before\n")

    def test_what_ignores_sigterm_is_killed(self):
        tool = self.started(STUBBORN, PLAIN, options=("-K", "0.2"))
        tool.send_signal(signal.SIGTERM)
        _, errors = self.assert_ended_by(tool, signal.SIGTERM)
        self.assertIn("SIGKILL, stopped after", errors)

    def test_the_second_signal_kills_at_once(self):
        tool = self.started(STUBBORN, "trap 'echo go >{0}' TERM; echo go >{0}; while :; do sleep 0.05; done",
                            options=("-K", "1d"))
        tool.send_signal(signal.SIGINT)
        hear(self.fifos[-1])
        tool.send_signal(signal.SIGINT)
        self.assert_ended_by(tool, signal.SIGINT)

    def test_the_second_signal_kills_what_was_left_behind(self):
        left = "(setsid sh -c 'trap \"\" TERM; echo go >{0}; while :; do sleep 0.05; done' 2>/dev/null &) ; exec sleep 1000"
        tool = self.started(left, "trap 'echo go >{0}' TERM; echo go >{0}; while :; do sleep 0.05; done",
                            options=("-K", "1d"))
        tool.terminate()
        hear(self.fifos[-1])
        tool.terminate()
        self.assert_ended_by(tool, signal.SIGTERM)

    def test_nothing_is_left_when_the_tool_is_killed(self):
        tool = self.started(PLAIN, STUBBORN, options=("-K", "0.2"))
        tool.kill()
        self.assert_ended_by(tool, signal.SIGKILL)

    def test_nothing_is_left_when_its_worker_is_killed(self):
        tool = self.started(PLAIN, STUBBORN, ESCAPED, ORPHANED, options=("-K", "0.2"))
        os.kill(self.worker(tool), signal.SIGKILL)
        _, errors = tool.communicate(timeout=PATIENCE)
        self.assertEqual(tool.returncode, 128 + 9)
        self.assertIn("the process that ran the commands was killed by SIGKILL. Ending them", errors)
        self.assert_nothing_left()

    def test_nothing_is_left_when_its_process_group_is_killed(self):
        tool = self.started(PLAIN, STUBBORN, options=("-K", "0.2"), start_new_session=True)
        os.killpg(tool.pid, signal.SIGKILL)
        self.assert_ended_by(tool, signal.SIGKILL)

    def test_no_command_is_left_when_both_processes_are_killed(self):
        tool = self.started("echo go >{0}; exec sleep 1000", STUBBORN)
        worker = self.worker(tool)
        commands = children_of(worker)
        self.assertEqual(len(commands), 2)
        os.kill(worker, signal.SIGSTOP)
        tool.kill()
        os.kill(worker, signal.SIGKILL)
        until(lambda: not any(map(is_alive, commands)), "the commands themselves are gone")

    def test_a_reader_that_leaves_ends_it(self):
        lines = "echo a\n" + "sleep 1000\n" * 3
        tool = self.start("run", "-j", 1, stdin=subprocess.PIPE, text=True)
        tool.stdout.close()
        tool.stdin.write(lines)
        tool.stdin.close()
        self.assertEqual(tool.wait(PATIENCE), -signal.SIGPIPE)
        self.assert_nothing_left()

    def stuck(self, *options):
        """A run that cannot print, because what it has begun to write is not read."""
        tool = self.started("head -c 300000 /dev/zero; echo go >{0}", PLAIN, options=options)
        capacity = fcntl.fcntl(tool.stdout, 1032)  # F_GETPIPE_SZ
        until(lambda: struct.unpack("i", fcntl.ioctl(tool.stdout, termios.FIONREAD, bytes(4)))[0] == capacity, "a full pipe")
        return tool

    def test_an_output_that_nobody_reads_is_given_up_at_the_second_signal(self):
        tool = self.stuck("-K", "1d")
        tool.terminate()
        until(lambda: not children_of(self.worker(tool)), "the commands have ended")
        tool.terminate()
        self.assertEqual(tool.wait(PATIENCE), -signal.SIGTERM)
        self.assert_nothing_left()

    def test_an_output_that_nobody_reads_is_given_up_after_a_while(self):
        tool = self.stuck("-K", "0.2")
        tool.terminate()
        self.assertEqual(tool.wait(PATIENCE), -signal.SIGTERM)
        self.assert_nothing_left()

    def test_an_output_that_nobody_reads_leaves_nothing_when_the_tool_is_killed(self):
        tool = self.stuck("-K", "0.2")
        tool.kill()
        tool.wait(PATIENCE)
        self.assert_nothing_left()

    def test_a_signal_in_the_clearing_up_kills_at_once(self):
        """A shell says that SIGTERM has ended its child. Its standard error is gone, as nobody reads it any more."""
        left = "(setsid sh -c 'trap \"echo go >{0}\" TERM; echo go >{0}; while :; do sleep 0.05; done' 2>/dev/null &) ; exec sleep 1000"
        tool = self.started(left, options=("-K", "1d"))
        tool.terminate()
        hear(self.fifos[0])
        tool.terminate()
        self.assert_ended_by(tool, signal.SIGTERM)

    def test_a_child_from_before_it_was_exitfd_is_left_alone(self):
        fifo = os.path.join(self.folder(), "fifo")
        os.mkfifo(fifo)
        path = os.path.join(self.folder(), "list")
        with open(path, "w", encoding="ascii") as file:
            file.write(PLAIN.format(fifo) + "\n")
        for words, status in ((["run", "-q", path], -signal.SIGTERM), (["init", "-K", "1d", "sh", "-c", "sleep 1000 & exit 3"], 3)):
            service = 'sleep 1000 >/dev/null 2>&1 & echo $! >&2; exec "$0" "$@"'
            tool = self.start("sh", "-c", service, TOOL, *words, tool=False, text=True)
            pid = int(tool.stderr.readline())
            if "run" in words:
                hear(fifo)
                tool.terminate()
            self.assertEqual(tool.wait(PATIENCE), status)
            self.assertEqual(self.leftovers(), [pid])
            os.kill(pid, signal.SIGKILL)

    def test_in_the_background_of_a_script_it_ignores_interrupts(self):
        tool = self.started("echo go >{0}; read x <{0}", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        tool.send_signal(signal.SIGINT)
        tell(self.fifos[-1])
        self.assertEqual(tool.wait(PATIENCE), 0)

    def test_stop_and_continue_reach_the_commands(self):
        tool = self.started("echo go >{0}; exec sleep 1000", options=("-t", "1h"), start_new_session=True)
        worker = self.worker(tool)
        (command,) = children_of(worker)
        os.kill(tool.pid, signal.SIGTSTP)
        until(lambda: process_fields(command)[0] == "T" and process_fields(worker)[0] == "T", "both are stopped")
        os.kill(tool.pid, signal.SIGCONT)
        until(lambda: process_fields(command)[0] != "T" and process_fields(worker)[0] != "T", "both go on")
        tool.terminate()
        self.assert_ended_by(tool, signal.SIGTERM)

    def test_a_signal_at_once_after_a_stop_ends_it(self):
        for _ in range(20):
            tool = self.started("echo go >{0}; exec sleep 1000", start_new_session=True)
            tool.send_signal(signal.SIGTSTP)
            tool.terminate()
            self.assert_ended_by(tool, signal.SIGTERM)

    def test_time_that_passes_while_it_is_stopped_is_not_the_commands(self):
        limit, begin = 3, time.monotonic()
        tool = self.started("echo go >{0}; read x <{0}", options=("-t", limit), start_new_session=True)
        worker = self.worker(tool)
        os.kill(tool.pid, signal.SIGTSTP)
        until(lambda: process_fields(worker)[0] == "T", "it is stopped")
        if time.monotonic() - begin > limit / 2:
            self.skipTest("the machine is too busy: the time limit may pass before it is stopped or after it goes on")
        until(lambda: time.monotonic() - begin > limit + 0.5, "the time limit has passed")
        os.kill(tool.pid, signal.SIGCONT)
        tell(self.fifos[0])
        self.assertEqual(tool.wait(PATIENCE), 0)

    def test_a_list_that_never_ends_is_no_obstacle(self):
        tool = self.start("run", "-j", 1, "-p", 0, stdin=subprocess.PIPE, text=True, bufsize=1)
        tool.stdin.write("echo here; exec sleep 1000\n" + "echo later\n" * 5)
        until(lambda: any(children_of(worker) for worker in children_of(tool.pid)), "the first command runs")
        tool.terminate()
        tool.wait(PATIENCE)
        self.assertIn("at least ", tool.stderr.read())
        self.assertEqual(tool.returncode, -signal.SIGTERM)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
