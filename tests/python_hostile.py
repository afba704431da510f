#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bindings/python/exitfd.py against programs that do not wait politely: signal handlers that raise, loops that are left,
threads that close, tasks that are cancelled. No event may be lost or given twice, and nothing may stay behind.

EXITFD_LIBRARY names the library. EXITFD_STRESS_ROUNDS scales the rounds of what is a race (100)."""

import asyncio
import collections
import contextlib
import copy
import dis
import errno
import functools
import gc
import inspect
import itertools
import os
import pickle
import queue
import resource
import select
import signal
import subprocess
import sys
import threading
import unittest
import weakref
from unittest import mock

BINDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bindings", "python")
sys.path.insert(0, BINDING)
import exitfd  # noqa: E402
from script_support import PATIENCE  # noqa: E402

DEADLINE = PATIENCE
ROUNDS = int(os.environ.get("EXITFD_STRESS_ROUNDS", "100"))


class Stop(Exception):
    pass


def ended_child(status: int = 0) -> int:
    """One that has ended, and was not waited for."""
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@functools.lru_cache(maxsize=None)
def operations(code) -> dict:
    return {one.offset: one.opname for one in dis.get_instructions(code)}


class Interrupt:
    """Raises Stop at the point of that number, of all points of exitfd.py where CPython runs signal handlers: where a
    function begins, where a call has returned, and where a loop goes back. Of a place that comes often, the first two."""

    def __init__(self, point: int) -> None:
        self.left = point
        self.seen: collections.Counter = collections.Counter()
        self.before: dict = {}

    def __enter__(self) -> "Interrupt":
        self.old = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(self.old)

    def is_point(self, frame, event: str) -> bool:
        if event == "call":
            return True
        if event != "opcode":
            return False
        before, self.before[frame] = self.before.get(frame), frame.f_lasti
        return before is not None and (operations(frame.f_code)[before].startswith("CALL") or frame.f_lasti < before)

    def trace(self, frame, event, argument):
        if frame.f_code.co_filename != exitfd.__file__ or frame.f_code.co_name == "__del__":
            return None
        frame.f_trace_opcodes = True
        if self.is_point(frame, event):
            place = frame.f_code, frame.f_lasti, event
            self.seen[place] += 1
            self.left -= self.seen[place] <= 2
            if self.left < 0:
                raise Stop
        return self.trace


@contextlib.contextmanager
def acting(point: int, act):
    """Calls act at the point of that number, where Interrupt would raise."""
    def trace(frame, event, argument, interrupt=Interrupt(point)):
        try:
            return interrupt.trace(frame, event, argument) and trace
        except Stop:
            sys.settrace(None)
            act()
            return None

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


class Clean(unittest.TestCase):
    def setUp(self) -> None:
        signal.alarm(4 * DEADLINE)
        self.fds = sorted(os.listdir("/proc/self/fd"))
        self.threads = threading.active_count()

    def tearDown(self) -> None:
        signal.alarm(0)
        self.assertEqual(threading.active_count(), self.threads)
        self.assertEqual(sorted(os.listdir("/proc/self/fd")), self.fds)
        self.assert_no_child()

    def assert_no_child(self) -> None:
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


class Open(Clean):
    def setUp(self) -> None:
        super().setUp()
        self.x = exitfd.ExitFd()
        self.zombies: list = []

    def tearDown(self) -> None:
        self.x.close()
        for pid in self.zombies:
            os.waitpid(pid, 0)
        super().tearDown()

    def observe(self, count: int) -> dict:
        """Exits that are due, of zombies that stay for the next ones: a fork takes long. Their data by pid."""
        self.zombies += [ended_child(n) for n in range(len(self.zombies), count)]
        children = {pid: object() for pid in self.zombies[:count]}
        for pid, data in children.items():
            self.x.add(pid, exitfd.OBSERVE, data)
        return children

    def assert_reported_once(self, events: list, children: dict) -> None:
        self.assertEqual(sorted(event.pid for event in events), sorted(children))
        for event in events:
            self.assertIs(event.data, children[event.pid])

    def take_all(self) -> list:
        """What is due now."""
        return list(itertools.chain.from_iterable(iter(lambda: self.x.wait(timeout=0), [])))

    def assert_nothing_is_left(self) -> None:
        kept = (self.x._data, self.x._tokens, self.x._batches, self.x._running)
        self.assertEqual(kept, ({}, {}, {}, {}))
        self.assertEqual(select.select([self.x], [], [], 0)[0], [])


class Raising(Open):
    """A signal handler raises, at each place where one may run."""

    def each_point(self, prepare, use, after) -> None:
        for point in range(10000):
            prepared = prepare()
            try:
                with Interrupt(point):
                    done = use(prepared)
            except Stop:
                after(prepared, None)
            else:
                after(prepared, done)
                self.assertGreater(point, 3, "nothing was interrupted")
                return
        self.fail("it has no end")

    def add_three(self) -> dict:
        return self.observe(3)

    def check_events(self, children: dict, given) -> None:
        events = given or []
        if len(events) < len(children):
            self.assertEqual(select.select([self.x], [], [], DEADLINE)[0], [self.x])
        events += self.take_all()
        self.assert_reported_once(events, children)
        self.assert_nothing_is_left()

    def test_in_a_wait(self) -> None:
        self.each_point(self.add_three, lambda _: self.x.wait(), self.check_events)

    def test_in_a_wait_for_one(self) -> None:
        self.each_point(self.add_three, lambda _: self.x.wait(1, timeout=0), self.check_events)

    def test_in_a_wait_that_blocks(self) -> None:
        def start() -> dict:
            return {self.x.spawn(["true"], data="job"): "job"}

        self.each_point(start, lambda _: self.x.wait(timeout=DEADLINE), self.check_events)

    def test_in_an_iteration(self) -> None:
        loops: list = []  # whose ends are not interrupted

        def first(_) -> list:
            loops.append(iter(self.x))
            return [next(loops[-1])]

        self.each_point(self.add_three, first, self.check_events)

    def test_in_the_wait_that_gives_what_another_left(self) -> None:
        def leave() -> dict:
            children = self.add_three()
            self.left_by_an_exception()
            return children

        self.each_point(leave, lambda _: self.x.wait(), self.check_events)

    def left_by_an_exception(self) -> None:
        """What is due is in the object, and not in the library any more."""
        with mock.patch.object(self.x, "_events_of", side_effect=Stop), self.assertRaises(Stop):
            self.x.wait(timeout=0)

    def test_what_was_left_can_be_had_after_a_close(self) -> None:
        children = self.add_three()
        self.left_by_an_exception()
        self.x.close()
        events = [event for _ in children for event in self.x.wait(timeout=0)]
        self.assert_reported_once(events, children)
        with self.assertRaises(ValueError):
            self.x.wait(timeout=0)

    def test_what_was_left_wakes_a_blocked_thread(self) -> None:
        results: queue.Queue = queue.Queue()
        with mock.patch.object(exitfd.select, "poll", side_effect=self.tell_polls(results)):
            other = threading.Thread(target=lambda: results.put(self.x.wait()))
            other.start()
            results.get(timeout=DEADLINE)
            # The thread sleeps, or is about to. Its fd does not tell of what
            # this one takes.
            pid = ended_child(7)
            real = self.x._events_of

            def stop_here(batch) -> list:
                if threading.current_thread() is threading.main_thread() and batch.count[0] > 0:
                    raise Stop
                return real(batch)

            with mock.patch.object(self.x, "_events_of", stop_here), contextlib.suppress(Stop):
                self.x.add(pid, data="job")
                while results.empty():
                    self.x.wait(timeout=0.01)
        (event,) = results.get(timeout=DEADLINE)
        other.join()
        self.assertEqual((event.pid, event.data), (pid, "job"))
        self.assertEqual(self.take_all(), [])
        self.assert_nothing_is_left()

    def tell_polls(self, polls: queue.Queue):
        real = select.poll

        def poll():
            if threading.current_thread() is not threading.main_thread():
                polls.put("polls")
            return real()
        return poll

    def test_a_close_is_seen_by_all_that_wait(self) -> None:
        """The first looks just before the close. The second polls after the first has noticed."""
        told, errors = [], []
        about_to_poll, first_is_out = threading.Event(), threading.Event()
        ask, real = self.x._take, select.poll

        def is_first() -> bool:
            return threading.current_thread() is threading.main_thread()

        def close_after(batch) -> list:
            taken = ask(batch)
            if is_first():
                closer = threading.Thread(target=self.x.close)
                closer.start()
                closer.join()
            return taken

        class Poll:
            def __init__(self) -> None:
                self.real = real()
                self.register = self.real.register

            def poll(self, milliseconds: float) -> list:
                if not is_first():
                    about_to_poll.set()
                    first_is_out.wait(DEADLINE)
                told.append(self.real.poll(milliseconds) != [])
                return []

        def wait() -> None:
            try:
                self.x.wait(timeout=DEADLINE)
            except ValueError as error:
                errors.append(str(error))

        with mock.patch.object(exitfd.select, "poll", Poll), mock.patch.object(self.x, "_take", close_after):
            second = threading.Thread(target=wait)
            second.start()
            about_to_poll.wait(DEADLINE)
            wait()
            first_is_out.set()
            second.join()
        self.assertEqual((told, errors), ([True] * 2, ["this exitfd is closed"] * 2))
        self.assertEqual((self.x._open, self.x._running), ([], {}))

    def test_a_close_with_much_that_was_left(self) -> None:
        children = self.observe(30)
        with mock.patch.object(self.x, "_events_of", side_effect=Stop), self.assertRaises(Stop):
            self.x.wait(timeout=0)
        self.addCleanup(sys.setrecursionlimit, sys.getrecursionlimit())
        sys.setrecursionlimit(len(inspect.stack(0)) + 50)
        self.x.close()
        self.assert_reported_once([event for _ in children for event in self.x.wait(timeout=0)], children)

    def test_a_forked_child_does_not_get_what_was_left(self) -> None:
        children = self.add_three()
        self.left_by_an_exception()
        pid = os.fork()
        if pid == 0:
            try:
                self.x.wait(timeout=0)
            except OSError as error:
                self.x.close()
                os._exit(7 if error.errno == errno.ESTALE else 1)
            finally:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)
        self.check_events(children, None)

    def check_start(self, _, pid) -> None:
        events = list(self.x)
        self.assertLessEqual(len(events), 1)
        for event in events:
            self.assertEqual((event.data, event.returncode), ("job", 3))
        if pid:
            self.assertEqual([event.pid for event in events], [pid])
        self.assertEqual(self.take_all(), [])
        self.assert_nothing_is_left()

    def test_in_a_start(self) -> None:
        argv = ["sh", "-c", "exit 3"]
        self.each_point(lambda: None, lambda _: self.x.spawn(argv, {}, data="job"), self.check_start)

    def test_in_an_add(self) -> None:
        def check(pid: int, _) -> None:
            for event in self.x:
                self.assertEqual((event.pid, event.data), (pid, "job"))
            self.assertEqual(self.take_all(), [])
            self.assert_nothing_is_left()

        self.zombies.append(ended_child())
        self.each_point(lambda: self.zombies[0], lambda pid: self.x.add(pid, exitfd.OBSERVE, "job"), check)

    def test_in_a_remove(self) -> None:
        def add() -> int:
            return next(iter(self.observe(1)))

        def check(pid: int, _) -> None:
            self.assertLessEqual(len(list(self.x)), 1)
            self.assertEqual(self.take_all(), [])
            self.x._tokens.clear()  # a number that is replaced when the pid comes again
            self.assert_nothing_is_left()

        self.each_point(add, self.x.remove, check)

    def test_in_a_close(self) -> None:
        def check(x: exitfd.ExitFd, _) -> None:
            x.close()
            self.assertEqual((x._open, x._running), ([], {}))

        self.each_point(exitfd.ExitFd, lambda x: x.close(), check)

    def test_ctrl_c(self) -> None:
        """A child interrupts its parent and ends."""
        old = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, old)
        ready, go = os.pipe()
        for number in range(ROUNDS):
            pid = os.fork()
            if pid == 0:
                os.read(ready, 1)
                os.kill(os.getppid(), signal.SIGINT)
                os._exit(3)
            events: list = []
            interrupted = added = False
            while not (events and interrupted):
                try:
                    if not added:
                        added = True
                        self.x.add(pid, data=number)
                        os.write(go, b"!")
                    for event in self.x:
                        events.append(event)
                    while not interrupted:
                        signal.sigtimedwait([], 0.001)
                except KeyboardInterrupt:
                    interrupted = True
            self.assertEqual([(event.pid, event.data, event.returncode) for event in events], [(pid, number, 3)])
        os.close(ready)
        os.close(go)
        self.assert_nothing_is_left()


class Handlers(Open):
    """A signal handler calls methods in the middle of others."""

    def at_each_point(self, act) -> None:
        for point in range(10000):
            children = self.observe(2)
            acted = []
            with acting(point, lambda: acted.append(act())):
                events = self.x.wait(timeout=0)
            events += [event for more in acted for event in more] + self.take_all()
            self.assert_reported_once(events, children)
            self.assert_nothing_is_left()
            if not acted:
                return

    def test_a_wait_in_a_wait(self) -> None:
        self.at_each_point(lambda: self.x.wait(timeout=0))

    def test_a_kill_and_a_start_in_a_wait(self) -> None:
        def act() -> list:
            with exitfd.ExitFd() as other:
                pid = other.spawn(["sleep", "1000"])
                other.kill(pid, signal.SIGKILL)
                self.assertEqual([event.returncode for event in other], [-signal.SIGKILL])
            return []

        with mock.patch.object(Interrupt, "is_point", lambda _, frame, event: event == "call"):
            self.at_each_point(act)

    def test_adds_and_removes_in_each_other(self) -> None:
        """The tables agree with the library afterwards. So a remove leaves nothing."""
        self.zombies.append(ended_child())
        (pid,) = self.zombies

        def add(data: str) -> None:
            with contextlib.suppress(FileExistsError):
                self.x.add(pid, exitfd.OBSERVE, data)

        def end(function) -> None:
            with contextlib.suppress(FileNotFoundError):
                function(pid)

        def renew() -> None:
            end(self.x.remove)
            add("of the handler")

        for watched, interrupted, act in (
                (False, lambda: end(self.x.remove), lambda: add("of the handler")),
                (False, lambda: end(self.x.discard), lambda: add("of the handler")),
                (True, lambda: end(self.x.remove), renew), (True, lambda: end(self.x.discard), renew),
                (False, lambda: add("second"), renew), (True, lambda: add("second"), renew)):
            for point in range(10000):
                acted: list = []
                if watched:
                    add("first")
                with acting(point, lambda: acted.append(act())):
                    interrupted()
                left = self.x.count()
                self.assertEqual((len(self.x._data), list(self.x._tokens)), (left, [pid] * left))
                end(self.x.remove)
                self.assertEqual(self.take_all(), [])
                self.assert_nothing_is_left()
                if not acted:
                    break
            self.assertGreater(point, 3)

    def test_a_close_in_a_wait_that_blocks(self) -> None:
        old = signal.signal(signal.SIGUSR1, lambda *_: self.x.close())
        self.addCleanup(signal.signal, signal.SIGUSR1, old)
        pid = os.fork()
        if pid == 0:
            os.kill(os.getppid(), signal.SIGUSR1)
            os._exit(0)
        with self.assertRaises(ValueError):
            self.x.wait(timeout=DEADLINE)
        self.assertEqual((self.x._open, self.x._running), ([], {}))
        os.waitpid(pid, 0)


class Loops(Open):
    def test_a_loop_that_is_left_loses_nothing(self) -> None:
        def leave_by_break() -> list:
            for event in self.x:
                break
            return [event]

        def leave_by_exception() -> list:
            events = []
            with contextlib.suppress(KeyError):
                for event in self.x:
                    events.append(event)
                    raise KeyError
            return events

        for leave in (leave_by_break, leave_by_exception, lambda: [next(iter(self.x))]):
            children = self.observe(5)
            events = leave() + leave()
            # What was not given is a zombie still, which a signal reaches.
            for pid in children.keys() - {event.pid for event in events}:
                self.x.kill(pid, 0)
            events += list(self.x)
            self.assert_reported_once(events, children)
            self.assert_nothing_is_left()

    def test_the_end_of_the_last_watch_ends_the_loop_of_another_thread(self) -> None:
        def remove(pid: int) -> None:
            self.x.remove(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

        def discard(pid: int) -> None:
            self.x.discard(pid)
            self.x.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                    self.x.wait(timeout=0)

        def fail_to_add(pid: int) -> None:
            with self.assertRaises(OSError):
                self.x.add(os.getppid())
            remove(pid)

        for end in (remove, discard, fail_to_add):
            pid = self.x.spawn(["sleep", "1000"])
            sleeps: queue.Queue = queue.Queue()
            real = select.poll
            with mock.patch.object(exitfd.select, "poll", side_effect=lambda: (sleeps.put(1), real())[1]):
                others = [threading.Thread(target=lambda: list(self.x)) for _ in range(2)]
                for thread in others:
                    thread.start()
                    sleeps.get(timeout=DEADLINE)
                end(pid)
                for thread in others:
                    thread.join(DEADLINE)
            self.assertFalse(any(thread.is_alive() for thread in others))
            self.assertEqual(self.take_all(), [])
            self.assert_nothing_is_left()

    def test_data_lives_as_long_as_its_watch(self) -> None:
        class Data:
            pass

        data = Data()
        gone = weakref.ref(data)
        self.x.add(ended_child(), data=data)
        del data
        gc.collect()
        (event,) = self.x.wait()
        self.assertIs(event.data, gone())
        del event
        self.assertIsNone(gone())


class Patience(Open):
    """How long a wait polls before it looks nevertheless."""

    def poll_of(self, timeout=None, told=()) -> float:
        """An exit comes just after a poll that told of it or did not. Returns how long that poll was to last."""
        polls: list = []

        def poll(milliseconds: float) -> list:
            polls.append(milliseconds / 1000)
            self.observe(1)
            return list(told)

        with mock.patch.object(exitfd.select, "poll", return_value=mock.Mock(poll=poll)):
            self.assertEqual(len(self.x.wait(timeout=timeout)), 1)
        return polls[0]

    def test_a_timeout_that_meets_an_exit_changes_nothing(self) -> None:
        patience = self.x._patience
        for _ in range(5):
            self.assertLess(self.poll_of(timeout=0.9), 0.95)
        self.assertEqual(self.x._patience, patience)

    def test_one_exit_at_just_that_moment_changes_nothing(self) -> None:
        patience = self.x._patience
        for _ in range(5):
            self.assertEqual(self.poll_of(), patience)
            self.assertEqual(self.poll_of(told=[(self.x._fd, select.POLLIN)]), patience)

    def test_two_exits_in_turn_that_no_fd_tells_of_do(self) -> None:
        patience = self.x._patience
        self.assertEqual([self.poll_of() for _ in range(3)], [patience, patience, 0.1])


class Copies(Open):
    def test_there_are_none(self) -> None:
        """The end of one would free what the other one uses."""
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with self.assertRaisesRegex(TypeError, "cannot copy or pickle 'ExitFd' object"):
                make(self.x)
        self.observe(1)
        self.assertEqual(len(self.take_all()), 1)


class Threads(Open):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)

    def test_a_close_beside_calls(self) -> None:
        for number in range(max(ROUNDS // 10, 1)):
            x = exitfd.ExitFd()
            pid = x.spawn(["sleep", "1000"])
            started, ends = threading.Barrier(6), queue.Queue()

            def call(function) -> None:
                started.wait()
                try:
                    while True:
                        function()
                except BaseException as error:
                    ends.put(type(error))

            calls = [threading.Thread(target=call, args=(function,)) for function in (
                x.wait, lambda: next(iter(x)), lambda: x.wait(timeout=0), lambda: x.kill(pid, 0), x.fileno)]
            for thread in calls:
                thread.start()
            started.wait()
            x.close()
            for thread in calls:
                thread.join(DEADLINE)
            self.assertEqual([ends.get(timeout=DEADLINE) for _ in calls], [ValueError] * 5)
            self.assertEqual((x._open, x._running), ([], {}))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def test_closes_beside_each_other(self) -> None:
        for number in range(max(ROUNDS // 4, 1)):
            x = exitfd.ExitFd()
            started = threading.Barrier(4)
            closers = [threading.Thread(target=lambda: (started.wait(), x.close())) for _ in range(4)]
            for thread in closers:
                thread.start()
            for thread in closers:
                thread.join(DEADLINE)
            self.assertEqual((x._open, x._running), ([], {}))

    def test_adds_and_removes_of_the_same_process(self) -> None:
        def run() -> None:
            for number in range(ROUNDS):
                with contextlib.suppress(FileExistsError):
                    self.x.add(child.pid, data=number)
                with contextlib.suppress(FileNotFoundError):
                    self.x.remove(child.pid)

        child = subprocess.Popen(["sleep", "1000"])
        failed: queue.Queue = queue.Queue()
        with mock.patch.object(threading, "excepthook", failed.put):
            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        with contextlib.suppress(FileNotFoundError):
            self.x.remove(child.pid)
        child.kill()
        child.wait()
        self.assertEqual(self.take_all(), [])
        self.assertTrue(failed.empty())
        self.assert_nothing_is_left()

    def test_each_event_has_the_data_of_its_child(self) -> None:
        pids, events, each = {}, [], max(ROUNDS // 2, 1)

        def run(thread: int) -> None:
            for number in range(each):
                pids[thread, number] = self.x.spawn(["true"], data=(thread, number))
                events.extend(self.x.wait(timeout=0))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        events += list(self.x)
        self.assertEqual(len(events), 4 * each)
        self.assertEqual({event.data: event.pid for event in events}, pids)
        self.assert_nothing_is_left()

    def test_a_call_that_ends_while_another_looks_for_interrupted_ones(self) -> None:
        taken, may_end, events = threading.Event(), threading.Event(), []
        gather = self.x._gather

        def gather_slowly(*arguments) -> list:
            found = gather(*arguments)
            if threading.current_thread() is waiter:
                taken.set()
                may_end.wait(DEADLINE)
            return found

        class Running(dict):
            def __contains__(self, batch: object) -> bool:
                may_end.set()
                waiter.join(DEADLINE)
                return super().__contains__(batch)

        waiter = threading.Thread(target=lambda: events.extend(self.x.wait(timeout=0)))
        children = self.observe(2)
        with mock.patch.object(self.x, "_gather", gather_slowly):
            waiter.start()
            self.assertTrue(taken.wait(DEADLINE))
            self.x._running = Running(self.x._running)
            events.extend(self.x.wait(timeout=0))
        self.assert_reported_once(events, children)
        self.assert_nothing_is_left()

    def test_threads_share_the_events_of_one_that_was_interrupted(self) -> None:
        for number in range(max(ROUNDS // 10, 1)):
            children = self.observe(20)
            with mock.patch.object(self.x, "_events_of", side_effect=Stop), self.assertRaises(Stop):
                self.x.wait(timeout=0)
            events: list = []
            threads = [threading.Thread(target=lambda: events.extend(self.x)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            events += self.take_all()
            self.assert_reported_once(events, children)
            self.assert_nothing_is_left()


class Asyncio(Clean):
    def run_loop(self, coroutine):
        try:
            return asyncio.run(asyncio.wait_for(coroutine, DEADLINE))
        finally:
            exitfd.close_of_closed_loops()
            gc.collect()

    def test_a_start_that_is_cancelled_leaves_nothing(self) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)

        async def cancelled_after(turns: int) -> bool:
            task = asyncio.ensure_future(exitfd.create_subprocess_exec("sleep", "1000", **pipes))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if task.cancelled():
                self.assert_no_child()
                return True
            task.result().kill()
            await task.result().wait()
            task.result().stdin.close()
            return False

        async def main() -> None:
            cancelled = [await cancelled_after(turns) for turns in range(20)]
            self.assertEqual((cancelled[1], cancelled[-1]), (True, False))
        self.run_loop(main())

    def test_an_exception_just_after_the_start_leaves_nothing(self) -> None:
        real = exitfd.ExitFd._start

        def started(*arguments) -> None:
            self.assertEqual(real(*arguments), 0)
            raise Stop

        async def main() -> None:
            with mock.patch.object(exitfd.ExitFd, "_start", started), self.assertRaises(Stop):
                await exitfd.create_subprocess_exec("sleep", "1000", stdin=subprocess.PIPE)
            self.assert_no_child()
        self.run_loop(main())

    def test_a_handler_that_raises_after_the_start_leaves_nothing(self) -> None:
        """At each place where one may run, of which the end of each os.close is one."""
        started: list = []
        real_start, real_close = exitfd._library.exitfd_start, os.close

        class OnceStarted(Interrupt):
            def is_point(self, frame, event: str) -> bool:
                return super().is_point(frame, event) and bool(started)

        def start(*arguments) -> int:
            started.append(real_start(*arguments))
            return started[0]

        async def main() -> None:
            closes = 0  # until one raises

            def close(fd: int) -> None:
                nonlocal closes
                real_close(fd)
                if started:
                    closes -= 1
                    if closes == 0:
                        raise Stop

            async def is_stopped(point: int) -> bool:
                started.clear()
                try:
                    with OnceStarted(point):
                        process = await exitfd.create_subprocess_exec("sleep", "1000", stdin=subprocess.PIPE,
                                                                      stdout=subprocess.PIPE)
                except Stop:
                    self.assert_no_child()
                    self.assertEqual([(x._data, x._tokens, x.started) for x in exitfd._loops.values()], [({}, {}, set())])
                    return True
                process.kill()
                await process.wait()
                process.stdin.close()
                return False

            with mock.patch.object(exitfd._library, "exitfd_start", start), mock.patch.object(os, "close", close):
                for point in itertools.count():
                    if not await is_stopped(point):
                        break
                for closes in (1, 2):
                    self.assertTrue(await is_stopped(sys.maxsize))
            self.assertGreater(point, 3)
        self.run_loop(main())

    def test_a_loop_that_is_closed_first_leaves_no_zombie(self) -> None:
        """What create_subprocess_exec has started is ours to reap. What somebody else has is not."""
        ready, gate = os.pipe()
        theirs = subprocess.Popen(["cat"], stdin=ready)

        async def start() -> None:
            processes.append(await exitfd.create_subprocess_exec("cat", stdin=ready))
            asyncio.ensure_future(exitfd.wait_pid(theirs.pid))
            asyncio.ensure_future(processes[-1].wait())
            await asyncio.sleep(0)

        processes: list = []
        tasks: list = []
        for _ in range(3):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(start())
            loop.close()
            tasks += asyncio.all_tasks(loop)
        exitfd.close_of_closed_loops()
        processes[0].kill()
        os.close(ready)
        os.close(gate)
        for process in processes:
            with contextlib.suppress(ChildProcessError):  # the call for an earlier one may have reaped it
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            exitfd.close_of_closed_loops()
        self.assertEqual([process.pid for process in processes if os.path.exists(f"/proc/{process.pid}")], [])
        self.assertEqual([process.returncode for process in processes], [-signal.SIGKILL, 0, 0])
        self.assertEqual(exitfd._left, [])
        self.assertEqual(os.waitpid(theirs.pid, 0), (theirs.pid, 0))
        theirs.returncode = 0
        for task in tasks:
            task._log_destroy_pending = False

    def test_a_start_that_fails_leaves_nothing(self) -> None:
        async def main() -> None:
            for name in ("connect_write_pipe", "connect_read_pipe"):
                with mock.patch.object(asyncio.get_running_loop(), name, side_effect=Stop), self.assertRaises(Stop):
                    await exitfd.create_subprocess_exec("sleep", "1000", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                self.assert_no_child()
            with mock.patch.object(exitfd._library, "exitfd_start", side_effect=MemoryError), self.assertRaises(MemoryError):
                await exitfd.create_subprocess_exec("sleep", "1000", stdin=subprocess.PIPE)
            self.assert_no_child()
        self.run_loop(main())

    def test_without_fds_nothing_is_started(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

        async def main() -> None:
            started = []
            highest = max(map(int, os.listdir("/proc/self/fd")))
            for limit in range(highest + 1, highest + 20):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                try:
                    process = await exitfd.create_subprocess_exec("sleep", "1000")
                except OSError as error:
                    self.assertEqual(error.errno, errno.EMFILE)
                    self.assert_no_child()
                else:
                    started.append(process)
                    break
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for process in started:
                process.kill()
                await process.wait()
            self.assertTrue(started)
        self.run_loop(main())

    def test_beside_code_that_reaps_all(self) -> None:
        real = exitfd._library.exitfd_start

        def started_and_reaped(x, pid, *arguments):
            result = real(x, pid, *arguments)
            os.waitpid(pid._obj.value, 0)
            return result

        async def main() -> tuple:
            with mock.patch.object(exitfd._library, "exitfd_start", started_and_reaped):
                process = await exitfd.create_subprocess_exec("sh", "-c", "exit 5")
            return await process.wait(), process.event.origin
        self.assertIn(self.run_loop(main()), [(None, exitfd.UNKNOWN), (5, exitfd.RECORDED)])

    def test_an_exit_that_a_cancel_met_is_for_the_next_wait(self) -> None:
        async def cancelled(wait_until_done: bool) -> None:
            pid = ended_child(5)
            task = asyncio.ensure_future(exitfd.wait_pid(pid))
            await asyncio.sleep(0)
            (exits,) = exitfd._loops.values()
            future = next(iter(exits._data.values())).data
            if not wait_until_done:
                task.cancel()
            exits.collect()
            if wait_until_done:
                self.assertTrue(future.done())
                task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            event = await exitfd.wait_pid(pid)
            self.assertEqual((event.pid, event.returncode), (pid, 5))
            with self.assertRaises(ChildProcessError if exitfd_knows(pid) else ProcessLookupError):
                await exitfd.wait_pid(pid)

        def exitfd_knows(pid: int) -> bool:
            return os.path.exists(f"/proc/{pid}")

        async def main() -> None:
            await cancelled(True)
            await cancelled(False)
        self.run_loop(main())

    def test_a_stop_and_then_the_exit(self) -> None:
        async def main() -> None:
            pid = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
            os.kill(pid, signal.SIGSTOP)
            self.assertEqual((await exitfd.wait_pid(pid, exitfd.STOPPED)).code, os.CLD_STOPPED)
            os.kill(pid, signal.SIGKILL)
            self.assertEqual((await exitfd.wait_pid(pid)).returncode, -signal.SIGKILL)
        self.run_loop(main())

    def test_the_events_of_an_interrupted_loop_come_when_it_runs_again(self) -> None:
        loop = asyncio.new_event_loop()

        async def start() -> tuple:
            process = await exitfd.create_subprocess_exec("sh", "-c", "exit 6")
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            (exits,) = exitfd._loops.values()
            return process, exits

        process, exits = loop.run_until_complete(start())
        with mock.patch.object(exits, "_events_of", side_effect=Stop), contextlib.suppress(Stop):
            exits.wait(timeout=0)
        self.assertEqual(loop.run_until_complete(asyncio.wait_for(process.wait(), DEADLINE)), 6)
        loop.close()
        exitfd.close_of_closed_loops()

    def test_a_signal_from_another_thread(self) -> None:
        async def main() -> int:
            process = await exitfd.create_subprocess_exec("sleep", "1000")
            thread = threading.Thread(target=process.kill)
            thread.start()
            thread.join()
            return await process.wait()
        self.assertEqual(self.run_loop(main()), -signal.SIGKILL)

    def test_a_handler_of_other_code_stops_no_loop(self) -> None:
        async def main() -> int:
            with await started_sleep() as process:
                old = signal.signal(signal.SIGCHLD, lambda *_: None)
                try:
                    process.kill()
                    return await process.wait()
                finally:
                    signal.signal(signal.SIGCHLD, old)

        @contextlib.contextmanager
        def as_context(process):
            yield process

        async def started_sleep():
            return as_context(await exitfd.create_subprocess_exec("sleep", "1000"))

        self.assertEqual(self.run_loop(main()), -signal.SIGKILL)

    def test_a_loop_that_can_wait_no_more_tells_each_waiter(self) -> None:
        async def main() -> None:
            process = await exitfd.create_subprocess_exec("sleep", "1000")
            (exits,) = exitfd._loops.values()
            exits._data.update({0: exitfd._Watch(0, asyncio.get_running_loop().create_future())})
            waiter = exits._data[0].data
            with mock.patch.object(exits, "wait", side_effect=OSError(errno.ENOTSUP, "not here")):
                exits.collect()
            for wait in (process.wait(), waiter):
                with self.assertRaises(OSError) as caught:
                    await wait
                self.assertEqual(caught.exception.errno, errno.ENOTSUP)
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)
            self.assertEqual(await (await exitfd.create_subprocess_exec("false")).wait(), 1)
        self.run_loop(main())

    def test_arguments_are_as_in_asyncio(self) -> None:
        async def error_of(create, *arguments, **keywords) -> type:
            try:
                await create(*arguments, **keywords)
            except Exception as error:
                return type(error)
            self.fail("it was started")

        async def main() -> None:
            for name, value in (("text", True), ("universal_newlines", True), ("encoding", "utf-8"), ("errors", "strict"),
                                ("bufsize", 1), ("shell", True)):
                for create in (asyncio.create_subprocess_exec, exitfd.create_subprocess_exec):
                    self.assertIs(await error_of(create, "true", **{name: value}), ValueError)
            for create in (asyncio.create_subprocess_shell, exitfd.create_subprocess_shell):
                self.assertIs(await error_of(create, ["true"]), ValueError)
                self.assertIs(await error_of(create, "true", shell=False), ValueError)
            self.assertIs(await error_of(exitfd.create_subprocess_exec, ["true"]), TypeError)
            self.assertIs(await error_of(exitfd.create_subprocess_exec, "true", 1), TypeError)
            with self.assertRaises(FileNotFoundError) as caught:
                await exitfd.create_subprocess_exec("/nonexistent")
            self.assertEqual(caught.exception.filename, "/nonexistent")

            process = await exitfd.create_subprocess_shell(
                "cat; echo 0123456789; exit 4", stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=20, text=None, bufsize=0)
            self.assertEqual(await process.communicate(input=b"fed "), (b"fed 0123456789\n", None))
            self.assertEqual(process.returncode, 4)
            process = await exitfd.create_subprocess_exec("echo", "x" * 100, stdout=subprocess.PIPE, limit=20)
            with self.assertRaises(ValueError):
                await process.stdout.readline()
            await process.communicate()
        self.run_loop(main())


class Import(unittest.TestCase):
    def error_of(self, code: str, **environment: str) -> str:
        run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": BINDING, **environment},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(run.returncode, 1)
        return run.stderr.splitlines()[-1]

    def test_a_library_that_cannot_be_loaded(self) -> None:
        for name in ("/nonexistent.so", "libc.so.6"):
            error = self.error_of("import exitfd", EXITFD_LIBRARY=name)
            self.assertRegex(error, f"^ImportError: .*{name}.*EXITFD_LIBRARY")

    def test_one_that_outlives_its_module(self) -> None:
        """The hook has it until the interpreter ends."""
        code = "import exitfd, sys; x = exitfd.ExitFd(); sys.excepthook = lambda *_, x=x: x.close()"
        run = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": BINDING},
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    def test_a_python_that_is_too_old(self) -> None:
        error = self.error_of("import sys; sys.version_info = (3, 8, 18); import exitfd")
        self.assertRegex(error, "^ImportError: .*Python 3.9 or later")


if __name__ == "__main__":
    unittest.main()
