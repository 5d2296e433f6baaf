"""A program in a real pseudo-terminal, with its screen emulated."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence

import pyte

COMMAND = (sys.executable, "-m", "tui_elbo.cli")
KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "ctrl+c": "\x03", "down": "\x1b[B"}
PATIENCE = 60.0
"""Seconds after which what is waited for will not come; a busy machine takes a while."""


class Terminal:
    """Runs `argv` in a terminal of so many columns and rows.

    Used as a context manager; the program is killed at the end, should it still be there.
    """

    def __init__(self, argv: Sequence[str], cols: int = 80, rows: int = 24, **env: str) -> None:
        self._emulated = pyte.Screen(cols, rows)
        self._stream = pyte.ByteStream(self._emulated)
        self.sent = b""
        """All that the program has sent."""
        self.exit_code: int | None = None
        self._home = tempfile.TemporaryDirectory()
        self.pid, self._line = pty.fork()
        if self.pid == 0:
            settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor"}
            settings |= {"XDG_CONFIG_HOME": self._home.name}  # where nothing is remembered
            # An environment of our own: a readline in this process may have put a size into its.
            os.execvpe(argv[0], list(argv), dict(os.environ) | settings | env)
        self.resize(cols, rows)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            # A run outlives its terminal; what a test leaves behind must not slow down the next.
            with contextlib.suppress(OSError):
                for engine in self.children():
                    os.kill(engine, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._line)
        self._home.cleanup()

    @property
    def screen(self) -> str:
        """What the terminal shows, line by line."""
        return "\n".join(line.rstrip() for line in self._emulated.display)

    def resize(self, cols: int, rows: int) -> None:
        """Give the terminal another size, as dragging a window does."""
        fcntl.ioctl(self._line, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self._emulated.resize(rows, cols)

    def press(self, *keys: str) -> None:
        """Press keys, by name or as they are."""
        for key in keys:
            os.write(self._line, KEYS.get(key, key).encode())

    def wait(self, pattern: str) -> str:
        """Wait until the screen matches; returns it.

        Raises:
            AssertionError: with the screen, if it never does.
        """
        until = time.monotonic() + PATIENCE
        while not re.search(pattern, self.screen):
            if not self._read() or time.monotonic() > until:
                raise AssertionError(f"no {pattern!r} on the screen:\n{self.screen}")
        return self.screen

    def pass_time(self, seconds: float) -> None:
        """Take in what comes in so many seconds, or until the program closes the line."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not self._read(left):
                return

    def comes(self, pattern: str) -> bool:
        """Whether the screen comes to match before the program closes the line."""
        while not re.search(pattern, self.screen):
            if not self._read():
                return False
        return True

    def ended(self) -> int:
        """Wait until the program has ended; returns its exit code.

        Raises:
            AssertionError: with the screen, if it does not end.
        """
        until = time.monotonic() + PATIENCE
        while self._read():
            pass
        if time.monotonic() > until:
            raise AssertionError(f"still there:\n{self.screen}")
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def children(self) -> list[int]:
        """The processes that the program has started."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def _read(self, seconds: float = PATIENCE) -> bool:
        """Take in what has come, or comes; False once the program has closed the line."""
        ready, _, _ = select.select([self._line], [], [], seconds)
        data = b""
        if ready:
            with contextlib.suppress(OSError):
                data = os.read(self._line, 65536)
        self.sent += data
        with contextlib.suppress(Exception):  # the emulator knows fewer sequences than a terminal
            self._stream.feed(data)
        return bool(data)
