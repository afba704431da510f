#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bindings/python/exitfd.py against the library that was built: EXITFD_LIBRARY names it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bindings", "python"))
import exitfd  # noqa: E402

DEADLINE = 30


def fork_exit(status: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    return pid


class Leaks(unittest.TestCase):
    def setUp(self) -> None:
        signal.alarm(2 * DEADLINE)
        self.fds = sorted(os.listdir("/proc/self/fd"))

    def tearDown(self) -> None:
        signal.alarm(0)
        self.assertEqual(sorted(os.listdir("/proc/self/fd")), self.fds)
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


class Watching(Leaks):
    def setUp(self) -> None:
        super().setUp()
        self.x = exitfd.ExitFd()

    def tearDown(self) -> None:
        self.x.close()
        super().tearDown()

    def only_event(self) -> exitfd.Event:
        (event,) = self.x.wait(timeout=DEADLINE)
        return event

    def test_status_and_data(self) -> None:
        job = object()
        pid = fork_exit(7)
        self.x.add(pid, data=job)
        event = self.only_event()
        self.assertEqual((event.pid, event.code, event.status, event.returncode), (pid, os.CLD_EXITED, 7, 7))
        self.assertIs(event.data, job)
        self.assertEqual(event.origin, exitfd.REAPED)

    def test_rusage_is_of_the_child(self) -> None:
        self.x.spawn([sys.executable, "-c", "x = bytearray(50 << 20)"])
        self.assertGreater(self.only_event().rusage.ru_maxrss, 50 << 10)

    def test_signal(self) -> None:
        pid = self.x.spawn(["sleep", "1000"])
        self.x.kill(pid, signal.SIGKILL)
        self.assertEqual(self.only_event().returncode, -signal.SIGKILL)

    def test_any_poller_takes_the_object(self) -> None:
        self.x.spawn(["true"])
        self.assertEqual(select.select([self.x], [], [], DEADLINE)[0], [self.x])
        self.assertEqual(len(self.x.wait(timeout=0)), 1)
        self.assertEqual(self.x.wait(timeout=0), [])

    def test_iteration_ends_with_the_last_watch(self) -> None:
        pids = {self.x.spawn(["sh", "-c", f"exit {n}"], data=n) for n in range(5)}
        events = list(self.x)
        self.assertEqual({event.pid for event in events}, pids)
        self.assertTrue(all(event.data == event.returncode for event in events))

    def test_stop_and_continue(self) -> None:
        if self.x.backend == "pidfd" and exitfd.isDefaultHandler() is False:
            self.skipTest("SIGCHLD is not at its default here")
        pid = self.x.spawn(["sleep", "1000"], flags=exitfd.STOPPED | exitfd.CONTINUED, data="kept")
        self.x.kill(pid, signal.SIGSTOP)
        stop = self.only_event()
        self.assertEqual((stop.code, stop.data, stop.returncode), (os.CLD_STOPPED, "kept", None))
        self.x.kill(pid, signal.SIGKILL)
        self.assertEqual(self.only_event().data, "kept")

    def test_stolen_is_recorded_or_unknown(self) -> None:
        pid = self.x.spawn(["sh", "-c", "exit 9"])
        os.waitpid(pid, 0)
        event = self.only_event()
        self.assertIn(event.origin, (exitfd.RECORDED, exitfd.UNKNOWN))
        self.assertEqual(event.returncode, 9 if event.origin == exitfd.RECORDED else None)

    def test_any_other_child(self) -> None:
        self.x.add(exitfd.ANY_CHILD, data="orphans")
        for status in (3, 4):
            fork_exit(status)
            event = self.only_event()
            self.assertEqual((event.returncode, event.data), (status, "orphans"))
        self.x.remove(exitfd.ANY_CHILD)

    def test_remove_and_discard(self) -> None:
        pid = fork_exit(5)
        self.x.add(pid)
        self.x.remove(pid)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 5)
        pid = fork_exit(6)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self.x.add(pid)
        self.x.discard(pid)

    def test_errors_are_exceptions(self) -> None:
        with self.assertRaises(ChildProcessError):
            self.x.add(os.getppid())
        with self.assertRaises(FileNotFoundError):
            self.x.spawn(["/nonexistent"])
        with self.assertRaises(FileNotFoundError):
            self.x.remove(1 << 21)
        pid = fork_exit(0)
        self.x.add(pid)
        with self.assertRaises(FileExistsError):
            self.x.add(pid)
        self.only_event()
        self.x.close()
        with self.assertRaises(OSError):
            self.x.fileno()

    def test_a_handler_does_not_end_the_wait(self) -> None:
        ran = []
        old = signal.signal(signal.SIGUSR1, lambda *_: ran.append(1))
        self.x.spawn(["sh", "-c", f"kill -USR1 {os.getpid()}; exit 8"])
        self.assertEqual(self.only_event().returncode, 8)
        signal.signal(signal.SIGUSR1, old)
        self.assertEqual(ran, [1])


class Handler(Leaks):
    """What Twisted's test_sigchld asks of _signals."""

    def test_install(self) -> None:
        read, write = os.pipe()
        other = os.dup(write)
        self.assertTrue(exitfd.isDefaultHandler())
        self.assertEqual(exitfd.installHandler(write), -1)
        self.assertFalse(exitfd.isDefaultHandler())
        os.kill(os.getpid(), signal.SIGCHLD)
        self.assertEqual(len(os.read(read, 5)), 1)
        self.assertEqual(exitfd.installHandler(other), write)
        self.assertEqual(exitfd.installHandler(-1), other)
        self.assertTrue(exitfd.isDefaultHandler())
        for fd in (read, write, other):
            os.close(fd)

    def test_bad_fd(self) -> None:
        with self.assertRaises(OSError):
            exitfd.installHandler(12345)


class Asyncio(Leaks):
    def run_loop(self, coroutine):
        try:
            return asyncio.run(asyncio.wait_for(coroutine, DEADLINE))
        finally:
            exitfd.close_of_closed_loops()

    def test_wait_pid(self) -> None:
        async def main():
            return await asyncio.gather(*(exitfd.wait_pid(fork_exit(n)) for n in range(20)))
        self.assertEqual([event.status for event in self.run_loop(main())], list(range(20)))

    def test_cancelled_wait_leaves_the_child(self) -> None:
        async def main():
            pid = subprocess.Popen(["sleep", "1000"]).pid
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(exitfd.wait_pid(pid), 0.01)
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)
        self.assertEqual(self.run_loop(main())[1], signal.SIGKILL)

    def test_subprocess(self) -> None:
        async def main():
            process = await exitfd.create_subprocess_exec(
                "sh", "-c", "cat; echo err >&2; exit 3",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            out = await process.communicate(b"x" * 100000)
            return out, process.returncode, process.event.rusage.ru_maxrss
        (out, err), code, maxrss = self.run_loop(main())
        self.assertEqual((len(out), err, code), (100000, b"err\n", 3))
        self.assertGreater(maxrss, 0)

    def test_kill(self) -> None:
        async def main():
            process = await exitfd.create_subprocess_exec("sleep", "1000")
            process.terminate()
            code = await process.wait()
            process.kill()
            return code
        self.assertEqual(self.run_loop(main()), -signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
