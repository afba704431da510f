# SPDX-License-Identifier: MIT
"""exitfd init, as PID 1 of a pid namespace and as a sub-reaper.

What tini(1) documents is tested with tini too, where it is installed: the table in exitfd(1) claims no more than that.
So is what that manual says of dumb-init."""
import itertools
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import unittest

from script_support import NAMESPACE, has_namespaces
from tool_support import PATIENCE, TOOL, ToolTest, children_of, main, process_fields, tell, until

CATCHER = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tool_catcher.py")]

# Leaves orphans that end at once, and ends with 0 when its reaper has no zombie
# among them any more.
ORPHANS = """
import os, sys, time
def stat(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")")[1].split()
    except OSError:
        return ["gone", "0"]
orphans = []
for _ in range(50):
    r, w = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.write(w, b"%d" % os.getpid())
        os._exit(0)
    os.close(w)
    os.wait()
    orphans.append(int(os.read(r, 9)))
    os.read(r, 1)
deadline = time.monotonic() + 30
while time.monotonic() < deadline and any(stat(pid)[0] != "gone" for pid in orphans):
    time.sleep(0.005)
print([pid for pid in orphans if stat(pid)[0] != "gone"])
"""

class InitTest(ToolTest):
    program = [TOOL, "init"]
    sub_reaper = []

    def as_pid_1(self, *words, **options):
        if not has_namespaces():
            self.skipTest("this process may not make a pid namespace (unshare)")
        return self.start(*NAMESPACE, *self.program, *words, tool=False, text=True, **options)

    def as_sub_reaper(self, *words, **options):
        return self.start(*self.program, *self.sub_reaper, *words, tool=False, text=True, **options)

    def both_ways(self, *words):
        """Return code, output and errors, as PID 1 and as a sub-reaper."""
        results = []
        for start in (self.as_sub_reaper, self.as_pid_1):
            process = start(*words)
            output, errors = process.communicate(timeout=PATIENCE)
            results.append((process.returncode, output, errors))
        return results

    def ready_catcher(self, start, *words, lines=1, **options):
        process = start(*words, **options)
        for _ in range(lines):
            self.assertTrue(process.stdout.readline().endswith("ready\n"))
        init = children_of(process.pid)[0] if process.args[0] == "unshare" else process.pid
        return process, init


