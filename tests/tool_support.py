# SPDX-License-Identifier: MIT
"""What the tests of exitfd(1) share: the program, processes that are not left behind, deadlines, TAP."""
import functools
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import unittest
import uuid

from script_support import PATIENCE, process_fields, read, until

TOOL = os.path.abspath(os.environ["EXITFD_TOOL"])

# A shell that runs the tests in the background ignores these, and its children
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@functools.cache
def doctor():
    """The checks of `exitfd doctor --json` by name."""
    output = subprocess.run([TOOL, "doctor", "--json"], capture_output=True, text=True, check=False).stdout
    return {check["check"]: check for check in map(json.loads, output.splitlines())}


def has_address_sanitizer():
    return b"__asan_init" in read(TOOL)


def has_pidfds():
    return doctor()["default"]["value"] in ("pidfd", "io_uring")


def has_record():
    return has_pidfds() and doctor()["record"]["value"] == "yes"


def is_alive(pid):
    fields = process_fields(pid)
    return fields is not None and fields[0] not in "ZX"


def hear(fifo):
    """What the first writer of a fifo says. Fails if there is none."""
    with open(fifo, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
        return until(file.read, f"something said in {fifo}")


def tell(fifo, what="go\n"):
    """Says something to the reader of a fifo. Fails if there is none."""

    def write():
        try:
            fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody reads it yet
            return False
        try:
            return os.write(fd, what.encode())
        finally:
            os.close(fd)

    until(write, f"a reader of {fifo}")


def full_pipe():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


def stopped_terminal():
    """As after Ctrl-S: it takes nothing until termios.tcflow(writer, termios.TCOON)."""
    reader, writer = pty.openpty()
    termios.tcflow(writer, termios.TCOOFF)
    return reader, writer


def read_until(terminal, end):
    text = b""
    while end not in text:
        text += os.read(terminal, 4096)
    return text.decode()


def children_of(pid):
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [child for child in pids if (process_fields(child) or ["", "-1"])[1] == str(pid)]


def watches(pid, watched):
    """True once process pid has a pidfd of process watched."""
    try:
        names = os.listdir(f"/proc/{pid}/fdinfo")
    except FileNotFoundError:
        return False
    return any(f"Pid:\t{watched}\n".encode() in read(f"/proc/{pid}/fdinfo/{name}") for name in names)


class ToolTest(unittest.TestCase):
    """Every process of a test carries its mark, so that what it leaves behind is found wherever it hides."""

    def setUp(self):
        self.mark = uuid.uuid4().hex
        self.env = dict(os.environ, EXITFD_TEST_MARK=self.mark)
        self.addCleanup(self.kill_leftovers)

    def forgo_leak_checks(self):
        """LeakSanitizer needs fds and system calls of its own when the tool ends; without them it gives up or spins."""
        self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"

    def leftovers(self):
        mark = b"EXITFD_TEST_MARK=" + self.mark.encode()
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid in pids if mark in read(f"/proc/{pid}/environ").split(b"\0") and is_alive(pid)]

    def kill_leftovers(self):
        for pid in self.leftovers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def assert_nothing_left(self):
        try:
            until(lambda: not self.leftovers(), "nothing left behind")
        except AssertionError:
            left = [read(f"/proc/{pid}/cmdline").replace(b"\0", b" ") for pid in self.leftovers()]
            raise AssertionError(f"left behind: {left}") from None

    def start(self, *words, tool=True, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("env", self.env)
        process = subprocess.Popen([*([TOOL] if tool else []), *map(str, words)], **options)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

    def run_tool(self, *words, input=None, **options):
        """The finished tool, its output as text."""
        options.setdefault("env", self.env)
        options.setdefault("timeout", 4 * PATIENCE)
        if input is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([TOOL, *map(str, words)], input=input, capture_output=True, encoding="utf-8",
                              errors="surrogateescape", check=False, **options)

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def fifo(self):
        path = os.path.join(self.folder(), "fifo")
        os.mkfifo(path)
        return path


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def report(self, verdict, test, directive="", details=""):
        self.count += 1
        name = test.id().removeprefix("__main__.")
        print(f"{verdict} {self.count} - {name}{directive}", flush=True)
        for line in details.splitlines():
            print("# " + line, flush=True)

    def addSuccess(self, test):
        self.report("ok", test)

    def addSkip(self, test, reason):
        self.report("ok", test, " # SKIP " + reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.report("not ok", test, details=self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self.report("not ok", test, details=self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.report("not ok", subtest, details=self._exc_info_to_string(err, test))


def main():
    """Runs the tests of the calling module, or those named on the command line, as TAP."""
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    # nohup(1), and a shell that starts something in the background, leave these
    # ignored for what the tests start.
    for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signo, signal.SIG_DFL)
    names = ["__main__." + name for name in sys.argv[1:]] or ["__main__"]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = TapResult()
    suite.run(result)
    print(f"1..{result.count}", flush=True)
    sys.exit(0 if result.wasSuccessful() else 1)
