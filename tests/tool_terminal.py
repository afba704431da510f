# SPDX-License-Identifier: MIT
"""exitfd run and exitfd init on a pseudo-terminal, started as a shell with job control starts them."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import termios
import time
import unittest

from tool_support import PATIENCE, TOOL, ToolTest, children_of, hear, main, process_fields, tell, until


def be_shell(words, env, reports, orders):
    """In the terminal's session: runs words in the foreground, reports each change, obeys "fg"."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    tool = os.fork()
    if tool == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execve(words[0], words, env)
    os.write(reports, f"started {tool}\n".encode())
    while True:
        _, status = os.waitpid(tool, os.WUNTRACED)
        foreground = "its" if os.tcgetpgrp(0) == tool else "another's"
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            os.write(reports, f"ended {os.waitstatus_to_exitcode(status)} {foreground}\n".encode())
            os._exit(0)
        os.write(reports, f"stopped {foreground}\n".encode())
        os.read(orders, 1)
        os.tcsetpgrp(0, tool)
        os.killpg(tool, signal.SIGCONT)


def render(output):
    """What is on the screen in the end: lines, with carriage returns and erasures carried out."""
    lines = [""]
    column = 0
    for token in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+|\x1b", output):
        if token == "\r":
            column = 0
        elif token == "\n":
            lines.append("")
            column = 0
        elif token == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + token + lines[-1][column + len(token) :]
            column += len(token)
    return lines


