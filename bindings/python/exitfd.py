# SPDX-License-Identifier: MIT
"""exitfd for Python: every child exit, exactly once, with its true status,
on one pollable fd.

    with exitfd.ExitFd() as x:
        x.spawn(["sh", "-c", "exit 7"], data="job")
        for event in x:
            print(event.data, event.returncode)

One file over libexitfd.so.0 with ctypes. It needs Python 3.9 and no build step.
It has not been tried with free-threaded builds or with subinterpreters.
Where the loader does not find the library, EXITFD_LIBRARY in the environment
names its file.

Errors    exitfd(3) says what each call does and what each errno means. A
          negative errno is raised as the OSError that Python has for it, for
          example ProcessLookupError, ChildProcessError or FileExistsError. A
          number that does not fit raises OverflowError. Any use after close()
          raises ValueError.
Threads   Any thread may call any method at any time, close() included. An
          io_uring exitfd belongs to the thread that opened it.
Signals   Any method may be called from a Python signal handler. A handler that
          raises ends a wait, as does Ctrl-C. Events that wait() had taken by
          then stay in the object. The next wait() or iteration gives them.
fork      An exitfd belongs to the process that opened it. In a forked child
          every method raises OSError with errno ESTALE, except close() and
          backend.
exec      No fd of exitfd is inherited.
"""

import sys

if sys.version_info < (3, 9):
    raise ImportError("exitfd needs Python 3.9 or later. This is Python " + sys.version.split()[0])

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import inspect
import io
import itertools
import operator
import os
import resource
import select
import signal
import struct
import subprocess
import threading
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

__all__ = [
    "ExitFd", "Event", "Process", "wait_pid", "create_subprocess_exec", "create_subprocess_shell",
    "close_of_closed_loops", "installHandler", "isDefaultHandler", "version",
    "PIDFD", "URING", "SIGNALFD", "SELFPIPE", "NO_SIGNALS", "OBSERVE", "STOPPED", "CONTINUED", "HOLD", "AUTOKILL",
    "REAPED", "PEEKED", "RECORDED", "UNKNOWN", "ANY_CHILD",
    "DUP2", "OPEN", "CLOSE", "CLOSE_FROM", "CHDIR", "FCHDIR", "NEW_SESSION", "NEW_GROUP", "KEEP_SIGNALS",
]

PIDFD, URING, SIGNALFD, SELFPIPE, NO_SIGNALS = (1 << bit for bit in range(5))
OBSERVE, STOPPED, CONTINUED, HOLD, AUTOKILL = (1 << bit for bit in range(8, 13))
REAPED, PEEKED, RECORDED, UNKNOWN = range(4)
ANY_CHILD = -1
DUP2, OPEN, CLOSE, CLOSE_FROM, CHDIR, FCHDIR = range(6)
NEW_SESSION, NEW_GROUP, KEEP_SIGNALS = (1 << bit for bit in range(16, 19))

_COUNTS = ("maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd", "msgrcv",
           "nsignals", "nvcsw", "nivcsw")


def _libc_is_musl() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    # platform.libc_ver guesses from the interpreter's file. musl has no value
    # for this name.
    try:
        return not os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return True


def _event_type(musl: bool, time64: bool = False) -> Any:
    """struct exitfd_event. musl's struct rusage ends in reserved room, and its
    times have 64 bits everywhere. Those of glibc have so with _TIME_BITS=64."""
    seconds = ctypes.c_int64 if musl or time64 else ctypes.c_long
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


class _Action(ctypes.Structure):
    """struct exitfd_action."""

    _fields_ = [("type", ctypes.c_int), ("fd", ctypes.c_int), ("target", ctypes.c_int), ("path", ctypes.c_char_p),
                ("flags", ctypes.c_int), ("mode", ctypes.c_uint)]


class _Command(ctypes.Structure):
    """struct exitfd_command."""

    _fields_ = [("size", ctypes.c_size_t), ("file", ctypes.c_char_p), ("argv", ctypes.POINTER(ctypes.c_char_p)),
                ("envp", ctypes.POINTER(ctypes.c_char_p)), ("actions", ctypes.POINTER(_Action)),
                ("action_count", ctypes.c_size_t), ("options", ctypes.c_uint), ("death_signal", ctypes.c_int)]


class Event(NamedTuple):
    """What exitfd_wait reports. An event belongs to the program and may be kept.

    pid      the process
    code     os.CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_STOPPED or CLD_CONTINUED;
             0 if origin is UNKNOWN
    status   the exit status for CLD_EXITED, else the number of the signal;
             0 if origin is UNKNOWN
    origin   REAPED, PEEKED, RECORDED or UNKNOWN: how that was learned
    data     what was given with the watch; the same object
    rusage   a resource.struct_rusage, with times in seconds as floats and
             ru_maxrss in KiB; all zero unless origin is REAPED or PEEKED
    crash_signal  as exitfd.h says

    str(event) is what exitfd_describe writes, for example "exited 3".
    """

    pid: int
    code: int
    status: int
    origin: int
    data: Any
    rusage: resource.struct_rusage
    crash_signal: int = 0

    def __str__(self) -> str:
        raw = self._raw()
        text = ctypes.create_string_buffer(_check(_exitfd_describe(ctypes.byref(raw), None, 0)) + 1)
        _check(_exitfd_describe(ctypes.byref(raw), text, len(text)))
        return str(text.value, "ascii")

    def _raw(self) -> Any:
        return _Event(pid=self.pid, code=self.code, status=self.status, origin=self.origin,
                      crash_signal=self.crash_signal)

    @property
    def wait_status(self) -> Optional[int]:
        """What waitpid would have given, for os.WIFEXITED and the like. None if it is not known."""
        return None if self.origin == UNKNOWN else int(_exitfd_get_wait_status(ctypes.byref(self._raw())))

    @property
    def exited(self) -> bool:
        """False for a stop or a continue, after which the child lives on."""
        return self.code not in (os.CLD_STOPPED, os.CLD_CONTINUED)

    @property
    def returncode(self) -> Optional[int]:
        """As subprocess has it: the status, or minus the signal. None if it is not known or the child lives on."""
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
    "exitfd_count": (_INT, _POINTER),
    "exitfd_start": (_INT, _POINTER, ctypes.POINTER(_INT), ctypes.POINTER(_Command), _UNSIGNED, _POINTER),
    "exitfd_install_handler": (_INT, _INT, ctypes.POINTER(_INT)),
    "exitfd_is_default_handler": (_INT,),
    "exitfd_version": (ctypes.c_char_p,),
}


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


