#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: confine.py json FILE COMMAND...       the seccomp list of a container, without capabilities beyond the usual
       confine.py systemd SETS COMMAND...    SystemCallFilter=SETS with EPERM; a set that begins with ~ is taken away
       confine.py landlock COMMAND...        a Landlock domain that may read and write files, with signals scoped

Runs COMMAND under what a sandbox sets up. For ci/proof-environments."""
import ctypes
import errno
import json
import os
import subprocess
import sys

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
MASKED_EQUAL = 7
CAPABILITIES = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP",
                "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}
COMPARISONS = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
               "SCMP_CMP_MASKED_EQ": MASKED_EQUAL}


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("first", ctypes.c_uint64), ("second", ctypes.c_uint64)]


def check(result, what):
    if result < 0:
        sys.exit(f"confine.py: {what}: {os.strerror(-result)}")


class Filter:
    def __init__(self, default):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(default)))
        self.default = default

    def add(self, name, action, comparisons=()):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number < 0 or action == self.default:
            return
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        check(self.library.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(comparisons), array), name)

    def load(self):
        check(self.library.seccomp_load(self.context), "seccomp_load")


def action_of(name, number):
    return {"SCMP_ACT_ALLOW": ALLOW, "SCMP_ACT_ERRNO": ERRNO | (number or errno.EPERM)}[name]


def applies(rule):
    """The rules of this architecture and of the capabilities that a container has by default."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    wanted = set(includes.get("caps") or ())
    return (wanted <= CAPABILITIES and not set(excludes.get("caps") or ()) & CAPABILITIES
            and "amd64" in (includes.get("arches") or ["amd64"]) and "amd64" not in (excludes.get("arches") or ()))


def container(path):
    with open(path, encoding="utf-8") as file:
        profile = json.load(file)
    made = Filter(action_of(profile["defaultAction"], profile.get("defaultErrnoRet")))
    for rule in filter(applies, profile["syscalls"]):
        comparisons = [Comparison(one["index"], COMPARISONS[one["op"]], one["value"], one.get("valueTwo", 0))
                       for one in rule.get("args") or ()]
        for name in rule.get("names") or [rule["name"]]:
            made.add(name, action_of(rule["action"], rule.get("errnoRet")), comparisons)
    made.load()


def members(name):
    """Of a set of systemd, with the sets in it. The program has the lists in it, no systemd need run."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in text.splitlines()[1:] if line.startswith("    ") and not line.strip().startswith("#")]
    return {found for word in words for found in (members(word) if word.startswith("@") else {word})}


def systemd(sets):
    allowed = set()
    for name in sets.split():
        allowed = allowed - members(name[1:]) if name.startswith("~") else allowed | members(name)
    made = Filter(ERRNO | errno.EPERM)
    for name in allowed:
        made.add(name, ALLOW)
    made.load()


def landlock():
    libc = ctypes.CDLL(None, use_errno=True)
    create, add, restrict, beneath, signals = 444, 445, 446, 1, 2

    class Ruleset(ctypes.Structure):
        _fields_ = [("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]

    class Path(ctypes.Structure):
        _pack_ = 1
        _fields_ = [("access", ctypes.c_uint64), ("fd", ctypes.c_int)]

    files = (1 << 13) - 1
    ruleset = libc.syscall(create, ctypes.byref(Ruleset(files, 0, signals)), 24, 0)
    if ruleset < 0:
        sys.exit("confine.py: landlock_create_ruleset: " + os.strerror(ctypes.get_errno()))
    root = os.open("/", os.O_PATH)
    if libc.syscall(add, ruleset, beneath, ctypes.byref(Path(files, root)), 0) or libc.prctl(38, 1, 0, 0, 0) \
            or libc.syscall(restrict, ruleset, 0):
        sys.exit("confine.py: landlock: " + os.strerror(ctypes.get_errno()))


def main():
    kind, words = sys.argv[1], sys.argv[2:]
    if kind == "landlock":
        landlock()
    else:
        {"json": container, "systemd": systemd}[kind](words.pop(0))
    os.execvp(words[0], words)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
