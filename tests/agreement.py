#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: agreement.py [TEST]...

Header, manuals and README never disagree, and what they name is there: prototypes, constants, errnos, examples, tests."""
import os
import re
import shutil
import subprocess
import sys
import unittest

import demo_tap
from script_support import ROOT, text_of


def pages_of(folder, *endings):
    return {name: text_of(folder, name) for name in sorted(os.listdir(os.path.join(ROOT, folder))) if name.endswith(endings)}


HEADER = text_of("include", "exitfd.h")
URING = text_of("include", "exitfd", "uring.h")
VARIABLES = {"EXITFD_BACKEND", "EXITFD_LIBRARY", "EXITFD_CI_DIR"}
REFERENCE = pages_of("man", ".3")
README = text_of("README.md")
COMMON_ERRNOS = {"EINVAL", "ESTALE", "EXDEV"}
NEVER_FAIL = {"exitfd_close", "exitfd_get_backend"}


def squeeze(code):
    return re.sub(r"\s+", " ", re.sub(r"\s*([*(),])\s*", r"\1", code)).strip()


def without_comments(code):
    return re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)


def header_prototypes():
    code = re.sub(r"^#.*$", "", without_comments(HEADER), flags=re.MULTILINE)
    found = {match[2]: squeeze(match[0]) for match in re.finditer(r"^([a-z_ ]+[ *])(exitfd_\w+)\([^;]*\)(?=;)", code, re.MULTILINE)}
    return found | uring_prototypes()


def uring_prototypes():
    """Of the functions of exitfd/uring.h that have a comment; the others are its own."""
    documented = re.findall(r"^ \* (exitfd_uring_\w+) - ", URING, re.MULTILINE)
    definitions = re.findall(r"^static inline (\w+ (\w+)\([^{]*\))\n\{", URING, re.MULTILINE)
    return {name: squeeze(prototype) for prototype, name in definitions if name in documented}


def names_of(page):
    """The functions that a page is about."""
    return re.findall(r"^\.Nm (exitfd_\w+)", page, re.MULTILINE)


def manual_prototypes(page):
    found = {}
    for result, name, lines in re.findall(r"^\.Ft (.*)\n\.Fo (\w+)\n((?:\.Fa .*\n)+)\.Fc$", page, re.MULTILINE):
        arguments = [line[len(".Fa ") :].strip('"') for line in lines.splitlines()]
        found[name] = squeeze(f"{result} {name}({','.join(arguments)})")
    return found


def manual_section(title, page):
    """What follows a heading, up to the next heading of its rank or a higher one."""
    start = re.search(rf"^\.(S[hs]) {re.escape(title)}$", page, re.MULTILINE)
    if not start:
        return ""
    rest = page[start.end() :]
    end = re.search(r"^\.Sh " if start[1] == "Sh" else r"^\.S[hs] ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def entries_of(list_):
    """The errnos that a list has entries for; each only once."""
    found = re.findall(r"^\.It Bq (Er .*)$", list_, re.MULTILINE)
    names = re.findall(r"\bE[A-Z]+\b", " ".join(found))
    assert len(names) == len(set(names)), names
    return set(names)


def manual_errnos(page):
    """For each function of a page the errnos that its section ERRORS has: 'exitfd_a [and exitfd_b] fail[s] with:', a list."""
    found = {}
    for names, list_ in re.findall(r"((?:^\.Fn exitfd_\w+\n(?:(?!\.Bl|\.El).*\n)*?)+)fails? with:\n(\.Bl(?s:.*?)^\.El)",
                                   manual_section("ERRORS", page), re.MULTILINE):
        for name in set(re.findall(r"^\.Fn (exitfd_\w+)$", names, re.MULTILINE)) & set(names_of(page)):
            found[name] = entries_of(list_)
    return found


def header_comment(function):
    return re.search(rf"/\*\n \* {function} - .*?\*/", HEADER + URING, re.DOTALL)[0]


def header_errnos(function):
    """Those of its comment, and those that the top of the header gives to every function that takes an exitfd."""
    found = set(re.findall(r"-(E[A-Z]+)\b", "".join(re.findall(r"^ \* -E.*$", header_comment(function), re.MULTILINE))))
    takes_one = re.search(r"[(,](const )?struct exitfd ?\*x", header_prototypes()[function])
    return found | (COMMON_ERRNOS if takes_one and function not in NEVER_FAIL else set())


def constants_of(text):
    return set(re.findall(r"\bEXITFD_[A-Z0-9_]+\b", text)) - VARIABLES - {"EXITFD_H"}


class Prototypes(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreaterEqual(len(header_prototypes()), 20)
        self.assertEqual(len(uring_prototypes()), 4)

    def test_each_function_has_one_page_with_its_prototype(self):
        found = {}
        for name, page in REFERENCE.items():
            prototypes = manual_prototypes(page)
            self.assertEqual(sorted(prototypes), sorted(names_of(page)), name)
            self.assertFalse(set(prototypes) & set(found), name)
            found.update(prototypes)
        self.assertEqual(found, header_prototypes())

    def test_man_finds_each_function(self):
        installed = re.findall(r"^  '(\w+)': \[(.*)\],$", text_of("man", "meson.build"), re.MULTILINE)
        for page, others in installed:
            self.assertEqual(set(names_of(REFERENCE[page + ".3"])) - {page}, set(re.findall(r"\w+", others)), page)
        self.assertEqual({page + ".3" for page, _ in installed}, set(REFERENCE))

    def test_the_manual_shows_the_event_of_the_header(self):
        members = re.search(r"struct exitfd_event \{.*?^\};", without_comments(HEADER), re.DOTALL | re.MULTILINE)[0]
        shown = re.search(r"struct exitfd_event \{.*?^\};", REFERENCE["exitfd_wait.3"], re.DOTALL | re.MULTILINE)[0]
        self.assertEqual(squeeze(shown), squeeze(members))

    def test_whatever_is_called_is_declared(self):
        pages = {"README.md": README, **pages_of("man", ".3", ".7"), **pages_of("docs", ".md")}
        declared = set(header_prototypes()) | set(re.findall(r"\b(exitfd_uring_\w+)", text_of("include", "exitfd", "uring.h")))
        for name, page in pages.items():
            called = set(re.findall(r"\b(exitfd_[a-z_]+)(?=\()", page)) | set(re.findall(r"^\.Fn (exitfd_\w+)", page, re.MULTILINE))
            self.assertLessEqual(called, declared, name)


class Constants(unittest.TestCase):
    def test_the_manual_has_those_of_the_header(self):
        in_enums = set()
        for body in re.findall(r"enum exitfd_\w+ \{(.*?)\}", without_comments(HEADER), re.DOTALL):
            in_enums |= constants_of(body)
        self.assertGreaterEqual(len(in_enums), 12)
        macros = set(re.findall(r"^#define (EXITFD_VERSION_\w+)", HEADER, re.MULTILINE))
        text = re.sub(r"^\.Dt .*$", "", "".join(REFERENCE.values()), flags=re.MULTILINE)
        self.assertEqual(constants_of(text), in_enums | macros)
        described = re.findall(r"^\.It Dv (EXITFD_\w+)$", text, re.MULTILINE)
        self.assertEqual(sorted(described), sorted(in_enums))

    def test_those_in_the_other_pages_are_in_the_header(self):
        known = constants_of(without_comments(HEADER))
        for page in ("README.md", "man/exitfd.7", "docs/eintr.md", "docs/moving.md"):
            if os.path.exists(os.path.join(ROOT, page)):
                self.assertLessEqual(constants_of(text_of(page)), known, page)

    def test_the_version_is_that_of_the_build(self):
        version = ".".join(re.search(rf"#define EXITFD_VERSION_{part} (\d+)", HEADER)[1] for part in ("MAJOR", "MINOR", "PATCH"))
        self.assertIn(f"version: '{version}'", text_of("meson.build"))


class Errnos(unittest.TestCase):
    def test_the_overview_has_an_entry_for_each_of_the_header_and_no_other(self):
        overview = entries_of(manual_section("ERRORS", REFERENCE["exitfd.3"]))
        self.assertEqual(overview, set(re.findall(r"-(E[A-Z]+)\b", HEADER)))

    def test_each_function_gives_the_same_in_both(self):
        in_manual = {}
        for page in REFERENCE.values():
            in_manual.update(manual_errnos(page))
        for function in header_prototypes():
            self.assertEqual(in_manual.get(function, set()), header_errnos(function), function)


class Pages(unittest.TestCase):
    def test_each_example_is_a_real_file(self):
        number = 0
        for name, page in REFERENCE.items():
            before, *blocks = manual_section("EXAMPLES", page).split(".Bd -literal\n")
            for block in blocks:
                file = re.findall(r"^\.Pa (examples/\S+)", before, re.MULTILINE)[-1]
                real = re.sub(r"\A(/\*.*?\*/\n)", "", text_of(file), count=1, flags=re.DOTALL)
                code, _, before = block.partition(".Ed\n")
                self.assertEqual(code.replace("\\&", "").replace("\\e", "\\"), real, f"{name}: {file}")
                number += 1
        self.assertGreaterEqual(number, 8)

    def test_the_files_that_are_named_exist(self):
        for name, page in pages_of("man", ".3", ".7").items():
            for path in re.findall(r"\b((?:docs|examples|tests)/[\w./-]*\w)", page):
                self.assertTrue(os.path.exists(os.path.join(ROOT, path)), f"{name}: {path}")
        for path in re.findall(r"\]\((?!\w+:|#)([^)#]+)", README):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), f"README.md: {path}")

    def test_every_section_of_exitfd_7_has_tests_in_truth_md(self):
        rows = dict(re.findall(r"^\| ([^|]*) \| (`\w+\.c: .*) \|$", text_of("docs", "truth.md"), re.MULTILINE))
        page = text_of("man", "exitfd.7")
        titles = re.findall(r"^\.Ss (.*)$", manual_section("DESCRIPTION", page), re.MULTILINE) + ["BACK ENDS"]
        self.assertEqual([title for title in titles if title not in rows], [])
        for title, tests in rows.items():
            named = re.findall(r"`(\w+\.c): (\w+)`", tests)
            self.assertTrue(named, title)
            for file, name in named:
                self.assertRegex(text_of("tests", file), rf"\b(TEST\w*\(\w+, {name}|CASE\({name})\b", f"{title}: {file}")

    def test_every_guarantee_of_the_readme_has_tests_in_truth_md(self):
        table = text_of("docs", "truth.md").partition("## The guarantees of the README\n")[2]
        rows = dict(re.findall(r"^\| ([^|]*) \| ([^|]*) \|$", table, re.MULTILINE))
        guarantees = re.findall(r"^\* \*\*(.*?)\.\*\*", README.partition("## Guarantees\n")[2], re.MULTILINE)
        self.assertGreaterEqual(len(guarantees), 10)
        self.assertEqual([title for title in guarantees if title not in rows], [])
        for file in re.findall(r"`(\w+\.c)`", table):
            self.assertTrue(os.path.exists(os.path.join(ROOT, "tests", file)), file)

    def test_the_pages_that_are_referred_to_exist(self):
        known = {function + " 3" for function in header_prototypes()} | {"exitfd 1", "exitfd 3", "exitfd 7"}
        for name, page in pages_of("man", ".3", ".7").items():
            self.assertLessEqual(set(re.findall(r"^\.Xr (exitfd\w* \d)", page, re.MULTILINE)), known, name)
            for title in re.findall(r"^\.Sx (.*?)(?: [.,])?$", page, re.MULTILINE):
                self.assertTrue(manual_section(title, page) or manual_section(title, text_of("man", "exitfd.7")), f"{name}: {title}")

    def test_mandoc_finds_nothing(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        # Which other pages are installed, and known to makewhatis, is the
        # machine's affair.
        of_others = re.compile("referenced manual not found|outdated mandoc.db")
        for page in pages_of("man", ".3", ".7"):
            result = subprocess.run(["mandoc", "-T", "lint", "-W", "style", os.path.join(ROOT, "man", page)],
                                    capture_output=True, text=True, check=False)
            self.assertEqual([line for line in (result.stdout + result.stderr).splitlines() if not of_others.search(line)], [])

    def test_man_warns_of_nothing(self):
        if not (shutil.which("man") and shutil.which("groff")):
            self.skipTest("man or groff is not installed")
        for page in pages_of("man", ".1", ".3", ".7"):
            result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", os.path.join(ROOT, "man", page)], text=True,
                                    capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, ""), page)
            self.assertIn("exitfd", result.stdout)

    def test_types_of_the_python_binding(self):
        if not shutil.which("mypy"):
            self.skipTest("mypy is not installed")
        result = subprocess.run(["mypy", "--strict", "--cache-dir", os.devnull, os.path.join(ROOT, "bindings", "python", "exitfd.py")],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
    else:
        unittest.main(testRunner=demo_tap.Runner)
