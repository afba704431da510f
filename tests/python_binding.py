#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bindings/python/exitfd.py against the library that was built: EXITFD_LIBRARY names it."""

import asyncio
import concurrent.futures
import ctypes
import errno
import fcntl
import itertools
import math
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bindings", "python"))
import exitfd  # noqa: E402
from script_support import PATIENCE  # noqa: E402

DEADLINE = PATIENCE


def fork_exit(status: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    return pid


class Layout(unittest.TestCase):
    def test_musl_reserves_room_in_rusage(self) -> None:
        glibc, musl = (exitfd._event_type(musl=answer) for answer in (False, True))
        long = ctypes.sizeof(ctypes.c_long)
        times = 4 * (8 - long)
        self.assertEqual(ctypes.sizeof(musl), ctypes.sizeof(glibc) + times + 16 * long)
        self.assertEqual(ctypes.sizeof(glibc), glibc.rusage.offset + 18 * long + 8 * ctypes.sizeof(ctypes.c_int))
        if long == 8:
            self.assertEqual((ctypes.sizeof(glibc), ctypes.sizeof(musl)), (200, 328))

    def test_rusage_has_the_same_fields_in_both(self) -> None:
        for answer in (False, True):
            raw = exitfd._event_type(musl=answer)()
            raw.rusage.stime.tv_usec = 500000
            raw.rusage.maxrss, raw.rusage.nivcsw = 123, 45
            rusage = exitfd._rusage(raw.rusage)
            self.assertEqual((rusage.ru_stime, rusage.ru_maxrss, rusage.ru_nivcsw), (0.5, 123, 45))

    def test_a_command_and_its_actions(self) -> None:
        expected = {8: (56, 32), 4: (32, 24)}[ctypes.sizeof(ctypes.c_void_p)]
        self.assertEqual((ctypes.sizeof(exitfd._Command), ctypes.sizeof(exitfd._Action)), expected)

    @unittest.skipUnless(sys.platform.startswith("linux"), "glibc and musl")
    def test_which_libc(self) -> None:
        with mock.patch.object(os, "confstr", return_value="glibc 2.36"):
            self.assertFalse(exitfd._libc_is_musl())
        for error in (OSError, ValueError):
            with mock.patch.object(os, "confstr", side_effect=error):
                self.assertTrue(exitfd._libc_is_musl())


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

    def test_catch_all_watch(self) -> None:
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

    def test_a_pidfd_that_is_removed_or_discarded_leaves_nothing(self) -> None:
        self.skip_without_pidfds()
        for give_up in (self.x.remove, self.x.discard):
            for ask in (exitfd._pid_of, exitfd._pid_by_fdinfo):
                pid = fork_exit(0)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                pidfd = os.pidfd_open(pid)
                with mock.patch.object(exitfd, "_pid_of", ask):
                    self.x.add_pidfd(pidfd, data="job")
                os.close(pidfd)
                give_up(pid)
                if give_up == self.x.remove:
                    os.waitpid(pid, 0)
                self.assert_nothing_is_kept()

    def test_a_pidfd_gives_its_data(self) -> None:
        self.skip_without_pidfds()
        pid = fork_exit(3)
        pidfd = os.pidfd_open(pid)
        self.x.add_pidfd(pidfd, data="job")
        os.close(pidfd)
        self.assertEqual([(event.pid, event.data, event.returncode) for event in self.x], [(pid, "job", 3)])

    def skip_without_pidfds(self) -> None:
        try:
            pidfd = os.pidfd_open(os.getpid())
        except (AttributeError, OSError):
            self.skipTest("no pidfds here")
        try:
            self.x.add_pidfd(pidfd)  # this process is no child of its own
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                self.skipTest("no pidfds in this build")
        finally:
            os.close(pidfd)

    def assert_nothing_is_kept(self) -> None:
        """Iterating would block without end."""
        with mock.patch.object(exitfd.select, "poll", side_effect=AssertionError("something is still watched")):
            self.assertEqual(list(self.x), [])
        self.assertEqual((self.x._data, self.x._tokens, self.x._batches, self.x._running), ({}, {}, {}, {}))

    def test_bad_arguments_leave_nothing(self) -> None:
        for bad, error in (
                (lambda: self.x.add("abc"), TypeError),
                (lambda: self.x.add(1.0), TypeError),
                (lambda: self.x.add_pidfd("abc"), TypeError),
                (lambda: self.x.spawn([]), ValueError),
                (lambda: self.x.spawn("ls -l"), TypeError),
                (lambda: self.x.spawn(b"ls"), TypeError),
                (lambda: self.x.spawn(pathlib.Path("ls")), TypeError),
                (lambda: self.x.spawn(["echo", 1]), TypeError),
                (lambda: self.x.spawn(["echo", None]), TypeError),
                (lambda: self.x.spawn(["true"], flags="abc"), TypeError),
                (lambda: self.x.spawn(["true"], {"A=B": "c"}), ValueError),
                (lambda: self.x.spawn(["true"], {"A": 1}), TypeError),
                (lambda: self.x.wait(0), ValueError),
                (lambda: self.x.wait(-1), ValueError),
                (lambda: self.x.wait(timeout="1"), TypeError)):
            with self.assertRaises(error):
                bad()
            self.assert_nothing_is_kept()

    def test_a_number_that_does_not_fit_is_an_error(self) -> None:
        pid = self.x.spawn(["sleep", "1000"])
        for bad in (
                lambda: self.x.add(2**32 + os.getpid()), lambda: self.x.add(-2**31 - 1), lambda: self.x.add(1, 2**32),
                lambda: self.x.add(1, -1), lambda: self.x.add_pidfd(2**32), lambda: self.x.remove(2**32 + pid),
                lambda: self.x.discard(2**32 + pid), lambda: self.x.kill(2**32 + pid), lambda: self.x.kill(pid, 2**32 + 9),
                lambda: self.x.get_pidfd(2**32 + pid), lambda: self.x.spawn(["true"], flags=2**32),
                lambda: self.x.start(["true"], actions=[(exitfd.OPEN, 0, "/dev/null", 0, -1)]),
                lambda: self.x.wait(2**31), lambda: exitfd.ExitFd(2**32), lambda: exitfd.installHandler(2**32 - 1)):
            with self.assertRaises(OverflowError):
                bad()
        self.x.kill(pid, 0)
        self.x.kill(pid, signal.SIGKILL)
        self.assertEqual(self.only_event().returncode, -signal.SIGKILL)
        self.assert_nothing_is_kept()

    def environment_of_child(self, env) -> list:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self.x.spawn(["/bin/sh", "-c", f"/usr/bin/env > /dev/fd/{write}"], env)
        os.close(write)
        with open(read, "rb") as lines:
            environment = lines.read().splitlines()
        self.assertEqual(self.only_event().returncode, 0)
        return environment

    def test_environments_are_as_in_subprocess(self) -> None:
        for env in ({"NAME": "str"}, {b"NAME": b"bytes"}, {"NAME": b"\xff"}, {"NAME": "\udcff"},
                    {"NAME": pathlib.Path("path")}, {"NAME": "a=b"}):
            expected = subprocess.run(["/usr/bin/env"], env=env, stdout=subprocess.PIPE, check=True).stdout.splitlines()
            environment = self.environment_of_child(env)
            self.assertEqual([line for line in environment if line.startswith(b"NAME=")], expected)
        with mock.patch.dict(os.environ, {"INHERITED": "yes"}):
            self.assertIn(b"INHERITED=yes", self.environment_of_child(None))

    def test_arguments_may_be_bytes_and_paths(self) -> None:
        self.x.spawn(iter([b"sh", "-c", b"exit $#", pathlib.Path("0"), "1", b"2\xff"]))
        self.assertEqual(self.only_event().returncode, 2)

    def test_a_nul_byte_is_an_error(self) -> None:
        for argv, env in ((["true\0"], None), (["true", "a\0b"], None), (["true"], {"A": "b\0c"})):
            with self.assertRaisesRegex(ValueError, "null byte"):
                self.x.spawn(argv, env)
            self.assert_nothing_is_kept()

    def waits_of(self, timeout: float) -> list:
        """The seconds that are waited in turn, by a clock that only these waits move."""
        clock, waits = [1000.0], []

        def poll(milliseconds: float) -> list:
            waits.append(math.ceil(milliseconds) / 1000)
            self.assertGreater(waits[-1], 0, "blocks without end")
            self.assertLess(math.ceil(milliseconds), 2**31, "does not fit")
            clock[0] += waits[-1]
            return []

        with mock.patch.object(exitfd.select, "poll", return_value=mock.Mock(poll=poll)), \
                mock.patch.object(exitfd, "time", mock.Mock(monotonic=lambda: clock[0])):
            self.assertEqual(self.x.wait(timeout=timeout), [])
        return waits

    def test_a_timeout_never_ends_early(self) -> None:
        for timeout in (0.0004, 0.0104, 3.5, 100000.5):
            self.assertGreaterEqual(sum(self.waits_of(timeout)), timeout)
        for timeout in (0, -1, float("-inf")):
            self.assertEqual(self.waits_of(timeout), [])
        with self.assertRaises(ValueError):
            self.waits_of(float("nan"))

    def test_errors_are_exceptions(self) -> None:
        with self.assertRaises(ChildProcessError):
            self.x.add(os.getppid())
        for name in ("/nonexistent", b"/nonexistent"):
            with self.assertRaises(FileNotFoundError) as caught:
                self.x.spawn([name])
            self.assertEqual(caught.exception.filename, "/nonexistent")
        with self.assertRaises(PermissionError) as caught:
            self.x.spawn(["/etc/passwd"])
        self.assertEqual(caught.exception.filename, "/etc/passwd")
        with self.assertRaises(FileNotFoundError):
            self.x.remove(1 << 21)
        pid = fork_exit(0)
        self.x.add(pid)
        with self.assertRaises(FileExistsError):
            self.x.add(pid)
        self.only_event()

    def test_a_closed_one_raises(self) -> None:
        self.x.close()
        self.x.close()
        for use in (self.x.fileno, self.x.wait, lambda: self.x.backend, lambda: self.x.add(1), lambda: next(iter(self.x)),
                    lambda: self.x.spawn(["true"]), lambda: self.x.kill(1), lambda: select.select([self.x], [], [])):
            with self.assertRaises(ValueError):
                use()

    def test_a_handler_does_not_end_the_wait(self) -> None:
        ran = []
        old = signal.signal(signal.SIGUSR1, lambda *_: ran.append(1))
        self.x.spawn(["sh", "-c", f"kill -USR1 {os.getpid()}; exit 8"])
        self.assertEqual(self.only_event().returncode, 8)
        signal.signal(signal.SIGUSR1, old)
        self.assertEqual(ran, [1])


    def test_start_does_its_actions(self) -> None:
        read, write = os.pipe()
        job = object()
        pid = self.x.start(["sh", "-c", "pwd; ps -o sid= -p $$; echo $0; exit 4", "argument"], {"PATH": os.environ["PATH"]},
                           data=job, file="/bin/sh", options=exitfd.NEW_SESSION,
                           actions=[(exitfd.DUP2, write, 1), (exitfd.OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                                    (exitfd.CHDIR, "/usr"), (exitfd.CLOSE_FROM, 3)])
        os.close(write)
        with open(read, "rb") as lines:
            self.assertEqual(lines.read().split(), [b"/usr", str(pid).encode(), b"argument"])
        event = self.only_event()
        self.assertEqual((event.returncode, event.data, str(event), event.crash_signal), (4, job, "exited 4", 0))
        self.assertEqual(os.WEXITSTATUS(event.wait_status), 4)

    def test_a_start_that_fails_leaves_no_child_and_no_event(self) -> None:
        for actions, argv, error in (
                ([], ["/nonexistent"], errno.ENOENT), ([(exitfd.DUP2, 1000, 1)], ["true"], errno.EBADF),
                ([(exitfd.CHDIR, "/etc/passwd")], ["true"], errno.ENOTDIR), ([], ["true", "x" * (8 << 20)], errno.E2BIG)):
            with self.assertRaises(OSError) as caught:
                self.x.start(argv, actions=actions)
            self.assertEqual((caught.exception.errno, self.x.count()), (error, 0))
            self.assert_nothing_is_kept()
        for name, actions in (
                ("/nonexistent", [(exitfd.DUP2, 1, 2)]), (None, [(exitfd.CHDIR, "/nonexistent")]),
                (None, [(exitfd.OPEN, 0, "/nonexistent", os.O_RDONLY, 0)])):
            with self.assertRaises(FileNotFoundError) as caught:
                self.x.start(["/nonexistent" if name else "true"], actions=actions)
            self.assertEqual(caught.exception.filename, name)
        for bad in ([(exitfd.DUP2, 1)], [(99, 1)], [()]):
            with self.assertRaises(ValueError):
                self.x.start(["true"], actions=bad)

    def test_hold_and_the_group(self) -> None:
        pid = self.x.start(["sh", "-c", "trap '' TERM; sleep 1000 & echo; exit 3"], flags=exitfd.HOLD,
                           options=exitfd.NEW_GROUP, actions=[(exitfd.OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        self.assertEqual([(event.origin, event.returncode) for event in self.x], [(exitfd.PEEKED, 3)])
        self.assertEqual(self.x.count(), 1)
        self.x.kill(-pid, signal.SIGKILL)
        self.x.discard(pid)
        self.assertEqual((self.x.wait(timeout=0), self.x.count()), ([], 0))


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

    def test_wait_pid_is_for_one_event_of_one_process(self) -> None:
        async def main():
            pid = fork_exit(4)
            for bad in (exitfd.ANY_CHILD, 0, -pid):
                with self.assertRaisesRegex(ValueError, "one process"):
                    await asyncio.wait_for(exitfd.wait_pid(bad), DEADLINE)
            for flags in (exitfd.HOLD, exitfd.AUTOKILL, exitfd.STOPPED | exitfd.HOLD):
                with self.assertRaisesRegex(ValueError, "flags"):
                    await asyncio.wait_for(exitfd.wait_pid(pid, flags), DEADLINE)
            self.assertEqual((await exitfd.wait_pid(pid)).returncode, 4)
        self.run_loop(main())

    def test_cancelled_wait_leaves_the_child(self) -> None:
        async def main():
            pid = subprocess.Popen(["sleep", "1000"]).pid
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(exitfd.wait_pid(pid), 0.01)
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)
        self.assertEqual(self.run_loop(main())[1], signal.SIGKILL)

    def test_cancel_that_meets_the_exit(self) -> None:
        async def main():
            pid = fork_exit(0)
            task = asyncio.ensure_future(exitfd.wait_pid(pid))
            await asyncio.sleep(0)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            # The loop sees the exit on its way back here, and reports it after
            # the cancel, before the task hears of that.
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
        self.run_loop(main())

    def test_cancel_that_meets_a_stop(self) -> None:
        """The stop is not the exit of that child, which other code waits for then."""
        async def main():
            child = subprocess.Popen(["sleep", "1000"])
            task = asyncio.ensure_future(exitfd.wait_pid(child.pid, exitfd.STOPPED))
            await asyncio.sleep(0)
            child.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            await asyncio.sleep(0)  # as above
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            child.kill()
            child.wait()
            with self.assertRaises(ProcessLookupError):
                await exitfd.wait_pid(child.pid)
        self.run_loop(main())

    def test_a_high_fd_is_passed_without_an_action_for_each_number(self) -> None:
        async def main(low: int, high: int) -> bytes:
            self.assertLess(len(exitfd._passed([low, high])), 10)
            process = await exitfd.create_subprocess_exec("sh", "-c", "echo $(ls /proc/self/fd); cat /proc/self/fd/$0", str(low),
                                                          pass_fds=[low, high], stdout=subprocess.PIPE)
            return (await process.communicate())[0]

        highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
        if highest < 1000:
            self.skipTest("the limit on open files is low")
        with tempfile.TemporaryFile() as file:
            file.write(b"content")
            file.flush()
            low, high = file.fileno(), fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, highest)
            try:
                names, content = self.run_loop(main(low, high)).split(b"\n")
            finally:
                os.close(high)
        self.assertEqual(content, b"content")
        self.assertLessEqual({b"%d" % fd for fd in (0, 1, 2, low, high)}, set(names.split()))
        self.assertEqual(len(names.split()), 6)  # and that of ls, which reads the folder

    def test_a_loop_that_was_closed_in_another_thread_leaves_no_zombie(self) -> None:
        async def main() -> int:
            return (await exitfd.create_subprocess_exec("sleep", "0.2")).pid

        environment = mock.patch.dict(os.environ, EXITFD_BACKEND="io_uring")  # which does nothing in another thread
        environment.start()
        self.addCleanup(environment.stop)
        try:
            exitfd.ExitFd().close()
        except OSError as error:
            self.skipTest(f"io_uring does not work here: {error}")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pid = pool.submit(self.run_loop, main()).result()
        exitfd.close_of_closed_loops()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        exitfd.close_of_closed_loops()
        with self.assertRaises(ChildProcessError):
            os.waitpid(pid, 0)

    def test_loops_in_many_threads(self) -> None:
        with exitfd.ExitFd() as x:
            how = signal.SIG_BLOCK if x.backend == "signalfd" else signal.SIG_UNBLOCK
        old_mask = signal.pthread_sigmask(how, [signal.SIGCHLD])
        self.addCleanup(signal.pthread_sigmask, signal.SIG_SETMASK, old_mask)
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-6)

        async def status_of_child():
            pid = os.posix_spawnp("false", ["false"], os.environ)
            return (await exitfd.wait_pid(pid)).status

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            runs = [pool.submit(lambda: asyncio.run(status_of_child())) for _ in range(200)]
        exitfd.close_of_closed_loops()
        self.assertEqual({run.result() for run in runs}, {1})

    def test_fork_while_another_thread_looks_for_its_loop(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            other.submit(exitfd._loops_lock.acquire).result()
            pid = os.fork()
            if pid == 0:
                signal.alarm(DEADLINE)
                try:
                    exitfd.close_of_closed_loops()
                    os._exit(7)
                finally:
                    os._exit(1)
            other.submit(exitfd._loops_lock.release).result()
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)

    def test_stdin_wait_closed(self) -> None:
        async def main():
            process = await exitfd.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdin.write(b"all of it")
            process.stdin.close()
            await process.stdin.wait_closed()
            return await process.stdout.read(), await process.wait()
        self.assertEqual(self.run_loop(main()), (b"all of it", 0))

    def test_stdin_wait_closed_tells_of_a_broken_pipe(self) -> None:
        async def main():
            process = await exitfd.create_subprocess_exec("sh", "-c", "read line", stdin=subprocess.PIPE)
            process.stdin.write(b"\n" + bytes(1 << 20))
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                await process.stdin.wait_closed()
            return await process.wait()
        self.assertEqual(self.run_loop(main()), 0)

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

    def test_keywords_of_popen(self) -> None:
        read, write = os.pipe()

        async def main():
            create, pipe = exitfd.create_subprocess_exec, subprocess.PIPE
            process = await create("sh", "-c", f"echo $0 >&{write}; pwd >&2; echo out", pass_fds=[write], cwd="/usr",
                                   env={"PATH": "/nonexistent:/bin:/usr/bin"}, stdout=pipe, stderr=subprocess.STDOUT)
            with self.assertRaisesRegex(ValueError, "stdin=PIPE"):
                await process.communicate(b"for nobody")
            self.assertEqual(await process.communicate(), (b"/usr\nout\n", None))
            process = await create("ls", "/proc/self/fd", stdin=subprocess.DEVNULL, stdout=pipe)
            self.assertEqual(len((await process.communicate())[0].split()), 4)
            for name, value in (("preexec_fn", print), ("user", 0), ("group", 0), ("extra_groups", [0]), ("umask", 0),
                                ("process_group", 5)):
                with self.assertRaisesRegex(ValueError, name):
                    await create("true", **{name: value})
            for name in ("colour", "argv"):
                for public in (exitfd.create_subprocess_exec, exitfd.create_subprocess_shell):
                    with self.assertRaisesRegex(TypeError, rf"^{public.__name__}\(\) got an unexpected .*'{name}'"):
                        await public("true", **{name: 1})
            for name, error in (("/nonexistent", FileNotFoundError), ("/etc/passwd", NotADirectoryError)):
                with self.assertRaises(error) as caught:
                    await create("true", cwd=name)
                self.assertEqual(caught.exception.filename, name)
        self.run_loop(main())
        os.close(write)
        self.assertEqual(os.read(read, 9), b"sh\n")
        os.close(read)

    def test_which_file_of_the_path_is_as_in_subprocess(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for name, text, mode in (("good", "#!/bin/sh\nexit 3\n", 0o755), ("no-program", "exit 4\n", 0o755),
                                 ("no-interpreter", "#!/nonexistent/sh\n", 0o755), ("locked", "#!/bin/sh\n", 0o644)):
            os.mkdir(os.path.join(folder, name))
            with open(os.path.join(folder, name, "prog"), "w", encoding="ascii") as file:
                file.write(text)
            os.chmod(file.name, mode)

        async def outcome(create, path) -> tuple:
            try:
                return 0, await (await create("prog", env={"PATH": path})).wait()
            except OSError as error:
                return error.errno, error.filename

        async def main() -> None:
            names = ("good", "no-program", "no-interpreter", "locked", "missing")
            for path in itertools.permutations(names, 2):
                path = os.pathsep.join(os.path.join(folder, name) for name in path)
                self.assertEqual(await outcome(exitfd.create_subprocess_exec, path),
                                 await outcome(asyncio.create_subprocess_exec, path), path)
        self.run_loop(main())

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