def _load() -> Tuple[Any, ...]:
    """The library, the layout of its events, and the functions that take them."""
    name = os.environ.get("EXITFD_LIBRARY") or "libexitfd.so.0"
    try:
        library = ctypes.CDLL(name)
        for function, prototype in _PROTOTYPES.items():
            _declare(library, function, *prototype)
        # On 32-bit glibc a library whose times have 64 bits has another name.
        time64 = hasattr(library, "exitfd_wait_time64")
        event = _event_type(_libc_is_musl(), time64)
        pointer, suffix = ctypes.POINTER(event), "_time64" if time64 else ""
        wait = _declare(library, "exitfd_wait" + suffix, _INT, _POINTER, pointer, _INT, _INT)
        describe = _declare(library, "exitfd_describe" + suffix, _INT, pointer, ctypes.c_char_p, ctypes.c_size_t)
        wait_status = _declare(library, "exitfd_get_wait_status" + suffix, _INT, pointer)
    except (OSError, AttributeError) as error:
        raise ImportError(f"cannot load the exitfd library {name!r}: {error}. Install it, or let EXITFD_LIBRARY "
                          "in the environment name the file libexitfd.so.0.") from error
    return library, event, wait, describe, wait_status


_library, _Event, _exitfd_wait, _exitfd_describe, _exitfd_get_wait_status = _load()

# errnos of a start that are about the file, so that the error names it.
_OF_THE_FILE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
                errno.ENOEXEC, errno.ETXTBSY, errno.EIO, errno.E2BIG)


def _check(result: int, file: Any = None) -> int:
    if result >= 0:
        return result
    if file is not None and -result in _OF_THE_FILE:
        raise OSError(-result, os.strerror(-result), file)
    raise OSError(-result, os.strerror(-result))


def _int(value: Any, name: str, low: int = -2**31, high: int = 2**31 - 1) -> int:
    """ctypes would cut it to 32 bits without a word."""
    number = operator.index(value)
    if not low <= number <= high:
        raise OverflowError(f"{name} does not fit: {number}")
    return number


def _flags(value: Any) -> int:
    return _int(value, "flags", 0, 2**32 - 1)


def version() -> str:
    """The version of the library that runs."""
    return str(_library.exitfd_version(), "ascii")


_Text = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def _bytes(value: _Text) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:
        raise ValueError("embedded null byte")
    return encoded


def _strings(values: Iterable[bytes]) -> "ctypes.Array[ctypes.c_char_p]":
    strings = list(values)
    return (ctypes.c_char_p * (len(strings) + 1))(*strings, None)


def _arguments(argv: Iterable[_Text]) -> List[bytes]:
    if isinstance(argv, (str, bytes, os.PathLike)):
        raise TypeError(f"argv is a list of arguments, not one string: {argv!r}")
    arguments = [_bytes(argument) for argument in argv]
    if not arguments:
        raise ValueError("argv is empty")
    return arguments


# What follows the type, in the order of os.posix_spawn.
_ACTIONS = {DUP2: ("fd", "target"), OPEN: ("fd", "path", "flags", "mode"), CLOSE: ("fd",), CLOSE_FROM: ("fd",),
            CHDIR: ("path",), FCHDIR: ("fd",)}


def _action(action: Iterable[Any]) -> _Action:
    kind, *values = action
    names = _ACTIONS.get(kind)
    if names is None or len(values) != len(names):
        raise ValueError(f"an action is (type, {', '.join(names or ['...'])}), not {action!r}")
    fields = {name: _bytes(value) if name == "path" else _int(value, name, 0 if name == "mode" else -2**31)
              for name, value in zip(names, values)}
    return _Action(type=kind, **fields)


def _command(file: _Text, argv: Iterable[_Text], env: Optional[Mapping[Any, Any]], actions: Iterable[Iterable[Any]],
             options: int, death_signal: int) -> _Command:
    """It keeps alive what it points to."""
    done = [_action(action) for action in actions]
    return _Command(size=ctypes.sizeof(_Command), file=_bytes(file), argv=_strings(_arguments(argv)),
                    envp=_strings(_variables(env)), actions=(_Action * len(done))(*done), action_count=len(done),
                    options=_int(options, "options", 0, 2**32 - 1), death_signal=_int(death_signal, "death_signal"))


def _uses_paths(command: _Command) -> bool:
    """Whether an action may be the cause of an errno about a file. The errno alone does not tell."""
    return any(command.actions[index].type in (OPEN, CHDIR, FCHDIR) for index in range(command.action_count))


def _variables(env: Optional[Mapping[Any, Any]]) -> List[bytes]:
    """As subprocess does it."""
    variables = []
    for name, value in (os.environ if env is None else env).items():
        name = _bytes(name)
        if b"=" in name:
            raise ValueError("illegal environment variable name")
        variables.append(name + b"=" + _bytes(value))
    return variables


def _pid_by_ioctl(pidfd: int) -> int:
    # PIDFD_GET_INFO with PIDFD_INFO_PID, Linux 6.13: the number and the struct
    # are the same on every processor.
    info = bytearray(struct.pack("=Q56x", 1))
    fcntl.ioctl(pidfd, 0xC040FF0B, info)
    return int(struct.unpack_from("=i", info, 16)[0])


