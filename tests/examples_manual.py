#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples of the manual pages, where no process can be started."""
import os
import resource
import subprocess
import sys
import unittest

import examples_support
from script_support import PATIENCE


class ManualTest(examples_support.ExampleTest):
    def run_limited(self, *command):
        """RLIMIT_NPROC counts all processes of a user, and root has no such limit. So root becomes another user."""
        user = 100000 + os.getpid() % 100000

        def limit():
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            if os.geteuid() == 0:
                os.setresuid(user, user, user)

        leaks = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # that check needs a process
        try:
            return subprocess.run(command, preexec_fn=limit, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  env={**os.environ, "ASAN_OPTIONS": leaks}, timeout=PATIENCE, check=False)
        except (subprocess.SubprocessError, PermissionError) as error:
            if isinstance(error, subprocess.TimeoutExpired):
                raise
            return self.skipTest(f"no other user can run it: {error}")

    def test_without_a_child_it_does_not_wait_for_one(self):
        if self.run_limited("sh", "-c", "(exit 0)").returncode == 0:
            self.skipTest("there is no limit for this user")
        result = self.run_limited(self.program)
        if result.returncode == 127:
            self.skipTest("no other user can load the library: " + result.stderr)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)


if __name__ == "__main__":
    sys.exit(examples_support.main())
