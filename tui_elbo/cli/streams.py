"""The standard streams of a command: whatever state the shell has left them in."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from tui_elbo.model.errors import UsageError


class _Narration(io.TextIOWrapper):
    """Drops what cannot be written, to a full disk say, and all that comes after it."""

    def write(self, text: str) -> int:
        """Write what can be written; the rest counts as written too."""
        try:
            return super().write(text)
        except OSError:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Write what is held back, if that can be."""
        try:
            super().flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        to_nowhere(self)
        with suppress(OSError):
            super().flush()


def open_streams() -> None:
    """See that the standard streams are open: what is opened next would take the place of one.

    Raises:
        UsageError: if stdout is closed.
    """
    streams: tuple[TextIO | None, ...] = sys.stdin, sys.stdout, sys.stderr
    closed = [number for number, stream in enumerate(streams) if stream is None]
    for number in closed:
        found = os.open(os.devnull, os.O_RDWR)
        if found != number:
            os.dup2(found, number)
            os.close(found)
        # For as long as the process lives.
        stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
        setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
    if sys.stderr is sys.__stderr__ and 2 not in closed:
        sys.stderr = _narration(2)
    if 1 in closed:
        raise UsageError("stdout is closed, and it is where the output goes")


def own_stdout() -> TextIO:
    """stdout for us alone: to everything else in this process, it is stderr from now on.

    It stays so to the end, since the C library may hold back what is printed until the exit.
    """
    if sys.stdout is None:
        raise UsageError("stdout is closed, and it is where the numbers go")
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _narration(1)
    return own


def to_nowhere(stream: TextIO) -> None:
    """What could not be written is not tried again at the exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _narration(number: int) -> TextIO:
    """A stream for what nobody relies on: where it cannot be written, the data still go out."""
    raw = io.FileIO(number, "w", closefd=False)
    return _Narration(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