def _pid_by_fdinfo(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as info:
        return next((int(line.split()[1]) for line in info if line.startswith("Pid:")), 0)


def _pid_of(pidfd: int) -> int:
    """As the library learns it. 0 if the process is gone."""
    for ask in (_pid_by_ioctl, _pid_by_fdinfo):
        with contextlib.suppress(OSError):
            return max(ask(pidfd), 0)
    return 0


def _seconds(value: Any) -> float:
    return float(value.tv_sec + value.tv_usec / 1e6)


def _rusage(raw: Any) -> resource.struct_rusage:
    return resource.struct_rusage([_seconds(raw.utime), _seconds(raw.stime), *(getattr(raw, name) for name in _COUNTS)])


# Renewed in a forked child: an exitfd that has another one was the parent's.
_process = object()


class _Watch(NamedTuple):
    pid: int  # -1: any other child, which has more than one exit
    data: Any


class _Batch:
    """What one call of wait takes. Nothing is lost when a signal handler raises
    between two lines, for the object has the batch until the caller has it."""

    __slots__ = ("raw", "count", "events", "left")

    def __init__(self, most: int) -> None:
        self.raw = (_Event * most)()
        self.count: List[int] = []  # what exitfd_wait returned
        self.events: Dict[int, Event] = {}  # by index
        self.left = dict.fromkeys(range(most))  # of a batch whose call has ended: not yet returned


# How long a wait polls before it looks nevertheless, in seconds: SIGCHLD may
# not arrive any more, which only the next exitfd_wait notices.
_PATIENCE = {"signalfd": 1.0, "self-pipe": 1.0}
_LONGEST = 86400.0
_PATIENCE_OF_THE_DEAF = 0.1
_MOST_EVENTS = 1024
_CLOSING = b"."  # in the pipe that wakes, and never taken out of it


class ExitFd:
    """An exitfd. flags: at most one of PIDFD, URING, SIGNALFD and SELFPIPE, and
    NO_SIGNALS.

    It holds three fds besides those that exitfd_open(3) names. Iterating gives
    events, blocking, for as long as anything is watched. Each event is taken
    when the loop asks for it, so a loop may be left at any time.
    """

    # No lock around what waits: a signal handler may come in the middle of any
    # method, and may call any method. CPython does not run handlers, nor switch
    # threads, between two operations with no call and no loop between them
    # (3.10; 3.9 does so rarely). That, and that one item of a dict is deleted
    # by one thread only, is what this class rests on:
    #
    # * A call is in _running while it uses what close() frees. It looks at
    #   _closing afterwards. The last one out frees (_finish).
    # * A batch is in _batches from before the call of the library until the line
    #   that hands it to the caller. In _batches but not in _running: its call was
    #   ended by an exception, and its events are for any call (_adopt).
    # * Which token a pid has changes under _order only. So of an add and a remove
    #   of the same pid, in two threads, the tables follow the library's order. It
    #   is an RLock, for a handler in the same thread, and "with" takes and gives
    #   it back in one step each.

    def __init__(self, flags: int = 0) -> None:
        self._open: List[bool] = []  # who deletes the item calls exitfd_close
        self._closing = False
        self._process = _process
        self._running: Dict[object, bool] = {}  # whether it sleeps until nothing is watched
        self._batches: Dict[_Batch, None] = {}
        self._data: Dict[int, _Watch] = {}
        self._tokens: Dict[int, int] = {}  # by pid
        self._new_token = itertools.count(1)
        self._order = threading.RLock()
        self._patience = _LONGEST
        self._untold = 0  # how many waits in turn had an event that no fd told of
        self._x = _POINTER()
        flags = _flags(flags)
        self._open.append(True)
        try:
            self._open_all(flags)
        except BaseException:
            self.close()
            raise

    def _open_all(self, flags: int) -> None:
        read, write = os.pipe()
        self._bell, self._rope = io.FileIO(read, "r"), io.FileIO(write, "w")
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        self._set = select.epoll() if hasattr(select, "epoll") else None
        _check(_library.exitfd_open(ctypes.byref(self._x), flags))
        self._fd = _check(_library.exitfd_get_fd(self._x))
        self._backend = str(_library.exitfd_get_backend(self._x), "ascii")
        self._patience = _PATIENCE.get(self._backend, _LONGEST)
        if self._set:
            self._set.register(self._fd, select.EPOLLIN)
            self._set.register(read, select.EPOLLIN)

    def __enter__(self) -> "ExitFd":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        # At the end of the interpreter the module may be gone first. The kernel
        # closes the fds then.
        if _library is not None and getattr(self, "_open", None):
            self.close()

    def __reduce__(self) -> Any:
        """A copy would free the exitfd when it goes, and this object would use it still."""
        raise TypeError(f"cannot copy or pickle {type(self).__name__!r} object")

    def close(self) -> None:
        """Stop all watches. Children still watched are not reaped, and the
        caller has to wait for them. In another thread a call that blocks raises
        ValueError, and the last one out frees the exitfd. Events that were taken
        before can still be had by wait(timeout=0). A second close does nothing."""
        key = object()
        self._running[key] = False
        try:
            if not self._closing:
                self._closing = True
                if self._process is _process:
                    self._rope.write(_CLOSING)
        except AttributeError:
            pass  # it was never opened
        finally:
            del self._running[key]
            self._finish()

    def _finish(self) -> None:
        # In a forked child there are no other threads, whatever they were
        # doing.
        if self._running and self._process is _process:
            return
        for batch in self._abandoned():
            self._events_of(batch)
        for resource_ in ("_set", "_bell", "_rope"):
            if getattr(self, resource_, None):
                getattr(self, resource_).close()
        try:
            del self._open[0]
        except IndexError:
            return
        _library.exitfd_close(self._x)
        self._data.clear()
        self._tokens.clear()

    def _check_open(self) -> None:
        if self._closing:
            raise ValueError("this exitfd is closed")

    def _step(self, function: Callable[..., int], *arguments: Any) -> Iterator[int]:
        """A call of the library with this exitfd, for _call."""
        return map(function, (self._x,), *zip(arguments))

    def _call(self, outcome: List[int], *steps: Iterator[int]) -> None:
        """Take what the steps give. The exitfd is not freed meanwhile.
        extend, chain and map are one step for signal handlers: outcome has the
        results whenever the calls were made."""
        key = object()
        self._running[key] = False
        try:
            self._check_open()
            outcome.extend(itertools.chain(*steps))
        finally:
            del self._running[key]
            if self._closing:
                self._finish()

    def _ask(self, function: Callable[..., int], *arguments: Any) -> int:
        outcome: List[int] = []
        self._call(outcome, self._step(function, *arguments))
        return _check(outcome[0])

    def fileno(self) -> int:
        """The fd to poll for input: select, epoll and loop.add_reader take the
        object itself. It is readable while wait(timeout=0) would return an event.
        Once in a while it is readable without one. The object owns it. Do not read
        or close it. OSError in a forked child."""
        fd = self._ask(_library.exitfd_get_fd)
        return self._set.fileno() if self._set else fd

    @property
    def backend(self) -> str:
        """"pidfd", "io_uring", "signalfd" or "self-pipe"."""
        self._check_open()
        return self._backend

    def _in_order(self) -> "contextlib.AbstractContextManager[Any]":
        """In a forked child the lock may belong to a thread that is not there."""
        return self._order if self._process is _process else contextlib.nullcontext()

    def _drop_token(self, token: int, pid: int) -> None:
        with self._in_order():
            if pid in self._tokens and self._tokens[pid] == token:  # no call: a handler may add the pid again
                del self._tokens[pid]

    def _drop(self, token: int, pid: int) -> None:
        """Who is interrupted while there is data comes again."""
        self._drop_token(token, pid)
        self._data.pop(token, None)
        self._drop_token(token, pid)  # a start may have stored it only now
        if self._must_ring():
            self._ring()

    def _watch(self, pid: ctypes.c_int, data: Any, function: Callable[..., int], *arguments: Any) -> int:
        """pid is 0 until it is known. Whatever a signal handler raises, data is
        kept if there is a watch, and only then. Returns what the library did."""
        with self._in_order():
            token = next(self._new_token)  # in free-threaded Python 3.13 that alone is not safe
        if pid.value == 0:  # of a child that no other code knows, and a start may take long
            return self._watch_as(token, pid, data, function, *arguments)
        with self._in_order():
            return self._watch_as(token, pid, data, function, *arguments)

    def _watch_as(self, token: int, pid: ctypes.c_int, data: Any, function: Callable[..., int], *arguments: Any) -> int:
        outcome: List[int] = []
        watch = _Watch(pid.value, data)
        self._data[token] = watch
        try:
            if watch.pid:
                self._tokens.setdefault(watch.pid, token)
            self._call(outcome, self._step(function, *arguments, token))
        finally:
            if outcome and outcome[0] >= 0:
                with self._in_order():  # a start is not in it yet
                    if token in self._data:  # no call: a handler may have removed it, and added the pid again
                        self._tokens[pid.value] = token
                    else:
                        self._drop_token(token, pid.value)  # its event has come already
            else:
                self._data.pop(token, None)
                self._drop(token, watch.pid)
        return outcome[0]

    def add(self, pid: int, flags: int = 0, data: Any = None) -> None:
        """Watch a process by pid. ANY_CHILD (-1) watches any other child. flags:
        OBSERVE, STOPPED, CONTINUED, HOLD. The object keeps data until the exit is
        reported. With HOLD the child stays a zombie after that, until discard()
        or remove(): its pid and its process group cannot be reused, and iterating
        does not wait for it any more."""
        pid, flags = _int(pid, "pid"), _flags(flags)
        _check(self._watch(_INT(pid), data, _library.exitfd_add, pid, flags))

    def add_pidfd(self, pidfd: int, flags: int = 0, data: Any = None) -> None:
        """Watch the process of a pidfd, which is duplicated and stays the caller's."""
        pidfd, flags = _int(pidfd, "pidfd"), _flags(flags)
        _check(self._watch(_INT(_pid_of(pidfd)), data, _library.exitfd_add_pidfd, pidfd, flags))

    def _end(self, function: Callable[..., int], pid: int) -> None:
        pid = _int(pid, "pid")
        with self._in_order():
            outcome = self._end_in_order(function, pid)
        _check(outcome[1])

    def _end_in_order(self, function: Callable[..., int], pid: int) -> List[int]:
        outcome: List[int] = []  # the token, and the result
        try:
            self._call(outcome, map(self._tokens.get, (pid,), (0,)), self._step(function, pid))
        finally:
            if outcome[1:] and outcome[1] >= 0:  # no call: data must not outlive the watch
                try:
                    del self._data[outcome[0]]
                except KeyError:
                    pass  # another thread has its last event
                self._drop(outcome[0], pid)
        return outcome

    def remove(self, pid: int) -> None:
        """Stop watching. The caller has to wait for the child. No event of it
        follows, except one that another thread or this object has already."""
        self._end(_library.exitfd_remove, pid)

    def discard(self, pid: int) -> None:
        """Reap it when it exits and report nothing."""
        self._end(_library.exitfd_discard, pid)

    def kill(self, pid: int, signum: int = signal.SIGTERM) -> None:
        """Send a signal that cannot hit a recycled pid. 0 only asks. kill(-pid)
        signals the process group that the watched child leads. With HOLD that
        works after its exit, too."""
        self._ask(_library.exitfd_kill, _int(pid, "pid"), _int(signum, "signum"))

    def get_pidfd(self, pid: int) -> int:
        """The pidfd of a watch, borrowed: do not close it. The event, remove() and
        close() end its life. To keep it longer, os.dup it before."""
        return self._ask(_library.exitfd_get_pidfd, _int(pid, "pid"))

    def count(self) -> int:
        """How many watches there are. A held child counts until discard() or
        remove(), a discarded one until it is reaped. ANY_CHILD does not count."""
        return self._ask(_library.exitfd_count)

    def start(self, argv: Iterable[_Text], env: Optional[Mapping[Any, Any]] = None, flags: int = 0, data: Any = None, *,
              file: Optional[_Text] = None, actions: Iterable[Iterable[Any]] = (), options: int = 0,
              death_signal: int = 0) -> int:
        """Start a program, watched from its birth: exitfd_start(3). Returns its pid.

        file (argv[0] if None) is looked for in the PATH of os.environ. argv and
        env are str, bytes or paths, encoded as subprocess does it. env None
        stands for os.environ. actions are tuples, which the child does in this
        order:

            (DUP2, fd, target)     (CLOSE, fd)         (CHDIR, path)
            (OPEN, fd, path, flags, mode)              (FCHDIR, fd)
            (CLOSE_FROM, fd)

        options: NEW_SESSION, NEW_GROUP, KEEP_SIGNALS. A program that cannot be
        started is an OSError. It has the name of the program if the errno is
        about a file and no action has one. There is no child then, and no event.
        If a signal handler raises, the child may have been started. Then it is
        watched, and its event is reported."""
        argv = _arguments(argv)
        file = argv[0] if file is None else file
        command, pid = _command(file, argv, env, actions, options, death_signal), _INT()
        _check(self._start(pid, command, flags, data), None if _uses_paths(command) else os.fsdecode(file))
        return pid.value

    def _start(self, pid: ctypes.c_int, command: _Command, flags: int, data: Any) -> int:
        """Returns what the library did. pid is not 0 if and only if there is a child."""
        return self._watch(pid, data, _library.exitfd_start, ctypes.byref(pid), ctypes.byref(command), _flags(flags))

    def spawn(self, argv: Iterable[_Text], env: Optional[Mapping[Any, Any]] = None, flags: int = 0,
              data: Any = None) -> int:
        """start() without actions and options."""
        return self.start(argv, env, flags, data)

    def _event(self, raw: Any) -> Event:
        watch = self._data.get(raw.data or 0)
        return Event(raw.pid, raw.code, raw.status, raw.origin, watch.data if watch else None, _rusage(raw.rusage),
                     raw.crash_signal)

    def _event_of(self, batch: _Batch, index: int) -> Event:
        """May be asked again, by any thread: the first answer stays."""
        raw = batch.raw[index]
        event = batch.events.get(index)
        if event is None:
            event = batch.events.setdefault(index, self._event(raw))
        watch = self._data.get(raw.data or 0)
        if watch and watch.pid != ANY_CHILD and event.exited:
            self._drop(raw.data, raw.pid)
        return event

    def _events_of(self, batch: _Batch) -> List[Event]:
        return [self._event_of(batch, index) for index in range(batch.count[0] if batch.count else 0)]

    def _take(self, batch: _Batch) -> List[Event]:
        batch.count.clear()
        batch.count.extend(map(_exitfd_wait, (self._x,), (batch.raw,), (len(batch.raw),), (0,)))
        _check(batch.count[0])
        return self._events_of(batch)

    def _abandoned(self) -> List[_Batch]:
        """The batches whose calls have ended by an exception. A call that ends well leaves _batches first, then _running.
        So _batches is asked once more after that."""
        if self._process is not _process:
            return []  # the parent has them, too
        return [batch for batch in list(self._batches) if batch not in self._running and batch in self._batches]

    def _adopt(self, batch: _Batch) -> List[Event]:
        """One event that another call had taken, before an exception ended it."""
        for old in self._abandoned():
            taken = old.count[0] if old.count else 0
            for index in [index for index in list(old.left) if index < taken]:
                batch.events[0] = self._event_of(old, index)
                try:
                    del old.left[index]
                except KeyError:
                    continue  # another thread has it
                batch.count[:] = [1]
                return [batch.events[0]]
            self._batches.pop(old, None)
        batch.events.clear()
        return []

    def _leave(self, batch: _Batch) -> None:
        """An exception has ended its call, so wake the threads that poll or block."""
        if batch.count and batch.count[0] > 0:
            self._ring()
            self._events_of(batch)  # as long as their data is there
            return
        self._batches.pop(batch, None)
        if self._must_ring():  # it may have taken a ring that was for them
            self._ring()

    def _must_ring(self) -> bool:
        """Not when it is being closed: close() has woken all, for good."""
        if self._closing:
            return False
        return not self._data and any(list(self._running.values())) or bool(self._abandoned())

    def _ring(self) -> None:
        key = object()
        self._running[key] = False
        try:
            if not self._closing and self._process is _process:
                self._rope.write(b"!")  # the pipe is full: it rings
        finally:
            del self._running[key]
            if self._closing:
                self._finish()

    def _quiet(self) -> None:
        """Take what rang, but what close() wrote stays for every thread. One step
        for signal handlers: read, leave out the rest, write."""
        read = filter(None, map(self._bell.read, (4096,)))
        list(map(self._rope.write, map(bytes.strip, read, (b"!",))))
        if self._must_ring():
            self._ring()

    def _gather(self, batch: _Batch, deadline: Optional[float], ends: bool) -> List[Event]:
        """The events of one wait. The batch has them as well."""
        self._batches[batch] = None
        poll: Any = None
        waited = False  # as long as the patience lasts, for nothing
        while True:
            events = self._adopt(batch)
            if not events:
                self._check_open()
                events = self._take(batch)
            if events and waited:
                self._untold += 1  # once may be an exit at just that moment
                if self._untold > 1:
                    self._patience = min(self._patience, _PATIENCE_OF_THE_DEAF)
            if events:
                return events
            self._quiet()
            left = _LONGEST if deadline is None else deadline - time.monotonic()
            self._running[batch] = ends
            if left <= 0 or ends and not self._data:
                return []
            if poll is None:
                poll = select.poll()
                poll.register(self._fd, select.POLLIN)
                poll.register(self._bell, select.POLLIN)
            told = poll.poll(min(left, self._patience) * 1000)
            waited = not told and left >= self._patience
            if told:
                self._untold = 0
            self._running[batch] = False

    def wait(self, max_events: int = 64, timeout: Optional[float] = None) -> List[Event]:
        """Take events: at least one, at most max_events (and 1024). [] after
        timeout seconds without one. A timeout of 0 never blocks and None blocks
        without end, also when nothing is watched.

        A REAPED child is a zombie until this call takes its event. Threads that
        wait on one object share the events. A signal handler that ran does not
        end the wait. One that raises does, and then no event is lost: the next
        call gives it, and the fd stays readable until then. Once wait has returned,
        the events are the program's alone. A program whose handlers raise, and
        which must not lose one itself, iterates or takes one at a time.
        """
        most = min(_int(max_events, "max_events"), _MOST_EVENTS)
        if most < 1:
            raise ValueError("max_events is below 1")
        if timeout is not None and timeout != timeout:
            raise ValueError("timeout is not a number")
        deadline = None if timeout is None else time.monotonic() + timeout
        batch = _Batch(most)
        self._running[batch] = False
        try:
            events = self._gather(batch, deadline, False)
            del self._batches[batch]
        finally:
            del self._running[batch]
            if batch in self._batches:
                self._leave(batch)
            if self._closing:
                self._finish()
        return events

    def __iter__(self) -> Iterator[Event]:
        while True:
            batch = _Batch(1)
            self._running[batch] = False
            try:
                events = self._gather(batch, None, True)
                del self._batches[batch]
            finally:
                del self._running[batch]
                if batch in self._batches:
                    self._leave(batch)
                if self._closing:
                    self._finish()
            if not events:
                return
            yield events[0]


# asyncio. One exitfd for each running loop: its child watcher is not touched,
# and the main thread need not be involved.

_loops: Dict[asyncio.AbstractEventLoop, "_LoopExitFd"] = {}
_left: List["_LoopExitFd"] = []  # of closed loops, with children that no other code will reap
_loops_lock = threading.RLock()  # a signal handler that comes in the middle may use asyncio too


def _after_fork_in_child() -> None:
    # Another thread, which the forked child does not have, may hold the old
    # lock.
    global _loops_lock, _process
    _loops_lock = threading.RLock()
    _process = object()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _LoopExitFd(ExitFd):
    """That of one loop. The data of each watch is a future."""

    def __init__(self) -> None:
        super().__init__()
        self.unreported: Dict[int, Event] = {}  # of who was cancelled at that moment
        self.started: Set[int] = set()  # by us, and so for us to reap

    def _event(self, raw: Any) -> Event:
        event = super()._event(raw)
        future, event = event.data, event._replace(data=None)
        if future is None:
            return event
        if event.exited:
            self.started.discard(event.pid)
        if not future.done():
            with contextlib.suppress(RuntimeError):  # it has its result, but its loop is closed
                future.set_result(event)
        elif event.exited and (future.cancelled() or not future.result().exited):
            self.unreported[event.pid] = event
        return event

    def collect(self) -> None:
        """The fd is readable."""
        try:
            for event in iter(lambda: self.wait(timeout=0), []):
                for stopped in (one for one in event if not one.exited):
                    with contextlib.suppress(FileNotFoundError):
                        self.remove(stopped.pid)
        except BrokenPipeError:
            pass  # other code has replaced the SIGCHLD handler: look() finds the exits
        except OSError as error:
            self.fail(error)

    def leave(self) -> bool:
        """Its loop is closed. True once all that was started there has been reaped."""
        try:
            for pid in [pid for pid in list(self._tokens) if pid not in self.started]:
                with contextlib.suppress(FileNotFoundError):
                    self.remove(pid)
            while self.wait(timeout=0):
                pass
            return self.count() == 0
        except BrokenPipeError:
            return False  # once, where other code has replaced the SIGCHLD handler
        except (OSError, ValueError):
            return self._process is not _process or self._reap()

    def _reap(self) -> bool:
        """An io_uring exitfd does nothing in another thread than that of its loop, which may be gone.
        A child that other code has reaped meanwhile is taken for another one with its pid."""
        for pid in list(self.started):
            with contextlib.suppress(OSError):
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    continue
            self.started.discard(pid)
        return not self.started

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Self-pipe only: nothing makes the fd readable when other code has
        replaced the SIGCHLD handler."""
        if _loops.get(loop) is self:
            self.collect()
            loop.call_later(1, self.look, loop)

    def fail(self, error: OSError) -> None:
        """No wait will ever do. Else the loop would log it again and again."""
        futures = [watch.data for watch in list(self._data.values())]
        loop = asyncio.get_running_loop()
        with _loops_lock:
            _loops.pop(loop, None)
        loop.remove_reader(self.fd)
        self.close()
        for future in futures:
            if not future.done():
                future.set_exception(error)


def close_of_closed_loops() -> None:
    """Close the exitfds of loops that were closed. Children that were started there
    are reaped, if they have ended. The exitfd of one that still runs is kept until
    it has. Also done at each use in another loop."""
    with _loops_lock:
        _left.extend(filter(None, [_loops.pop(loop, None) for loop in list(_loops) if loop.is_closed()]))
        for x in [x for x in _left if x.leave()]:
            with contextlib.suppress(ValueError):  # a signal handler was here meanwhile
                _left.remove(x)
            x.close()


def _of_running_loop() -> _LoopExitFd:
    loop = asyncio.get_running_loop()
    close_of_closed_loops()
    with _loops_lock:
        if loop not in _loops:
            x = _LoopExitFd()
            x.fd = x.fileno()
            loop.add_reader(x.fd, x.collect)
            _loops[loop] = x
            if x.backend == "self-pipe":
                x.look(loop)
        return _loops[loop]


async def wait_pid(pid: int, flags: int = 0) -> Event:
    """Wait for a child of this process, or, with OBSERVE, for any process. If
    cancelled, the child is left un-reaped. If its exit was taken already at that
    moment, the next wait_pid of that pid in this loop gives the event. With
    STOPPED or CONTINUED one call gives one event, and the child stays unwatched
    until the next call. Another flag, and a pid below 1, is a ValueError."""
    pid, flags = _int(pid, "pid"), _flags(flags)
    if pid < 1:
        raise ValueError(f"wait_pid waits for one process, not for {pid}")
    if flags & ~(OBSERVE | STOPPED | CONTINUED):
        raise ValueError("wait_pid takes the flags OBSERVE, STOPPED and CONTINUED")
    exits = _of_running_loop()
    future: "asyncio.Future[Event]" = asyncio.get_running_loop().create_future()
    try:
        exits.add(pid, flags, future)
    except (ChildProcessError, ProcessLookupError):
        if pid not in exits.unreported:
            raise
        return exits.unreported.pop(pid)
    exits.unreported.pop(pid, None)  # of an earlier process with that pid
    try:
        return await future
    except asyncio.CancelledError:
        if not future.cancelled() and future.result().exited:  # a child that has stopped can be waited for again
            exits.unreported[pid] = future.result()
        with contextlib.suppress(FileNotFoundError):
            exits.remove(pid)
        raise


class Process:
    """A child, of the shape of asyncio.subprocess.Process. Of use in the loop that
    started it. pid is an int. stdin is a StreamWriter, stdout and stderr are
    StreamReaders, or None for what is no pipe."""

    def __init__(self, exits: _LoopExitFd) -> None:
        self.stdin: Optional[asyncio.StreamWriter] = None
        self.stdout: Optional[asyncio.StreamReader] = None
        self.stderr: Optional[asyncio.StreamReader] = None
        self._pid = _INT()
        self._exits = exits
        self._pipes: Dict[str, io.FileIO] = {}  # by the name of the stream
        self._transports: Dict[str, Any] = {}
        self._exit_event: "asyncio.Future[Event]" = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        return self._pid.value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"

    async def _connect(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        for name, pipe in self._pipes.items():
            # For stdin a reader of nothing: its protocol is the public one that
            # StreamWriter.wait_closed can ask.
            reader = asyncio.StreamReader(limit=limit, loop=loop)
            protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
            connect: Any = loop.connect_write_pipe if name == "stdin" else loop.connect_read_pipe
            self._transports[name], _ = await connect(lambda: protocol, pipe)
            if name == "stdin":
                self.stdin = asyncio.StreamWriter(self._transports[name], protocol, reader, loop)
            else:
                setattr(self, name, reader)

    def _start(self, files: Iterable[bytes], name: _Text, cwd: Optional[_Text], command: _Command) -> None:
        """The first file that can be executed. As subprocess, the error is the first one that is about a file."""
        error = -errno.ENOENT
        for command.file in files:
            result = self._exits._start(self._pid, command, 0, self._exit_event)
            if result >= 0:
                self._exits.started.add(self.pid)
                return
            if error in (-errno.ENOENT, -errno.ENOTDIR) or -result not in _OF_THE_FILE:
                error = result
            if -result not in _OF_THE_FILE:
                break
        _check(error, _cannot_be_entered(cwd, error) or os.fsdecode(name))

    def _undo(self) -> None:
        """It is not returned, so close its pipes, and end it if it was started."""
        for name, pipe in self._pipes.items():
            self._transports.get(name, pipe).close()
        if self.pid:
            with contextlib.suppress(OSError, ValueError):
                self._exits.kill(self.pid, signal.SIGKILL)
                self._exits.remove(self.pid)
                self._exits.started.discard(self.pid)
                os.waitpid(self.pid, 0)
            for token, watch in list(self._exits._data.items()):
                if watch.data is self._exit_event:  # its pid was not in the tables yet, so remove() left it
                    self._exits._data.pop(token, None)

    @property
    def event(self) -> Optional[Event]:
        """How it ended, with its rusage. None while it runs."""
        return self._exit_event.result() if self._exit_event.done() else None

    @property
    def returncode(self) -> Optional[int]:
        return self.event.returncode if self.event else None

    async def wait(self) -> Optional[int]:
        """The return code. None if it cannot be known (event.origin is UNKNOWN)."""
        return (await asyncio.shield(self._exit_event)).returncode

    def send_signal(self, signum: int) -> None:
        """Never hits a recycled pid. Does nothing if it has exited."""
        if not self._exit_event.done():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                self._exits.kill(self.pid, signum)

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

    async def communicate(self, input: Optional[bytes] = None) -> Tuple[Optional[bytes], Optional[bytes]]:
        """Feed stdin, read stdout and stderr to their ends, wait.

        ValueError: there is input, and stdin is no PIPE.
        """
        if input and self.stdin is None:
            raise ValueError("communicate: there is input, but the process was started without stdin=PIPE")

        async def read(stream: Optional[asyncio.StreamReader]) -> Optional[bytes]:
            return await stream.read() if stream else None

        _, out, err, _ = await asyncio.gather(self._feed(input), read(self.stdout), read(self.stderr), self.wait())
        return out, err


def _cannot_be_entered(cwd: Optional[_Text], error: int) -> Optional[_Text]:
    """cwd, if it is why a start failed so: the errno alone does not tell."""
    if cwd is not None:
        try:
            os.stat(os.path.join(os.fsencode(cwd), b"."))
        except OSError as of_cwd:
            return cwd if of_cwd.errno == -error else None
    return None


def _is_absent(place: bytes) -> bool:
    try:
        os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return os.path.isabs(place)  # else it depends on where the program starts
    except OSError:
        pass
    return False


def _files(file: _Text, env: Optional[Mapping[Any, Any]]) -> List[bytes]:
    """Where to look for it: as subprocess, in the PATH that the program gets."""
    name = _bytes(file)
    if env is None or b"/" in name:
        return [name]
    places = [os.path.join(os.fsencode(folder) or b".", name) for folder in os.get_exec_path(env)]
    return [place for place in places if not _is_absent(place)]


class _Streams:
    """What becomes of fds 0, 1 and 2, and the fds of this process for that."""

    def __init__(self, theirs: contextlib.ExitStack, ours: Dict[str, io.FileIO]) -> None:
        self.theirs = theirs  # the fds to close when the program runs, or never will
        self.ours = ours
        self.actions: List[Tuple[Any, ...]] = []

    def add(self, name: str, target: int, value: Any) -> None:
        if value is None:
            return
        if value == subprocess.STDOUT:
            if name != "stderr":
                raise ValueError(f"{name} cannot be STDOUT: only stderr can")
            fd = 1
        else:
            fd = self._above_these(self._fd(name, value), target)
        self.actions.append((DUP2, fd, target))

    def _fd(self, name: str, value: Any) -> int:
        if value == subprocess.PIPE:
            return self._pipe(name)
        if value == subprocess.DEVNULL:
            return self._close_later(os.open(os.devnull, os.O_RDWR))
        return _int(value.fileno() if hasattr(value, "fileno") else value, name)

    def _pipe(self, name: str) -> int:
        read, write = os.pipe()
        theirs, our, mode = (read, write, "w") if name == "stdin" else (write, read, "r")
        self._close_later(theirs)
        self.ours[name] = io.FileIO(our, mode)
        return theirs

    def _close_later(self, fd: int) -> int:
        self.theirs.callback(os.close, fd)
        return fd

    def _above_these(self, fd: int, target: int) -> int:
        """An earlier action must not overwrite what a later one duplicates."""
        if not 0 <= fd <= 2 or fd == target:
            return fd
        return self._close_later(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3))


_MOST_CLOSED = 256  # one by one


def _passed(fds: Iterable[int]) -> List[Tuple[Any, ...]]:
    """Close all above 2 but these, which lose close-on-exec."""
    keep = sorted({_int(fd, "pass_fds") for fd in fds})
    if keep and keep[0] < 0:
        raise ValueError(f"pass_fds has a negative number: {keep[0]}")
    highest = max([2, *keep])
    if highest > _MOST_CLOSED and highest < resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        return _passed_below(keep)
    gaps = set(range(3, highest)).difference(keep)
    return [*((DUP2, fd, fd) for fd in keep), *((CLOSE, fd) for fd in gaps), (CLOSE_FROM, highest + 1)]


def _passed_below(keep: List[int]) -> List[Tuple[Any, ...]]:
    """The same without an action for each number. The fds, in order, move down to
    those from 3 on, all above these is closed, and they move back up."""
    moved = list(zip((fd for fd in keep if fd > 2), itertools.count(3)))
    back = [(DUP2, place, fd) for fd, place in reversed(moved) if fd != place]
    return [*((DUP2, fd, fd) for fd in keep if fd <= 2), *((DUP2, fd, place) for fd, place in moved),
            (CLOSE_FROM, 3 + len(moved)), *back, *((CLOSE, place) for _, place in moved if place not in keep)]


# What only code between fork and exec could do, its default, and what to do
# instead.
_IMPOSSIBLE = {
    "preexec_fn": (None, "put that code into a program that then executes the command"),
    "user": (None, "start the command with setpriv(1) or runuser(1)"),
    "group": (None, "start the command with setpriv(1) or runuser(1)"),
    "extra_groups": (None, "start the command with setpriv(1)"),
    "umask": (-1, "start it with sh -c 'umask 077; exec \"$@\"' sh, and then the command"),
    "startupinfo": (None, "it is of Windows"),
    "creationflags": (0, "it is of Windows"),
}


def _refuse(function: str, shell: bool, keywords: Dict[str, Any]) -> None:
    """Take away what has no effect, raise for what cannot be."""
    if keywords.pop("shell", shell) is not shell:
        raise ValueError(f"shell must be {shell}")
    if keywords.pop("bufsize", 0) != 0:
        raise ValueError("bufsize must be 0")
    for name in ("universal_newlines", "text", "encoding", "errors"):
        if keywords.pop(name, None):
            raise ValueError(f"{name} is not supported: the streams are of bytes")
    for name, (default, instead) in _IMPOSSIBLE.items():
        if keywords.pop(name, default) != default:
            raise ValueError(f"{name} is not supported: {instead}")
    known = inspect.signature(_start).parameters
    for name in keywords:
        if name not in known or known[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


def _options(start_new_session: bool, process_group: Optional[int], restore_signals: bool) -> int:
    if process_group not in (None, -1, 0):
        raise ValueError("process_group must be 0: call os.setpgid(pid, group) for another one")
    return (NEW_SESSION * bool(start_new_session) | NEW_GROUP * (process_group == 0)
            | KEEP_SIGNALS * (not restore_signals))


async def _start(
        argv: List[_Text], limit: int, *, stdin: Any = None, stdout: Any = None, stderr: Any = None,
        cwd: Optional[_Text] = None, env: Optional[Mapping[Any, Any]] = None, executable: Optional[_Text] = None,
        close_fds: bool = True, pass_fds: Iterable[int] = (), start_new_session: bool = False,
        process_group: Optional[int] = None, restore_signals: bool = True, pipesize: int = -1,
        death_signal: int = 0) -> Process:
    file = argv[0] if executable is None else executable
    options, pass_fds = _options(start_new_session, process_group, restore_signals), list(pass_fds)
    process = Process(_of_running_loop())  # what can fail comes before the program, and so does each await
    try:
        with contextlib.ExitStack() as theirs:
            streams = _Streams(theirs, process._pipes)
            for target, (name, value) in enumerate((("stdin", stdin), ("stdout", stdout), ("stderr", stderr))):
                streams.add(name, target, value)
            kept = _passed(pass_fds) if close_fds or pass_fds else []
            folder = [(CHDIR, cwd)] if cwd is not None else []
            command = _command(file, argv, env, [*streams.actions, *folder, *kept], options, death_signal)
            if pipesize > 0 and hasattr(fcntl, "F_SETPIPE_SZ"):  # Python 3.10
                for pipe in process._pipes.values():
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, pipesize)
            await process._connect(limit)
            sys.audit("subprocess.Popen", file, argv, cwd, env)
            process._start(_files(file, env), file, cwd, command)
        return process
    except BaseException:  # a signal handler may raise until the return
        process._undo()
        raise


async def create_subprocess_exec(program: _Text, *args: _Text, limit: int = 2**16, **popen_arguments: Any) -> Process:
    """asyncio.create_subprocess_exec without a child watcher. limit is that of the
    StreamReaders, in bytes. The other keyword arguments are those of
    subprocess.Popen, and death_signal as in exitfd_start(3). If it is cancelled or
    fails, no program is left.

    exitfd_start starts the program, after the pipes are connected. preexec_fn,
    user, group, extra_groups, umask, and a process_group other than 0 are a
    ValueError that says what to do instead. restore_signals gives the program an
    empty signal mask, which subprocess does not, and leaves SIGXFSZ as it is."""
    if not isinstance(program, (str, bytes, os.PathLike)):
        raise TypeError(f"program is one string, and each argument another one, not {type(program).__name__}")
    _refuse("create_subprocess_exec", False, popen_arguments)
    return await _start([program, *args], limit, **popen_arguments)


async def create_subprocess_shell(cmd: Union[str, bytes], *, limit: int = 2**16, **popen_arguments: Any) -> Process:
    """asyncio.create_subprocess_shell without a child watcher: cmd is for /bin/sh.
    Whatever else, as create_subprocess_exec."""
    if not isinstance(cmd, (str, bytes)):
        raise ValueError("cmd must be a string")
    _refuse("create_subprocess_shell", True, popen_arguments)
    return await _start([popen_arguments.get("executable") or "/bin/sh", "-c", cmd], limit, **popen_arguments)


# The names of Twisted's _signals, so that it can be replaced by one import.

def installHandler(fd: int) -> int:
    """One byte to fd for each SIGCHLD. fd is made non-blocking and stays the
    caller's: uninstall with -1 before closing it. Returns the fd installed before,
    -1 if none. Any thread may call it."""
    old = _INT()
    _check(_library.exitfd_install_handler(_int(fd, "fd"), ctypes.byref(old)))
    return old.value


def isDefaultHandler() -> bool:
    """Whether SIGCHLD has its default disposition."""
    return bool(_library.exitfd_is_default_handler())
