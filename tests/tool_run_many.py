# SPDX-License-Identifier: MIT
"""exitfd run with many commands, 200 at a time: 20,000 in ci/proof, fewer in the ordinary run."""
import json
import os

from tool_support import ToolTest, main

COUNT = max(100, int(os.environ.get("EXITFD_STRESS_ROUNDS", 500)))  # one in a hundred fails


class Many(ToolTest):
    def test_thousands_of_lines_200_at_a_time(self):
        lines = "".join(f"echo {i}; exit {int(i % 100 == 0)}\n" for i in range(1, COUNT + 1))
        result = self.run_tool("run", "-j", 200, "--json", input=lines, timeout=1100)
        *jobs, summary = map(json.loads, result.stdout.splitlines())
        self.assertEqual(sorted(job["line"] for job in jobs), list(range(1, COUNT + 1)))
        for job in jobs:
            self.assertEqual((job["outcome"], job["status"], job["stdout"], job["origin"]),
                             ("exited", int(job["line"] % 100 == 0), f"{job['line']}\n", "reaped"))
        self.assertEqual((result.returncode, summary["succeeded"], summary["failed"]), (1, COUNT - COUNT // 100, COUNT // 100))
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
