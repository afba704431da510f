#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: demo_edges.py EPOLL-JOBS [unittest arguments]

What the daemon EPOLL-JOBS does at its edges: bad input, slow and vanished clients, no fds left, signals."""
import os
import select
import signal
import stat
import subprocess
import sys
import time
import unittest

import demo_client
import demo_tap
from script_support import PATIENCE, cpu_ticks, state_of, until

PROGRAM = None
MORE_THAN_SOCKETS_HOLD = 10_000_000
WATCHED_S = 0.6
OF_GLIBC_ITSELF = 3 << 31  # signals 32 and 33, which its posix_spawn leaves ignored


class EdgeTest(unittest.TestCase):
    max_fds = None

    def setUp(self):
        try:
            self.daemon = demo_client.Daemon(PROGRAM, self.max_fds)
        except demo_client.NotHere as complaint:
            self.skipTest(str(complaint).strip())
        self.addCleanup(self.daemon.__exit__)
        self.client = self.connect()

    def connect(self):
        client = self.daemon.connect()
        self.addCleanup(client.close)
        return client

    def fifo(self):
        """What a job can wait for: a FIFO in its working directory."""
        path = os.path.join(self.daemon.directory.name, "gate")
        os.mkfifo(path)
        return path

    def assert_serves(self, client):
        self.assertEqual(client.run("echo served; exit 3").how, "exited 3")

    def assert_nothing_stays(self, fds):
        """Soon no child is left and no fd but `fds`; one more job each time gives the daemon the turns it needs."""
        end = time.monotonic() + PATIENCE
        while self.daemon.children() or self.daemon.count_fds() != fds:
            self.assertLess(time.monotonic(), end, (self.daemon.children(), self.daemon.count_fds(), fds))
            self.assert_serves(self.client)


    def cpu_seconds(self):
        return cpu_ticks(self.daemon.process.pid) / os.sysconf("SC_CLK_TCK")

    def assert_idle(self):
        """A daemon that spins uses all of the time that it is watched, one that waits uses none; load can only hide it."""
        before = self.cpu_seconds()
        time.sleep(WATCHED_S)
        self.assertLess(self.cpu_seconds() - before, WATCHED_S / 4)


class Input(EdgeTest):
    def assert_refused(self, data, answer):
        self.client.send(data)
        self.client.expect(answer)
        self.assert_serves(self.client)

    def test_empty_line(self):
        self.assert_refused(b"\n", "error: empty line")

    def test_blank_line(self):
        self.assert_refused(b" \t\r\n", "error: empty line")

    def test_nul_byte(self):
        self.assert_refused(b"echo a\0b\n", "error: a NUL byte")

    def test_overlong_line(self):
        self.assert_refused(b": " + b"x" * 20000 + b"\n", "error: a line longer than 4095 bytes")

    def test_longest_line(self):
        job = self.client.run("echo ".ljust(4095, "x"))
        self.assertEqual(job.output, b"x" * 4090 + b"\n")

    def test_line_in_pieces(self):
        job = demo_client.Job("echo pieces")
        self.client.unanswered.append(job)
        for byte in b"echo pieces\n":
            self.client.send(bytes([byte]))
        self.client.finish(job)
        self.assertEqual(job.output, b"pieces\n")

    def test_half_a_last_line_is_not_run(self):
        self.client.send(b"echo whole\necho half")
        self.client.socket.shutdown(1)
        job = demo_client.Job("echo whole")
        self.client.unanswered.append(job)
        self.client.expect("started")
        self.client.expect("error: the last line has no newline")
        self.client.finish(job)
        self.assertRaises(EOFError, self.client.answer)

    def test_answers_in_the_order_of_the_lines(self):
        job, = self.client.submit("true")
        self.client.send(b"kill 1\n\n")
        self.client.expect("started")
        self.client.expect("error: no job 1 ")
        self.client.expect("error: empty line")
        self.client.finish(job)

    def test_usage(self):
        for arguments, status in ([], 2), (["--frobnicate"], 2), (["a", "b"], 2), (["--help"], 0), (["x" * 200], 1):
            with self.subTest(arguments=arguments):
                run = subprocess.run([PROGRAM, *arguments], capture_output=True, check=False)
                self.assertEqual(run.returncode, status)
                self.assertTrue(run.stdout if status == 0 else run.stderr)

    def test_empty_path(self):
        """It would be an abstract socket, which every user may connect to."""
        run = subprocess.run([PROGRAM, ""], capture_output=True, text=True, check=False, timeout=5)
        self.assertEqual(run.returncode, 1)
        self.assertIn("the path of the socket is empty", run.stderr)

    def test_socket_in_use(self):
        run = subprocess.run([PROGRAM, self.daemon.path], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"if no daemon serves {self.daemon.path} any more, remove it", run.stderr)
        self.assert_serves(self.client)


class Kill(EdgeTest):
    def test_not_a_pid(self):
        for text in "kill", "kill ", "kill x", "kill -1", "kill 0", "kill +5", "kill 12x", "kill -9 12":
            with self.subTest(line=text):
                self.client.send(text.encode() + b"\n")
                self.client.expect("error: ")

    def test_job_of_another_connection(self):
        self.fifo()
        other = self.connect()
        job = other.start("read words <gate")
        self.client.send(f"kill {job.pid}\n".encode())
        self.client.expect(f"error: no job {job.pid} is running on this connection")
        other.send(f"kill {job.pid}\n".encode())
        other.expect("killing")
        other.finish(job)

    def test_job_that_has_ended(self):
        job = self.client.run("true")
        self.client.send(f"kill {job.pid}\n".encode())
        self.client.expect("error: no job")

    def test_whole_process_group(self):
        job = self.client.start("sleep 1000 & echo $!; wait")
        while not job.output:
            self.client.answer()
        grandchild = os.pidfd_open(int(job.output))
        self.addCleanup(os.close, grandchild)
        self.client.send(f"kill {job.pid}\n".encode())
        self.client.finish(job)
        self.assertEqual(job.how, "killed 15")
        self.assertTrue(select.select([grandchild], [], [], PATIENCE)[0])


    def assert_ends(self, pid):
        until(lambda: state_of(pid) in (None, "Z"), f"process {pid} ends")

    def pid_printed_by(self, job):
        """Once it has written its first line, which is a pid."""
        while b"\n" not in job.output:
            self.client.answer()
        return int(job.output)

    def test_what_ignores_sigterm_after_its_leader_has_ended(self):
        """It holds the output, so that only SIGKILL to the group ends the job."""
        job = self.client.start("sh -c \"trap '' TERM; echo \\$\\$; while :; do sleep 0.1; done\" & wait")
        stubborn = self.pid_printed_by(job)
        self.client.send(f"kill {job.pid}\n".encode())
        until(lambda: state_of(job.pid) == "Z", "its leader is a zombie, and held")
        self.assertNotIn(state_of(stubborn), (None, "Z"))
        self.client.finish(job)
        self.assertEqual(job.how, "killed 15")
        self.assert_ends(stubborn)

    def test_leader_that_ignores_sigterm(self):
        job = self.client.start("trap '' TERM; echo $$; while :; do sleep 0.1; done")
        self.pid_printed_by(job)
        self.client.send(f"kill {job.pid}\n".encode())
        self.client.finish(job)
        self.assertEqual(job.how, "killed 9")

    def test_the_rest_of_the_group_may_clean_up(self):
        rest = "trap 'sleep 0.2; echo cleaned; exit' TERM; echo \\$\\$; while :; do sleep 0.05; done"
        job = self.client.start(f'sh -c "{rest}"; true')
        self.pid_printed_by(job)
        self.client.send(f"kill {job.pid}\n".encode())
        self.client.finish(job)
        self.assertTrue(job.output.endswith(b"cleaned\n"), job.output)

    def test_job_whose_output_is_held_back_keeps_its_pid(self):
        """Else its client's end, or its kill, would hit the process that has the pid by then."""
        self.client.submit(*["head -c 60000 /dev/zero"] * 12)
        neighbour = self.connect()
        self.assert_serves(neighbour)  # the twelve have been started
        until(lambda: all(state_of(pid) == "Z" for pid in self.daemon.children()), "jobs end, unread")
        self.assert_serves(neighbour)  # what could be sent has been sent
        held = self.daemon.children()
        self.assertGreater(len(held), 3)
        self.assert_serves(neighbour)
        self.assertLessEqual(set(held), set(self.daemon.children()))
        self.client.close()
        until(lambda: not self.daemon.children(), "they are reaped")


