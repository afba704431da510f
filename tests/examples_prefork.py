#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example prefork: it serves, keeps its workers, replaces those that die, and stops as a whole."""
import os
import signal
import socket
import sys
import threading

import examples_support
from examples_support import ignoring
from script_support import PATIENCE, state_of, until


class PreforkTest(examples_support.UsageTest, examples_support.ExampleTest):
    wrong_usages = [["-n", "0"], ["-n", "1001"], ["-p", "65536"], ["-p", "x"], ["-r", "-1"], ["--unknown"], ["word"]]

    def serve(self, *words, **options):
        process = self.start(*words, **options)
        self.port = int(process.stdout.readline())
        return process

    def ask(self):
        """The pid of the worker that answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            return int(connection.makefile().readline())

    @staticmethod
    def workers(process):
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def living(self, process):
        return [pid for pid in self.workers(process) if state_of(pid) not in (None, "Z")]

    def wait_for_workers(self, process, count):
        return until(lambda: (pids := self.living(process)) and len(pids) == count and pids, f"{count} workers")

    def stop(self, process, sig=signal.SIGTERM):
        pids = self.workers(process)
        process.send_signal(sig)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual([state_of(pid) for pid in pids], [None] * len(pids))

    def test_the_workers_answer(self):
        process = self.serve("-n", 3)
        pids = self.wait_for_workers(process, 3)
        for _ in range(50):
            self.assertIn(self.ask(), pids)
        self.stop(process)

    def test_as_many_as_are_asked_for(self):
        for count in (1, 20):
            process = self.serve("-n", count)
            self.wait_for_workers(process, count)
            self.stop(process, signal.SIGINT)

    def test_killed_workers_are_replaced(self):
        process = self.serve("-n", 4)
        first = self.wait_for_workers(process, 4)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(first) & set(self.workers(process)), "the killed ones are reaped")
        second = self.wait_for_workers(process, 4)
        self.assertIn(self.ask(), second)
        self.stop(process)
        self.assertEqual(process.stderr.read().count("failed: signal 9"), 4)

    def test_a_sigterm_to_a_worker_does_not_stop_the_server(self):
        process = self.serve("-n", 2)
        first = self.wait_for_workers(process, 2)
        os.kill(first[0], signal.SIGTERM)
        until(lambda: first[0] not in self.workers(process), "the worker is reaped")
        second = self.wait_for_workers(process, 2)
        self.assertIn(first[1], second)
        self.assertIn(self.ask(), second)
        self.stop(process)

    def test_a_stopped_worker_ends_too(self):
        process = self.serve("-n", 2)
        first = self.wait_for_workers(process, 2)[0]
        os.kill(first, signal.SIGSTOP)
        until(lambda: state_of(first) == "T", "the worker is stopped")
        self.stop(process)

    def test_a_signal_found_ignored_stays_ignored(self):
        process = self.serve("-n", 1, before=ignoring("INT"))
        pid, = self.wait_for_workers(process, 1)
        self.assertEqual(self.ask(), pid)
        process.send_signal(signal.SIGINT)
        os.kill(pid, signal.SIGINT)
        self.assertEqual(self.ask(), pid)
        self.stop(process)

    def test_one_request_a_worker_and_hundreds_of_requests(self):
        process = self.serve("-n", 4, "-r", 1)
        answers = []

        def client():
            for _ in range(75):
                answers.append(self.ask())

        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join(PATIENCE)
        self.assertEqual(len(answers), 300)
        self.assertEqual(len(set(answers)), 300, "a worker answered more than once")
        self.wait_for_workers(process, 4)
        self.stop(process)
        self.assertEqual(process.stderr.read(), "")

    def test_a_client_that_leaves_early_harms_nobody(self):
        process = self.serve("-n", 1)
        pid = self.wait_for_workers(process, 1)[0]
        for _ in range(20):
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
        self.assertEqual(self.ask(), pid)
        self.stop(process)

    def test_a_port_that_is_taken_is_told(self):
        self.serve("-n", 1)
        status, output, errors = self.run_program("-p", self.port)
        self.assertEqual((status, output), (1, ""))
        self.assertIn("Address already in use", errors)

    def test_workers_do_not_outlive_a_server_that_was_killed(self):
        process = self.serve("-n", 3)
        pids = self.wait_for_workers(process, 3)
        process.kill()
        process.wait(PATIENCE)
        until(lambda: all(state_of(pid) in (None, "Z") for pid in pids), "the workers are gone too")


if __name__ == "__main__":
    sys.exit(examples_support.main())
