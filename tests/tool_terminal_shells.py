# SPDX-License-Identifier: MIT
"""What the user of a shell relies on, for a job with exitfd init or exitfd run in it: a table of rules, shells and jobs.

Ctrl-Z gives a prompt, fg makes the whole job go on, Ctrl-C and Ctrl-\\ end it, and so does SIGTERM to a stopped job.
Where nothing could ever continue the job, because it is PID 1 or the leader of its session, nothing stays stopped."""
import functools
import itertools
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import unittest

from tool_support import PATIENCE, TOOL, ToolTest, children_of, main, process_fields, read, tell, until

SHELLS = {"bash": ["bash", "--norc", "--noprofile", "--noediting", "-i"], "dash": ["dash", "-i"],
          "zsh": ["zsh", "-f", "-i", "+o", "zle", "+o", "promptsp", "+o", "promptcr"]}

PROGRAMS = {
    "plain": "echo ready; read line < /dev/tty; echo got $line; exit 3",
    # A process in the middle, and more than one in the group.
    "family": "sh -c 'echo ready; read line < /dev/tty; echo got $line; exit 3'; exit $?",
    # As full-screen programs do it, which restore the terminal first; su and
    # runuser follow their command in this way. No signal is missed before
    # select: its number is in the pipe.
    "forced": f"""exec {sys.executable} -c '
import os, select, signal
caught, pipe_end = os.pipe()
os.set_blocking(pipe_end, False)
signal.set_wakeup_fd(pipe_end)
signal.signal(signal.SIGTSTP, lambda *_: os.kill(os.getpid(), signal.SIGSTOP))
os.write(1, b"ready\\n")
terminal = os.open("/dev/tty", os.O_RDONLY)
while terminal not in select.select([terminal, caught], [], [])[0]:
    os.read(caught, 100)
os.write(1, b"got " + os.read(terminal, 100))
os._exit(3)'""",
}

# A shell whose user is quicker than anybody: its job is continued within 200 us
# of its stop.
IMPATIENT = """
import os, random, signal, sys, time
job = os.fork()
if job == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp("sh", ["sh", sys.argv[1]])
while os.WIFSTOPPED(os.waitpid(job, os.WUNTRACED)[1]):
    end = time.perf_counter() + random.random() / 5000
    while time.perf_counter() < end:
        pass
    os.killpg(job, signal.SIGCONT)
    print("continued", flush=True)
"""


