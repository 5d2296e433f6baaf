"""Programs forked from a process that has imported torch and Pyro: a start costs no import.

One such process serves each process of pytest. It imports, waits, and forks on request; what is
forked is given the program's words, folder, environment and descriptors, and runs its module
as `python -m` does. Tests of what an import costs or leaves out start the real program.

References:
    https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods (forkserver)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, Self

PATIENCE = 60.0
FIRST_FREE = 100
"""Descriptors that were sent are moved beyond those at which the program expects them."""


class Program:
    """A program that has been started; as `subprocess.Popen`, with its stdin at end of file.

    Args:
        module: what `python -P -m` runs.
        words: its arguments.
        stdout: a descriptor, or `subprocess.PIPE`.
        stderr: the same.
        pass_fds: descriptors that it finds under the same numbers.
    """

    def __init__(
        self,
        module: str,
        *words: str,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
        pass_fds: tuple[int, ...] = (),
        cwd: Path | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.returncode: int | None = None
        self.stdout, out = _opened(stdout)
        self.stderr, err = (None, out) if stderr == subprocess.STDOUT else _opened(stderr)
        nothing = os.open(os.devnull, os.O_RDONLY)
        targets = {0: nothing, 1: out, 2: err} | {fd: fd for fd in pass_fds}
        request = {
            "module": module,
            "words": words,
            "folder": str(cwd or Path.cwd()),
            "environment": dict(os.environ),
            "new_session": start_new_session,
            "targets": [*targets],
        }
        self._line, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(_server(), [b"\0"], [theirs.fileno(), *targets.values()])
        for own, fd in ((self.stdout, out), (self.stderr, err)):
            if own is not None:
                os.close(fd)
        os.close(nothing)
        self._line.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._line.makefile("rb")
        self._line.settimeout(PATIENCE)
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Its exit code as soon as it has ended; the negative number of a signal."""
        if self.returncode is None and _is_readable(self._line, 0):
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not _is_readable(self._line, timeout):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """What it writes until it ends."""
        texts = [b"", b""]

        def read(number: int, stream: IO[bytes]) -> None:
            with stream:
                texts[number] = stream.read()

        streams = [stream for stream in (self.stdout, self.stderr) if stream is not None]
        readers = [threading.Thread(target=read, args=pair) for pair in enumerate(streams)]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return texts[0], texts[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _opened(stream: int | IO[bytes]) -> tuple[IO[bytes] | None, int]:
    """Our end of a pipe, if it is one; and the program's descriptor."""
    if stream == subprocess.PIPE:
        read, write = os.pipe()
        return os.fdopen(read, "rb"), write
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    return None, stream if isinstance(stream, int) else stream.fileno()


def _is_readable(line: socket.socket, timeout: float | None) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        return bool(selector.select(timeout))


_servers: dict[int, tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def _server() -> socket.socket:
    """The line to this process's server, which ends as soon as the line is closed."""
    if os.getpid() not in _servers:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", __file__, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        _servers[os.getpid()] = ours, process
        atexit.register(_end, os.getpid())
    return _servers[os.getpid()][0]


def _end(owner: int) -> None:
    if owner == os.getpid():
        line, process = _servers.pop(owner)
        line.close()
        process.wait()


# In the server.


def _serve(line: socket.socket) -> dict[str, Any]:
    """Fork on request; returns in what was forked, with the request."""
    wakes, wake = socket.socketpair()
    for end in (wakes, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    lines: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(wakes, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if wakes in ready:
                wakes.recv(4096)
                _report(lines)
            if line not in ready:
                continue
            data, fds, _, _ = socket.recv_fds(line, 1, 32)
            if not data:
                os._exit(0)
            asked = socket.socket(fileno=fds[0])
            with asked.makefile("rb") as stream:
                request: dict[str, Any] = json.loads(stream.readline())
            pid = os.fork()
            if pid == 0:
                break
            lines[pid] = asked
            with contextlib.suppress(OSError):
                asked.sendall(b"%d\n" % pid)
            for fd in fds[1:]:
                os.close(fd)
    for other in (line, wakes, wake, asked, *lines.values()):
        other.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _take_over(request, fds[1:])
    return request


def _report(lines: dict[int, socket.socket]) -> None:
    """Say of each that has ended how."""
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with lines.pop(pid) as line, contextlib.suppress(OSError):
            line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _take_over(request: dict[str, Any], fds: list[int]) -> None:
    """Stand where the request says, with its descriptors."""
    import fcntl  # not on every system

    if request["new_session"]:
        os.setsid()
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, FIRST_FREE) for fd in fds]
    for fd in fds:
        os.close(fd)
    for fd, target in zip(moved, request["targets"], strict=True):
        os.dup2(fd, target)
        os.close(fd)
    # As Python opens them; what the server has opened is of another kind.
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", buffering=1, errors="backslashreplace", closefd=False
    )
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])


if __name__ == "__main__":
    import torch._dynamo  # noqa: F401 - torch imports it with its first optimiser

    _request = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [_request["module"], *_request["words"]]
    _module = _request["module"]
    del _request
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
