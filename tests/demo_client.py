# SPDX-License-Identifier: MIT
"""What the tests of examples/epoll-jobs share: the daemon as a process, and a client that understands its answers."""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile

from script_support import PATIENCE

ENDED = re.compile(
    r"(?P<how>exited|killed|dumped) (?P<status>\d+)(?: \((?P<name>.*)\))?, cpu (?P<cpu>[0-9.]+) s, memory (?P<kb>\d+) kB")


class Job:
    """One command line and all that was reported about it."""

    def __init__(self, line):
        self.line = line
        self.pid = None
        self.output = bytearray()
        self.how = None  # "exited 3", "killed 15", "dumped 6"
        self.cpu = self.kb = None


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")
        self.unanswered = []
        self.jobs = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def submit(self, *lines):
        """Sends command lines in one write; their Jobs are filled as answers arrive."""
        jobs = [Job(line) for line in lines]
        self.unanswered += jobs
        self.send("".join(job.line + "\n" for job in jobs).encode())
        return jobs

    def answer(self):
        """Takes one answer. Returns its text; of an output, after its bytes have been added to the job."""
        text = self.stream.readline()
        if not text:
            raise EOFError("the daemon closed the connection")
        if not text.endswith(b"\n"):
            raise ValueError(f"half an answer: {text!r}")
        text = text.decode()[:-1]
        word, _, rest = text.partition(" ")
        if word == "started":
            job = self.unanswered.pop(0)
            job.pid = int(rest)
            if job.pid in self.jobs:
                raise ValueError(f"pid {job.pid} was started twice and has not ended in between")
            self.jobs[job.pid] = job
        elif word == "output":
            pid, size = map(int, rest.split())
            self.jobs[pid].output += self.stream.read(size)
        elif word == "ended":
            pid, _, how = rest.partition(" ")
            job = self.jobs.pop(int(pid))  # KeyError: ended twice, or never started
            match = ENDED.fullmatch(how)
            if not match:
                raise ValueError(f"not understood: {text}")
            job.how = f"{match['how']} {match['status']}"
            job.cpu, job.kb = float(match["cpu"]), int(match["kb"])
        elif word not in ("killing", "error:"):
            raise ValueError(f"not understood: {text}")
        return text

    def answer_to_line(self):
        """The next answer that is not output or the end of a job."""
        text = self.answer()
        while text.startswith(("output ", "ended ")):
            text = self.answer()
        return text

    def expect(self, beginning):
        text = self.answer_to_line()
        if not text.startswith(beginning):
            raise AssertionError(f"expected {beginning!r}, got {text!r}")
        return text

    def start(self, line):
        """Submits one command line and waits until it is running."""
        job, = self.submit(line)
        self.expect("started ")
        return job

    def finish(self, *jobs):
        while any(job.how is None for job in jobs):
            self.answer()

    def run(self, line):
        job, = self.submit(line)
        self.finish(job)
        return job


class NotHere(Exception):
    """The back end that EXITFD_BACKEND asks for does not work on this kernel."""


class Daemon:
    def __init__(self, program, max_fds=None, options=(), **more):
        self.directory = tempfile.TemporaryDirectory(prefix="epoll-jobs.")
        self.path = os.path.join(self.directory.name, "socket")

        def begin():
            # Ignored if nohup(1) or a shell without job control started the
            # tests.
            for signal_number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
                signal.signal(signal_number, signal.SIG_DFL)
            if max_fds:
                resource.setrlimit(resource.RLIMIT_NOFILE, (max_fds, max_fds))

        self.process = subprocess.Popen([os.path.abspath(program), *options, self.path], cwd=self.directory.name,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=begin, **more)
        self.greeting = self.process.stdout.readline().strip()
        if "listening on" not in self.greeting:
            complaint = self.process.stderr.read()
            self.__exit__()
            raise (NotHere if "exitfd_open: Operation not supported" in complaint else RuntimeError)(complaint)
        self.fds_at_start = self.count_fds()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()  # so that it takes its jobs along
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        sys.stderr.write(self.process.stderr.read())
        self.process.stderr.close()
        self.process.stdout.close()
        self.directory.cleanup()

    def connect(self):
        return Client(self.path)

    def count_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def children(self):
        """Pids of its children, zombies included."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def terminate(self, signal_number=signal.SIGTERM):
        """Returns how it took the signal: 0 if it ended well and removed its socket."""
        self.process.send_signal(signal_number)
        status = self.process.wait(PATIENCE)
        return status if status or not os.path.exists(self.path) else "ended, but left its socket"


class Checks:
    """Counts and prints; the exit status of a test."""

    def __init__(self):
        self.wrong = 0

    def __call__(self, holds, what):
        if not holds:
            self.wrong += 1
            print(f"WRONG: {what}", file=sys.stderr)
        return holds
