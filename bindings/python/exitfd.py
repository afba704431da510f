# SPDX-License-Identifier: MIT
"""exitfd for Python: every child exit, exactly once, with its true status, on one pollable fd.

    with exitfd.ExitFd() as x:
        x.spawn(["sh", "-c", "exit 7"], data="job")
        for event in x:
            print(event.data, event.returncode)

One file over libexitfd.so with ctypes, no build step. EXITFD_LIBRARY in the environment names another library file.
What each call does, and what each errno means, is said in exitfd(3); a negative errno is an OSError here, of the subclass
that Python has for it (ProcessLookupError, ChildProcessError, FileExistsError, ...).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ctypes.util
import errno
import fcntl
import math
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from typing import IO, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

__all__ = [
    "ExitFd", "Event", "Process", "wait_pid", "create_subprocess_exec", "close_of_closed_loops",
    "installHandler", "isDefaultHandler", "version",
    "PIDFD", "URING", "SIGNALFD", "SELFPIPE", "NO_SIGNALS", "OBSERVE", "STOPPED", "CONTINUED",
    "REAPED", "PEEKED", "RECORDED", "UNKNOWN",
]

PIDFD, URING, SIGNALFD, SELFPIPE, NO_SIGNALS = (1 << bit for bit in range(5))
OBSERVE, STOPPED, CONTINUED = (1 << bit for bit in range(8, 11))
REAPED, PEEKED, RECORDED, UNKNOWN = range(4)
ANY_CHILD = -1


_COUNTS = ("maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd", "msgrcv",
           "nsignals", "nvcsw", "nivcsw")


def _libc_is_musl() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    # platform.libc_ver guesses from the interpreter's file. musl has no value for this name.
    try:
        return not os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return True


def _event_type(musl: bool) -> Any:
    """struct exitfd_event. musl's struct rusage ends in reserved room, and its times have 64 bits everywhere."""
    seconds = ctypes.c_int64 if musl else ctypes.c_long
    reserved = [("reserved", ctypes.c_long * 16)] if musl else []

    class Timeval(ctypes.Structure):
        _fields_ = [("tv_sec", seconds), ("tv_usec", seconds)]

    class Rusage(ctypes.Structure):
        _fields_ = [("utime", Timeval), ("stime", Timeval), *((name, ctypes.c_long) for name in _COUNTS), *reserved]

    class RawEvent(ctypes.Structure):
        _fields_ = [("pid", ctypes.c_int), ("code", ctypes.c_int), ("status", ctypes.c_int), ("origin", ctypes.c_int),
                    ("data", ctypes.c_void_p), ("rusage", Rusage), ("crash_signal", ctypes.c_int),
                    ("reserved", ctypes.c_int * 7)]

    return RawEvent


_Event = _event_type(_libc_is_musl())


class Event(NamedTuple):
    """What exitfd_wait reports. rusage is a resource.struct_rusage."""

    pid: int
    code: int
    status: int
    origin: int
    data: Any
    rusage: resource.struct_rusage

    @property
    def exited(self) -> bool:
        """False for a stop or a continue, after which the child lives on."""
        return self.code not in (os.CLD_STOPPED, os.CLD_CONTINUED)

    @property
    def returncode(self) -> Optional[int]:
        """As subprocess has it: the status, or minus the signal; None if it is not known or the child lives on."""
        if self.origin == UNKNOWN or not self.exited:
            return None
        return self.status if self.code == os.CLD_EXITED else -self.status


_POINTER, _INT, _UNSIGNED = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint
_PROTOTYPES: Dict[str, Tuple[Any, ...]] = {
    "exitfd_open": (_INT, ctypes.POINTER(_POINTER), _UNSIGNED),
    "exitfd_close": (_POINTER, _POINTER),
    "exitfd_get_fd": (_INT, _POINTER),
    "exitfd_get_backend": (ctypes.c_char_p, _POINTER),
    "exitfd_add": (_INT, _POINTER, _INT, _UNSIGNED, _POINTER),
    "exitfd_add_pidfd": (_INT, _POINTER, _INT, _UNSIGNED, _POINTER),
    "exitfd_remove": (_INT, _POINTER, _INT),
    "exitfd_discard": (_INT, _POINTER, _INT),
    "exitfd_kill": (_INT, _POINTER, _INT, _INT),
    "exitfd_get_pidfd": (_INT, _POINTER, _INT),
    "exitfd_wait": (_INT, _POINTER, ctypes.POINTER(_Event), _INT, _INT),
    "exitfd_spawn": (_INT, _POINTER, ctypes.POINTER(_INT), ctypes.c_char_p, _POINTER, _POINTER,
                     ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_char_p), _UNSIGNED, _POINTER),
    "exitfd_install_handler": (_INT, _INT, ctypes.POINTER(_INT)),
    "exitfd_is_default_handler": (_INT,),
    "exitfd_version": (ctypes.c_char_p,),
}


