"""What the process and the person's code print, read so that a print never waits for a terminal."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from tui_elbo.engine.server.client import PIECE

PIPE_SIZE = 2**20
"""Bytes that can be printed while the reading thread has no turn."""

MOST_WAITING = 2**20
"""Bytes that wait for a terminal; beyond them what is printed is counted, and not told."""


class Prints:
    """The read end of the pipe that is the process's stdout and stderr.

    The process holds it open itself: printing into a pipe that nobody can read would raise.
    """

    def __init__(self, output: int) -> None:
        self.output = output
        self._untold = 0
        os.set_blocking(output, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_SIZE)

    def read(self, waiting: int) -> bytes | None:
        """What is to be told of it; None once nothing will come any more.

        Args:
            waiting: bytes that the terminal has not read yet.
        """
        try:
            data = os.read(self.output, PIECE)
        except BlockingIOError:
            return b""
        if not data:
            return None
        if waiting > MOST_WAITING:
            self._untold += len(data)
            return b""
        left_out = f"\n({self._untold} bytes of output are left out)\n" if self._untold else ""
        self._untold = 0
        return left_out.encode() + data
