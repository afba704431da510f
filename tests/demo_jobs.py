#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: demo_jobs.py EPOLL-JOBS

Runs the daemon EPOLL-JOBS against real programs, shows a table of what came out, and checks it."""
import os
import select
import subprocess
import sys

import demo_client
from script_support import PATIENCE

SKIPPED = 77
CONNECTIONS = 4
SHORT_JOBS_EACH = 100
DUMP = "ulimit -c unlimited 2>/dev/null; kill -ABRT $$"
WITHOUT_RUSAGE = os.environ.get("POSIX_BUILD")  # of a child that is held: exitfd_wait(3)
ROW = "{:<49} {:>7}  {:<11} {:>7} {:>10}  {}"

check = demo_client.Checks()


def show(job, expected, *more):
    """One row of the table; `more` are further (holds, what) pairs that the job has to meet."""
    good = check(job.how == expected, f"{job.line}: {job.how}, expected {expected}")
    for holds, what in more:
        good = check(holds, f"{job.line}: {what}") and good
    text = job.output.decode(errors="replace").replace("\n", " ").strip()
    if len(job.output) > 24:
        text = f"{len(job.output)} bytes"
    print(ROW.format(job.line, job.pid, job.how, f"{job.cpu:.3f}", job.kb, text + ("" if good else "  WRONG")))


def how_it_really_dies(line, directory):
    """The same command line waited for with subprocess, without exitfd."""
    child = subprocess.Popen(["/bin/sh", "-c", line], cwd=directory)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = 0  # so that Popen does not look for it again
    return f"{'dumped' if os.WCOREDUMP(status) else 'killed'} {os.WTERMSIG(status)}"


def real_programs(daemon, client):
    small = client.run("echo hello")
    show(small, "exited 0", (small.output == b"hello\n", "output"))
    fails = client.run("ls /nonexistent")
    show(fails, "exited 2", (b"nonexistent" in fails.output, "its message on standard error"))
    show(client.run("exit 255"), "exited 255")
    show(client.run("no-such-program"), "exited 127")

    killed = client.start("sleep 1000")
    client.send(f"kill {killed.pid}\n".encode())
    client.expect(f"killing {killed.pid}")
    client.finish(killed)
    show(killed, "killed 15")

    show(client.run(DUMP), how_it_really_dies(DUMP, daemon.directory.name))
    busy = client.run("ulimit -S -t 1; while :; do :; done")
    # The kernel counts ticks against the limit, and exactly for the report: on
    # a busy machine they differ.
    show(busy, "killed 24", (WITHOUT_RUSAGE or busy.cpu >= 0.5, "at least half of its second of CPU"))
    large = client.run("dd if=/dev/zero of=/dev/null bs=100M count=1")
    show(large, "exited 0", (WITHOUT_RUSAGE or large.kb >= 100 * 1024, "at least 100 MiB"))
    pipeline = client.run("tar -cf - /etc/apt | gzip | gzip -t && echo whole")
    show(pipeline, "exited 0", (pipeline.output.endswith(b"whole\n"), "output"))
    numbers = client.run("seq 200000")
    show(numbers, "exited 0", (numbers.output == "".join(f"{n}\n" for n in range(1, 200001)).encode(), "output"))


def many_short_ones(daemon):
    clients = [daemon.connect() for _ in range(CONNECTIONS)]
    jobs = [client.submit(*(f"echo {n}; exit {n}" for n in range(SHORT_JOBS_EACH))) for client in clients]
    right = 0
    for client, its_jobs in zip(clients, jobs):
        client.finish(*its_jobs)
        right += sum(job.how == f"exited {n}" and job.output == f"{n}\n".encode() for n, job in enumerate(its_jobs))
        client.close()
    total = CONNECTIONS * SHORT_JOBS_EACH
    check(right == total, f"{total - right} of {total} short jobs did not end as they should")
    print(f"{total} short jobs at once on {CONNECTIONS} connections: {right} with the right output and exit status")


def client_goes_away(daemon, client):
    gate = os.path.join(daemon.directory.name, "gate")
    os.mkfifo(gate)
    other = client.start("read words <gate; echo $words")
    leaving = daemon.connect()
    abandoned = leaving.start("trap '' TERM; sleep 1000 & wait")
    watch = os.pidfd_open(abandoned.pid)
    leaving.close()
    ended = select.select([watch], [], [], PATIENCE)[0]
    os.close(watch)
    with open(gate, "w", encoding="ascii") as opened:
        opened.write("still here\n")
    client.finish(other)
    gone = bool(ended) and abandoned.pid not in daemon.children()
    check(gone, "the job of the client that went away still exists")
    check(other.how == "exited 0" and other.output == b"still here\n", "another client's job suffered")
    print(f"a client that went away: its job was {'killed and reaped' if gone else 'LEFT'}, "
          f"another client's {other.how}")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stdout if sys.argv[1:] == ["--help"] else sys.stderr)
        return 0 if sys.argv[1:] == ["--help"] else 2
    try:
        daemon = demo_client.Daemon(sys.argv[1])
    except demo_client.NotHere as complaint:
        print(complaint)
        return SKIPPED
    with daemon:
        print(daemon.greeting, "\n")
        print(ROW.format("command line", "pid", "how", "cpu s", "memory kB", "output"))
        with daemon.connect() as client:
            real_programs(daemon, client)
            print()
            many_short_ones(daemon)
            client_goes_away(daemon, client)
            check(daemon.children() == [], f"children left: {daemon.children()}")
            check(daemon.count_fds() == daemon.fds_at_start + 1, "fds leaked")
        status = daemon.terminate()
        check(status == 0, f"on SIGTERM: {status}")
        print(f"the daemon on SIGTERM: exit status {status}, no child and no fd left behind")
    print("all as it should be" if not check.wrong else f"{check.wrong} wrong")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
