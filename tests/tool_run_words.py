# SPDX-License-Identifier: MIT
"""exitfd run: which lines a shell reads and which are executed as they are; COMMAND with {}; -0; what people type from habit."""
import json
import os
import subprocess
import sys

from tool_support import PATIENCE, TOOL, ToolTest, main

# A program of each of these names stands first in PATH. A shell never looks for
# it.
OF_THE_SHELL = (". : [ alias bg break builtin case cd chdir command compgen continue declare dirs do done elif else esac eval exec exit "
                "export fc fg fi for function getopts hash help history if in jobs kill let local mapfile popd print printf pushd pwd "
                "read readonly return select set shift shopt source suspend test then time times trap type typeset ulimit umask "
                "unalias unset until wait while").split()


class Words(ToolTest):
    def program(self, name, folder=None, text='#!/bin/sh\nprintf "<%s>" "$0" "$@"\n'):
        """A program that prints its words; the folder that it is in."""
        folder = folder or self.folder()
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return folder

    def run_in(self, folder, *words, input, env=(), **options):
        env = dict(self.env, PATH=folder + ":" + os.environ["PATH"], **dict(env))
        return subprocess.run([TOOL, "run", *words], input=input, capture_output=True, env=env, cwd=folder, timeout=PATIENCE,
                              check=False, **options)

    def jobs(self, *words, input, env=(), folder=None):
        result = self.run_in(folder or self.folder(), "--json", *words, input=input, env=env)
        return [job for job in map(json.loads, result.stdout.splitlines()) if job["type"] == "job"]


