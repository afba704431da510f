# SPDX-License-Identifier: MIT
"""What others wrote, in a name or a line or an argument, never acts upon the terminal that a message is shown on."""
import json
import subprocess

from tool_support import PATIENCE, TOOL, ToolTest, main

CONTROLS = [*range(1, 0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x2070)]
RAW = [bytes([byte]) for byte in range(0x80, 0x100)]  # none is UTF-8 where a blank follows
HARMLESS = "aé€😀\u200d ~"


def hostile(but=""):
    """Each control and each raw byte, between marks."""
    characters = b"".join(f"<{chr(number)}>".encode() for number in CONTROLS if chr(number) not in but)
    return characters + b"".join(b"<" + byte + b">" for byte in RAW)


class Clean(ToolTest):
    def output_of(self, *words, input=b"", env=None):
        result = subprocess.run([TOOL.encode(), *words], input=input, capture_output=True, env=env or self.env, timeout=PATIENCE,
                                check=False)
        return result.stdout, result.stderr

    def assert_clean(self, output):
        text = output.decode("utf-8")  # and so no raw byte
        self.assertEqual([hex(ord(c)) for c in text if ord(c) in CONTROLS and c != "\n"], [])

    def test_messages_with_names_and_arguments(self):
        word = hostile()
        for words in ([b"run", b"/no/" + word], [b"run", b"-j", word], [b"run", b"-t", word], [b"run", b"--" + word],
                      [b"run", b"-\x1b"], [b"run", b"--json=" + word], [b"run", b"a", word], [b"wait", word],
                      [b"wait", b"--" + word], [b"init", b"/no/" + word], [b"init", b"-p", word], [b"init", b"-\x07"],
                      [b"doctor", word], [b"doctor", b"--" + word], [word]):
            with self.subTest(words[:-1]):
                _, errors = self.output_of(*words)
                self.assertNotEqual(errors, b"")
                self.assert_clean(errors)

    def test_messages_with_the_environment(self):
        env = dict(self.env, EXITFD_BACKEND=hostile())
        for words in ([b"run"], [b"wait", b"1"], [b"init", b"true"], [b"doctor"], [b"doctor", b"--json"]):
            with self.subTest(words):
                output, errors = self.output_of(*words, env=env)
                self.assertIn(b"EXITFD_BACKEND", output + errors)
                self.assert_clean(output)
                self.assert_clean(errors)

    def test_a_message_keeps_its_words(self):
        _, errors = self.output_of(b"run", b"/no/" + HARMLESS.encode() + b"\t\x1b[1m")
        self.assertIn(f"cannot open the list '/no/{HARMLESS} ?[1m'".encode(), errors)

    def test_messages_and_the_summary_with_lines(self):
        lines = b"".join(b"false '" + part + b">'\n" for part in hostile("\n").split(b">"))
        _, errors = self.output_of(b"run", b"-s", b"1000", input=lines)
        self.assertEqual(errors.count(b"exit 1"), 2 * lines.count(b"\n"))
        self.assert_clean(errors)

    def test_json_has_them_escaped(self):
        text = "".join(chr(number) for number in CONTROLS if number not in (0xA, 0xD)) + HARMLESS
        output, _ = self.output_of(b"run", b"--json", input=f"printf %s '{text}'\n".encode())
        self.assert_clean(output)
        job = json.loads(output.splitlines()[0])
        self.assertEqual((job["stdout"], job["command"]), (text, f"printf %s '{text}'"))

    def test_a_long_message_is_cut_and_not_lost(self):
        _, errors = self.output_of(b"run", b"-t", b"x" * 100000)
        self.assertTrue(errors.startswith(b"exitfd run: 'xxxx"))
        self.assertIn(b"x\nTry 'exitfd run --help'.\n", errors)


if __name__ == "__main__":
    main()