def _load() -> ctypes.CDLL:
    name = os.environ.get("EXITFD_LIBRARY") or ctypes.util.find_library("exitfd") or "libexitfd.so.0"
    library = ctypes.CDLL(name)
    for function, (result, *arguments) in _PROTOTYPES.items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


_library = _load()


def _check(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def version() -> str:
    """The version of the library that runs."""
    return str(_library.exitfd_version(), "ascii")


def _bytes(value: str) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


def _strings(values: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(values) + 1))(*[_bytes(value) for value in values], None)


def _pid_by_ioctl(pidfd: int) -> int:
    # PIDFD_GET_INFO with PIDFD_INFO_PID, Linux 6.13: the number and the struct are the same on every processor.
    info = bytearray(struct.pack("=Q56x", 1))
    fcntl.ioctl(pidfd, 0xC040FF0B, info)
    return int(struct.unpack_from("=i", info, 16)[0])


def _pid_by_fdinfo(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as info:
        return next((int(line.split()[1]) for line in info if line.startswith("Pid:")), 0)


def _pid_of(pidfd: int) -> int:
    """As the library learns it. Below 1 if the process is gone."""
    for ask in (_pid_by_ioctl, _pid_by_fdinfo):
        with contextlib.suppress(OSError):
            return ask(pidfd)
    return 0


def _seconds(value: Any) -> float:
    return float(value.tv_sec + value.tv_usec / 1e6)


def _rusage(raw: Any) -> resource.struct_rusage:
    return resource.struct_rusage([_seconds(raw.utime), _seconds(raw.stime), *(getattr(raw, name) for name in _COUNTS)])


def _milliseconds(seconds: float) -> int:
    """For a c_int: never too short, unless it does not fit."""
    return math.ceil(max(min(seconds * 1000, 2**31 - 1), 0))


class ExitFd:
    """An exitfd. Iterating gives events, blocking, for as long as anything is watched."""

    def __init__(self, flags: int = 0) -> None:
        self._x: Optional[int] = None
        self._data: Dict[int, Any] = {}
        self._tokens: Dict[int, int] = {}
        self._last_token = 0
        x = _POINTER()
        _check(_library.exitfd_open(ctypes.byref(x), flags))
        self._x = x.value

    def __enter__(self) -> "ExitFd":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_x", None) is not None:
            self.close()

    def close(self) -> None:
        """Children still watched are the caller's again, un-reaped."""
        if self._x is not None:
            _library.exitfd_close(self._x)
            self._x = None
            self._data.clear()
            self._tokens.clear()

    def fileno(self) -> int:
        """The fd to poll for input: select, epoll and loop.add_reader take the object itself."""
        return _check(_library.exitfd_get_fd(self._x))

    @property
    def backend(self) -> str:
        """"pidfd", "io_uring", "signalfd" or "self-pipe"."""
        name = _library.exitfd_get_backend(self._x)
        if name is None:
            raise ValueError("this exitfd is closed")
        return str(name, "ascii")

    @contextlib.contextmanager
    def _kept(self, data: Any) -> Iterator[int]:
        self._last_token += 1
        token = self._last_token
        self._data[token] = data
        try:
            yield token
        except BaseException:
            self._data.pop(token, None)
            raise

    def add(self, pid: int, flags: int = 0, data: Any = None) -> None:
        """Watch a process by pid; -1 (ANY_CHILD) watches any other child."""
        with self._kept(data) as token:
            _check(_library.exitfd_add(self._x, pid, flags, token))
        self._tokens[pid] = token

    def add_pidfd(self, pidfd: int, flags: int = 0, data: Any = None) -> None:
        """Watch the process of a pidfd, which is duplicated and stays the caller's."""
        with self._kept(data) as token:
            _check(_library.exitfd_add_pidfd(self._x, pidfd, flags, token))
        pid = _pid_of(pidfd)
        if pid > 0:
            self._tokens[pid] = token

    def remove(self, pid: int) -> None:
        """Stop watching: the child is the caller's again, un-reaped."""
        _check(_library.exitfd_remove(self._x, pid))
        self._data.pop(self._tokens.pop(pid, 0), None)

    def discard(self, pid: int) -> None:
        """Reap it when it exits, report nothing."""
        _check(_library.exitfd_discard(self._x, pid))
        self._data.pop(self._tokens.pop(pid, 0), None)

    def kill(self, pid: int, signum: int = signal.SIGTERM) -> None:
        """Send a signal that cannot hit a recycled pid."""
        _check(_library.exitfd_kill(self._x, pid, signum))

    def get_pidfd(self, pid: int) -> int:
        """The pidfd of a watch, borrowed: os.dup it to keep it."""
        return _check(_library.exitfd_get_pidfd(self._x, pid))

    def spawn(self, argv: Sequence[str], env: Optional[Mapping[str, str]] = None, flags: int = 0, data: Any = None) -> int:
        """Start argv[0], looked for in PATH, already watched. Returns its pid."""
        if not argv:
            raise ValueError("argv is empty")
        pid = _INT()
        arguments = _strings(argv)
        variables = _strings([f"{name}={value}" for name, value in (os.environ if env is None else env).items()])
        with self._kept(data) as token:
            _check(_library.exitfd_spawn(
                self._x, ctypes.byref(pid), arguments[0], None, None, arguments, variables, flags, token))
        self._tokens[pid.value] = token
        return pid.value

    def _event(self, raw: Any) -> Event:
        token = raw.data or 0
        data = self._data.get(token)
        event = Event(raw.pid, raw.code, raw.status, raw.origin, data, _rusage(raw.rusage))
        if event.exited and token != self._tokens.get(ANY_CHILD):
            self._data.pop(token, None)
            if self._tokens.get(raw.pid) == token:
                del self._tokens[raw.pid]
        return event

    def wait(self, max_events: int = 64, timeout: Optional[float] = None) -> List[Event]:
        """Events, at least one; [] after timeout seconds; None blocks. A signal handler that ran does not end the wait,
        but one that raises does, as everywhere in Python."""
        raw = (_Event * max_events)()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = -1 if deadline is None else _milliseconds(deadline - time.monotonic())
            count = _library.exitfd_wait(self._x, raw, max_events, left)
            if count != -errno.EINTR and (count or not left):
                return [self._event(event) for event in raw[:_check(count)]]

    def __iter__(self) -> Iterator[Event]:
        while self._data:
            yield from self.wait()


# asyncio. One exitfd for each running loop: its child watcher is not touched, and the main thread need not be involved.

_loops: Dict[asyncio.AbstractEventLoop, ExitFd] = {}
_loops_lock = threading.RLock()  # a signal handler that comes in the middle may use asyncio too


def _renew_lock() -> None:
    # Another thread, which the forked child does not have, may hold the old one.
    global _loops_lock
    _loops_lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def _collect(x: ExitFd) -> None:
    for event in x.wait(timeout=0):
        if not event.data.done():
            event.data.set_result(event)


def close_of_closed_loops() -> None:
    """Close the exitfds of loops that were closed. Also done at the next use in another loop."""
    with _loops_lock:
        closed = [_loops.pop(loop, None) for loop in list(_loops) if loop.is_closed()]
    for x in closed:
        if x:
            x.close()


def _of_running_loop() -> ExitFd:
    loop = asyncio.get_running_loop()
    close_of_closed_loops()
    with _loops_lock:
        if loop not in _loops:
            x = ExitFd()
            loop.add_reader(x.fileno(), _collect, x)
            _loops[loop] = x
        return _loops[loop]


def _exit_of(pid: int, flags: int = 0) -> "asyncio.Future[Event]":
    future: "asyncio.Future[Event]" = asyncio.get_running_loop().create_future()
    _of_running_loop().add(pid, flags, future)
    return future


async def wait_pid(pid: int, flags: int = 0) -> Event:
    """Wait for a child of this process, or, with OBSERVE, for any process. If cancelled, the child is left un-reaped,
    unless its exit was taken already at that moment: then it is gone, and told to nobody."""
    future = _exit_of(pid, flags)
    try:
        return await future
    except asyncio.CancelledError:
        if future.cancelled():
            with contextlib.suppress(FileNotFoundError):
                _of_running_loop().remove(pid)
        raise


async def _read_stream(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


class Process:
    """A child, of the shape of asyncio.subprocess.Process."""

    def __init__(self, popen: "subprocess.Popen[bytes]", exit_event: "asyncio.Future[Event]") -> None:
        self._popen = popen
        self._exit_event = exit_event
        self.pid = popen.pid
        self.stdin: Optional[asyncio.StreamWriter] = None
        self.stdout: Optional[asyncio.StreamReader] = None
        self.stderr: Optional[asyncio.StreamReader] = None
        exit_event.add_done_callback(self._note_exit)

    def _note_exit(self, future: "asyncio.Future[Event]") -> None:
        # Tells Popen that there is nothing left to wait for. 255 stands for a status that is not known only there.
        if not future.cancelled():
            code = future.result().returncode
            self._popen.returncode = 255 if code is None else code

    async def _connect(self) -> "Process":
        loop = asyncio.get_running_loop()
        if self._popen.stdin:
            # A reader of nothing: its protocol is the public one that StreamWriter.wait_closed can ask.
            reader = asyncio.StreamReader()
            transport, protocol = await loop.connect_write_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), self._popen.stdin)
            self.stdin = asyncio.StreamWriter(transport, protocol, reader, loop)
        for name in ("stdout", "stderr"):
            pipe = getattr(self._popen, name)
            if pipe:
                setattr(self, name, await _read_stream(pipe))
        return self

    @property
    def event(self) -> Optional[Event]:
        """How it ended, with its rusage; None while it runs."""
        return self._exit_event.result() if self._exit_event.done() else None

    @property
    def returncode(self) -> Optional[int]:
        return self.event.returncode if self.event else None

    async def wait(self) -> Optional[int]:
        """The return code; None if it cannot be known (event.origin is UNKNOWN)."""
        return (await asyncio.shield(self._exit_event)).returncode

    def send_signal(self, signum: int) -> None:
        """Never hits a recycled pid; nothing if it has exited."""
        if not self._exit_event.done():
            try:
                _of_running_loop().kill(self.pid, signum)
            except (ProcessLookupError, FileNotFoundError):
                pass

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _feed(self, data: Optional[bytes]) -> None:
        if self.stdin:
            try:
                if data:
                    self.stdin.write(data)
                    await self.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.stdin.close()

    async def communicate(self, data: Optional[bytes] = None) -> Tuple[Optional[bytes], Optional[bytes]]:
        """Feed stdin, read stdout and stderr to their ends, wait."""
        async def read(stream: Optional[asyncio.StreamReader]) -> Optional[bytes]:
            return await stream.read() if stream else None

        _, out, err, _ = await asyncio.gather(self._feed(data), read(self.stdout), read(self.stderr), self.wait())
        return out, err


async def create_subprocess_exec(program: str, *args: str, **popen_arguments: Any) -> Process:
    """asyncio.create_subprocess_exec without a child watcher. Keyword arguments are those of subprocess.Popen."""
    popen = subprocess.Popen([program, *args], bufsize=0, **popen_arguments)
    return await Process(popen, _exit_of(popen.pid))._connect()


# The names of Twisted's _signals, so that it can be replaced by one import.

def installHandler(fd: int) -> int:
    """One byte to fd for each SIGCHLD; -1 uninstalls. Returns the fd installed before, -1 if none."""
    old = _INT()
    _check(_library.exitfd_install_handler(fd, ctypes.byref(old)))
    return old.value


def isDefaultHandler() -> bool:
    """Whether SIGCHLD has its default disposition."""
    return bool(_library.exitfd_is_default_handler())
