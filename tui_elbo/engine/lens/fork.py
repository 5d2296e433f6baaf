"""Runs a function in a forked copy of this process, which answers over a pipe and exits.

The copy has all that the run has (parameters, random generators, module buffers, iterators,
counters) and cannot change it: memory is copied on write, files keep their positions, sockets and
pipes are cut off, output is dropped. So the person's code can be run beside the training.

What a fork cannot copy are other threads: a lock that one of them holds at the fork is never
released in the copy, which then hangs. The parent ends a copy that shows no progress.

References:
    fork(2), prctl(2) PR_SET_PDEATHSIG; https://docs.python.org/3/library/os.html#os.fork
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import mmap
import os
import random
import resource
import select
import shutil
import signal
import stat
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import torch

from tui_elbo.engine.lens.isolation import isolated
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.protocol.codec import encode

NICE = 19
"""The copy's priority: it gets the time that the run leaves."""

MEMORY = 2**31
"""Bytes that the copy may allocate beyond what the run has."""

MOST_COPIED = 2**24
"""Bytes of a file open for writing up to which the copy writes into one of its own."""

MOST_ANSWER = 2**28
"""Bytes of an answer; a longer one is an error."""

PR_SET_PDEATHSIG = 1
F_GETPATH = 50
"""macOS: the path of an open file."""

_HEAD = struct.Struct("<cI")
_ANSWER, _PROGRESS, _ERROR = b"A", b"P", b"E"

Progress = Callable[[int, int], None]
"""Called in the copy with what is done of how many; shows that it is alive."""

_libc = ctypes.CDLL(None, use_errno=True)


class LookError(Exception):
    """A look that gave no answer; its text says why, in words for a person."""


class LookLostError(LookError):
    """The copy hung, was killed or could not be made: another try may succeed."""


def cuda_in_use() -> bool:
    """Whether this process has started CUDA."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def why_no_fork() -> str:
    """Why this process cannot be forked for a look, in words; empty if it can."""
    if cuda_in_use():
        return "CUDA is in use, and a forked copy of the process cannot use it"
    if not hasattr(os, "fork"):
        return "this system has no fork"
    return ""


_PAGES = mmap.mmap(-1, 16 * mmap.PAGESIZE)
_FAULTS: deque[float] = deque(maxlen=9)


def _write_pages() -> float:
    began = time.perf_counter()
    for at in range(0, len(_PAGES), mmap.PAGESIZE):
        _PAGES[at] = 1
    return time.perf_counter() - began


def _time_faults() -> None:
    """Called after a fork: write some pages that are shared with the copy, and write them again."""
    shared = _write_pages()
    _FAULTS.append(max(0.0, shared - _write_pages()) / (len(_PAGES) // mmap.PAGESIZE))


def fault_seconds() -> float:
    """What the first write to a page costs after a fork; the median of the last forks."""
    return statistics.median(_FAULTS) if _FAULTS else 0.0


class ForkedCall:
    """A function that is being run in a forked copy.

    Args:
        work: what the copy runs; called with something to report progress to. It returns what
            `encode` takes.

    Raises:
        LookLostError: if the process cannot be forked now.
    """

    def __init__(self, work: Callable[[Progress], Any]) -> None:
        self._read, write = os.pipe()
        state = random.getstate()
        limit = _address_space() + MEMORY
        began, parent = time.perf_counter(), os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(self._read)
            os.close(write)
            raise LookLostError(f"the process cannot be forked: {error.strerror}") from error
        if pid == 0:
            _run_copy(work, write, state, limit, parent)
        self.fork_seconds = time.perf_counter() - began
        """What the fork itself took of the run's time."""
        _time_faults()
        os.close(write)
        self.pid = pid
        self.progress: tuple[int, int] = (0, 0)
        """What was done of how many, as last reported."""
        self._data = bytearray()
        self._ended = False

    def wait(self, silence: float, stop: Callable[[], bool] = lambda: False) -> bytes:
        """The answer, as `encode` made it; from any thread, once.

        Args:
            silence: seconds without progress after which the copy is ended.
            stop: asked now and then; if it says so, the copy is ended.

        Raises:
            LookLostError: if the copy hangs, is killed, or ends without an answer.
            LookError: if the function raised.
        """
        try:
            heard = time.monotonic()
            readable = select.poll()
            readable.register(self._read, select.POLLIN)
            while True:
                ready = readable.poll(50)
                if stop():
                    raise LookLostError("the look was broken off")
                if ready:
                    heard = time.monotonic()
                    if not self._receive():
                        raise LookLostError(self._how_it_ended())
                    found = self._next()
                    if found is not None:
                        return found
                elif time.monotonic() - heard > silence:
                    raise LookLostError(
                        f"it showed no progress for {silence:.0f} s: perhaps another thread held a "
                        "lock as the process was forked"
                    )
        finally:
            self.end()

    def end(self) -> None:
        """End the copy, with all processes that it has started."""
        if self._ended:
            return
        self._ended = True
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._read)

    def _receive(self) -> bool:
        data = os.read(self._read, 2**16)
        self._data += data
        return bool(data)

    def _next(self) -> bytes | None:
        while len(self._data) >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._data)
            if size > MOST_ANSWER:
                raise LookError(f"an answer of {size:,} bytes is too long")
            end = _HEAD.size + size
            if len(self._data) < end:
                return None
            body = bytes(self._data[_HEAD.size : end])
            del self._data[:end]
            if kind == _ANSWER:
                return body
            if kind == _ERROR:
                raise LookError(body.decode("utf-8", "replace"))
            self.progress = struct.unpack("<II", body)
        return None

    def _how_it_ended(self) -> str:
        # It has closed its pipe, so it is about to end, if it has not ended yet.
        for _ in range(50):
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    code = os.waitstatus_to_exitcode(status)
                    if code < 0:
                        return f"it was killed by {signal.Signals(-code).name}"
                    return f"the model ended the process, with exit code {code}"
            threading.Event().wait(0.01)
        return "it ended without an answer"


