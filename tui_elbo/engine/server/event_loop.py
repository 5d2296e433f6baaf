"""One thread that waits for whatever can be read, and for room where something is to be written."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Source = socket.socket | int
"""A socket, or a descriptor."""


class Loop:
    """Calls whoever has something to read, until it is closed."""

    def __init__(self) -> None:
        self.open = True
        self.heed: Callable[[int], object] = lambda _: None
        """Called with the number of each signal that Python has a handler for.

        A signal that comes just before the main thread goes to sleep would else not wake it.
        """
        self._heeding = False
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self.add(self._woken, self._slept)

    def heed_signals(self) -> None:
        """Have signals wake this thread; to be called from the main thread."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._heeding = True

    def add(self, source: Source, call: Callable[[], object]) -> None:
        """Call when there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, call)

    def want_room(self, source: Source, wanted: bool) -> None:
        """Call when there is room to write as well, or no longer."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        key = self._selector.get_key(source)
        if key.events != events:
            self._selector.modify(source, events, key.data)

    def remove(self, source: Source) -> None:
        """Call no more."""
        self._selector.unregister(source)

    def nudge(self) -> None:
        """Let the thread look around, from any other."""
        with self._lock, suppress(OSError):
            if self._wake >= 0:
                os.write(self._wake, b"\0")

    def stop(self) -> None:
        """Have the thread end."""
        self.open = False
        self.nudge()

    def turn(self, patience: float | None) -> None:
        """Wait for so many seconds at most, None for ever; then call whoever is to be called."""
        for key, _ in self._selector.select(patience):
            key.data()

    def forget(self) -> None:
        """Close what is ours alone. May be called again."""
        with self._lock:
            if self._wake < 0:
                return
            if self._heeding:
                with suppress(ValueError):  # It is for the main thread to say so.
                    signal.set_wakeup_fd(-1)
            self._selector.close()
            os.close(self._woken)
            os.close(self._wake)
            # Numbers are given out again: nothing may be written to another's descriptor.
            self._wake = self._woken = -1

    def forget_in_child(self) -> None:
        """The same in a process just forked, whose parent may have held the lock."""
        self._lock = threading.Lock()
        self.open = False
        self.forget()

    def _slept(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._woken, 4096):
                for number in filter(None, data):
                    self.heed(number)