class Documented(InitTest):
    """What tini documents: each is a row of the table in exitfd(1)."""

    def test_exit_status_of_the_command(self):
        for code, _, errors in self.both_ways("--", "sh", "-c", "exit 7"):
            self.assertEqual((code, errors), (7, ""))

    def test_exit_status_after_a_signal(self):
        for code, _, _ in self.both_ways("--", "sh", "-c", "kill -TERM $$"):
            self.assertEqual(code, 128 + signal.SIGTERM)

    def test_exit_status_remapped(self):
        for code, _, _ in self.both_ways("-e", "143", "-e", "9", "--", "sh", "-c", "exit 9"):
            self.assertEqual(code, 0)
        for code, _, _ in self.both_ways("-e", "143", "-e", "9", "--", "sh", "-c", "exit 8"):
            self.assertEqual(code, 8)

    def test_exit_status_of_a_signal_remapped(self):
        for code, _, _ in self.both_ways("-e", "143", "--", "sh", "-c", "kill -TERM $$"):
            self.assertEqual(code, 0)

    def test_command_that_is_not_there(self):
        for code, _, errors in self.both_ways("--", "/no/such/command"):
            self.assertEqual(code, 127)
            self.assertIn("/no/such/command", errors)

    def test_command_that_cannot_be_executed(self):
        for code, _, errors in self.both_ways("--", "/etc/passwd"):
            self.assertEqual(code, 126)
            self.assertIn("/etc/passwd", errors)

    def test_orphans_are_reaped(self):
        for code, output, _ in self.both_ways("--", CATCHER[0], "-c", ORPHANS):
            self.assertEqual((code, output), (0, "[]\n"))

    def test_the_default_action_of_a_signal_works_for_the_command(self):
        process = self.as_pid_1("--", "sh", "-c", "echo ready; exec sleep 1000")
        process.stdout.readline()
        os.kill(children_of(process.pid)[0], signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGTERM)

    # Faults of its own, SIGCHLD, and those that a process in the background of
    # its terminal gets.
    KEPT = {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS,
            signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD}

    def test_signals_are_forwarded(self):
        process, init = self.ready_catcher(self.as_pid_1, "--", *CATCHER)
        # 32 and 33 are the C library's own.
        signals = set(range(1, signal.SIGRTMAX + 1)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33} - self.KEPT
        for signo in sorted(signals - {signal.SIGUSR2}) + [signal.SIGUSR2]:
            os.kill(init, signo)
            self.assertEqual(process.stdout.readline(), f"command {int(signo)}\n")
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_signals_that_are_its_own_are_not_forwarded(self):
        # A sanitizer catches faults in the place of the kernel, which spares
        # PID 1.
        self.env["ASAN_OPTIONS"] = ":".join(f"handle_{name}=0" for name in ("segv", "sigbus", "sigfpe", "sigill", "abort"))
        process, init = self.ready_catcher(self.as_pid_1, "--", *CATCHER)
        for signo in self.KEPT:
            os.kill(init, signo)
        os.kill(init, signal.SIGUSR2)
        self.assertEqual(process.stdout.read(), f"command {int(signal.SIGUSR2)}\n")
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_signals_reach_the_command_alone(self):
        process, init = self.ready_catcher(self.as_pid_1, "--", *CATCHER, "--family", lines=2)
        os.kill(init, signal.SIGUSR2)
        self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGUSR2)}\n")
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertEqual(process.stdout.read(), "")

    def test_signals_reach_the_whole_group_if_asked_to(self):
        process, init = self.ready_catcher(self.as_pid_1, "-g", "--", *CATCHER, "--family", lines=2)
        os.kill(init, signal.SIGUSR1)
        lines = {process.stdout.readline() for _ in range(2)}
        self.assertEqual(lines, {f"{name} {int(signal.SIGUSR1)}\n" for name in ("command", "child")})

    def test_the_command_has_its_own_process_group(self):
        for start in (self.as_sub_reaper, self.as_pid_1):
            process, init = self.ready_catcher(start, "--", *CATCHER, start_new_session=True)  # without a terminal
            (command,) = children_of(init)
            self.assertEqual(process_fields(command)[2], str(command))
            self.assertNotEqual(process_fields(command)[2], process_fields(init)[2])
            process.kill()

    def test_signal_at_the_death_of_the_parent(self):
        script = '"$@" & read line; kill -9 $$'
        parent = self.start("sh", "-c", script, "sh", *self.program, *self.sub_reaper, "-p", "SIGUSR2", "--", *CATCHER,
                            tool=False, text=True, stdin=subprocess.PIPE)
        self.assertEqual(parent.stdout.readline(), "command ready\n")
        parent.stdin.write("\n")
        parent.stdin.close()
        self.assertEqual(parent.stdout.readline(), f"command {int(signal.SIGUSR2)}\n")
        self.assert_nothing_left()

    def test_signal_at_the_death_of_the_parent_of_pid_1(self):
        process = self.as_pid_1("-p", "SIGUSR2", "--", *CATCHER)
        self.assertEqual(process.stdout.readline(), "command ready\n")
        process.kill()  # unshare, which is its parent
        self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGUSR2)}\n")
        self.assert_nothing_left()

    def test_mask_and_ignored_signals_are_the_commands_as_they_were(self):
        def prepare():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)

        for start in (self.as_sub_reaper, self.as_pid_1):
            process = start("--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", preexec_fn=prepare)
            output, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual([int(mask, 16) for mask in output.split()[1::2]],
                             [1 << (signal.SIGUSR1 - 1), 1 << (signal.SIGUSR2 - 1)])

    def test_a_signal_that_was_ignored_is_forwarded_nevertheless(self):
        for start in (self.as_sub_reaper, self.as_pid_1):
            process, init = self.ready_catcher(
                lambda *words, start=start: start(*words, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)),
                "--", *CATCHER)
            os.kill(init, signal.SIGHUP)
            self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGHUP)}\n")

    def test_standard_streams_are_the_commands_and_no_other_fds(self):
        for start in (self.as_sub_reaper, self.as_pid_1):
            process = start("--", "sh", "-c", "cat; ls /proc/self/fd >&2", stdin=subprocess.PIPE)
            output, errors = process.communicate("in\n", timeout=PATIENCE)
            self.assertEqual((output, errors.split()), ("in\n", ["0", "1", "2", "3"]))