class Output(EdgeTest):
    def test_half_closed_client_gets_everything(self):
        jobs = self.client.submit("seq 100000", "echo err >&2", "exit 9")
        self.client.socket.shutdown(1)
        self.client.finish(*jobs)
        self.assertEqual([job.how for job in jobs], ["exited 0", "exited 0", "exited 9"])
        self.assertEqual(jobs[0].output.count(b"\n"), 100000)
        self.assertEqual(jobs[1].output, b"err\n")
        self.assertRaises(EOFError, self.client.answer)

    def test_half_closed_client_of_a_silent_job_costs_nothing(self):
        self.client.start("exec >&- 2>&-; sleep 1000")
        self.client.socket.shutdown(1)
        self.assert_serves(self.connect())
        self.assert_idle()

    def memory_kb(self):
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("VmHWM")).split()[1])

    def test_client_that_does_not_read(self):
        self.assert_serves(self.client)
        before = self.memory_kb()
        jobs = self.client.submit(f"head -c {MORE_THAN_SOCKETS_HOLD} /dev/zero", *["head -c 60000 /dev/zero"] * 10)
        other = self.connect()
        for _ in range(20):
            self.assert_serves(other)
        self.assertLess(self.memory_kb() - before, 1024)
        self.assert_idle()
        self.client.finish(*jobs)
        self.assertEqual([len(job.output) for job in jobs], [MORE_THAN_SOCKETS_HOLD] + [60000] * 10)
        self.assertEqual({job.how for job in jobs}, {"exited 0"})

    def test_held_back_lines_are_not_lost(self):
        lines = 20000
        self.client.send(b"\n" * lines)
        for _ in range(lines):
            self.assertTrue(self.client.answer().startswith("error: empty line"))
        self.assert_serves(self.client)

    def test_background_process_ends_with_the_job(self):
        job = self.client.run("sleep 1000 & echo $!")
        self.assertEqual(job.how, "exited 0")
        until(lambda: state_of(int(job.output)) in (None, "Z"), "the background process ends")

    def test_background_process_that_never_stops_writing(self):
        jobs = self.client.submit(*["printf x; yes & exit 4"] * 10)
        self.client.finish(*jobs)
        self.assertEqual({job.how for job in jobs}, {"exited 4"})

    def test_job_that_closes_its_output(self):
        path = self.fifo()
        self.assert_serves(self.client)
        fds = self.daemon.count_fds()
        job = self.client.start("exec >&- 2>&-; read status <gate; exit $status")
        with open(path, "w", encoding="ascii") as gate:
            gate.write("7\n")
        self.client.finish(job)
        self.assertEqual(job.how, "exited 7")
        self.assertEqual(self.daemon.count_fds(), fds)

    def test_job_inherits_only_its_stdio_and_no_signal_setting(self):
        fds = self.client.run("ls /proc/self/fd").output.split()
        self.assertEqual(fds, [b"0", b"1", b"2", b"3"])  # 3 is the folder that ls reads
        signals = self.client.run("grep -E 'Sig(Blk|Ign)' /proc/self/status").output.split()
        blocked, ignored = (int(mask, 16) for mask in signals[1::2])
        self.assertEqual(blocked, 0)
        self.assertEqual(ignored & ~OF_GLIBC_ITSELF, 0)


