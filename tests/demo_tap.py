# SPDX-License-Identifier: MIT
"""A runner that lets unittest speak TAP, so that each test, and not each file, is counted."""
import unittest


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.before = len(self.failures), len(self.errors), len(self.skipped)

    def stopTest(self, test):
        super().stopTest(test)
        failures, errors, skipped = self.before
        wrong = self.failures[failures:] + self.errors[errors:]
        skips = "".join(f" # SKIP {reason}" for _, reason in self.skipped[skipped:])
        print(f"{'not ok' if wrong else 'ok'} {self.testsRun} - {test.id().removeprefix('__main__.')}{skips}")
        for _, traceback in wrong:
            print("".join(f"# {line}\n" for line in traceback.splitlines()), end="", flush=True)


class Runner:
    def run(self, suite):
        print(f"1..{suite.countTestCases()}", flush=True)
        result = Result()
        suite(result)
        return result
