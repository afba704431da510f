#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example supervisor: restarts, back-off, SIGTERM and SIGKILL, orphans, and all that as PID 1 too."""
import os
import re
import signal
import socket
import sys
import tempfile
import unittest

import examples_support
from script_support import NAMESPACE, PATIENCE, has_namespaces, state_of, until

ORPHANS = 300
# Without a sub-reaper what is left of a pipeline is reaped by init, which may
# take its time.
ENDED = (None, "Z") if os.environ.get("POSIX_BUILD") else (None,)
# Leaves orphans, half of them zombies when they land on their reaper, then says
# what /proc shows of them.
BREEDER = f"""
import os, sys, time
def state(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0]
    except OSError:
        return None
reader, writer = os.pipe()
if os.fork() == 0:
    ends, held = os.pipe()
    for n in range({ORPHANS}):
        pid = os.fork()
        if pid == 0:
            os.close(held)
            if n % 2:
                os.read(ends, 1)
            os._exit(n % 256)
        os.write(writer, b"%d\\n" % pid)
    os._exit(0)
os.close(writer)
pids = [int(line) for line in os.fdopen(reader)]
os.wait()
deadline = time.monotonic() + {PATIENCE}
while any(map(state, pids)) and time.monotonic() < deadline:
    time.sleep(0.01)
print(len(pids), sum(state(pid) is not None for pid in pids), flush=True)
time.sleep(1000)
"""


