# SPDX-License-Identifier: MIT
"""The manual page and the completions of exitfd(1) know what the program's --help knows."""
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree

from script_support import ROOT, text_of
from tool_support import TOOL, ToolTest, main

MANUAL = os.path.join(ROOT, "man", "exitfd.1")
COMPLETIONS = os.path.join(ROOT, "tools", "completions")
COMMANDS = ("wait", "run", "init", "doctor")

class Manual(ToolTest):
    def options(self, command):
        """Pairs of a short option, or "", and a long one."""
        help_ = self.run_tool(command, "--help").stdout
        options = re.findall(r"^ +(?:-(\w), )? *--([a-z-]+)", help_, re.MULTILINE)
        self.assertIn(("h", "help"), options)
        return options

    def need(self, program):
        if not shutil.which(program):
            self.skipTest(program + " is not installed")

    def section(self, command):
        """The part of the manual that describes command."""
        page = text_of("man", "exitfd.1")
        start = page.index(f".Ss exitfd {command}")
        rest = page[start + 1 :]
        return rest[: re.search(r"^\.S[hs] ", rest, re.MULTILINE).start()]

    def test_manual_describes_every_option(self):
        for command in COMMANDS:
            section = self.section(command)
            for short, long in self.options(command):
                if long != "help":
                    item = (f"Fl {short} , " if short else "") + f"Fl Fl {long.replace('-', '[-]')}"
                    self.assertRegex(section, rf"(?m)^\.It {item}( Ar \w+)?$")

    def test_manual_is_clean(self):
        self.need("mandoc")
        result = subprocess.run(["mandoc", "-T", "lint", "-W", "style", MANUAL], capture_output=True, text=True, check=False)
        # Which other pages are installed, and known to makewhatis, is the
        # machine's affair.
        of_others = re.compile("referenced manual not found|outdated mandoc.db")
        findings = [line for line in (result.stdout + result.stderr).splitlines() if not of_others.search(line)]
        self.assertEqual(findings, [])

    def test_completions_know_every_option(self):
        bash, zsh, fish = (text_of("tools", "completions", name) for name in ("exitfd.bash", "_exitfd", "exitfd.fish"))
        for command in COMMANDS:
            in_bash = re.search(rf"^ *{command}\) options='([^']*)'", bash, re.MULTILINE)[1].split()
            in_zsh = re.search(rf"^    {command}\)(.*?);;", zsh, re.MULTILINE | re.DOTALL)[1]
            options = self.options(command)
            self.assertEqual(sorted(in_bash), sorted("--" + long for _, long in options))
            self.assertEqual(sorted(set(re.findall(r"--([a-z-]+)", in_zsh))), sorted(long for _, long in options))
            for short, long in options:
                scope = "" if long == "help" else f"-n '__exitfd_is {command}' "
                flag = f"-s {short} " if short else ""
                self.assertIn(f"complete -c exitfd {scope}{flag}-l {long} ", fish)

    def test_picture_can_be_made(self):
        self.need("tmux")
        path = os.path.join(self.folder(), "run.svg")
        subprocess.run([os.path.join(ROOT, "docs", "make-run-picture"), TOOL, path], check=True)
        for picture in (path, os.path.join(ROOT, "docs", "run.svg")):
            root = xml.etree.ElementTree.parse(picture).getroot()
            last = "\n".join("".join(text.itertext()) for text in root[-1])
            self.assertRegex(last, r"^\$ exitfd run -j 4(.|\n)*exitfd run: 14 commands in .*succeeded, 1 failed, \d+ timed out;")

    def complete_in_bash(self, *words):
        script = (f'. {COMPLETIONS}/exitfd.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _exitfd; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "--norc", "-c", script, "bash", "exitfd", *words], capture_output=True, text=True,
                              check=True).stdout.splitlines()

    def test_bash_completes_names_with_spaces(self):
        self.need("bash")
        path = os.path.join(self.folder(), "my list")
        with open(path, "w", encoding="ascii"):
            self.assertEqual(self.complete_in_bash("run", path[:-5]), [path])

    def test_bash(self):
        self.need("bash")
        self.assertEqual(self.complete_in_bash("r"), ["run"])
        self.assertEqual(self.complete_in_bash(""), [*COMMANDS, "--help", "--version"])
        self.assertEqual(self.complete_in_bash("run", "--ke"), ["--keep-order"])
        self.assertEqual(self.complete_in_bash("init", "-p", "SIGUSR"), ["SIGUSR1", "SIGUSR2"])
        self.assertIn("/etc/passwd", self.complete_in_bash("run", "/etc/pass"))

    def test_fish(self):
        self.need("fish")

        def complete(line):
            script = f"source {COMPLETIONS}/exitfd.fish; complete -C '{line}'"
            output = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True).stdout
            return [candidate.split("\t")[0] for candidate in output.splitlines()]

        self.assertEqual(sorted(complete("exitfd ")), sorted(COMMANDS))
        self.assertEqual(complete("exitfd run --ke"), ["--keep-order"])

    def test_zsh(self):
        self.need("zsh")
        # The real thing needs a terminal: zsh completes in its line editor
        # only.
        script = f"""
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell 'PROMPT=; fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; LISTMAX=0; print re""ady'
            zpty -r shell line '*ready*'
            zpty -w -n shell $'exitfd run --kee\\t'
            zpty -r shell line '*--keep-order*' && print completed
            zpty -d shell
        """
        result = subprocess.run(["timeout", "20", "zsh", "-f", "-c", script], capture_output=True, text=True, check=False)
        self.assertTrue(result.stdout.endswith("completed\n"), result.stdout + result.stderr)


if __name__ == "__main__":
    main()