class Lines(Words):
    def test_the_words_are_those_that_a_shell_would_pass(self):
        folder = self.program("show")
        for line in ("show", "  show \t a  b ", "show 'a b' \"c d\" e' 'f\" g\"", "show '' \"\" x''", "show '$HOME' '\\' '`' '*' '#' ';'",
                     "show \"*\" \"a;b\" \"'\" '\"'", "show a=b --c=d e:f,g @h %i +j /k ./l", "show é 😀 'ü'", "./show x", "show -- -x"):
            with self.subTest(line):
                ours = self.run_in(folder, "-q", input=line.encode()).stdout
                shell = subprocess.run(["/bin/sh", "-c", line], capture_output=True, cwd=folder, check=False,
                                       env=dict(self.env, PATH=folder + ":" + os.environ["PATH"])).stdout
                self.assertEqual(ours.replace(b"/show", b"show").split(b"show", 1)[1], shell.replace(b"/show", b"show").split(b"show", 1)[1])

    def test_a_simple_line_needs_no_shell(self):
        folder = self.program("show", text=f"#!{sys.executable}\nimport os\nprint(os.getpid())\n")
        for line in ("show", "show 'a b'", "./show x"):
            (job,) = self.jobs(input=line.encode(), folder=folder)
            self.assertEqual(job["stdout"], f"{job['pid']}\n")

    def test_what_only_a_shell_understands_is_read_by_one(self):
        folder = self.program("show")
        for line, output in (("show $X", "<value>"), ("show \"$X\"", "<value>"), ("show `echo a`", "<a>"), ("show a\\ b", "<a b>"),
                             ("show sh*", "<show>"), ("show [s]how", "<show>"), ("show sho?", "<show>"), ("X=2 show", ""),
                             ("show a; show b", "<a>"), ("show a & wait", "<a>"), ("show a # b", "<a>"), ("show ~", f"<{folder}>"),
                             ("show a >&2; show b", "<b>"), ("{ show a; }", "<a>"), ("(show a)", "<a>"), ("! show a", "<a>"),
                             ("show a | cat", "<a>"), ("show a && show b", "<b>"), ("if show a; then show b; fi", "<b>"),
                             ("'show' a", "<a>"), ("eval show a", "<a>"), ("exec show a", "<a>")):
            with self.subTest(line):
                (job,) = self.jobs(input=line.encode(), folder=folder, env={"X": "value", "HOME": folder})
                self.assertEqual(job["stderr"].replace("<a>", "") if ">&2" not in line else "", "")
                self.assertIn(output, job["stdout"])
                self.assertNotIn("$", job["stdout"])

    def test_a_word_of_the_shell_is_never_sought_in_path(self):
        folder = self.folder()
        for name in OF_THE_SHELL[1:]:  # "." is a folder
            self.program(name, folder, text="#!/bin/sh\necho found in PATH\n")
        jobs = self.jobs(input="".join(f"{name} x\n" for name in OF_THE_SHELL).encode(), folder=folder)
        self.assertEqual(len(jobs), len(OF_THE_SHELL))
        # A shell that has no such builtin seeks it itself; then its parent is a
        # shell, whose line this was.
        dash = subprocess.run(["/bin/sh", "-c", "type " + " ".join(OF_THE_SHELL)], capture_output=True, text=True, check=False,
                              env=dict(self.env, PATH="/no")).stdout
        builtin = {line.split()[0] for line in dash.splitlines() if "builtin" in line or "keyword" in line}
        self.assertGreater(len(builtin), 30)
        found = {job["command"].split()[0] for job in jobs if "found in PATH" in job["stdout"]}
        self.assertEqual(found & builtin, set())

    def test_setsid_waits(self):
        (job,) = self.jobs(input=b"setsid sh -c 'sleep 0.2; exit 3'")
        self.assertEqual(job["status"], 3 if os.path.basename(os.path.realpath("/bin/sh")) == "dash" else job["status"])

    def test_echo_with_what_its_shell_may_act_upon_is_the_shells(self):
        for line in (r"echo 'a\tb'", "echo -n a", "echo -e a", r"echo '\0101'"):
            (job,) = self.jobs(input=line.encode())
            shell = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True).stdout
            self.assertEqual(job["stdout"], shell)

    def test_with_functions_in_the_environment_every_line_is_the_shells(self):
        folder = self.program("show", text=f"#!{sys.executable}\nimport os\nprint(os.getpid(), os.getppid())\n")
        (job,) = self.jobs(input=b"show", folder=folder)
        self.assertEqual(job["stdout"].split()[0], str(job["pid"]))
        (job,) = self.jobs(input=b"show || true", folder=folder)
        self.assertEqual(job["stdout"].split()[1], str(job["pid"]))
        if os.path.basename(os.path.realpath("/bin/sh")) == "dash":  # bash executes the last command in its own place
            (job,) = self.jobs(input=b"show", folder=folder, env={"BASH_FUNC_f%%": "() { :; }"})
            self.assertEqual(job["stdout"].split()[1], str(job["pid"]))

    def test_dollar_quotes_are_refused_where_the_shell_does_not_know_them(self):
        known = subprocess.run(["/bin/sh", "-c", "test $'x' = x"], check=False).returncode == 0
        folder = self.folder()
        for line in ("echo $'a\\'; touch pwned #'", "echo a $'b'", "echo a#$'b'", "echo a\\ #$'b'", "echo '' \"\"#$'b'", "$$#$'b'",
                     "echo ${x:- #$'b'}", "echo $(true)#$'b'", "echo `echo #$'b'`",
                     "echo $#$'b'"):
            (job,) = self.jobs(input=line.encode(), folder=folder)
            self.assertEqual(job["outcome"], "exited" if known else "not-started")
            self.assertTrue(known or "exitfd run -- COMMAND {}" in job["error"])
        self.assertEqual(os.listdir(folder), [])
        for line, output in (("echo 'x$'", "x$"), ("echo \"$'a'\"", "$'a'"), ("echo \\$'a'", "$a"), ("echo '$'\"'\"", "$'"),
                             ("echo \"\\\"$'\"", "\"$'"), ("echo a # 5$'s", "a"), ("#\necho b;#$'", "b"),
                             ("test $$'1' -gt 1 && echo c", "c")):
            (job,) = self.jobs("-0", input=line.encode())
            self.assertEqual((job["stdout"], job["outcome"]), (output + "\n", "exited"), line)

    def test_a_killed_program_is_reported_as_killed(self):
        program = f"{sys.executable} -c 'import os; os.kill(os.getpid(), 11)'"
        (job,) = self.jobs(input=program.encode())
        self.assertEqual((job["outcome"], job["signal"], job["status"]), ("killed", "SIGSEGV", None))

    def test_the_shell_says_what_it_cannot_run(self):
        folder = self.program("no-exec")
        os.chmod(os.path.join(folder, "no-exec"), 0o644)
        missing, denied = sorted(self.jobs(input=b"no-such-program\n./no-exec\n", folder=folder), key=lambda job: job["line"])
        self.assertEqual((missing["status"], denied["status"]), (127, 126))
        self.assertIn("not found", missing["stderr"])
        self.assertIn("ermission denied", denied["stderr"])

    def test_a_program_without_an_interpreter_line_is_a_script(self):
        folder = self.program("bare", text="echo ran $1\n")
        (job,) = self.jobs(input=b"bare it", folder=folder)
        self.assertEqual(job["stdout"], "ran it\n")

    def test_a_line_may_begin_with_a_dash(self):
        folder = self.program("-tool")
        for line in (b"-tool x", b"-tool $((1))"):
            (job,) = self.jobs(input=line, folder=folder)
            self.assertEqual((job["status"], job["stdout"].split(">", 1)[1]), (0, "<x>" if b"x" in line else "<1>"))


