"""How far a command has come: one line on a terminal's stderr, and nothing where that is none."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

SECONDS = 0.2
"""How often the count of steps is written anew."""

WIPE = "\r\x1b[K"


class Progress:
    """The line. Who prints something else calls `clear` before."""

    def __init__(self) -> None:
        self.hidden = False
        """Show nothing: the same terminal shows the data."""
        self._shown = ""
        self._written = self._begun = 0.0
        self._first = 0

    def show(self, text: str) -> None:
        """Show what is being done."""
        if text != self._shown and self._terminal():
            self._write(f"{WIPE}{text[: _columns() - 1]}")
            self._shown = text

    def begin(self, step: int, steps: int) -> None:
        """Steps are taken from now on, from this one up to `steps`."""
        self._first, self._begun = step, time.monotonic()
        self.show(f"step {step} of {steps}")

    def stepped(self, step: int, steps: int) -> None:
        """The run stands at this step."""
        now = time.monotonic()
        if now - self._written >= SECONDS:
            self._written = now
            self.show(steps_text(step, steps, step - self._first, now - self._begun))

    def clear(self) -> None:
        """Show nothing."""
        if self._shown:
            self._shown = ""
            self._write(WIPE)

    def _terminal(self) -> bool:
        return not self.hidden and sys.stderr is not None and sys.stderr.isatty()

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            print(text, end="", file=sys.stderr, flush=True)


progress = Progress()
"""The line of this process, which has one stderr."""


def steps_text(step: int, steps: int, taken: int, seconds: float) -> str:
    """How far a run has come, how quickly, and how long it still takes at that rate."""
    text = f"step {step} of {steps}"
    if taken <= 0 or seconds <= 0:
        return text
    each = seconds / taken
    text += f" · {1 / each:.0f}/s" if each < 0.5 else f" · {each:.1f} s a step"
    return f"{text} · {duration(each * (steps - step))} left" if steps > step else text


def duration(seconds: float) -> str:
    """A time in two digits or so."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
