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

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


HEADER = text_of("include", "exitfd.h")
VARIABLES = {"EXITFD_BACKEND", "EXITFD_LIBRARY", "EXITFD_CI_DIR"}
MANUAL = text_of("man", "exitfd.3")
README = text_of("README.md")


def squeeze(code):
    return re.sub(r"\s+", " ", re.sub(r"\s*([*(),])\s*", r"\1", code)).strip()


def without_comments(code):
    return re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)


def header_prototypes():
    code = re.sub(r"^#.*$", "", without_comments(HEADER), flags=re.MULTILINE)
    return {match[2]: squeeze(match[0]) for match in re.finditer(r"^([a-z_ ]+[ *])(exitfd_\w+)\([^;]*\)(?=;)", code, re.MULTILINE)}


def manual_prototypes():
    found = {}
    for result, name, lines in re.findall(r"^\.Ft (.*)\n\.Fo (\w+)\n((?:\.Fa .*\n)+)\.Fc$", MANUAL, re.MULTILINE):
        arguments = [line[len(".Fa ") :].strip('"') for line in lines.splitlines()]
        found[name] = squeeze(f"{result} {name}({','.join(arguments)})")
    return found


def manual_section(title, page=MANUAL):
    """What follows a heading, up to the next heading of its rank or a higher one."""
    start = re.search(rf"^\.(S[hs]) {re.escape(title)}$", page, re.MULTILINE)
    assert start, f"no section {title}"
    rest = page[start.end() :]
    end = re.search(r"^\.Sh " if start[1] == "Sh" else r"^\.S[hs] ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def header_comment(function):
    return re.search(rf"/\*\n \* {function} - .*?\*/", HEADER, re.DOTALL)[0]


def constants_of(text):
    return set(re.findall(r"\bEXITFD_[A-Z0-9_]+\b", text)) - VARIABLES - {"EXITFD_H"}


def errnos_of(text):
    return set(re.findall(r"\bE[A-Z]{3,}\b", text)) - {"EPOLLET"}


def words_of(text):
    return " ".join(re.findall(r"\w+", text)).lower()


def words_of_the_manual():
    """Without its macros, and without the sections of the pages that it refers to."""
    lines = (re.sub(r"\bXr (\w+) \d", r"Xr \1", line) for line in MANUAL.splitlines()
             if not re.match(r"\.(\\\"|Bl|El|Bd|Ed|Pp|S[hs]|F[otc])\b", line))
    macros = re.compile(r"(?<!\S)\.?(N[dosm]|F[na]|D[vq]|E[rmv]|Va|Xr|Pf|Pq|Ql|In|Pa|Cm|Bq|It)(?!\S)")
    return words_of("\n".join(macros.sub(" ", line) if line.startswith(".") else line for line in lines))


def clauses_of_the_header():
    """What it says of its flags and of each function, but for titles and lists of errnos."""
    comments = [header_comment(function).partition("\n")[2].partition("\n")[2] for function in header_prototypes()]
    comments += re.findall(r"/\*\n((?:(?!\*/).)*)\*/\nenum", HEADER, re.DOTALL)
    for comment in comments:
        text = re.sub(r"^ \*( EXITFD_\w+)?", "", re.split(r"\n \* -E", comment)[0], flags=re.MULTILINE)
        text = re.sub(r"(\w\w)\(\d\)", r"\1", re.sub(r"\s+", " ", text)).replace(" _CONTINUED", " EXITFD_CONTINUED")
        yield from re.split(r"[.;:](?=\s|$)|[()]", text)


class Prototypes(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreaterEqual(len(header_prototypes()), 16)

    def test_the_synopsis_is_that_of_the_header(self):
        self.assertEqual(manual_prototypes(), header_prototypes())

    def test_every_function_has_its_section_and_its_name(self):
        self.assertEqual(sorted(re.findall(r"^\.Ss (exitfd_\w+)$", MANUAL, re.MULTILINE)), sorted(header_prototypes()))
        self.assertEqual(sorted(re.findall(r"^\.Nm (exitfd_\w+)", MANUAL, re.MULTILINE)), sorted(header_prototypes()))

    def test_the_manual_shows_the_event_of_the_header(self):
        members = re.search(r"struct exitfd_event \{.*?^\};", without_comments(HEADER), re.DOTALL | re.MULTILINE)[0]
        shown = re.search(r"struct exitfd_event \{.*?^\};", MANUAL, re.DOTALL | re.MULTILINE)[0]
        self.assertEqual(squeeze(shown), squeeze(members))

    def test_whatever_is_called_is_declared(self):
        pages = {"README.md": README}
        for folder in ("man", "docs"):
            pages.update({name: text_of(folder, name) for name in os.listdir(os.path.join(ROOT, folder))
                          if name.endswith((".md", ".3", ".7"))})
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
        self.assertEqual(constants_of(MANUAL), in_enums | macros)
        described = re.findall(r"^\.It Dv (EXITFD_\w+)$", MANUAL, re.MULTILINE)
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
    def test_the_manual_has_an_entry_for_each_of_the_header_and_no_other(self):
        entries = re.findall(r"^\.It Bq Er (\w+)$", manual_section("ERRORS"), re.MULTILINE)
        self.assertEqual(len(entries), len(set(entries)))
        self.assertEqual(set(entries), set(re.findall(r"-(E[A-Z]+)\b", HEADER)))

    def test_each_function_gives_the_same_in_both(self):
        for function in header_prototypes():
            comment, section = header_comment(function), manual_section(function)
            in_header = errnos_of("".join(re.findall(r"^ \* -E.*$", comment, re.MULTILINE)))
            in_manual = errnos_of(section.partition("\nErrors:\n")[2])
            self.assertEqual(in_manual, in_header, function)
            self.assertLessEqual(set(re.findall(r"-(E[A-Z]+)\b", comment)), errnos_of(section), function)


class Words(unittest.TestCase):
    def test_the_manual_says_what_the_header_says(self):
        manual = f" {words_of_the_manual()} "
        clauses = [clause for clause in map(words_of, clauses_of_the_header()) if clause.count(" ") >= 4]
        self.assertGreater(len(clauses), 100)
        self.assertEqual([clause for clause in clauses if f" {clause} " not in manual], [])


class Pages(unittest.TestCase):
    def test_the_example_is_the_real_file(self):
        shown = re.findall(r"^\.Bd -literal\n(.*?)^\.Ed$", manual_section("EXAMPLES"), re.DOTALL | re.MULTILINE)
        files = re.findall(r"^\.Pa (examples/\S+)", manual_section("EXAMPLES"), re.MULTILINE)
        self.assertEqual(len(shown), len(files))
        self.assertTrue(files)
        for code, file in zip(shown, files):
            real = re.sub(r"\A(/\*.*?\*/\n)", "", text_of(file), count=1, flags=re.DOTALL)
            self.assertEqual(code.replace("\\&", "").replace("\\e", "\\"), real, file)

    def test_the_files_that_are_named_exist(self):
        for page in ("exitfd.3", "exitfd.7"):
            for path in re.findall(r"\b((?:docs|examples|tests)/[\w./-]*\w)", text_of("man", page)):
                self.assertTrue(os.path.exists(os.path.join(ROOT, path)), f"{page}: {path}")
        for path in re.findall(r"\]\((?!\w+:|#)([^)#]+)", README):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), f"README.md: {path}")

    def test_every_claim_of_exitfd_7_names_tests_that_are_there(self):
        page = text_of("man", "exitfd.7")
        titles = re.findall(r"^\.Ss (.*)$", page, re.MULTILINE) + ["WHICH BACK END WHEN"]
        self.assertGreater(len(titles), 10)
        for title in titles:
            evidence = manual_section(title, page).rpartition(".Bd -unfilled -offset indent\n")[2].partition(".Ed")[0]
            groups = re.findall(r"^\.Pa (tests/\S+)\n((?: +\w+\n)+)", evidence, re.MULTILINE)
            self.assertEqual("".join(f".Pa {file}\n{names}" for file, names in groups), evidence, title)
            self.assertTrue(groups, title)
            for file, names in groups:
                code = text_of(file)
                for name in re.findall(r"\w+", names):
                    self.assertRegex(code, rf"\b(TEST\w*\(\w+, {name}|CASE\({name})\b", f"{title}: {file}")

    def test_mandoc_finds_nothing(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        # Which other pages are installed, and known to makewhatis, is the machine's affair.
        of_others = re.compile("referenced manual not found|outdated mandoc.db")
        for page in ("exitfd.3", "exitfd.7"):
            result = subprocess.run(["mandoc", "-T", "lint", "-W", "style", os.path.join(ROOT, "man", page)],
                                    capture_output=True, text=True, check=False)
            self.assertEqual([line for line in (result.stdout + result.stderr).splitlines() if not of_others.search(line)], [])

    def test_man_warns_of_nothing(self):
        if not (shutil.which("man") and shutil.which("groff")):
            self.skipTest("man or groff is not installed")
        for page in ("exitfd.1", "exitfd.3", "exitfd.7"):
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