class Command(Words):
    HOSTILE = [b"plain", b"two words", b" lead and trail ", b"'", b'"', b"$(touch pwned)", b"`touch pwned`", b"; touch pwned #",
               b"\\", b"*", b"-n", b"\xff\xfe", "é".encode(), b"a\tb", b"{}", b"#", b"~", b"$'\\''"]

    def test_a_line_is_one_argument_whatever_it_holds(self):
        folder = self.program("show")
        for words, ends in ((["--"], b"\n"), (["-0", "--"], b"\0")):
            lines = ends.join(self.HOSTILE + ([b"two\nlines"] if ends == b"\0" else [])) + ends
            result = self.run_in(folder, "-q", "-k", *words, "show", "{}", "({}:{})", input=lines)
            shown = lines.split(ends)[:-1]
            expected = b"".join(b"<%s/show><%s><(%s:%s)>" % (folder.encode(), word, word, word) for word in shown)
            self.assertEqual((result.stdout, result.returncode), (expected, 0))
            self.assertEqual(sorted(os.listdir(folder)), ["show"])

    def test_empty_lines_are_skipped_and_a_missing_last_end_is_none(self):
        folder = self.program("show")
        result = self.run_in(folder, "-q", "-k", "--", "show", "{}", input=b"\na\n\n#b\r\nc")
        self.assertEqual(result.stdout.replace(folder.encode(), b""), b"</show><a></show><#b></show><c>")

    def test_with_a_list(self):
        folder = self.program("show")
        with open(os.path.join(folder, "list"), "w", encoding="ascii") as file:
            file.write("a\n")
        for words in (["-q", "list", "--", "show", "{}"], ["list", "-q", "--", "show", "{}"]):
            self.assertTrue(self.run_in(folder, *words, input=b"b\n").stdout.endswith(b"<a>"))

    def test_options_behind_it_are_the_commands(self):
        folder = self.program("show")
        result = self.run_in(folder, "-q", "--", "show", "-k", "--json", "--", "{}", input=b"a\n")
        self.assertTrue(result.stdout.endswith(b"<-k><--json><--><a>"))

    def test_json_has_the_words_and_the_line(self):
        (job,) = self.jobs("--", "echo", "it's", "{}", input=b"a b\n")
        self.assertEqual((job["command"], job["argument"], job["stdout"]), ("echo 'it'\\''s' 'a b'", "a b", "it's a b\n"))
        (job,) = self.jobs(input=b"echo a\n")
        self.assertEqual((job["command"], job["argument"]), ("echo a", None))

    def test_one_that_cannot_be_executed_is_not_started(self):
        folder = self.program("no-exec")
        os.chmod(os.path.join(folder, "no-exec"), 0o644)
        for word, why in (("no-such-program", "No such file or directory"), ("./no-exec", "Permission denied")):
            (job,) = self.jobs("--", word, "{}", input=b"a\n", folder=folder)
            self.assertEqual((job["outcome"], job["pid"], job["error"]), ("not-started", None, f"cannot execute '{word}': {why}"))

    def test_an_argument_that_is_too_long_is_not_started(self):
        result = self.run_in(self.folder(), "--", "true", "{}{}", input=b"x" * 100000 + b"\nshort\n")
        self.assertIn(b"line 1: not started: cannot execute 'true': Argument list too long", result.stderr)
        self.assertIn(b"1 succeeded, 1 failed;", result.stderr)

    def test_lines_that_end_with_null_bytes_may_be_commands(self):
        folder = self.folder()
        result = self.run_in(folder, "-0", "-q", "-k", input=b"for i in 1 2; do\n echo $i\ndone\0\0 \n\0# c\necho 3\r\0")
        self.assertEqual(result.stdout, b"1\n2\n3\r\n")


