#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: jobs_hostile.py EPOLL-JOBS [unittest arguments]

The daemon EPOLL-JOBS among clients that mean it no good. After each attack it serves a new client, and nothing has leaked.
JOBS_HOSTILE_SEED and JOBS_HOSTILE_ROUNDS choose other fuzz and more of it."""
import os
import random
import resource
import select
import signal
import sys
import time
import unittest

import demo_client
import demo_tap
from script_support import PATIENCE, cpu_ticks, until

PROGRAM = None
SEED = int(os.environ.get("JOBS_HOSTILE_SEED", "1"))
ROUNDS = int(os.environ.get("JOBS_HOSTILE_ROUNDS", "200"))
IDLE_CLIENTS = 200
MAX_CLIENTS = 256
MAX_FDS = 24
WATCHED_S = 1
# What a line may be made of. No word of it is a program that does anything.
WORDS = [b"kill", b"kill ", b" ", b"\t", b"\r", b"\n", b"\n\n", b"\0", b"-1", b"0", b"1", b"2147483648", b"9" * 40, b"%s%n",
         b"\xff\xfe", b"\x1b[2J", b"'", b'"', b"`", b"$(", b"(", b":", b"true", b"exit 3", b"; ", b"x" * 4095, b"y" * 9000]


class HostileTest(unittest.TestCase):
    max_fds = None

    def setUp(self):
        try:
            self.daemon = demo_client.Daemon(PROGRAM, self.max_fds)
        except demo_client.NotHere as complaint:
            self.skipTest(str(complaint).strip())
        self.addCleanup(self.daemon.__exit__)

    def connect(self):
        client = self.daemon.connect()
        self.addCleanup(client.close)
        return client

    def assert_serves(self):
        with self.daemon.connect() as client:
            self.assertEqual(client.run("echo served; exit 3").how, "exited 3")

    def assert_nothing_stays(self):
        """Once the daemon has noticed that its clients are gone."""
        until(lambda: (self.daemon.children(), self.daemon.count_fds()) == ([], self.daemon.fds_at_start),
              "no child and no fd stays")
        self.assertEqual(self.daemon.terminate(), 0)


def noise(source):
    return b"".join(source.choice(WORDS) for _ in range(source.randrange(1, 30)))


def send_what_it_takes(client, data):
    """Without ever waiting: the daemon may hold this client back, or have closed it."""
    client.socket.setblocking(False)
    try:
        client.send(data)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass


class Fuzz(HostileTest):
    def test_noise_from_clients_that_come_and_go(self):
        source = random.Random(SEED)
        clients = []
        for _ in range(ROUNDS):
            if not clients or source.random() < 0.2:
                clients.append(self.daemon.connect())
            client = source.choice(clients)
            send_what_it_takes(client, noise(source))
            if source.random() < 0.2:
                client.socket.shutdown(source.choice([0, 1]))
            if source.random() < 0.3:
                clients.remove(client)
                client.close()
        self.assertIsNone(self.daemon.process.poll(), f"seed {SEED}")
        for client in clients:
            client.close()
        self.assert_serves()
        self.assert_nothing_stays()

    def test_every_line_of_noise_is_answered(self):
        """By lines that never reach a shell, so that each has one answer."""
        source = random.Random(SEED)
        client = self.connect()
        for _ in range(ROUNDS):
            line = source.choice([b"kill ", b" \0", b"\t\r", b"z" * 4096]) + noise(source).replace(b"\n", b"")
            if not line.startswith((b"kill ", b"z")) and b"\0" not in line:
                line = b"kill " + line
            client.send(line + b"\n")
            client.expect("error: ")
        client.close()
        self.assert_serves()
        self.assert_nothing_stays()


class NeverReads(HostileTest):
    def test_it_holds_up_only_itself(self):
        client = self.connect()
        send_what_it_takes(client, b"yes\n" * 20 + b"\n" * 100000)
        for _ in range(20):
            self.assert_serves()
        client.close()
        self.assert_nothing_stays()

    def test_the_end_of_the_daemon_kills_its_jobs(self):
        client = self.connect()
        send_what_it_takes(client, b"yes\n" * 20)
        until(lambda: len(self.daemon.children()) == 20, "its jobs run")
        watches = [os.pidfd_open(pid) for pid in self.daemon.children()]
        self.daemon.process.send_signal(signal.SIGTERM)
        for watch in watches:
            self.assertTrue(select.select([watch], [], [], PATIENCE)[0])
            os.close(watch)
        client.close()
        self.assertEqual(self.daemon.process.wait(PATIENCE), 0)


class Crowd(HostileTest):
    def test_idle_clients(self):
        idle = [self.daemon.connect() for _ in range(IDLE_CLIENTS)]
        self.assert_serves()
        for client in idle:
            client.close()
        self.assert_nothing_stays()

    def test_two_thousand_clients_that_say_nothing(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        idle = [self.daemon.connect() for _ in range(MAX_CLIENTS)]
        for _ in range(2000 - MAX_CLIENTS):
            refused = self.connect()
            self.assertTrue(refused.answer().startswith("error: too many clients"))
            self.assertRaises(EOFError, refused.answer)
        self.assertLessEqual(self.daemon.count_fds(), self.daemon.fds_at_start + MAX_CLIENTS)
        for client in idle:
            client.close()
        until(lambda: self.daemon.count_fds() == self.daemon.fds_at_start, "the crowd is gone")
        self.assert_serves()
        self.assert_nothing_stays()


class NoFds(HostileTest):
    max_fds = MAX_FDS

    def test_accept_without_fds(self):
        crowd = [self.daemon.connect() for _ in range(2 * MAX_FDS)]
        until(lambda: self.daemon.count_fds() == MAX_FDS, "no fd is left")
        crowd[0].send(b"true\n")
        crowd[0].expect("error: cannot start a job: Too many open files")
        # A daemon that spins uses all of the time that it is watched, one that
        # waits next to none. Load only hides it.
        before = cpu_ticks(self.daemon.process.pid)
        time.sleep(WATCHED_S)
        self.assertLess(cpu_ticks(self.daemon.process.pid) - before, WATCHED_S * os.sysconf("SC_CLK_TCK") / 20)
        for client in crowd:
            client.close()
        self.assert_serves()
        self.assert_nothing_stays()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(testRunner=demo_tap.Runner())
