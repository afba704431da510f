#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example capture: each command's output whole, fifty at once, and no wait for what a command leaves behind."""
import os
import select
import subprocess
import sys
import tempfile

import examples_support
from script_support import PATIENCE


class CaptureTest(examples_support.UsageTest, examples_support.ExampleTest):
    wrong_usages = [["-j", "0"], ["-j", "501"], ["-j", "x"], ["--unknown"], ["a command"]]

    def capture(self, lines, *words, **options):
        process = self.start(*words, stdin=subprocess.PIPE, **options)
        output, errors = process.communicate("".join(line + "\n" for line in lines), timeout=PATIENCE)
        return process.returncode, output, errors

    def test_each_output_is_whole(self):
        # More than a pipe holds, in pieces that would mix.
        lines = [f"for i in 1 2 3 4 5 6 7 8; do printf '%20000d' {n}; printf . >&2; done; echo" for n in range(50)]
        status, output, errors = self.capture(lines)
        self.assertEqual((status, errors), (0, ""))
        wanted = [f"{line}: exited 0\n" + (f"{n:20000d}." * 8) + "\n" for n, line in enumerate(lines)]
        self.assertEqual(len(output), sum(map(len, wanted)))
        for one in wanted:
            self.assertIn(one, output)

    def test_fifty_run_at_once(self):
        """None goes on before all have begun."""
        with tempfile.TemporaryDirectory() as folder:
            ready, gate = (self.fifo(os.path.join(folder, name)) for name in ("ready", "gate"))
            process = self.start(stdin=subprocess.PIPE)
            process.stdin.write(f"echo > {folder}/ready; read line < {folder}/gate\n" * 50)
            process.stdin.close()
            process.stdin = None  # communicate writes to one that it finds
            begun = 0
            while begun < 50:
                self.assertTrue(select.select([ready], [], [], PATIENCE)[0], f"only {begun} have begun")
                begun += len(os.read(ready, 50))
            os.write(gate, b"\n" * 50)
            output, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, errors, output.count(": exited 0\n")), (0, "", 50))

    def fifo(self, path):
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, fd)
        return fd

    def test_no_more_run_than_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            line = f"mkdir {folder}/one && rmdir {folder}/one"
            self.assertEqual(self.capture([line] * 20, "-j", 1)[0], 0)

    @staticmethod
    def with_fds(count):
        return ["sh", "-c", f'ulimit -n {count}; exec "$@"', "sh"]

    def test_more_at_once_than_fds(self):
        """poll takes no more fds than may be open."""
        wanted = (0, "echo: exited 0\n\n", "")
        self.assertEqual(self.capture(["echo"], "-j", 500, before=self.with_fds(100)), wanted)

    def test_more_commands_than_fds(self):
        """Those that run go on, and the others are started as they end."""
        status, output, errors = self.capture([f"echo {n}" for n in range(60)], before=self.with_fds(30))
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(sorted(output.splitlines()), sorted(line for n in range(60) for line in (f"echo {n}: exited 0", f"{n}")))

    def test_how_each_ended(self):
        status, output, errors = self.capture(["exit 3", "kill -KILL $$", "printf 'a\\0b'", "nowhere-to-be-found"], "-j", 1)
        self.assertEqual((status, errors), (1, ""))
        self.assertRegex(output, "^exit 3: exited 3\nkill -KILL \\$\\$: killed by SIGKILL\nprintf 'a\\\\0b': exited 0\n"
                                 "a\0bnowhere-to-be-found: exited 127\n.*not found\n$")

    def test_what_a_command_leaves_behind_is_not_waited_for(self):
        status, output, _ = self.capture(["sleep 1000 & echo $!"])
        os.kill(int(output.split()[-1]), 9)
        self.assertEqual((status, output.partition("\n")[0]), (0, "sleep 1000 & echo $!: exited 0"))

    def test_no_command_has_an_fd_of_another(self):
        with_fd_9 = ["sh", "-c", "exec \"$@\" 9< /dev/null", "sh"]
        status, output, _ = self.capture(["echo $(ls /proc/self/fd)"] * 10, before=with_fd_9)
        self.assertEqual((status, output.count(": exited 0\n0 1 2 3\n")), (0, 10))

    def test_an_input_that_cannot_be_read_is_not_an_empty_one(self):
        folder = os.open("/", os.O_RDONLY)
        self.addCleanup(os.close, folder)
        wanted = (1, "", "capture: cannot read the commands: Is a directory\n")
        self.assertEqual(self.run_program(stdin=folder), wanted)

    def test_an_output_that_cannot_be_printed(self):
        """Whether the last of it is what fails or an earlier part."""
        for line in ("echo", "printf '%99999d' 1"):
            with open("/dev/full", "w", encoding="ascii") as full:
                status, _, errors = self.capture([line], stdout=full)
            self.assertEqual((status, errors), (1, "capture: cannot print: No space left on device\n"), line)

    def test_nothing_to_do(self):
        self.assertEqual(self.capture([]), (0, "", ""))


if __name__ == "__main__":
    sys.exit(examples_support.main())
