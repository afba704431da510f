#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example uring-echo: connections and exits in one ring, all children reported, and an end with none left."""
import os
import signal
import socket
import sys

import examples_support
from script_support import PATIENCE, state_of, until


class UringEchoTest(examples_support.UsageTest, examples_support.ExampleTest):
    wrong_usages = [["-p", "65536"], ["-p", "x"], ["-n", "0"], ["-n", "10001"], ["--unknown"]]

    def serve(self, *words, **options):
        process = self.start(*words, **options)
        line = process.stdout.readline()
        if not line and "no io_uring" in (errors := process.stderr.read()):
            self.skipTest(errors.strip())
        self.port = int(line)
        return process

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection

    @staticmethod
    def children(process):
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def stop(self, process, sig=signal.SIGTERM, errors=""):
        process.send_signal(sig)
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual(process.stderr.read(), errors)

    def hang_up(self, process, connection, status=0):
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.recv(1), b"")
        self.assertRegex(process.stdout.readline(), rf"^\d+ exited with status {status}\n$")

    def test_it_echoes_and_tells_of_the_exit(self):
        process = self.serve()
        for _ in range(10):
            connection = self.connect()
            connection.sendall(b"hello\n")
            self.assertEqual(connection.makefile().readline(), "hello\n")
            self.hang_up(process, connection)
        self.assertEqual(self.children(process), [])
        self.stop(process)

    def test_many_connections_that_end_at_once(self):
        process = self.serve("-n", 60)
        connections = [self.connect() for _ in range(60)]
        until(lambda: len(self.children(process)) == 60, "60 children")
        for connection in connections:
            connection.close()
        pids = [process.stdout.readline().split()[0] for _ in range(60)]
        self.assertEqual(len(set(pids)), 60)
        self.assertEqual(self.children(process), [])
        self.stop(process)

    def test_beyond_the_limit_they_wait(self):
        process = self.serve("-n", 1)
        first, second = self.connect(), self.connect()
        first.sendall(b"1")
        second.sendall(b"2")
        self.assertEqual(first.recv(1), b"1")
        self.assertEqual(len(self.children(process)), 1)
        self.hang_up(process, first)
        self.assertEqual(second.recv(1), b"2")
        self.hang_up(process, second)
        self.stop(process)

    def test_the_true_status_of_any_command(self):
        process = self.serve("sh", "-c", "read status; exit $status")
        for status in (0, 7, 255):
            connection = self.connect()
            connection.sendall(b"%d\n" % status)
            self.hang_up(process, connection, status)
        self.stop(process)

    def test_a_child_that_is_killed(self):
        process = self.serve()
        connection = self.connect()
        pid, = until(lambda: self.children(process), "a child")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(process.stdout.readline(), f"{pid} was killed by signal 9\n")
        self.assertEqual(connection.recv(1), b"")
        self.stop(process)

    def test_a_command_that_cannot_be_run(self):
        process = self.serve("/nonexistent")
        connection = self.connect()
        self.assertEqual(connection.recv(1), b"")
        self.stop(process, errors="uring-echo: cannot run /nonexistent: No such file or directory\n")

    def test_the_end_takes_the_children_along(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            process = self.serve()
            connections = [self.connect() for _ in range(5)]
            pids = until(lambda: len(pids := self.children(process)) == 5 and pids, "5 children")
            self.stop(process, sig)
            self.assertEqual([state_of(pid) for pid in pids], [None] * 5)
            self.assertEqual([connection.recv(1) for connection in connections], [b""] * 5)

    def test_the_second_signal_kills(self):
        process = self.serve("sh", "-c", "trap '' TERM; echo; exec sleep 60")
        connection = self.connect()
        self.assertEqual(connection.recv(1), b"\n")
        pid, = self.children(process)
        process.send_signal(signal.SIGTERM)
        until(lambda: not self.is_listening(), "the end of listening")
        self.stop(process)
        self.assertIsNone(state_of(pid))

    def is_listening(self):
        with open("/proc/net/tcp", encoding="ascii") as table:
            return any(line.split()[1].endswith(f":{self.port:04X}") and line.split()[3] == "0A" for line in table)

    def test_a_port_that_is_taken(self):
        self.serve()
        status, output, errors = self.run_program("-p", self.port)
        self.assertEqual((status, output), (1, ""))
        self.assertIn("cannot listen", errors)


if __name__ == "__main__":
    sys.exit(examples_support.main())
