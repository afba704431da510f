# SPDX-License-Identifier: MIT
"""exitfd init among hostile or unlucky neighbours: limits, floods of signals, sandboxes, parents that end."""
import errno
import os
import resource
import signal
import subprocess
import sys
import threading

from script_support import NAMESPACE, ROOT, has_namespaces
from tool_init import CATCHER
from tool_seccomp import SECCOMP_RET_ERRNO, forbid, number_of
from tool_support import PATIENCE, TOOL, ToolTest, children_of, full_pipe, main, process_fields, stopped_terminal, tell, until

PR_SET_CHILD_SUBREAPER = 36


class Faults(ToolTest):
    def catcher(self, *words, **options):
        """init with a command that tells each signal, after its first word."""
        process = self.start("init", *words, *CATCHER, text=True, start_new_session=True, **options)
        self.assertEqual(process.stdout.readline(), "command ready\n")
        return process

    def expect_signals(self, process, *signals):
        for signo in signals:
            self.assertEqual(process.stdout.readline(), f"command {int(signo)}\n")

    def test_it_ends_though_nobody_reads_its_messages(self):
        reader, writer = full_pipe()
        self.addCleanup(os.close, reader)
        process = self.start("init", "-v", "--", "sh", "-c", "(true &); exit 3", stderr=writer)
        os.close(writer)
        self.assertEqual(process.wait(PATIENCE), 3)

    def test_it_ends_though_its_terminal_is_stopped(self):
        reader, writer = stopped_terminal()
        self.addCleanup(os.close, reader)
        process = self.start("init", "-v", "--", "sh", "-c", "(true &); exit 3", stderr=writer)
        os.close(writer)
        self.assertEqual(process.wait(PATIENCE), 3)

    def test_nothing_was_started_if_it_cannot_start(self):
        self.forgo_leak_checks()
        results = set()
        for limit in range(3, 16):
            file = os.path.join(self.folder(), "file")
            result = self.run_tool("init", "sh", "-c", f": > {file}; exit 7",
                                   preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            has_begun = os.path.exists(file) or result.returncode == 127  # sh needs an fd for its libraries
            self.assertEqual("cannot start" in result.stderr, not has_begun, result.stderr)
            self.assert_nothing_left()
            results.add(has_begun)
        self.assertEqual(results, {False, True})

    def test_a_flood_of_one_signal_drops_no_other(self):
        # More than a pipe holds, and all of them delivered before init can do
        # anything else.
        count, flood, other = 70000, signal.SIGRTMIN, signal.SIGRTMIN + 1
        _, most = resource.getrlimit(resource.RLIMIT_SIGPENDING)
        if most != resource.RLIM_INFINITY and most < count + 100:
            self.skipTest("not so many signals can be pending here")
        script = f"import signal, sys; signal.signal({flood}, signal.SIG_IGN); signal.signal({other}, lambda *_: sys.exit(9))"
        process = self.start("init", sys.executable, "-c", script + "\nprint('ready', flush=True)\nwhile True: signal.pause()",
                             text=True, start_new_session=True,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_SIGPENDING, (most, most)))
        self.assertEqual(process.stdout.readline(), "ready\n")
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: process_fields(process.pid)[0] == "T", "init is stopped")
        for _ in range(count):
            os.kill(process.pid, flood)
        os.kill(process.pid, other)
        os.kill(process.pid, signal.SIGCONT)
        self.assertEqual(process.wait(PATIENCE), 9)

    def test_real_time_signals_arrive_as_often_as_they_were_sent(self):
        process = self.catcher()
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(5):
            os.kill(process.pid, signal.SIGRTMIN)
        os.kill(process.pid, signal.SIGCONT)
        lines = [process.stdout.readline() for _ in range(6)]
        self.assertEqual(lines.count(f"command {int(signal.SIGRTMIN)}\n"), 5)

    def test_its_own_messages_send_nothing_to_the_command(self):
        process = self.catcher("-v")
        process.stderr.close()
        os.kill(process.pid, signal.SIGUSR1)
        self.expect_signals(process, signal.SIGUSR1)
        os.kill(process.pid, signal.SIGUSR2)
        self.expect_signals(process, signal.SIGUSR2)

    def test_a_stopped_command_can_be_ended(self):
        for words in ([], NAMESPACE if has_namespaces() else []):
            for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
                process = self.start(*words, TOOL, "init", "sh", "-c", "echo ready; exec sleep 1000", tool=False, text=True,
                                     start_new_session=True)
                process.stdout.readline()
                init = children_of(process.pid)[0] if words else process.pid
                (command,) = children_of(init)
                os.kill(command, signal.SIGSTOP)
                until(lambda command=command: process_fields(command)[0] == "T", "the command is stopped")
                os.kill(init, signo)
                self.assertEqual(process.wait(PATIENCE), 128 + signo)

    def test_without_a_terminal_a_stop_holds(self):
        process = self.catcher()
        (command,) = children_of(process.pid)
        os.kill(command, signal.SIGSTOP)
        until(lambda: process_fields(command)[0] == "T", "the command is stopped")
        os.kill(process.pid, signal.SIGUSR1)  # pending there
        os.kill(process.pid, signal.SIGCONT)
        self.assertEqual({process.stdout.readline() for _ in range(2)},
                         {f"command {int(signo)}\n" for signo in (signal.SIGUSR1, signal.SIGCONT)})
        self.assertNotEqual(process_fields(process.pid)[0], "T")

    def test_the_end_of_a_thread_is_not_that_of_the_parent(self):
        processes, tids = [], []

        def begin():
            tids.append(threading.get_native_id())
            processes.append(self.catcher("-p", "SIGUSR1"))

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        until(lambda: not os.path.exists(f"/proc/self/task/{tids[0]}"), "the thread has ended")
        os.kill(processes[0].pid, signal.SIGUSR2)
        self.expect_signals(processes[0], signal.SIGUSR2)

    def test_a_parent_that_ended_before(self):
        fifo = os.path.join(self.folder(), "fifo")
        os.mkfifo(fifo)
        script = 'fifo=$1; shift; (read line < "$fifo"; exec "$@") &'
        parent = self.start("sh", "-c", script, "sh", fifo, TOOL, "init", "-p", "SIGUSR2", *CATCHER, tool=False, text=True,
                            start_new_session=True)
        parent.wait(PATIENCE)
        tell(fifo)
        # The signal is sent as soon as there is a command, which may not have
        # come to catch it.
        self.assertIn(parent.stdout.read(), ("", "command ready\n" f"command {int(signal.SIGUSR2)}\n"))
        self.assert_nothing_left()

    def sandboxed(self, name, error, *words, argument=None, **options):
        number = number_of(name)
        if number is None:
            self.skipTest(f"no {name} on this machine, or libseccomp2 is not installed")
        return self.start(*words, text=True, start_new_session=True,
                          preexec_fn=lambda: forbid(number, SECCOMP_RET_ERRNO | error, argument), **options)

    def test_without_a_sub_reaper_it_says_so_and_goes_on(self):
        for words in (["init", "sh", "-c", "exit 1"], ["run", "-q", self.list_of("exit 1")]):
            process = self.sandboxed("prctl", errno.EINVAL, *words, argument=PR_SET_CHILD_SUBREAPER)
            _, errors = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, errors), (1, f"exitfd {words[0]}: orphans are neither reaped nor ended here,"
                                                            " because PR_SET_CHILD_SUBREAPER failed: Invalid argument\n"))

    def test_it_says_so_if_it_cannot_see_what_is_left(self):
        process = self.sandboxed("getdents64", errno.EMFILE, "init", "-K", "0.1", "--", "sh", "-c", "sleep 1000 >&- 2>&- & exit 6")
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, errors),
                         (6, "exitfd init: what is left could not be ended: /proc cannot be read: Too many open files\n"))

    def list_of(self, line):
        path = os.path.join(self.folder(), "list")
        with open(path, "w", encoding="ascii") as file:
            file.write(line + "\n")
        return path

    def test_signals_are_forwarded_by_either_call(self):
        for name in ("pidfd_send_signal", "kill"):
            for error in (errno.ENOSYS, errno.EPERM):
                if name == "kill" and self.env.get("EXITFD_BACKEND") == "self-pipe":
                    continue
                process = self.sandboxed(name, error, "init", *CATCHER)
                self.assertEqual(process.stdout.readline(), "command ready\n")
                os.kill(process.pid, signal.SIGUSR2)
                self.expect_signals(process, signal.SIGUSR2)
                self.assertEqual((process.wait(PATIENCE), process.stderr.read()), (0, ""))

    def test_a_wait_that_is_forbidden_is_found_out_before_the_start(self):
        for name in ("epoll_wait", "waitid"):
            file = os.path.join(self.folder(), "file")
            process = self.sandboxed(name, errno.EPERM, "init", "sh", "-c", f": > {file}; exit 7")
            _, errors = process.communicate(timeout=PATIENCE)
            has_begun = os.path.exists(file)
            self.assertEqual(process.returncode, 7 if has_begun else 1)
            self.assertEqual("cannot start" in errors, not has_begun)

    def test_the_option_of_tini(self):
        self.assertEqual(self.run_tool("init", "-s", "sh", "-c", "exit 7").returncode, 7)


class Guest(ToolTest):
    def test_the_init_of_a_guest_refuses_to_be_anything_else(self):
        # What stands behind its first mkdir is not for this machine, so no more
        # than what is before is run.
        with open(os.path.join(ROOT, "ci", "kernels", "guest-init"), encoding="ascii") as file:
            beginning = file.read().split("/busybox mkdir")[0]
        result = subprocess.run(["sh", "-c", beginning], capture_output=True, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("PID 1", result.stderr)


if __name__ == "__main__":
    main()
