"""Chunks in a process of their own, which the worker keeps for the next one, for some minutes.

For workers that have several threads, since a run needs a process for itself.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

from tui_elbo.many.chunk import Header, begin_worker, run_chunk
from tui_elbo.protocol.codec import decode

_HEAD = struct.Struct("<Q")

IDLE_SECONDS = 300.0
"""After so long without a chunk a process ends: the sweep is over, and it takes memory."""

_lock = threading.Lock()
_idle: list[_Process] = []


class ProcessDiedError(Exception):
    """The process of a chunk has ended before the chunk."""


class _Process:
    def __init__(self) -> None:
        self.key = ""
        self.timer = threading.Timer(0.0, lambda: None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def end(self) -> None:
        """End it."""
        with self._process:
            self._process.kill()

    def run(self, data: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, data)
            found = _receive(self._process.stdout)
        except BrokenPipeError:
            found = None
        if found is None:
            self.end()
            code = self._process.returncode
            raise ProcessDiedError(f"the process of the run ended, with exit code {code}")
        return found


def run_apart(data: bytes) -> bytes:
    """Take a chunk in another process: one that is idle, best the one that has the run.

    Raises:
        ProcessDiedError: if it ends meanwhile.
    """
    key = decode(data, Header).key
    with _lock:
        own = [one for one in _idle if one.key == key] or _idle[-1:]
        process = own[0] if own else None
        if process is not None:
            _idle.remove(process)
            process.timer.cancel()
    process = process or _Process()
    process.key = key
    found = process.run(data)
    with _lock:
        _idle.append(process)
        process.timer = threading.Timer(IDLE_SECONDS, _leave, [process])
        process.timer.daemon = True
        process.timer.start()
    return found


def _leave(process: _Process) -> None:
    """End a process that has nothing to do."""
    with _lock:
        if process not in _idle:
            return
        _idle.remove(process)
    process.end()


def _send(to: IO[bytes], data: bytes) -> None:
    to.write(_HEAD.pack(len(data)))
    to.write(data)
    to.flush()


def _receive(of: IO[bytes]) -> bytes | None:
    """What comes next; None at the end."""
    head = of.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    size = _HEAD.unpack(head)[0]
    data = of.read(size)
    return data if len(data) == size else None


def main() -> None:
    """Take chunks from stdin until it ends; stdout is for their results alone."""
    answers = os.fdopen(os.dup(1), "wb")
    tasks = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    begin_worker()
    with suppress(BrokenPipeError):
        while (data := _receive(tasks)) is not None:
            _send(answers, run_chunk(data))


if __name__ == "__main__":
    main()
