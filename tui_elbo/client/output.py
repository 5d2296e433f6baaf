"""What the engine and the model print, and what they warn of: the newest part of it."""

from __future__ import annotations

import codecs
from collections import deque

MAX_LINES = 5_000
MAX_CHARS = 1_000_000
MAX_LINE = 4_096
"""A longer line is broken into several."""


class Output:
    """Lines of text, bounded in number and size; what is dropped is counted."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        """Whole lines as they came, unsafe to draw as they are."""
        self.dropped = 0
        """How many lines had to make room."""
        self.warnings = 0
        """How many of the lines are warnings."""
        self.version = 0
        """Grows with each change."""
        self._chars = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def total(self) -> int:
        """How many lines there ever were."""
        return self.dropped + len(self.lines) + bool(self._rest)

    def shown(self) -> list[str]:
        """The lines that are kept, the unfinished one too."""
        return [*self.lines, self._rest] if self._rest else list(self.lines)

    def feed(self, data: bytes) -> None:
        """Take in a piece of what was printed."""
        self.version += 1
        *whole, rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in whole:
            self._add(line)
        # A progress bar draws over itself: only what comes after the last return is to be seen.
        rest = rest[rest.rfind("\r", 0, -1) + 1 :]
        while len(rest) > MAX_LINE:
            self._add(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest

    def warn(self, source: str, text: str) -> None:
        """Take in a warning, as lines of its own."""
        self.version += 1
        self.warnings += 1
        if self._rest:
            self._add(self._rest)
            self._rest = ""
        for line in f"{source}: {text}".split("\n"):
            self._add(line)

    def _add(self, line: str) -> None:
        line = line.removesuffix("\r")
        line = line[line.rfind("\r") + 1 :]
        for start in range(0, max(1, len(line)), MAX_LINE):
            part = line[start : start + MAX_LINE]
            self.lines.append(part)
            self._chars += len(part)
        while len(self.lines) > MAX_LINES or self._chars > MAX_CHARS:
            self._chars -= len(self.lines.popleft())
            self.dropped += 1
