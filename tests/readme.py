#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: readme.py SHARED_LIBRARY COMPILER [ARGUMENT]...

Compiles the program in README.md against the library that was built, runs it, and measures it."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

import demo_tap
from script_support import PATIENCE, ROOT



def program():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.search(r"<!--[^>]*tests/readme\.py[^>]*-->\n```c\n(.*?)```", file.read(), re.DOTALL)[1]


class Readme(unittest.TestCase):
    def test_its_program_fits_on_a_screen(self):
        lines = program().splitlines()
        self.assertLess(len(lines), 32)
        self.assertLessEqual(max(map(len, lines)), 80)

    def expect_its_output(self, code):
        with tempfile.TemporaryDirectory() as folder:
            binary = os.path.join(folder, "program")
            compilation = subprocess.run(
                [*COMPILER, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(ROOT, "include"), "-x", "c", "-",
                 "-x", "none", "-o", binary, LIBRARY, "-Wl,-rpath," + os.path.dirname(LIBRARY)],
                input=code, capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((compilation.returncode, compilation.stderr), (0, ""))
            run = subprocess.run([binary], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "job: exited 7\n", ""))

    def test_its_program_compiles_without_a_warning_and_prints_what_it_says(self):
        self.expect_its_output(program())

    def test_its_program_does_not_mind_a_child_that_takes_its_time(self):
        # So that the exit finds it asleep, where the handler of the self-pipe
        # makes it fail with EINTR.
        slow = program().replace('"exit 7"', '"sleep 0.2; exit 7"')
        self.assertNotEqual(slow, program())
        self.expect_its_output(slow)

    def check_example(self, path, *flags):
        """Compiled without meson. Returns 0 if this machine lacks the header of its loop."""
        packages = ["glib-2.0", "libuv", "libevent", "libsystemd"]
        found = [subprocess.run(["pkg-config", "--cflags", name], capture_output=True, text=True, check=False).stdout.split()
                 for name in packages]
        compilation = subprocess.run(
            [*COMPILER, *flags, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", os.path.join(ROOT, "include"),
             *sum(found, []), path], capture_output=True, text=True, timeout=PATIENCE, check=False)
        missing = re.search(r"fatal error: '?([\w./-]+)'?(: No such file| file not found)", compilation.stderr)
        if missing and not missing[1].startswith("exitfd"):
            return 0
        self.assertEqual((compilation.returncode, compilation.stderr), (0, ""), path)
        return 1

    def test_examples_compile_by_hand_as_it_says(self):
        examples = os.path.join(ROOT, "examples")
        loops = [self.check_example(path) for path in glob.glob(examples + "/loops/*.c")]
        larger = [self.check_example(path, "-D_GNU_SOURCE") for path in glob.glob(examples + "/*.c")]
        self.assertGreaterEqual(sum(loops), 4)
        self.assertGreaterEqual(sum(larger), 6)

    def build(self, folder, command):
        """By a line of docs/recipes.md. Returns 0 if it is of C++, which meson builds, or if this machine lacks a library."""
        packages = re.search(r"\$\(pkg-config --cflags --libs exitfd([^)]*)\)", command)[1].split()
        found = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], capture_output=True, text=True, check=False) \
            if packages else None
        compiler, *words = re.sub(r"\$\([^)]*\)", LIBRARY, command).split()
        if compiler == "c++" or found and found.returncode != 0:
            return 0
        words += found.stdout.split() if found else []
        with tempfile.TemporaryDirectory() as output:
            words[words.index("-o") + 1] = os.path.join(output, "program")
            build = subprocess.run([*COMPILER, "-Wall", "-Wextra", "-Werror", "-I", os.path.join(ROOT, "include"), *words],
                                   cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if re.search(r"fatal error: '?(?!exitfd)[\w./-]+'?(: No such file| file not found)", build.stderr):
            return 0
        self.assertEqual((build.returncode, build.stderr), (0, ""), command)
        return 1

    def test_each_example_is_built_by_its_line_in_the_recipes(self):
        with open(os.path.join(ROOT, "docs", "recipes.md"), encoding="utf-8") as file:
            commands = re.findall(r"^    (c(?:c|\+\+) .*)$", file.read(), re.MULTILINE)
        folders = [os.path.join(ROOT, "examples", name) for name in ("", "loops", "manual")]
        found, built = {}, 0
        for command in commands:
            sources = re.findall(r"\S+\.c(?:pp)?\b", command)
            folder = next((folder for folder in folders if set(sources) <= set(os.listdir(folder))), None)
            self.assertTrue(folder, command)
            found.setdefault(folder, set()).update(sources)
            built += self.build(folder, command)
        for folder in folders:
            self.assertEqual(found[folder], {name for name in os.listdir(folder) if name.endswith((".c", ".cpp"))}, folder)
        self.assertGreaterEqual(built, 15)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    LIBRARY, COMPILER = os.path.abspath(sys.argv[1]), sys.argv[2:]
    unittest.main(argv=sys.argv[:1], testRunner=demo_tap.Runner)
