#!/bin/bash
# SPDX-License-Identifier: MIT
# Package: dash, bash and busybox-static of Debian 12 (seen with 0.5.12-2,
# 5.2.15-2+b13 and 1:1.35.0-4+deb12u1+b1).
# Behaviour: a service is a shell with a trap for SIGTERM and a child in the
# foreground. A manager stops it as most do, by SIGTERM to all of its processes.
# The shell waits for the child first, and says on standard error that the child
# was "Terminated". If the reader of that pipe is gone by then, for example a
# log collector that was stopped just before, the shell dies of SIGPIPE, and its
# trap is never run. With a reader the trap is run.
# Exit status: 0 as described, 1 another behaviour, 2 it could not be run. Needs
# apt-get, dpkg-deb and python3.
set -u -o pipefail

folder=$(mktemp -d) || exit 2
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder" || exit 2
apt-get download -qq dash=0.5.12-2 bash=5.2.15-2+b13 busybox-static=1:1.35.0-4+deb12u1+b1 > log 2>&1 || { cat log >&2; exit 2; }
for package in *.deb; do
    echo "${package%%_amd64.deb}"
    dpkg-deb -x "$package" root || exit 2
done

cat > program.py << 'P'
import os
import signal
import subprocess
import sys

SERVICE = "trap 'echo > cleaned; exit 3' TERM; sh -c 'echo ready; exec sleep 1000'"
SHELLS = {"dash": ["root/bin/dash"], "bash": ["root/bin/bash", "--norc"], "busybox sh": ["root/bin/busybox", "sh"]}


def stop(shell, has_reader):
    """True if the trap was run, and how the shell ended."""
    if os.path.exists("cleaned"):
        os.unlink("cleaned")
    service = subprocess.Popen([*SHELLS[shell], "-c", SERVICE], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    service.stdout.readline()
    if not has_reader:
        service.stderr.close()
    os.killpg(service.pid, signal.SIGTERM)
    service.wait()
    return os.path.exists("cleaned"), service.returncode


as_described = True
for shell in SHELLS:
    for has_reader in (True, False):
        is_cleaned, status = stop(shell, has_reader)
        print(f"{shell}: SIGTERM to all, standard error {'is read' if has_reader else 'has lost its reader'}:",
              "the trap was run" if is_cleaned else "the trap was not run", f"({status})")
        as_described &= (is_cleaned, status) == ((True, 3) if has_reader else (False, -signal.SIGPIPE))
print("AS DESCRIBED" if as_described else "DIFFERENT")
sys.exit(not as_described)
P
python3 program.py
