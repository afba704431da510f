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
import ctypes
import ctypes.util
import errno
import os
import resource
import signal
import subprocess
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


class _Timeval(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long)]


class _Rusage(ctypes.Structure):
    _fields_ = [("utime", _Timeval), ("stime", _Timeval)] + [
        (name, ctypes.c_long)
        for name in ("maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd",
                     "msgrcv", "nsignals", "nvcsw", "nivcsw")]


class _Event(ctypes.Structure):
    _fields_ = [("pid", ctypes.c_int), ("code", ctypes.c_int), ("status", ctypes.c_int), ("origin", ctypes.c_int),
                ("data", ctypes.c_void_p), ("rusage", _Rusage)]


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


def _strings(values: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(values) + 1))(*[os.fsencode(value) for value in values], None)


def _seconds(value: _Timeval) -> float:
    return float(value.tv_sec + value.tv_usec / 1e6)


def _rusage(raw: _Rusage) -> resource.struct_rusage:
    counts = [getattr(raw, name) for name, _ in _Rusage._fields_[2:]]
    return resource.struct_rusage([_seconds(raw.utime), _seconds(raw.stime), *counts])


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

    def _keep(self, data: Any) -> int:
        self._last_token += 1
        self._data[self._last_token] = data
        return self._last_token

    def _watch(self, add: Any, process: int, flags: int, data: Any) -> None:
        token = self._keep(data)
        try:
            _check(add(self._x, process, flags, token))
        except OSError:
            del self._data[token]
            raise
        self._tokens[process] = token

    def add(self, pid: int, flags: int = 0, data: Any = None) -> None:
        """Watch a process by pid; -1 (ANY_CHILD) watches any other child."""
        self._watch(_library.exitfd_add, pid, flags, data)

    def add_pidfd(self, pidfd: int, flags: int = 0, data: Any = None) -> None:
        """Watch the process of a pidfd, which is duplicated and stays the caller's."""
        token = self._keep(data)
        try:
            _check(_library.exitfd_add_pidfd(self._x, pidfd, flags, token))
        except OSError:
            del self._data[token]
            raise

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
        pid = _INT()
        environment = os.environ if env is None else env
        token = self._keep(data)
        try:
            _check(_library.exitfd_spawn(
                self._x, ctypes.byref(pid), os.fsencode(argv[0]), None, None, _strings(argv),
                _strings([f"{name}={value}" for name, value in environment.items()]), flags, token))
        except OSError:
            del self._data[token]
            raise
        self._tokens[pid.value] = token
        return pid.value

    def _event(self, raw: _Event) -> Event:
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
            left = -1 if deadline is None else max(0, round((deadline - time.monotonic()) * 1000))
            count = _library.exitfd_wait(self._x, raw, max_events, left)
            if count != -errno.EINTR:
                return [self._event(event) for event in raw[:_check(count)]]

    def __iter__(self) -> Iterator[Event]:
        while self._data:
            yield from self.wait()


# asyncio. One exitfd for each running loop: its child watcher is not touched, and the main thread need not be involved.

_loops: Dict[asyncio.AbstractEventLoop, ExitFd] = {}


def _collect(x: ExitFd) -> None:
    for event in x.wait(timeout=0):
        if not event.data.done():
            event.data.set_result(event)


def close_of_closed_loops() -> None:
    """Close the exitfds of loops that were closed. Also done at the next use in another loop."""
    for closed in [loop for loop in _loops if loop.is_closed()]:
        _loops.pop(closed).close()


def _of_running_loop() -> ExitFd:
    loop = asyncio.get_running_loop()
    close_of_closed_loops()
    if loop not in _loops:
        x = _loops[loop] = ExitFd()
        loop.add_reader(x.fileno(), _collect, x)
    return _loops[loop]


def _exit_of(pid: int, flags: int = 0) -> "asyncio.Future[Event]":
    future: "asyncio.Future[Event]" = asyncio.get_running_loop().create_future()
    _of_running_loop().add(pid, flags, future)
    return future


async def wait_pid(pid: int, flags: int = 0) -> Event:
    """Wait for a child of this process, or, with OBSERVE, for any process. If cancelled, the child is left un-reaped."""
    future = _exit_of(pid, flags)
    try:
        return await future
    except asyncio.CancelledError:
        if future.cancelled():
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
            transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, self._popen.stdin)
            self.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
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