class PseudoTerminal(ToolTest):
    def open(self, words):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, dict(self.env, PS1="PROMPT> ", TERM="dumb"))
        self.unread = ""
        self.addCleanup(self.close, self.pid, self.master)

    def close(self, pid, master):
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self.kill_leftovers()
        os.close(master)

    def expect(self, pattern):
        """What was printed up to the next match of pattern, which is then behind us."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            match = re.search(pattern, self.unread)
            if match:
                before, self.unread = self.unread[: match.end()], self.unread[match.end() :]
                return before
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.unread += os.read(self.master, 65536).decode(errors="replace")
                except OSError:  # nothing has the terminal open any more
                    break
        raise AssertionError(f"never {pattern!r} in {self.unread!r}")

    def type(self, text):
        os.write(self.master, text.encode())

    def write_file(self, text):
        path = os.path.join(self.folder(), "file")
        with open(path, "w", encoding="ascii") as file:
            file.write(text + "\n")
        return path

    def program(self, name):
        return f"sh {self.write_file(PROGRAMS[name])}"


class Shells(PseudoTerminal):
    """Each job is started by a line that is typed into a shell with job control."""

    JOBS = ("alone", "group", "script", "left", "right", "nested")

    def line(self, job, name):
        """What is typed: init beside the shell alone, in a script and in pipelines."""
        program = self.program(name)
        script = self.write_file(f"{TOOL} init {program}; echo next")
        return {"alone": f"{TOOL} init {program}", "group": f"{TOOL} init -g {program}", "script": f"sh {script}",
                "left": f"{TOOL} init {program} | cat", "right": f"echo | {TOOL} init {program}",
                "nested": f"{TOOL} init {TOOL} init {program}"}[job]

    def start_job(self, shell, line):
        self.open(SHELLS[shell])
        self.expect("PROMPT> ")
        self.type(line + "\n")
        self.expect(r"ready\r\n")
        # A key goes to the group that has the terminal, and a process that the
        # shell starts later does not get it.
        if not line.endswith("&"):
            until(lambda: os.tcgetpgrp(self.master) != self.pid, "the job has the terminal")
        if line.endswith("| cat"):
            until(lambda: any(read(f"/proc/{pid}/comm") == b"cat\n" for pid in self.leftovers()), "the pipeline is whole")

    def states(self, without=b""):
        pids = [pid for pid in self.leftovers() if pid != self.pid and read(f"/proc/{pid}/comm") != without]
        return [(process_fields(pid) or "?")[0] for pid in pids]

    def wait_until_stopped(self, program="plain"):
        """A script stops before init in it does. And init need not stop with a program that was forced to."""
        without = b"exitfd\n" if program == "forced" else b""
        until(lambda: set(self.states(without)) == {"T"}, "the whole job is stopped")

    def continue_job(self, program="plain"):
        """Types fg when all is stopped, and waits until the job has the terminal and all of it runs."""
        self.wait_until_stopped(program)
        self.type("fg\n")
        until(lambda: "T" not in self.states() and os.tcgetpgrp(self.master) != self.pid, "the whole job goes on")

    def for_each(self, programs, check):
        """Calls check when the job has begun: in each shell, for each program and job."""
        for shell, program, job in itertools.product(filter(shutil.which, SHELLS), programs, self.JOBS):
            with self.subTest(shell=shell, program=program, job=job):
                self.start_job(shell, self.line(job, program))
                check(program)
            self.doCleanups()
            self.setUp()

    def test_ctrl_z_gives_a_prompt_and_fg_makes_all_go_on(self):
        def check(program):
            for _ in range(2):
                self.type("\x1a")
                self.expect("PROMPT> ")
                self.continue_job(program)
            self.type("this\n")
            self.expect(r"got this\r\n")
            self.expect("PROMPT> ")

        self.for_each(PROGRAMS, check)

    def test_a_script_that_is_continued_at_once_is_not_stopped_again(self):
        script = self.write_file(f"{TOOL} init {self.program('plain')}; echo next")
        self.open([sys.executable, "-c", IMPATIENT, script])
        self.expect(r"ready\r\n")
        for _ in range(200):
            self.type("\x1a")
            self.expect(r"continued\r\n")
            until(lambda: "T" not in self.states(), "the whole job goes on")
        self.type("this\n")
        self.assertNotIn("continued", self.expect(r"next\r\n"))

    def test_the_status_comes_through(self):
        for shell in filter(shutil.which, SHELLS):
            for option in ("", "-g"):
                self.start_job(shell, f"{TOOL} init {option} {self.program('plain')}")
                self.type("\n")
                self.expect("PROMPT> ")
                self.type("echo st=$?\n")
                self.expect("st=3")

    def expect_the_shell_alone(self):
        until(lambda: len(self.leftovers()) == 1, "the shell alone is left")

    def test_ctrl_c_and_ctrl_backslash_end_it(self):
        def check(key):
            self.type(key)
            self.expect("PROMPT> ")
            self.expect_the_shell_alone()

        self.for_each(["plain"], lambda _: check("\x03"))
        self.for_each(["plain"], lambda _: check("\x1c"))

    def test_sigterm_ends_a_stopped_job(self):
        def check(program):
            self.type("\x1a")
            self.expect("PROMPT> ")
            self.wait_until_stopped(program)
            self.type("kill %1; kill -CONT %1\n")
            self.expect_the_shell_alone()

        self.for_each(PROGRAMS, check)

    def test_in_the_background_it_is_stopped_when_it_reads_and_fg_makes_it_go_on(self):
        for shell in filter(shutil.which, SHELLS):
            for option in ("", "-g"):
                self.start_job(shell, f"{TOOL} init {option} {self.program('plain')} &")
                (tool,) = children_of(self.pid)
                until(lambda: process_fields(tool)[0] == "T", "the job is stopped")
                self.type("fg\nthis\n")
                self.expect(r"got this\r\n")

    def test_the_rest_of_a_pipeline_can_read_the_terminal(self):
        for shell in filter(shutil.which, SHELLS):
            self.start_job(shell, f"{TOOL} init sleep 1000 | {self.program('plain')}")
            self.type("this\n")
            self.expect(r"got this\r\n")

    def test_run_stops_and_goes_on_with_its_commands(self):
        for shell in filter(shutil.which, SHELLS):
            for job in "{}", "{} | cat", "sh {}":
                fifo = os.path.join(self.folder(), "fifo")
                os.mkfifo(fifo)
                line = f"{TOOL} run -q -s 0 " + self.write_file(f"echo ready > /dev/tty; read x < {fifo}; echo got $x")
                line = job.format(self.write_file(line + "; echo next") if job == "sh {}" else line)
                with self.subTest(shell=shell, job=job):
                    self.start_job(shell, line)
                    self.type("\x1a")
                    self.expect("PROMPT> ")
                    self.continue_job()
                    tell(fifo, "this\n")
                    self.expect(r"got this\r\n")
                    self.expect("PROMPT> ")
                self.doCleanups()
                self.setUp()


class NobodyAbove(PseudoTerminal):
    """The leader of the terminal's session, and PID 1 in addition: no shell could continue it."""

    def leaders(self):
        yield []
        as_pid_1 = ["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "-pf", "--kill-child", "--mount-proc"]
        if subprocess.run([*as_pid_1, "true"], capture_output=True, check=False).returncode == 0:
            yield [*as_pid_1, "setsid", "-c"]

    def start_leader(self, words, option, program):
        self.open([*words, TOOL, "init", *option, *self.program(program).split()])
        self.expect(r"ready\r\n")
        leader = children_of(self.pid)[0] if words else self.pid
        return leader, children_of(leader)[0]

    def for_each(self, check):
        for words, option, program in itertools.product(self.leaders(), ([], ["-g"]), PROGRAMS):
            with self.subTest(leader=words, option=option, program=program):
                check(words, option, program)
            self.doCleanups()
            self.setUp()

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def test_ctrl_z_leaves_nothing_stopped(self):
        def check(*leader):
            self.start_leader(*leader)
            self.type("\x1athis\n")
            self.expect(r"got this\r\n")
            self.assertEqual(self.status(), 3)

        self.for_each(check)

    def test_what_ends_a_job_ends_it_after_ctrl_z(self):
        def check(signo, key, *words):
            leader, _ = self.start_leader(*words)
            self.type("\x1a" + key)
            if not key:
                os.kill(leader, signo)
            # Python makes an exception of SIGINT.
            self.assertIn(self.status(), (128 + signo, 1) if signo == signal.SIGINT else (128 + signo,))

        self.for_each(functools.partial(check, signal.SIGINT, "\x03"))
        self.for_each(functools.partial(check, signal.SIGQUIT, "\x1c"))
        self.for_each(functools.partial(check, signal.SIGTERM, ""))

    def test_sigcont_to_the_command_makes_it_go_on(self):
        def check(*words):
            _, command = self.start_leader(*words)
            os.kill(command, signal.SIGSTOP)
            os.kill(command, signal.SIGCONT)
            self.type("this\n")
            self.expect(r"got this\r\n")

        self.for_each(check)


if __name__ == "__main__":
    main()
