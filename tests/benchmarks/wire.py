"""A terminal that tells how much was sent, and how long after a key the last of it came."""

from __future__ import annotations

import time

from tests.terminal.terminal import Terminal


class Wire(Terminal):
    """A terminal at the end of a line of which every byte is counted."""

    def count(self, seconds: float) -> int:
        """Bytes that come within so many seconds."""
        before, end = len(self.sent), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        return len(self.sent) - before

    def settled(self, quiet: float = 0.4) -> tuple[int, float]:
        """Bytes until nothing has come for a while, and seconds until the last of them."""
        return self._until_quiet(time.monotonic(), len(self.sent), quiet)

    def answer(self, key: str, quiet: float = 0.4) -> tuple[int, float]:
        """Bytes that come in answer to a key, and seconds until the last of them."""
        begin, before = time.monotonic(), len(self.sent)
        self.press(key)
        self._read()
        return self._until_quiet(begin, before, quiet)

    def _until_quiet(self, begin: float, before: int, quiet: float) -> tuple[int, float]:
        last = time.monotonic()
        while (left := last + quiet - time.monotonic()) > 0:
            size = len(self.sent)
            self._read(left)
            if len(self.sent) > size:
                last = time.monotonic()
        return len(self.sent) - before, last - begin