@unittest.skipUnless(shutil.which("tini"), "tini is not installed: what is said of it is not checked")
class DocumentedByTini(Documented):
    program = ["tini"]
    sub_reaper = ["-s"]


@unittest.skipUnless(shutil.which("tini"), "tini is not installed: what is said of it is not checked")
class OtherwiseInTini(InitTest):
    program = ["tini"]
    sub_reaper = ["-s"]

    def test_double_dash_is_needed(self):
        process = self.as_sub_reaper("printf", "%s%s", "-e", "-g")
        self.assertEqual((process.wait(PATIENCE), process.stdout.read()), (1, ""))

    def test_sigchld_ignored_by_the_parent_hangs_it(self):
        process = self.as_sub_reaper("--", "sh", "-c", "exit 7",
                                     preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        until(lambda: process_fields(process.pid)[0] == "S" and not children_of(process.pid), "the command has ended")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(2.5)  # it looks around once a second


# Prints each signal that it gets. It and its child block them all. The child
# ends at SIGTERM, and is slow at that.
WITH_A_CHILD = """
import os, signal, sys
everything = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, everything)
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
    print("child", int(signal.sigwait(everything)), flush=True)
    os.read(0, 1)
    print("end of the child", flush=True)
    os._exit(0)
signal.sigwait({signal.SIGUSR2})
"""


class BesideDumbInit(InitTest):
    """Rows of the table that compares with dumb-init, where the two differ or have a name of their own for it."""

    group = "-g"
    not_there, not_executable = 127, 126
    stops_itself = False

    def test_what_cannot_be_executed(self):
        for command, expected in (("/no/such/command", self.not_there), ("/etc/passwd", self.not_executable)):
            self.assertEqual([code for code, _, _ in self.both_ways(command)], [expected] * 2)

    def has_own_session(self, directory):
        """Whether the command has. init is in that directory, when its command has started or soon after."""
        process = self.as_sub_reaper("sh", "-c", "echo $PPID; pwd; cut -d ' ' -f 6 /proc/$$/stat; echo $$; read line",
                                     cwd="/usr", stdin=subprocess.PIPE)
        init, cwd, session, pid = (process.stdout.readline().strip() for _ in range(4))
        self.assertEqual(cwd, "/usr")
        until(lambda: os.readlink(f"/proc/{init}/cwd") == directory, f"init is in {directory}")
        process.communicate("\n", timeout=PATIENCE)
        return session == pid

    def test_directory_and_session(self):
        self.assertFalse(self.has_own_session("/usr"))

    def test_signals_of_the_group(self):
        process = self.as_sub_reaper(*([self.group] if self.group else []), "--", *CATCHER, "--family")
        self.assertEqual({process.stdout.readline() for _ in range(2)}, {"command ready\n", "child ready\n"})
        process.send_signal(signal.SIGRTMAX)
        lines = {process.stdout.readline() for _ in range(2)}
        self.assertEqual(lines, {f"{name} {int(signal.SIGRTMAX)}\n" for name in ("command", "child")})
        process.send_signal(signal.SIGUSR2)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_one_in_another(self):
        process = self.as_sub_reaper(*self.program, "sh", "-c", "exit 7")
        self.assertEqual(process.wait(PATIENCE), 7)

    def test_in_the_first_line_of_a_script(self):
        script = os.path.join(self.folder(), "script")
        with open(script, "w", encoding="ascii") as file:
            file.write(f"#!/usr/bin/env -S {' '.join(self.program)} sh\nexit 7\n")
        os.chmod(script, 0o755)
        self.assertEqual(self.start(script, tool=False).wait(PATIENCE), 7)

    def test_job_control_signals(self):
        process, init = self.ready_catcher(self.as_sub_reaper, "--", *CATCHER)
        (command,) = children_of(init)
        for signo in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            os.kill(init, signo)
            self.see_stop(process, init, command, signo)
        os.kill(init, signal.SIGUSR2)
        until(lambda: process.poll() is not None, "it ends")

    def see_stop(self, process, init, command, signo):
        if signo == signal.SIGTSTP:
            self.assertEqual(process.stdout.readline(), f"command {int(signo)}\n")
        self.assertNotIn("T", process_fields(init)[0] + process_fields(command)[0])

    # Without -K what is left is left. With it, or with dumb-init, it gets
    # SIGTERM.
    ends_what_is_left = ("-K", "1000")
    waits = True

    def test_what_is_left(self):
        process = self.as_sub_reaper(*self.ends_what_is_left, sys.executable, "-c", WITH_A_CHILD, stdin=subprocess.PIPE)
        process.stdout.readline()
        (command,) = children_of(process.pid)
        os.kill(command, signal.SIGUSR2)
        self.assertEqual(process.stdout.readline(), f"child {int(signal.SIGTERM)}\n")
        if not self.waits:
            self.assertEqual(process.wait(PATIENCE), 0)
        process.stdin.close()
        self.assertEqual(process.stdout.read(), "end of the child\n")
        self.assertEqual(process.wait(PATIENCE), 0)


@unittest.skipUnless(shutil.which("dumb-init"), "dumb-init is not installed: what is said of it is not checked")
class DumbInit(BesideDumbInit):
    program = ["dumb-init"]
    group = None
    not_there = not_executable = 2
    ends_what_is_left = ()
    waits = False

    test_exit_status_of_the_command = Documented.test_exit_status_of_the_command
    test_exit_status_after_a_signal = Documented.test_exit_status_after_a_signal

    def test_orphans_are_reaped(self):
        process = self.as_pid_1("--", CATCHER[0], "-c", ORPHANS)
        self.assertEqual(process.communicate(timeout=PATIENCE)[0], "[]\n")

    def test_it_is_no_sub_reaper(self):
        process = self.as_sub_reaper("sh", "-c", "sh -c 'sleep 1000 > /dev/null & echo $!'; echo $PPID")
        orphan, init = (int(process.stdout.readline()) for _ in range(2))
        self.assertNotEqual(process_fields(orphan)[1], str(init))
        os.kill(orphan, signal.SIGKILL)

    def test_directory_and_session(self):
        self.assertTrue(self.has_own_session("/"))
        self.program = ["dumb-init", "-c"]
        self.assertFalse(self.has_own_session("/"))
        self.program = ["env", "DUMB_INIT_SETSID=0", "dumb-init"]
        self.assertFalse(self.has_own_session("/"))

    def test_rewritten_and_dropped(self):
        process, init = self.ready_catcher(self.as_sub_reaper, "-r", "15:3", "-r", "1:0", "--", *CATCHER)
        for signo in (signal.SIGHUP, signal.SIGTERM):
            os.kill(init, signo)
        self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGQUIT)}\n")
        os.kill(init, signal.SIGUSR2)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_verbose(self):
        self.assertIn("spawned", self.as_sub_reaper("-v", "true").communicate(timeout=PATIENCE)[1])

    def test_faults_are_forwarded(self):
        process, init = self.ready_catcher(self.as_sub_reaper, "--", *CATCHER)
        os.kill(init, signal.SIGSEGV)
        self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGSEGV)}\n")
        os.kill(init, signal.SIGUSR2)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_mask_and_ignored_signals_are_reset(self):
        def prepare():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)

        process = self.as_sub_reaper("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", preexec_fn=prepare)
        self.assertEqual([int(mask, 16) for mask in process.communicate(timeout=PATIENCE)[0].split()[1::2]], [0, 0])

    def see_stop(self, process, init, command, signo):
        until(lambda: process_fields(init)[0] == process_fields(command)[0] == "T", "both are stopped")
        os.kill(init, signal.SIGCONT)
        self.assertEqual(process.stdout.readline(), f"command {int(signal.SIGCONT)}\n")


