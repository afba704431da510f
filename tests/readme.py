#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: readme.py SHARED_LIBRARY COMPILER [ARGUMENT]...

Compiles the program in README.md against the library that was built, runs it, and counts its lines."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

import demo_tap

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEADLINE_S = 60


def program():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(r"<!--[^>]*tests/readme\.py[^>]*-->\n```c\n(.*?)```", file.read(), re.DOTALL)[1]


class Readme(unittest.TestCase):
    def test_its_program_has_fewer_than_15_lines_beside_includes_and_lone_braces(self):
        lines = [line for line in program().splitlines() if line.strip(" {}") and not line.startswith("#include")]
        self.assertLess(len(lines), 15)
        self.assertLessEqual(max(map(len, lines)), 120)

    def expect_its_output(self, code):
        with tempfile.TemporaryDirectory() as folder:
            binary = os.path.join(folder, "program")
            compilation = subprocess.run(
                [*COMPILER, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(ROOT, "include"), "-x", "c", "-",
                 "-x", "none", "-o", binary, LIBRARY, "-Wl,-rpath," + os.path.dirname(LIBRARY)],
                input=code, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
            self.assertEqual((compilation.returncode, compilation.stderr), (0, ""))
            run = subprocess.run([binary], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "job: status 7\n", ""))

    def test_its_program_compiles_without_a_warning_and_prints_what_it_says(self):
        self.expect_its_output(program())

    def test_its_program_does_not_mind_a_child_that_takes_its_time(self):
        # So that the exit finds it asleep, where the handler of the self-pipe makes it fail with EINTR.
        slow = program().replace('"exit 7"', '"sleep 0.2; exit 7"')
        self.assertNotEqual(slow, program())
        self.expect_its_output(slow)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    LIBRARY, COMPILER = os.path.abspath(sys.argv[1]), sys.argv[2:]
    unittest.main(argv=sys.argv[:1], testRunner=demo_tap.Runner)
