#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: python3.11-minimal, libpython3.11-minimal, libpython3.11-stdlib of
# Debian 12 (seen with 3.11.2-6+deb12u9).
# Behaviour: a program inherits an ignored SIGCHLD, so the kernel reaps its
# children. Its multiprocessing.Process then ends, and for Python it never does:
# is_alive() is True and exitcode None for ever, although join() with a time-out
# comes back at once, as it does for a process that has ended. At its own end
# the interpreter sends SIGTERM to every such daemon process, whose pid was free
# all the time. (subprocess, in the same program, says 0 for a command that
# failed.)
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# apt-get and dpkg-deb.
set -u -o pipefail

version=3.11.2-6+deb12u9
folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder" || exit 2
apt-get download -qq {python3.11-minimal,libpython3.11-minimal,libpython3.11-stdlib}="$version" > log 2>&1 || { cat log >&2; exit 2; }
for package in *.deb; do
    dpkg-deb -x "$package" root || exit 2
done

cat > program.py << 'P'
import multiprocessing
import os
import subprocess
import sys
import time


def note_kill(pid, signum):
    gone = not os.path.exists(f"/proc/{pid}")
    print(f"at the end: signal {signum} for pid {pid}, which is {'nobody' if gone else 'somebody'}", flush=True)


def main():
    print("Python", sys.version.split()[0])
    process = multiprocessing.get_context("fork").Process(target=int, daemon=True)
    process.start()
    while os.path.exists(f"/proc/{process.pid}"):
        time.sleep(0.01)
    begin = time.monotonic()
    process.join(60)
    quickly = time.monotonic() - begin < 30
    print("the process is gone: is_alive", process.is_alive(), "exitcode", process.exitcode,
          "join(60)", "came back at once" if quickly else "took its time")
    print("subprocess: false gives", subprocess.call(["false"]))
    os.kill = note_kill


main()
P
(trap '' CHLD; PYTHONHOME=$folder/root/usr exec "$folder/root/usr/bin/python3.11" program.py) | tee output
for line in 'is_alive True exitcode None join(60) came back at once' 'false gives 0' 'signal 15 for pid [0-9]*, which is nobody'; do
    grep -q "$line" output || { echo DIFFERENT; exit 1; }
done
echo 'AS DESCRIBED'