class Own(InitTest):
    """What tini has otherwise, or not at all."""

    def test_double_dash_may_be_left_out(self):
        for code, output, _ in self.both_ways("printf", "%s%s", "-e", "-g"):
            self.assertEqual((code, output), (0, "-e-g"))

    def test_no_option_makes_it_a_sub_reaper(self):
        process = self.as_sub_reaper("sh", "-c", "(sleep 1000 &); echo ready; read x", stdin=subprocess.PIPE)
        process.stdout.readline()
        until(lambda: len(children_of(process.pid)) == 2, "the orphan is the child of init")

    def test_warns_of_orphans_with_their_status(self):
        until_reaped = ("orphan=$( (sh -c 'echo $$; exec >&-; exit 5' &) ); "
                        "while kill -0 $orphan 2> /dev/null; do sleep 0.01; done")
        for words in (["-w"], ["-v"]):
            for _, _, errors in self.both_ways(*words, "--", "sh", "-c", until_reaped):
                self.assertRegex(errors, r"exitfd init: orphan \d+ exited with status 5\n")

    def test_verbose_tells_of_signals_and_of_the_end(self):
        for start in (self.as_sub_reaper, self.as_pid_1):
            process, init = self.ready_catcher(start, "-v", *CATCHER)
            os.kill(init, signal.SIGUSR2)
            _, errors = process.communicate(timeout=PATIENCE)
            self.assertRegex(errors, r"SIGUSR2: forwarded to \d+\n.*the command exited with status 0\n")

    def test_what_is_left_ends_if_asked_to(self):
        polite = "setsid sh -c 'trap \"echo polite; exit\" TERM; : >$0; while :; do sleep 0.05; done' %s & "
        for start in (self.as_sub_reaper, self.as_pid_1):
            file = os.path.join(self.folder(), "file")
            script = polite % file + f"while ! [ -e {file} ]; do sleep 0.01; done; exit 6"
            process = start("-K", str(PATIENCE), "--", "sh", "-c", script)
            output, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, output), (6, "polite\n"))
            self.assert_nothing_left()

    def leave(self, start, left, *words):
        """The finished tool, whose command left a shell behind that has printed "ready"."""
        process = start(*words, "--", "sh", "-c", f"setsid sh -c '{left}' & read x; exit 6", stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "ready\n")
        output, errors = process.communicate("\n", timeout=PATIENCE)
        self.assertEqual(process.returncode, 6)
        self.assert_nothing_left()
        return output, errors

    def test_what_is_left_is_asked_to_end_with_all_its_descendants(self):
        # A shell acts on a signal when the program that it waits for has ended.
        worker = 'trap "echo worker; exit" TERM; echo ready; while :; do sleep 0.05; done'
        service = f"""trap "echo service" TERM; sh -c "$WORKER"; echo end"""
        self.env["WORKER"] = worker
        for start in (self.as_sub_reaper, self.as_pid_1):
            output, _ = self.leave(start, service, "-K", "1d")
            self.assertEqual(output, "worker\nservice\nend\n")

    def test_what_a_process_starts_to_end_well_is_not_asked_to_end(self):
        service = 'trap "sleep 0.3 && echo saved; exit" TERM; echo ready; while :; do sleep 0.05; done'
        for start in (self.as_sub_reaper, self.as_pid_1):
            self.assertEqual(self.leave(start, service, "-K", "1d")[0], "saved\n")

    def test_what_is_left_is_killed_with_all_its_descendants(self):
        self.env["WORKER"] = 'trap "" TERM; echo ready; while :; do sleep 0.05; done'
        for start in (self.as_sub_reaper, self.as_pid_1):
            output, _ = self.leave(start, 'trap "" TERM; sh -c "$WORKER"; echo end; sleep 1000', "-K", "0.2")
            self.assertEqual(output, "")

    def test_what_is_left_ends_though_file_descriptors_ran_out(self):
        self.forgo_leak_checks()
        started = 0
        for limit in range(5, 24):
            process = self.start("init", "-K", "1d", "--", "sh", "-c", "sleep 1000 & exit 6", stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL,
                                 preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            started += process.wait(PATIENCE) == 6
            self.assert_nothing_left()
        self.assertGreater(started, 0)

    def test_pid_1_asks_those_from_outside_as_well(self):
        if os.geteuid() != 0 or not shutil.which("nsenter"):
            self.skipTest("this process may not enter a pid namespace (nsenter)")
        fifo = os.path.join(self.folder(), "fifo")
        os.mkfifo(fifo)
        left = f'trap "read y <{fifo}; exit" TERM; echo ready; while :; do sleep 0.05; done'
        process = self.as_pid_1("-K", "1d", "--", "sh", "-c", f"setsid sh -c '{left}' & read x; exit 6", stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "ready\n")
        (init,) = children_of(process.pid)
        guest = self.start("nsenter", "-t", init, "-p", "sh", "-c",
                           'trap "echo asked; exit" TERM; echo ready; while :; do sleep 0.05; done', tool=False, text=True)
        self.assertEqual(guest.stdout.readline(), "ready\n")
        process.stdin.write("\n")
        process.stdin.close()
        self.assertTrue(select.select([guest.stdout], [], [], PATIENCE)[0], "it is not asked")
        self.assertEqual(guest.stdout.readline(), "asked\n")
        tell(fifo)
        self.assertEqual(process.wait(PATIENCE), 6)

    def test_what_hangs_below_an_earlier_child_is_left_alone(self):
        service = "sh -c 'sleep 1000 >&- 2>&- & echo $!; exec >&- 2>&-; wait' & exec \"$0\" \"$@\""
        process = self.start("sh", "-c", service, *self.program, "-K", "1d", "--", "sh", "-c",
                             "read x; (setsid sleep 1000 >&- &); exit 6", tool=False, text=True, stdin=subprocess.PIPE)
        earlier = int(process.stdout.readline())
        until(lambda: len(children_of(process.pid)) == 2, "the command has been started")
        process.communicate("\n", timeout=PATIENCE)
        self.assertEqual(process.returncode, 6)
        self.assertEqual(len(self.leftovers()), 2)
        self.assertIn(earlier, self.leftovers())

    def test_what_is_left_is_told_of(self):
        left = "setsid sh -c 'echo ready; exec sleep 1000' & read x; exit 6"
        for start in (self.as_sub_reaper, self.as_pid_1):
            process, _ = self.ready_catcher(start, "-w", "-K", "1m", "--", "sh", "-c", left, stdin=subprocess.PIPE)
            _, errors = process.communicate("\n", timeout=PATIENCE)
            self.assertRegex(errors, r"exitfd init: orphan \d+ was killed by SIGTERM\n")
            self.assertEqual(process.returncode, 6)

    def test_a_signal_in_the_clearing_up_kills_at_once(self):
        left = "setsid sh -c 'trap \"echo asked\" TERM; echo ready; while :; do sleep 0.05; done' & read x; exit 6"
        for start in (self.as_sub_reaper, self.as_pid_1):
            process, init = self.ready_catcher(start, "-K", "1d", "--", "sh", "-c", left, stdin=subprocess.PIPE)
            process.stdin.write("\n")
            process.stdin.close()
            self.assertEqual(process.stdout.readline(), "asked\n")
            os.kill(init, signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE), 6)
            self.assert_nothing_left()

    def test_as_pid_1_what_is_left_ends_without_a_proc_of_its_own(self):
        if not has_namespaces():
            self.skipTest("this process may not make a pid namespace (unshare)")
        left = "setsid sh -c 'trap \"echo asked; exit\" TERM; echo ready; while :; do sleep 0.05; done' & read x; exit 6"
        words = [word for word in NAMESPACE if word != "--mount-proc"]
        process = self.start(*words, *self.program, "-K", "1d", "--", "sh", "-c", left, tool=False, text=True,
                             stdin=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "ready\n")
        output, _ = process.communicate("\n", timeout=PATIENCE)
        self.assertEqual((process.returncode, output), (6, "asked\n"))

    def test_a_sub_reaper_without_a_proc_of_its_own_says_that_it_cannot_end_what_is_left(self):
        if not has_namespaces():
            self.skipTest("this process may not make a pid namespace (unshare)")
        words = [word for word in NAMESPACE if word != "--mount-proc"]
        shell = '"$@"; exit $?'  # PID 1, so that the tool is not
        process = self.start(*words, "sh", "-c", shell, "sh", *self.program, "-K", "1d", "--", "sh", "-c",
                             "setsid sleep 1000 >/dev/null 2>&1 & exit 6", tool=False, text=True)
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 6)
        self.assertIn("what is left cannot be ended: /proc is missing, or of another pid namespace", errors)

    def test_what_is_left_is_left_alone_if_not(self):
        process = self.as_sub_reaper("--", "sh", "-c", "setsid sleep 1000 >/dev/null & exit 6")
        self.assertEqual(process.wait(PATIENCE), 6)
        # In the middle of an exec it has no environment.
        until(lambda: len(self.leftovers()) == 1, "one left behind")

    def test_no_early_signal_is_lost(self):
        for _ in range(20):
            process = self.as_sub_reaper("--", "sleep", "1000")
            process.terminate()
            # Killed itself when it had not begun, else by way of its command.
            self.assertIn(process.wait(PATIENCE), (-signal.SIGTERM, 128 + signal.SIGTERM))
            self.assert_nothing_left()

    def test_sigchld_ignored_or_blocked_by_the_parent_is_no_trap_and_handed_on(self):
        chld = 1 << (signal.SIGCHLD - 1)
        # By env(1), after unshare(1), which waits for a child of its own.
        for start, (option, expected) in itertools.product(
                ([], NAMESPACE if has_namespaces() else []), (("--ignore-signal", [0, chld]), ("--block-signal", [chld, 0]))):
            process = self.start(*start, "env", option + "=CHLD", *self.program, "--", "grep", "-E", "^Sig(Blk|Ign)",
                                 "/proc/self/status", tool=False, text=True)
            output, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, [int(mask, 16) & chld for mask in output.split()[1::2]]), (0, expected))

    def test_closed_standard_fds_stay_closed(self):
        look = "import os, sys; os.write(9, b''.join(b'%d' % os.path.exists(f'/proc/self/fd/{fd}') for fd in range(3)))"
        for closed, expected in ((0, b"011"), (1, b"101"), (2, b"110")):
            reader, writer = os.pipe()

            def prepare(closed=closed, writer=writer):
                os.dup2(writer, 9)
                os.close(closed)

            process = self.start(*self.program, "--", sys.executable, "-c", look, tool=False, pass_fds=(9, writer),
                                 preexec_fn=prepare)
            os.close(writer)
            self.assertEqual((os.read(reader, 4), process.wait(PATIENCE)), (expected, 0))
            os.close(reader)


if __name__ == "__main__":
    main()