class SupervisorTest(examples_support.UsageTest, examples_support.ExampleTest):
    lasting = ["sleep 1000"]
    wrong_usages = [[], ["-b", "x", "true"], ["-b", "0", "true"], ["-g", "-1", "true"], ["-g", "3600001", "true"],
                    ["--unknown", "true"]]

    def supervise(self, *words, **options):
        """Its messages go to a file, because a pipe without a reader would stop it."""
        self.log = tempfile.NamedTemporaryFile("r")
        self.addCleanup(self.log.close)
        with open(self.log.name, "w", encoding="ascii") as errors:
            return self.start(*words, stderr=errors, **options)

    def messages(self, pattern):
        with open(self.log.name, encoding="ascii") as log:
            return re.findall(pattern, log.read())

    def pid_of(self, command, times=1):
        """Of the command's process, once it was started as often as that."""
        pattern = "started as (\\d+): " + re.escape(command)
        return int(until(lambda: self.messages(pattern)[times - 1 :], f"{command} was started {times} times")[-1])

    def stop(self, process, sig=signal.SIGTERM):
        process.send_signal(sig)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_systemd_is_told_when_it_is_ready_and_when_it_stops(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "told")
        for name in (path, f"@exitfd-{os.path.basename(folder.name)}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
                told.settimeout(PATIENCE)
                told.bind(name.replace("@", "\0"))
                command = f"echo \"<$NOTIFY_SOCKET>\" > {path}.out; exec sleep 1000"
                process = self.supervise(command, before=["env", "NOTIFY_SOCKET=" + name])
                self.assertEqual(told.recv(100), b"READY=1")
                self.assertEqual(len(self.messages("started as ")), 1)
                until(lambda: os.path.exists(path + ".out") and os.path.getsize(path + ".out"), "the command runs")
                with open(path + ".out", encoding="ascii") as variable:
                    self.assertEqual(variable.read(), "<>\n")
                os.unlink(path + ".out")
                self.stop(process)
                self.assertEqual(told.recv(100), b"STOPPING=1")

    def test_without_the_reader_of_notifications_it_works(self):
        process = self.supervise("exec sleep 1000", before=["env", "NOTIFY_SOCKET=/nowhere/at all"])
        self.pid_of("exec sleep 1000")
        self.stop(process)
        self.assertEqual(len(self.messages("cannot use NOTIFY_SOCKET /nowhere/at all: No such file")), 1)

    def test_what_exits_is_started_again(self):
        process = self.supervise("-b", 1, "exit 3", "exec sleep 1000")
        until(lambda: len(self.messages("exited with status 3: exit 3")) >= 5, "five exits")
        self.assertEqual(len(self.messages("started as \\d+: exec sleep 1000")), 1)
        self.stop(process)

    def test_what_is_killed_is_started_again(self):
        process = self.supervise("-b", 1, "exec sleep 1000")
        for times in range(1, 5):
            os.kill(self.pid_of("exec sleep 1000", times), signal.SIGKILL)
        self.pid_of("exec sleep 1000", 5)
        self.assertEqual(len(self.messages("killed by signal 9")), 4)
        self.stop(process)

    def test_the_wait_doubles_up_to_a_hundred_times_the_first(self):
        process = self.supervise("-b", 1, "exit 1")
        def waits():
            return [int(wait) for wait in self.messages("restart in (\\d+) ms")]

        until(lambda: [100, 100] in [waits()[i : i + 2] for i in range(len(waits()))], "the longest wait, twice")
        seen = waits()
        self.assertEqual(seen[0], 1)
        for before, after in zip(seen, seen[1:]):  # on a busy machine one may run for so long that they begin anew
            self.assertIn(after, (min(2 * before, 100), 1))
        self.stop(process)

    def test_sigterm_stops_all(self):
        commands = ["exec sleep 1000", "exec sleep 1001", "exec sleep 1002"]
        for sig in (signal.SIGTERM, signal.SIGINT):
            process = self.supervise(*commands)
            pids = [self.pid_of(command) for command in commands]
            self.stop(process, sig)
            self.assertEqual([state_of(pid) for pid in pids], [None] * 3)
            self.assertEqual(len(self.messages("killed by signal 15")), 3)

    def test_sigterm_stops_the_whole_pipeline(self):
        process = self.supervise("sh -c 'echo $$; exec sleep 1000'; true")
        pid = int(process.stdout.readline())
        self.stop(process)
        self.assertIn(state_of(pid), ENDED)

    def test_the_rest_of_a_pipeline_has_its_time_to_end(self):
        slow = r"trap 'sleep 0.2; echo bye; exit' TERM; echo \$\$; while :; do sleep 0.05; done"
        process = self.supervise(f'sh -c "{slow}"; true')
        pid = int(process.stdout.readline())
        self.stop(process)
        self.assertIn(state_of(pid), ENDED)
        self.assertEqual(process.stdout.read(), "bye\n")

    def test_it_has_its_time_even_if_fds_ran_out(self):
        slow = r"trap 'sleep 0.2; echo bye; exit' TERM; echo \$\$; while :; do sleep 0.05; done"
        for limit in range(7, 13):
            limited = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh"]
            process = self.supervise("-g", 5000, f'sh -c "{slow}"; true', before=limited)
            until(lambda: self.messages("cannot begin|cannot start|started as"), "it has started the command, or cannot")
            if self.messages("started as"):
                process.stdout.readline()
                self.stop(process)
                self.assertEqual(process.stdout.read(), "bye\n", limit)
            else:
                process.kill()

    def test_the_rest_of_a_pipeline_gets_sigkill_after_that_time(self):
        process = self.supervise("-g", 50, "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done'; true")
        pid = int(process.stdout.readline())
        self.stop(process)
        until(lambda: state_of(pid) in ENDED, "the rest is gone")

    @unittest.skipIf(os.environ.get("POSIX_BUILD"), "this build has no death_signal")
    def test_sigkill_of_the_supervisor_ends_its_commands(self):
        process = self.supervise("exec sleep 1000")
        pid = self.pid_of("exec sleep 1000")
        process.kill()
        until(lambda: state_of(pid) in (None, "Z"), "the command ends with it")

    def test_only_its_three_fds_are_inherited(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        process = self.supervise("ls -m /proc/self/fd; exec sleep 1000", pass_fds=(writer,))
        self.assertEqual(process.stdout.readline(), "0, 1, 2, 3\n")  # 3 is the folder that ls reads
        self.stop(process)

    def test_a_restart_leaves_nothing_of_the_old_pipeline(self):
        command = "sh -c 'echo $$; exec sleep 1000'; true"
        process = self.supervise("-b", 1, command)
        pid = int(process.stdout.readline())
        os.kill(self.pid_of(command), signal.SIGKILL)
        self.assertNotEqual(int(process.stdout.readline()), pid)
        until(lambda: state_of(pid) is None, "the old one is gone")
        self.stop(process)

    def test_sigterm_while_one_waits_for_its_restart(self):
        process = self.supervise("-b", 3600000, "exit 1", "exec sleep 1000")
        until(lambda: self.messages("restart in"), "the first command is to be restarted")
        self.stop(process)

    def test_what_is_deaf_to_sigterm_gets_sigkill(self):
        process = self.supervise("-g", 50, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), "ready\n")
        self.stop(process)
        self.assertEqual(len(self.messages("killed by signal 9")), 1)

    def test_the_end_of_the_reader_of_its_messages(self):
        reader, writer = os.pipe()
        os.close(reader)
        process = self.start("-b", 1, "echo up; exit 1", stderr=writer)
        os.close(writer)
        self.assertEqual([process.stdout.readline() for _ in range(3)], ["up\n"] * 3)
        self.stop(process)

    def test_its_messages_are_no_signals_where_its_outputs_are_closed(self):
        with tempfile.NamedTemporaryFile("r") as file:
            process = self.start("-b", 1, f"echo up >> {file.name}; exit 1",
                                 before=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])
            until(lambda: file.seek(0) == 0 and len(file.readlines()) >= 3, "three starts")
            self.stop(process)

    def test_sighup_changes_nothing(self):
        process = self.supervise("exec sleep 1000")
        pid = self.pid_of("exec sleep 1000")
        process.send_signal(signal.SIGHUP)  # delivered before the SIGTERM, whose number is higher
        self.stop(process)
        self.assertIsNone(state_of(pid))

    def test_commands_do_not_ignore_what_it_ignores(self):
        process = self.supervise("grep SigIgn /proc/self/status; sleep 1000")
        ignored = int(process.stdout.readline().split()[1], 16)
        self.assertEqual(ignored & (1 << signal.SIGHUP - 1), 0)
        self.stop(process)

    def test_it_kills_before_it_waits_for_the_reader_of_its_messages(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process = self.start("echo $$; sh -c 'echo $$; exec sleep 1000'; true", stderr=writer)
        leader, rest = (int(process.stdout.readline()) for _ in range(2))
        while not os.read(reader, 4096).endswith(b"true\n"):
            pass
        os.set_blocking(writer, False)
        for size in (4096, 1):
            try:
                while True:
                    os.write(writer, b"x" * size)
            except BlockingIOError:
                pass
        os.set_blocking(writer, True)
        os.close(writer)
        os.kill(leader, signal.SIGKILL)
        until(lambda: state_of(rest) in (None, "Z"), "the rest is killed while the reader does not read")

    def test_a_command_that_cannot_be_found_is_tried_again(self):
        process = self.supervise("-b", 1, "exec no-such-command 2>/dev/null")
        until(lambda: len(self.messages("exited with status 127")) >= 3, "three attempts")
        self.stop(process)

    def expect_no_zombie(self, **options):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as breeder:
            breeder.write(BREEDER)
            breeder.flush()
            process = self.supervise("-b", 1, f"exec {sys.executable} {breeder.name}", "exit 4", **options)
            self.assertEqual(process.stdout.readline(), f"{ORPHANS} 0\n")
            until(lambda: len(self.messages("exited with status 4")) >= 3, "its own child is restarted beside that")
            return process

    def test_orphans_are_reaped(self):
        self.stop(self.expect_no_zombie())

    def test_as_pid_1(self):
        if not has_namespaces():
            self.skipTest("no pid namespace may be made here (unshare)")
        process = self.expect_no_zombie(before=NAMESPACE)
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as children:
            os.kill(int(children.read()), signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    sys.exit(examples_support.main())