class Terminal(ToolTest):
    def open(self, *words, columns=80, term="xterm", setting=None, program=TOOL):
        reports, child_reports = os.pipe()
        child_orders, self.orders = os.pipe()
        shell, self.master = pty.fork()
        if shell == 0:
            if setting:
                setting()
            be_shell([program, *map(str, words)], dict(self.env, TERM=term), child_reports, child_orders)
        os.close(child_reports)
        os.close(child_orders)
        self.reports = os.fdopen(reports, encoding="ascii")
        self.output = ""
        self.addCleanup(self.close, shell, self.master, self.orders, self.reports)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.tool = int(self.report().removeprefix("started "))

    def close(self, shell, master, orders, reports):
        os.kill(shell, signal.SIGKILL)
        self.kill_leftovers()
        os.waitpid(shell, 0)
        os.close(master)
        os.close(orders)
        reports.close()

    def read_some(self, timeout):
        if select.select([self.master], [], [], timeout)[0]:
            try:
                self.output += os.read(self.master, 65536).decode(errors="replace")
                return True
            except OSError:  # nobody has the terminal open any more
                pass
        return False

    def report(self):
        """The next report of the shell. The terminal is read meanwhile, so that no write to it blocks."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ready = select.select([self.reports, self.master], [], [], 1)[0]
            if self.reports in ready:
                line = self.reports.readline().rstrip("\n")
                while self.read_some(0):
                    pass
                return line
            if ready:
                self.read_some(0)
        raise AssertionError(f"no report; the screen: {render(self.output)}")

    def expect(self, pattern):
        until(lambda: self.read_some(0.02) and False or re.search(pattern, self.output), f"{pattern!r} on the screen")

    def type(self, text):
        os.write(self.master, text.encode())

    def list_of(self, *lines):
        path = os.path.join(self.folder(), "list")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(line + "\n" for line in lines)
        return path


class Run(Terminal):
    def test_status_line_lives_and_leaves_no_trace(self):
        fifo = self.fifo()
        self.open("run", "-j", 1, "-s", 0, self.list_of("echo a", f"read x <{fifo}; exit 4", "echo c"))
        self.expect(r"1/3 done, 1 running, 0 failed, [0-9.]+/(s|min), ETA \d+:\d\d\x1b\[K")
        tell(fifo)
        self.assertEqual(self.report(), "ended 1 its")
        screen = render(self.output)
        self.assertEqual((screen[0], screen[2]), ("a", "c"))
        self.assertRegex(screen[1], r"^exitfd run: line 2: exit 4 after .* s: read x")
        self.assertRegex(screen[3], r"^exitfd run: 3 commands in .*: 2 succeeded, 1 failed;")
        self.assertEqual(screen[4:], [""])

    def test_status_line_fits_the_terminal(self):
        fifo = self.fifo()
        self.open("run", "-j", 1, self.list_of(f"read x <{fifo}"), columns=20)
        self.expect(r"\r0/1 done, 1 running\x1b\[K")
        tell(fifo)
        self.assertEqual(self.report(), "ended 0 its")

    def test_table_fits_the_terminal(self):
        self.open("run", self.list_of("true " + 100 * "x"), columns=90)
        self.assertEqual(self.report(), "ended 0 its")
        row = render(self.output)[-2]
        self.assertRegex(row, r"^ *exit 0 .* true x+\.\.\.$")
        self.assertLessEqual(len(row), 90)

    def test_output_without_newline_is_not_overwritten(self):
        fifo = self.fifo()
        self.open("run", "-j", 1, "-s", 0, self.list_of("printf half", f"read x <{fifo}"))
        self.expect("1/2 done")
        tell(fifo)
        self.assertEqual(self.report(), "ended 0 its")
        self.assertEqual(render(self.output)[0], "half")

    def test_dumb_terminal_gets_plain_lines(self):
        fifo = self.fifo()
        self.open("run", "-p", 0.02, self.list_of(f"read x <{fifo}"), term="dumb")
        self.expect("exitfd run: 0/1 done, 1 running, 0 failed\r\n")
        tell(fifo)
        self.assertEqual(self.report(), "ended 0 its")
        self.assertNotIn("\x1b", self.output)

    def test_ctrl_c_ends_everything(self):
        self.open("run", "-j", 2, self.list_of("sleep 1000 & wait", "setsid sleep 1000"))
        self.expect("0/2 done, 2 running")
        self.type("\x03")
        self.assertEqual(self.report(), f"ended {-signal.SIGINT} its")
        self.assertIn("2 stopped", self.output)
        self.assert_nothing_left()

    def test_ctrl_z_stops_and_fg_goes_on(self):
        fifo = self.fifo()
        self.open("run", self.list_of(f"read x <{fifo}"))
        self.expect("0/1 done, 1 running")
        (worker,) = children_of(self.tool)
        (command,) = children_of(worker)
        self.type("\x1a")
        self.assertEqual(self.report(), "stopped its")
        until(lambda: [process_fields(pid)[0] for pid in (worker, command)] == ["T", "T"], "both are stopped")
        os.write(self.orders, b"f")
        until(lambda: process_fields(command)[0] != "T", "the command goes on")
        tell(fifo)
        self.assertEqual(self.report(), "ended 0 its")

    def test_a_list_can_be_typed(self):
        self.open("run", "-s", 0)
        self.type("echo $((6*7))\n")
        self.expect(r"\r\n42|^42|\x1b\[K42")
        self.type("\x04")
        self.assertEqual(self.report(), "ended 0 its")

    def test_ctrl_c_while_a_list_is_typed(self):
        self.open("run", "-p", 0)
        self.type("echo $((6*7)); sleep 1000\nsleep 1000\n")
        until(lambda: any(children_of(worker) for worker in children_of(self.tool)), "a command runs")
        self.type("\x03")
        self.assertEqual(self.report(), f"ended {-signal.SIGINT} its")
        self.assert_nothing_left()

    def test_a_terminal_that_stops_background_output_does_not_stop_it(self):
        def stop_background_output():
            mode = termios.tcgetattr(0)
            mode[3] |= termios.TOSTOP
            termios.tcsetattr(0, termios.TCSANOW, mode)

        self.open("run", "-s", 0, self.list_of("echo a"), setting=stop_background_output)
        self.assertEqual(self.report(), "ended 0 its")
        self.assertEqual(render(self.output)[0], "a")

    def test_a_terminal_that_takes_nothing_holds_up_no_command(self):
        before, after = self.fifo(), self.fifo()
        self.open("run", "-j", 1, "-s", 0, self.list_of(f"read x <{before}; echo a", f"echo go >{after}"))
        self.type("\x13")  # Ctrl-S
        tell(before)
        self.assertEqual(hear(after), b"go\n")
        while self.read_some(0):
            pass
        self.assertNotIn("a\r\n", self.output)
        self.type("\x11")  # Ctrl-Q
        self.assertEqual(self.report(), "ended 0 its")
        self.assertEqual(render(self.output)[0], "a")

    def test_a_terminal_that_nobody_reads_holds_up_no_command(self):
        """It takes the beginning of a write."""
        after = self.fifo()
        self.open("run", "-j", 1, "-s", 0, self.list_of("head -c 200000 /dev/zero | tr '\\0' '#'; echo", "true", f"echo go >{after}"))
        self.assertEqual(hear(after), b"go\n")
        self.assertEqual(self.report(), "ended 0 its")
        self.assertIn("#" * 200000 + "\r\n", self.output)  # and no status line in the middle


class Init(Terminal):
    def test_the_command_has_the_foreground_and_it_comes_back(self):
        self.open("init", "sh", "-c", "read x; echo got $x")
        self.type("this\n")
        self.assertEqual(self.report(), "ended 0 its")
        self.assertIn("got this", self.output)

    def test_ctrl_c_before_there_is_a_command_reaches_it(self):
        """Pending when init starts, it stands for one that comes before init has forked."""
        code = ("import os, signal, sys, time\n"
                "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
                "print('ready', flush=True)\n"
                "while signal.SIGINT not in signal.sigpending(): time.sleep(0.005)\n"
                "if sys.argv[1:]: os.execv(sys.argv[1], sys.argv[1:])\n")
        command = [sys.executable, "-c", code]
        self.open("-c", code, TOOL, "init", *command, program=sys.executable)
        self.expect("ready")
        self.type("\x03")
        self.assertEqual(self.report(), "ended 0 its")
        self.assertEqual(self.output.count("ready"), 2)

    def test_ctrl_c_is_the_commands_alone(self):
        self.open("init", "-v", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do read x; done")
        self.expect("ready")
        self.type("\x03")
        self.assertEqual(self.report(), "ended 9 its")
        self.assertNotIn("SIGINT: forwarded", self.output)

    def test_a_signal_from_another_process_is_forwarded_once(self):
        self.open("init", "-v", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do read x; done")
        self.expect("ready")
        os.kill(self.tool, signal.SIGINT)
        self.assertEqual(self.report(), "ended 9 its")
        self.assertEqual(self.output.count("SIGINT: forwarded"), 1)

    def test_ctrl_z_and_fg(self):
        self.open("init", "sh", "-c", "echo ready; read x; echo got $x")
        self.expect("ready")
        for _ in range(2):
            self.type("\x1a")
            self.assertEqual(self.report(), "stopped its")
            os.write(self.orders, b"f")
            (command,) = children_of(self.tool)
            until(lambda command=command: process_fields(command)[0] != "T", "the command goes on")
        self.type("that\n")
        self.assertEqual(self.report(), "ended 0 its")
        self.assertIn("got that", self.output)

    @unittest.skipUnless(shutil.which("tini"), "tini is not installed: what is said of it is not checked")
    def test_ctrl_z_leaves_the_shell_of_tini_waiting(self):
        self.open("-s", "--", "sh", "-c", "echo ready; read x", program=shutil.which("tini"))
        self.expect("ready")
        (command,) = children_of(self.tool)
        self.type("\x1a")
        until(lambda: process_fields(command)[0] == "T", "the command is stopped")
        self.assertNotEqual(process_fields(self.tool)[0], "T")

    def test_a_command_in_the_foreground_that_is_stopped_by_force_gives_the_prompt(self):
        for options in ([], ["-g"]):
            self.open("init", *options, "sh", "-c", "echo ready; read x")
            self.expect("ready")
            (command,) = children_of(self.tool)
            os.kill(command, signal.SIGSTOP)
            self.assertEqual(self.report(), "stopped its")
            os.write(self.orders, b"f")
            self.type("\n")
            self.assertEqual(self.report(), "ended 0 its")

    def test_with_a_group_of_its_own_the_command_has_the_foreground(self):
        self.open("init", "-g", "sh", "-c", "echo ready; read x; echo got $x")
        self.expect("ready")
        (command,) = children_of(self.tool)
        self.assertEqual(os.tcgetpgrp(self.master), command)
        self.type("this\n")
        self.assertEqual(self.report(), "ended 0 its")
        self.assertIn("got this", self.output)


if __name__ == "__main__":
    main()
