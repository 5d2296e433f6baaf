"""Keys on a line of 400 kbit/s, while a scenario runs: how soon each is answered on the screen."""

from __future__ import annotations

import os
import select
import time

import numpy as np
import pytest

from tests.benchmarks.pairs import bootstrap, judge
from tests.runtime import runtime_folder
from tests.terminal.terminal import COMMAND, Terminal

pytestmark = pytest.mark.benchmark

BYTES_A_SECOND = 50_000
PIECE = 500
KEYS = 80


class SlowTerminal(Terminal):
    """A terminal at the other end of a slow line: what has come later than it could is not there.

    What the program has written waits in the pseudo-terminal, as it would in a modem.
    """

    free_at = 0.0
    """When the line has room for the next piece."""

    def _read(self, seconds: float = 60.0) -> bool:
        now = time.monotonic()
        if now < self.free_at:
            time.sleep(self.free_at - now)
        ready, _, _ = select.select([self._line], [], [], seconds)
        data = b""
        if ready:
            try:
                data = os.read(self._line, PIECE)
            except OSError:
                data = b""
            self.free_at = max(self.free_at, time.monotonic()) + len(data) / BYTES_A_SECOND
        self.sent += data
        self._stream.feed(data)
        return bool(data)


@pytest.mark.parametrize(("cols", "rows"), [(80, 24), (120, 40)])
def test_keys_are_answered_on_a_slow_line(cols: int, rows: int) -> None:
    took = []
    with runtime_folder(), SlowTerminal([*COMMAND, "no_theta"], cols, rows) as terminal:
        terminal.wait("paused")
        terminal.press(" ")
        terminal.wait(r"\d/s")
        for key in range(KEYS):
            digit = str(1 + key % 9)
            begin = time.monotonic()
            terminal.press(digit)
            terminal.wait(f"{digit} then n")
            took.append(time.monotonic() - begin)
            terminal.press("escape")
            terminal.wait(r"\d/s")
        sent, seconds = len(terminal.sent), time.monotonic()
        for _ in range(20):
            terminal._read(0.2)
        rate = (len(terminal.sent) - sent) / (time.monotonic() - seconds)
        terminal.press(" ")
        terminal.wait("space run ")
        terminal.press("q", "y")
        assert terminal.ended() == 0
    print(f"\n{cols}x{rows}: median {np.median(took) * 1000:.0f} ms, {rate / 1000:.1f} kB/s")

    def most(seconds: np.ndarray, axis: int) -> np.ndarray:
        return np.quantile(seconds, 0.95, axis=axis)

    judge(f"seconds for 95 % of keys at 400 kbit/s, {cols}x{rows}", bootstrap(took, most), 0.07)