class Habits(Words):
    def refused(self, *words, input=b""):
        result = self.run_in(self.folder(), *words, input=input)
        self.assertEqual((result.returncode, result.stdout), (2, b""))
        return result.stderr.decode()

    def test_forms_of_other_programs_name_ours(self):
        for words, ours in ((["-j", "+2"], "-j 4"), (["-j", "50%"], "-j 4"), (["-j", "-1"], "-j 4"), (["-j", "0"], "-j 4"),
                            (["-j+2"], "-j 4"), (["-P4"], "-j JOBS"), (["-n1"], "-- COMMAND {}"), (["-I{}"], "-- COMMAND {}"),
                            (["--halt", "now,fail=1"], "-f"), (["--joblog", "log"], "--json"), (["--bar"], "-p SECONDS"),
                            (["-a", "list"], "exitfd run FILE"), (["gzip", "{}", ":::", "a"], "exitfd run -- COMMAND {}"),
                            (["gzip", "{}"], "exitfd run -- COMMAND {}"), (["--max-procs=3"], "-j JOBS"),
                            (["-r"], "An empty list runs nothing"), (["--no-run-if-empty"], "An empty list"),
                            (["--tag"], "--json"), (["--dry-run"], "print the list"), (["--tmpdir", "/t"], "Set TMPDIR"),
                            (["gzip", "{}", "::::", "a"], "exitfd run -- COMMAND {}"),
                            (["gzip", "-9", "{}"], "exitfd run -- COMMAND {}"), (["-s", "KILL"], "-K SECONDS"),
                            (["--signal=KILL"], "-K SECONDS"), (["-k", "10"], "-K SECONDS")):
            with self.subTest(words):
                self.assertIn(ours, self.refused(*words))

    def test_an_option_that_is_ours_is_no_one_else_s(self):
        self.assertIn("option '--quiet=3' takes no value", self.refused("--quiet=3"))
        self.assertIn("option '-j' needs a value", self.refused("-j"))
        self.assertNotIn("-K", self.refused("-k", "/no/such/list"))

    def test_a_command_needs_a_place_for_the_line(self):
        self.assertIn("'-- gzip {}'", self.refused("--", "gzip"))
        self.assertIn("a command is missing", self.refused("--"))

    def test_a_script_is_no_list(self):
        for text in (b"#!/bin/sh\ntouch pwned\n", b"#!/bin/sh"):
            self.assertIn("the list '-' begins with '#!', so it is a script", self.refused(input=text))
        self.assertEqual(self.run_in(self.folder(), "-q", input=b"\n#!/bin/sh\necho a\n").stdout, b"a\n")

    def test_a_list_may_name_exitfd_as_its_interpreter(self):
        self.assertEqual(self.run_in(self.folder(), "-q", input=b"#!/usr/bin/env -S exitfd run\necho a\n").stdout, b"a\n")

    def test_the_shortest_time_is_a_time(self):
        for time in ("1e-10", "1e-400"):
            result = self.run_in(self.folder(), "-t", time, input=b"sleep 1000\n")
            self.assertIn(b"1 timed out", result.stderr)

    def test_sizes(self):
        for size in ("x", "", "3Q", "1KB", "-1", "1.5G", "9999999999999999999", "9223372036854775807K"):
            self.assertIn("is not a size", self.refused("--output-limit", size))
        for size in ("0", "1", "9223372036854775807", "5K", "6M", "7G", "8T"):
            self.assertEqual(self.run_in(self.folder(), "--output-limit", size, input=b"").returncode, 0)


if __name__ == "__main__":
    main()
