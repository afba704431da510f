# SPDX-License-Identifier: MIT
"""exitfd run with many commands: 20,000 lines, 200 at a time."""
import json

from tool_support import ToolTest, main

COUNT = 20000


class Many(ToolTest):
    def test_20000_lines_200_at_a_time(self):
        lines = "".join(f"echo {i}; exit {int(i % 1000 == 0)}\n" for i in range(1, COUNT + 1))
        result = self.run_tool("run", "-j", 200, "--json", input=lines, timeout=1100)
        *jobs, summary = map(json.loads, result.stdout.splitlines())
        self.assertEqual(sorted(job["line"] for job in jobs), list(range(1, COUNT + 1)))
        for job in jobs:
            self.assertEqual((job["outcome"], job["status"], job["stdout"], job["origin"]),
                             ("exited", int(job["line"] % 1000 == 0), f"{job['line']}\n", "reaped"))
        self.assertEqual((result.returncode, summary["succeeded"], summary["failed"]), (1, COUNT - 20, 20))
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