class Limits(EdgeTest):
    def test_jobs_of_one_connection(self):
        self.fifo()
        self.client.submit(*["read words <gate"] * 200)
        for _ in range(200):
            self.client.expect("started")
        self.client.send(b"true\n")
        self.client.expect("error: 200 jobs of this connection are running")
        self.assert_serves(self.connect())
        jobs = list(self.client.jobs.values())
        for job in jobs:
            self.client.send(f"kill {job.pid}\n".encode())
        self.client.finish(*jobs)
        self.assertEqual({job.how for job in jobs}, {"killed 15"})
        self.assert_serves(self.client)


class Inherited(EdgeTest):
    def test_fd_that_the_daemon_was_started_with(self):
        """One that is not close-on-exec stays with the daemon."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        with demo_client.Daemon(PROGRAM, pass_fds=(writer,)) as daemon, daemon.connect() as client:
            self.assertTrue(os.path.exists(f"/proc/{daemon.process.pid}/fd/{writer}"))
            self.assertEqual(client.run("ls /proc/self/fd").output.split(), [b"0", b"1", b"2", b"3"])

    def test_environment_only_unless_it_is_to_be_clean(self):
        os.environ["EPOLL_JOBS_SECRET"] = "known"
        self.addCleanup(os.environ.pop, "EPOLL_JOBS_SECRET")
        for options, secret in ([], b"known\n"), (["--clean-environment"], b"\n"):
            with demo_client.Daemon(PROGRAM, options=options) as daemon, daemon.connect() as client:
                self.assertEqual(client.run("echo $EPOLL_JOBS_SECRET").output, secret)


class Peers(EdgeTest):
    NOBODY = 65534

    @unittest.skipIf(os.geteuid() != 0, "only root can become another user")
    def test_another_user_is_refused_whatever_the_mode_of_the_socket(self):
        os.chmod(self.daemon.directory.name, 0o755)
        os.chmod(self.daemon.path, 0o666)
        os.seteuid(self.NOBODY)  # the kernel notes it at the connect
        try:
            stranger = self.connect()
        finally:
            os.seteuid(0)
        stranger.expect("error: only the user of this daemon and root may use it")
        self.assertRaises((EOFError, ConnectionError), stranger.answer)
        self.assertEqual(self.daemon.children(), [])
        self.assert_serves(self.client)


class NoFds(EdgeTest):
    max_fds = 24

    def start_until_one_cannot(self, line):
        while True:
            self.client.submit(line)
            answer = self.client.answer_to_line()
            if answer.startswith("error: "):
                self.client.unanswered.clear()
                return answer

    def test_client_beyond_the_limit_waits(self):
        others = [self.connect() for _ in range(self.max_fds)]
        waiting = self.connect()
        job, = waiting.submit("echo at last")
        self.assertEqual(self.start_until_one_cannot("true"), "error: cannot start a job: Too many open files")
        self.assert_idle()
        for other in others:
            other.close()
        while waiting.answer_to_line().startswith("error: cannot start a job"):  # not all others were closed yet
            waiting.unanswered.clear()
            job, = waiting.submit("echo at last")
        waiting.finish(job)
        self.assertEqual(job.output, b"at last\n")
        self.assert_serves(self.client)

    def test_every_job_that_was_started_is_reported(self):
        path = self.fifo()
        self.start_until_one_cannot("read words <gate; exit 5")
        jobs = list(self.client.jobs.values())
        self.assertGreater(len(jobs), 5)
        with open(path, "w", encoding="ascii") as gate:
            gate.write("\n" * len(jobs))
            gate.flush()
            self.client.finish(*jobs)
        self.assertEqual({job.how for job in jobs}, {"exited 5"})
        self.assert_serves(self.client)


class NoFdForTheLastPidfd(NoFds):
    """One fd more or less: the last job then has the two of its pipe, and none is left for its pidfd."""

    max_fds = NoFds.max_fds + 1


class Stop(EdgeTest):
    def stop(self, signal_number):
        job = self.client.start("trap '' TERM INT; echo ready; sleep 1000")
        while not job.output:
            self.client.answer()
        watch = os.pidfd_open(job.pid)
        self.addCleanup(os.close, watch)
        self.assertEqual(self.daemon.terminate(signal_number), 0)
        self.assertTrue(select.select([watch], [], [], PATIENCE)[0])

    def test_sigterm(self):
        self.stop(signal.SIGTERM)

    def test_sigint(self):
        self.stop(signal.SIGINT)

    def test_sighup(self):
        self.stop(signal.SIGHUP)

    @unittest.skipIf(os.environ.get("POSIX_BUILD"), "this build has no death_signal")
    def test_sigkill_takes_the_jobs_along(self):
        job = self.client.start("echo ready; exec sleep 1000")
        while not job.output:
            self.client.answer()
        self.daemon.process.kill()
        self.daemon.process.wait(PATIENCE)
        until(lambda: state_of(job.pid) in (None, "Z"), "the job ends with the daemon")

    def test_socket_of_a_second_daemon_stays(self):
        os.rename(self.daemon.path, self.daemon.path + ".first")
        with open(self.daemon.path, "w", encoding="ascii"):
            pass
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.daemon.process.wait(PATIENCE), 0)
        self.assertTrue(os.path.exists(self.daemon.path))

    def kill_all_jobs(self):
        self.daemon.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while any(state_of(pid) != "Z" for pid in self.daemon.children()):  # held until all is sent
            self.assertLess(time.monotonic(), end)

    def test_clients_are_told_of_every_end(self):
        jobs = self.client.submit("yes", "yes", "yes")
        while any(len(job.output) < 1_000_000 for job in jobs):
            self.client.answer()
        self.kill_all_jobs()
        self.client.finish(*jobs)
        self.assertEqual([job.how for job in jobs], ["killed 9"] * 3)
        self.assertEqual(self.daemon.process.wait(PATIENCE), 0)

    def test_clients_get_what_was_written(self):
        """More than the daemon holds and its socket takes, so that some is in the pipes."""
        written = os.open(self.fifo(), os.O_RDWR)
        self.addCleanup(os.close, written)
        jobs = self.client.submit(*["head -c 60000 /dev/zero; echo >gate; sleep 1000"] * 10)
        for _ in jobs:
            os.read(written, 1)
        self.kill_all_jobs()
        self.client.finish(*jobs)
        self.assertEqual([(len(job.output), job.how) for job in jobs], [(60000, "killed 9")] * 10)

    def test_with_a_client_that_does_not_read(self):
        self.client.submit("yes")
        self.assert_serves(self.connect())
        self.assertEqual(self.daemon.terminate(), 0)

    def test_socket_is_for_its_user_only(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.daemon.path).st_mode), 0o600)


class GoneClients(EdgeTest):
    def test_with_jobs_in_every_state(self):
        self.assert_serves(self.client)
        fds = self.daemon.count_fds()
        leaving = self.connect()
        leaving.submit(*["sleep 1000"] * 20, *["true"] * 20, "yes")
        for _ in range(41):
            leaving.expect("started")
        leaving.close()
        self.assert_nothing_stays(fds)

    def test_many_come_and_go(self):
        self.assert_serves(self.client)
        fds = self.daemon.count_fds()
        for n in range(100):
            leaving = self.connect()
            leaving.submit("echo unread; sleep 1000")
            if n % 2:
                leaving.expect("started")
            leaving.close()
        self.assert_nothing_stays(fds)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(testRunner=demo_tap.Runner())
