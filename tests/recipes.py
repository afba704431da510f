#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/recipes.md: its code is that of the example it names, each of which is built and has a test."""
import os
import re
import sys
import unittest

import demo_tap
from script_support import ROOT, text_of


class Recipes(unittest.TestCase):
    # What the page is there for.
    TASKS = ["deadline", "SIGTERM", "all that it started", "output of 50", "Workers", "systemd", "PID 1"]

    def setUp(self):
        _, *self.recipes = re.split(r"(?m)^## ", text_of("docs", "recipes.md"))

    def test_every_task_has_its_recipe(self):
        titles = [recipe.partition("\n")[0] for recipe in self.recipes]
        for task in self.TASKS:
            self.assertTrue(any(task in title for title in titles), task)

    def test_the_code_is_that_of_the_example(self):
        for recipe in self.recipes:
            title = recipe.partition("\n")[0]
            example = text_of("examples", re.search(r"\]\(\.\./examples/([\w-]+\.c)\)", recipe)[1])
            blocks = re.findall(r"(?ms)^```c\n(.*?)^```$", recipe)
            self.assertTrue(blocks, title)
            for block in blocks:
                self.assertIn("\n" + block, example, title)

    def test_each_example_has_a_test(self):
        built = text_of("examples", "meson.build")
        for name in re.findall(r"\.\./examples/([\w-]+)\.c\)", "".join(self.recipes)):
            driver = re.search(rf"'{name}': {{'sources': \['{name}\.c'\], 'tests': \['(\w+)'", built)
            self.assertTrue(driver, name)
            self.assertTrue(os.path.exists(os.path.join(ROOT, "tests", driver[1] + ".py")), name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print("usage: recipes.py", file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    unittest.main(testRunner=demo_tap.Runner)
