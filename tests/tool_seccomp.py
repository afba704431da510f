# SPDX-License-Identifier: MIT
"""A sandbox that answers one system call in its own way."""
import ctypes
import struct
import sys

SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000


def number_of(name):
    """The number of a system call on this machine, or None."""
    try:
        number = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(name.encode())
    except OSError:
        return None
    return number if number >= 0 else None


def forbid(number, answer, first_argument=None):
    """A seccomp filter for this process: load the number, compare, answer or allow; the same with an argument."""
    load, jump_if_equal, give, number_at, argument_at = 0x20, 0x15, 0x06, 0, 16 if sys.byteorder == "little" else 20
    compare = [(load, number_at, number)] + ([] if first_argument is None else [(load, argument_at, first_argument)])
    program = b""
    for place, (code, offset, value) in enumerate(compare):
        to_allow = 2 * (len(compare) - place) - 1
        program += struct.pack("=HBBI", code, 0, 0, offset) + struct.pack("=HBBI", jump_if_equal, 0, to_allow, value)
    program += struct.pack("=HBBI", give, 0, 0, answer) + struct.pack("=HBBI", give, 0, 0, SECCOMP_RET_ALLOW)
    buffer = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, mode_filter, filter_, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
