"""When to draw: soon after something changed, and not too often."""

from __future__ import annotations

from collections import deque

FRAME = 0.1
"""Seconds for a frame: never more than two of them in twice as long. So the answer to a key, which
may come in two parts, is not held up by its first part."""

GATHER = 0.04
"""Seconds to wait for more to draw with what there is."""

TABLES = 0.5
"""Seconds from one look at the numbers in tables to the next while running: nobody reads faster."""


class FrameTimer:
    """Keeps the times of the last frames; all times are of one monotonic clock."""

    def __init__(self) -> None:
        self._frames = deque([0.0, 0.0], maxlen=2)
        self.tables = 0.0
        """When the tables may be drawn next while running."""

    def due(self, now: float) -> float:
        """When to draw what changed at `now`."""
        return max(now + GATHER, self._frames[0] + 2 * FRAME)

    def drawn(self, now: float) -> None:
        """A frame was drawn."""
        self._frames.append(now)

    def tabled(self, now: float) -> None:
        """The tables were drawn."""
        self.tables = now + TABLES
