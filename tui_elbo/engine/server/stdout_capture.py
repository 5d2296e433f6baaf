"""What the process and the person's code print, read so that a print never waits for a terminal."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

PIECE = 2**16
"""Bytes read at a time."""

PIPE_SIZE = 2**20
"""Bytes that can be printed while the reading thread has no turn."""

MOST_WAITING = 2**20
"""Bytes that wait for a terminal; beyond them only the end of what is printed is kept for it."""


class StdoutCapture:
    """The read end of the pipe that is the process's stdout and stderr.

    The process holds it open itself: printing into a pipe that nobody can read would raise.
    """

    def __init__(self, output: int) -> None:
        self.output = output
        self._left_out = 0
        self._held = b""
        os.set_blocking(output, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def read(self, waiting: int) -> bytes | None:
        """What is to be sent of it; None once nothing will come any more.

        Args:
            waiting: bytes that the terminal has not read yet.
        """
        try:
            data = os.read(self.output, PIECE)
        except BlockingIOError:
            return b""
        if not data:
            return None
        self._held += data
        if waiting > MOST_WAITING:
            cut = max(0, len(self._held) - PIECE)
            self._left_out += cut
            self._held = self._held[cut:]
        return self.release(waiting)

    @property
    def holds(self) -> bool:
        """Whether something is kept until the terminal has read."""
        return bool(self._held)

    def release(self, waiting: int) -> bytes:
        """What was kept, once the terminal has read enough."""
        if waiting > MOST_WAITING:
            return b""
        note = f"\n({self._left_out} bytes of output are left out)\n" if self._left_out else ""
        data, self._held, self._left_out = note.encode() + self._held, b"", 0
        return data
