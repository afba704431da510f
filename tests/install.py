#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: install.py BUILD_DIRECTORY BACKENDS SANITIZER_FLAG|none C_COMPILER C++_COMPILER

Installs what was built into an empty directory, and builds and runs scratch projects outside the tree, in C and in C++:
with pkg-config, with CMake's find_package, and with exitfd as a subproject of meson."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import demo_tap
from script_support import PATIENCE, ROOT

NOBODY = 65534
LANGUAGES = {"c": "program.c", "cpp": "program.cpp"}
# C as well as C++.
PROGRAM = """
#include <exitfd.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    struct exitfd *x;
    struct exitfd_event e;
    if (exitfd_open(&x, 0) < 0)
        return 1;
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(7);
    if (exitfd_wait(x, &e, 1, -1) != 1 || e.pid != pid)
        return 1;
    printf("%s: status %d\\n", exitfd_version(), e.status);
    exitfd_close(x);
    return 0;
}
"""
CMAKE_PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(scratch C CXX)
find_package(exitfd {version} CONFIG REQUIRED)
foreach(language c cpp)
  add_executable(program-${{language}} program.${{language}})
  target_link_libraries(program-${{language}} PRIVATE exitfd::exitfd)
endforeach()
"""
MESON_PROJECT = """
project('scratch', 'c', 'cpp', default_options: ['c_std=c11', 'cpp_std=c++17'])
exitfd = dependency('exitfd', fallback: 'exitfd', default_options: ['tests=disabled', 'examples=false', 'tool=false'])
foreach language : ['c', 'cpp']
  executable('program-' + language, 'program.' + language, dependencies: exitfd)