class CallInProcess:
    """The same without a copy, in this process and at once, where no fork can be used.

    What `isolated` puts back is put back; what else the person's code changes stays changed.
    """

    def __init__(self, work: Callable[[Progress], Any]) -> None:
        began = time.perf_counter()
        self.progress: tuple[int, int] = (0, 0)
        self._answer, self._error = b"", ""
        with isolated():
            try:
                self._answer = encode(work(self._report))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._error = error_text(error)
        self.fork_seconds = time.perf_counter() - began

    def _report(self, done: int, of: int) -> None:
        self.progress = done, of

    def wait(self, silence: float, stop: Callable[[], bool] = lambda: False) -> bytes:  # noqa: ARG002
        """The answer; raises as `ForkedCall.wait`."""
        if self._error:
            raise LookError(self._error)
        return self._answer

    def end(self) -> None:
        """Nothing is left to end."""


Call = ForkedCall | CallInProcess


def _run_copy(
    work: Callable[[Progress], Any], write: int, state: Any, limit: int, parent: int
) -> NoReturn:
    """The life of the copy."""
    own = os.getpid()
    try:
        torch.set_num_threads(1)
        _cut_off(write)
        _be_modest(limit, parent)
        random.setstate(state)
        gc.freeze()

        def report(done: int, of: int) -> None:
            _send(write, _PROGRESS, struct.pack("<II", done, of))

        body, kind = encode(work(report)), _ANSWER
    except BaseException as error:
        body, kind = error_text(error).encode("utf-8", "replace"), _ERROR
    try:
        # Processes that the person's code has forked have no answer to give.
        if os.getpid() == own:
            _send(write, kind, body)
    finally:
        os._exit(0)


def _send(write: int, kind: bytes, body: bytes) -> None:
    data = memoryview(_HEAD.pack(kind, len(body)) + body)
    while data:
        data = data[os.write(write, data) :]


def _cut_off(keep: int) -> None:
    """Leave nothing that reaches beyond this process, but for the pipe of the answer."""
    null = os.open(os.devnull, os.O_RDWR)
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        number = int(name)
        if number not in (keep, null):
            with suppress(OSError):
                _detach(number, null)


def _detach(number: int, null: int) -> None:
    """A descriptor of its own for a file; nowhere for all that would reach others."""
    mode = os.fstat(number).st_mode
    access = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    inheritable = os.get_inheritable(number)
    if stat.S_ISREG(mode) and access != os.O_WRONLY:
        own = _own_file(number, copied=access == os.O_RDWR)
        os.dup2(own, number, inheritable)
        os.close(own)
    elif not (stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and not os.isatty(number))):
        os.dup2(null, number, inheritable)


def _own_file(number: int, *, copied: bool) -> int:
    """The same file at the same place: the position in an open file is shared with the run.

    Args:
        number: the run's descriptor.
        copied: whether it may be written: into a copy, as far as it is not too large for one.
    """
    path = f"/proc/self/fd/{number}"
    if sys.platform == "darwin":
        path = os.fsdecode(fcntl.fcntl(number, F_GETPATH, bytes(1024)).rstrip(b"\0"))
    at, size = os.lseek(number, 0, os.SEEK_CUR), os.fstat(number).st_size
    own = os.open(path, os.O_RDONLY)
    if copied and size <= MOST_COPIED:
        with tempfile.TemporaryFile() as copy, open(own, "rb") as original:
            shutil.copyfileobj(original, copy)
            copy.flush()
            own = os.dup(copy.fileno())
    os.lseek(own, at, os.SEEK_SET)
    return own


def _be_modest(limit: int, parent: int) -> None:
    """End with the run, take the time that it leaves, and no more memory than is allowed."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    else:
        _end_without_parent(parent)
    if os.getppid() != parent:
        os._exit(0)  # It has ended before it was asked to tell of its end.
    with suppress(OSError):
        os.nice(NICE)
    if limit > MEMORY:
        with suppress(ValueError, OSError):
            soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            bounds = [one for one in (soft, hard, limit) if one != resource.RLIM_INFINITY]
            resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))


def _end_without_parent(parent: int) -> None:
    """For systems that do not tell a process of its parent's end."""

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)


def _address_space() -> int:
    """Bytes of this process's address space; 0 where that is not known."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def in_thread(act: Callable[[], object]) -> threading.Thread:
    """Run something in a daemon thread of its own."""
    thread = threading.Thread(target=act, daemon=True, name="elbo-tui lens")
    thread.start()
    return thread
