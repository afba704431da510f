#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: moving.py COMPILER [ARGUMENT]...

Compiles every piece of C in docs/moving.md, and looks for what it links to."""
import os
import re
import subprocess
import sys
import unittest

import demo_tap
from script_support import PATIENCE, ROOT

# What a piece of C is compiled after, by the word behind ```c.
HEADERS = {
    "": ["exitfd.h", "errno.h", "fcntl.h", "signal.h", "sys/signalfd.h", "sys/wait.h", "unistd.h"],
    "libev": ["ev.h"],
    "libuv": ["uv.h"],
    "glib": ["glib-unix.h"],
}
PACKAGES = {"libuv": ["libuv"], "glib": ["glib-2.0"]}

with open(os.path.join(ROOT, "docs", "moving.md"), encoding="utf-8") as page:
    PAGE = page.read()


def pieces():
    """The first is what all others use."""
    return re.findall(r"^```c ?(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def preprocessor(library):
    return "".join(f"#include <{header}>\n" for header in HEADERS[""] + (HEADERS[library] if library else []))


class Moving(unittest.TestCase):
    def compile(self, code, flags=()):
        return subprocess.run([*COMPILER, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror",
                               "-fsyntax-only", "-I", os.path.join(ROOT, "include"), *flags, "-x", "c", "-"], input=code,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def compile_all(self, library):
        flags = []
        if library in PACKAGES:
            found = subprocess.run(["pkg-config", "--cflags", *PACKAGES[library]], capture_output=True, text=True, check=False)
            if found.returncode:
                self.skipTest(library + " is not installed")
            flags = found.stdout.split()
        if library and self.compile(preprocessor(library), flags).returncode:
            self.skipTest(library + " is not installed")
        common = pieces()[0][1] + "void on_exits(struct exitfd *x);\n"
        mine = [code for name, code in pieces() if name == library]
        self.assertGreaterEqual(len(mine), 2)
        for code in mine:
            result = self.compile(preprocessor(library) + common + code, flags)
            self.assertEqual(result.returncode, 0, code + result.stderr)

    def test_posix(self):
        self.compile_all("")

    def test_libev(self):
        self.compile_all("libev")

    def test_libuv(self):
        self.compile_all("libuv")

    def test_glib(self):
        self.compile_all("glib")

    def test_every_link_leads_somewhere(self):
        for path in re.findall(r"\]\((?!\w+:|#)([^)#]+)", PAGE):
            self.assertTrue(os.path.exists(os.path.join(ROOT, "docs", path)), path)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] == "--help":
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    COMPILER = sys.argv[1:]
    unittest.main(argv=sys.argv[:1], testRunner=demo_tap.Runner)
