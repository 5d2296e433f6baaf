"""How long a run waits for a terminal when it has nothing to do."""

from __future__ import annotations

import time
from math import inf

from tui_elbo.protocol import RunStatus

BUSY_LOOK = 1.0
"""Seconds between looks at whether a run without a terminal has come to its end, at least."""


class Linger:
    """Knows since when a run has had nothing to do, and nobody to do it for.

    Args:
        seconds: for which it then waits.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._level = RunStatus("loading", 0, None, 0.0, 0)
        self._since = time.monotonic()
        self._asked = 0

    def asked(self, seq: int) -> None:
        """A command was sent."""
        self._asked = max(self._asked, seq)

    def stands(self, level: RunStatus) -> None:
        """How the run stands."""
        self._level = level
        if not self._busy:
            self._since = time.monotonic()

    def alone(self) -> None:
        """The terminal has gone."""
        self._since = time.monotonic()

    def patience(self) -> float | None:
        """Seconds until it may be time to end, without a terminal; 0 when it is; None for never."""
        if self._seconds == inf:
            return None
        if self._busy:
            return max(self._seconds, BUSY_LOOK)
        return max(0.0, self._since + self._seconds - time.monotonic())

    @property
    def _busy(self) -> bool:
        return self._level.state in ("running", "loading") or self._level.seq < self._asked