endforeach
"""


def run(*command, **options):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False, **options)
    if result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def need(program):
    if not shutil.which(program):
        raise unittest.SkipTest(program + " is not installed")


def set_group_id(test, program):
    """Has exec start the program in secure mode (AT_SECURE in getauxval(3)); skips the test where that cannot be had."""
    others = {NOBODY} if os.geteuid() == 0 else set(os.getgroups())
    others -= {os.getgid(), os.getegid()}
    with open("/proc/self/status", encoding="utf-8") as status:
        if "NoNewPrivs:\t1\n" in status.read() or os.statvfs(program).f_flag & os.ST_NOSUID:
            test.skipTest("no_new_privs or nosuid: the set-group-ID bit has no effect here")
    if not others:
        test.skipTest("this user has no second group to give a program to")
    try:
        os.chown(program, -1, others.pop())
    except OSError as error:
        test.skipTest(f"a program cannot be given to another group here: {error.strerror}")
    os.chmod(program, 0o2755)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.installed = os.path.join(folder.name, "installed")
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.installed)
        with open(os.path.join(ROOT, "include", "exitfd.h"), encoding="utf-8") as file:
            words = file.read().split()
        cls.version = ".".join(words[words.index(f"EXITFD_VERSION_{part}") + 1] for part in ("MAJOR", "MINOR", "PATCH"))

    @classmethod
    def found(cls, pattern):
        return glob.glob(os.path.join(cls.installed, "**", pattern), recursive=True)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scratch = folder.name
        for name in LANGUAGES.values():
            self.write(name, PROGRAM)
        self.environment = dict(os.environ, CC=COMPILERS["c"], CXX=COMPILERS["cpp"])
        for name in ("CFLAGS", "CXXFLAGS", "LDFLAGS"):
            self.environment[name] = SANITIZER

    def write(self, name, text):
        with open(os.path.join(self.scratch, name), "w", encoding="utf-8") as file:
            file.write(text)

    def assert_runs(self, program, library=None):
        environment = dict(self.environment, **({"LD_LIBRARY_PATH": library} if library else {}))
        self.assertEqual(run(os.path.join(self.scratch, program), env=environment), f"{self.version}: status 7\n")

    def library_folder(self):
        return os.path.dirname(self.found("libexitfd.so")[0])

    def test_everything_is_where_distributions_want_it(self):
        for pattern in ("include/exitfd.h", "lib/**/libexitfd.so", "lib/**/libexitfd.so.0", f"lib/**/libexitfd.so.{self.version}",
                        "lib/**/libexitfd.a", "lib/**/pkgconfig/exitfd.pc", "lib/**/cmake/exitfd/exitfdConfig.cmake",
                        "lib/**/cmake/exitfd/exitfdConfigVersion.cmake", "share/man/man3/exitfd.3", "share/man/man7/exitfd.7"):
            self.assertEqual(len(self.found(pattern)), 1, pattern)
        for link in ("libexitfd.so", "libexitfd.so.0"):
            self.assertTrue(os.path.islink(self.found(link)[0]))

    def test_man_finds_each_function(self):
        functions = []
        for header in ("exitfd.h", "exitfd/uring.h"):
            with open(os.path.join(ROOT, "include", header), encoding="utf-8") as file:
                functions += re.findall(r"^ \* (exitfd_\w+) - ", file.read(), re.MULTILINE)
        self.assertGreater(len(functions), 20)
        for function in functions:
            with open(self.found(f"share/man/man3/{function}.3")[0], encoding="utf-8") as page:
                self.assertRegex(page.read(), rf"(?m)^\.Nm {function}\b")

    def test_pkg_config(self):
        need("pkg-config")
        package = os.path.dirname(self.found("exitfd.pc")[0])
        environment = dict(self.environment, PKG_CONFIG_PATH=package, PKG_CONFIG_SYSROOT_DIR=self.installed)
        flags = run("pkg-config", "--cflags", "--libs", "exitfd", env=environment).split()
        self.assertEqual(run("pkg-config", "--modversion", "exitfd", env=environment).strip(), self.version)
        for language, source in LANGUAGES.items():
            run(*COMPILERS[language].split(), *SANITIZER.split(), source, "-o", "program-" + language, *flags, cwd=self.scratch)
            self.assert_runs("program-" + language, self.library_folder())

    def static_program(self):
        need("pkg-config")
        if SANITIZER:
            self.skipTest("a sanitizer's run-time library cannot be linked statically")
        package = os.path.dirname(self.found("exitfd.pc")[0])
        environment = dict(self.environment, PKG_CONFIG_PATH=package, PKG_CONFIG_SYSROOT_DIR=self.installed)
        flags = run("pkg-config", "--static", "--cflags", "--libs", "exitfd", env=environment).split()
        run(*COMPILERS["c"].split(), "-static", LANGUAGES["c"], "-o", "program-static", *flags, cwd=self.scratch)
        return os.path.join(self.scratch, "program-static")

    def test_pkg_config_all_in_one(self):
        self.static_program()
        self.assert_runs("program-static")

    def test_a_set_group_id_program_takes_no_back_end_from_its_environment(self):
        program = self.static_program()  # the loader would find no $ORIGIN there
        self.environment["EXITFD_BACKEND"] = "none-such"
        with self.assertRaisesRegex(AssertionError, "exit status 1"):
            self.assert_runs("program-static")
        set_group_id(self, program)
        self.assert_runs("program-static")

    def configure_with_cmake(self, version):
        need("cmake")
        self.write("CMakeLists.txt", CMAKE_PROJECT.format(version=version))
        prefix = os.path.dirname(os.path.dirname(self.found("include/exitfd.h")[0]))
        return run("cmake", "-S", self.scratch, "-B", self.scratch, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_PREFIX_PATH=" + prefix,
                   env=self.environment)

    def test_cmake(self):
        self.configure_with_cmake(self.version)
        run("cmake", "--build", self.scratch, env=self.environment)
        for language in LANGUAGES:
            self.assert_runs("program-" + language)

    def test_cmake_with_the_static_library_alone(self):
        shared = self.found("libexitfd.so*")
        hidden = os.path.join(self.scratch, "hidden")
        os.mkdir(hidden)
        for path in shared:
            self.addCleanup(os.rename, os.path.join(hidden, os.path.basename(path)), path)
            os.rename(path, os.path.join(hidden, os.path.basename(path)))
        self.test_cmake()

    def test_cmake_refuses_a_later_version_and_another_major_one(self):
        major, minor, _ = map(int, self.version.split("."))
        for version in (f"{major}.{minor + 1}", f"{major + 1}.0"):
            with self.assertRaisesRegex(AssertionError, r"compatible\s+with requested"):
                self.configure_with_cmake(version)

    def test_meson_subproject(self):
        self.write("meson.build", MESON_PROJECT)
        os.mkdir(os.path.join(self.scratch, "subprojects"))
        os.symlink(ROOT, os.path.join(self.scratch, "subprojects", "exitfd"))
        environment = dict(self.environment, PKG_CONFIG_PATH="")
        build = os.path.join(self.scratch, "build")
        run("meson", "setup", build, self.scratch, "--force-fallback-for=exitfd", "-Dexitfd:backends=" + BACKENDS, env=environment)
        run("ninja", "-j2", "-C", build, env=environment)
        for language in LANGUAGES:
            self.assert_runs(os.path.join("build", "program-" + language))


if __name__ == "__main__":
    if len(sys.argv) != 6:
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    BUILD, BACKENDS = os.path.abspath(sys.argv[1]), sys.argv[2]
    SANITIZER = "" if sys.argv[3] == "none" else sys.argv[3]
    COMPILERS = dict(zip(LANGUAGES, sys.argv[4:]))
    unittest.main(argv=sys.argv[:1], testRunner=demo_tap.Runner)
