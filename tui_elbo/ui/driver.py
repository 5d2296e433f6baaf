"""What binds the program to its terminal: an input thread that ends when told to, and signals.

The input thread of Textual's driver looks at its exit event every tenth of a second, and waits once
more after that, so leaving takes up to 0.2 s: see `LinuxDriver.run_input_thread` in
https://github.com/Textualize/textual/blob/main/src/textual/drivers/linux_driver.py
"""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import signal
from codecs import getincrementaldecoder
from typing import Any

from textual import messages
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from tui_elbo.ui.actions.quit_and_detach import farewells
from tui_elbo.ui.ansi_diff import thrifty

TICK = 0.1
"""Seconds between looks at whether the rest of an escape sequence is still to come."""

TICKS = 3
"""So many looks after the last byte; then there is nothing to wait for but the next."""

CHUNK = 4096

MOST_WAITING = 3
"""Pieces of output that may wait: a frame is at most so many. Textual's own bound is 30, which on a
slow line are seconds between a key and its answer."""


def quick(driver: type[Driver]) -> type[Driver]:
    """The driver, or the one here for Textual's own of a Unix terminal."""
    return QuickDriver if driver is LinuxDriver else driver


def end_on_signals(app: App[int]) -> None:
    """Let the app exit in good order when the terminal hangs up or the system ends it."""
    if app.is_headless:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _end, app, number)


def _end(app: App[int], number: int) -> None:
    """Runs that can be found again go on."""
    app.exit(return_code=128 + number, message=farewells(app))


class QuickDriver(LinuxDriver):
    """Reads keys until woken, and ends the program when the terminal hangs up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._woken, self._wake = os.pipe()

    @property
    def behind(self) -> bool:
        """Whether the line has not taken yet what was drawn before."""
        writer = self._writer_thread
        return writer is not None and writer._queue.qsize() > MOST_WAITING

    def write(self, data: str) -> None:
        """Send it, in as few bytes as show the same."""
        super().write(thrifty(data))

    def run_input_thread(self) -> None:
        """Hand what is typed to the app."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            ticks = 0
            while not self.exit_event.is_set():
                ready = {key.fd for key, _ in selector.select(TICK if ticks else None)}
                ticks = max(0, ticks - 1)
                if self.fileno in ready:
                    data, ticks = self._read(), TICKS
                    if not data:
                        self._app.post_message(messages.ExitApp())
                        return
                    for event in parser.feed(decode(data)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, CHUNK)
        except OSError:
            return b""

    def disable_input(self) -> None:
        """End the input thread."""
        if not self.exit_event.is_set():
            os.write(self._wake, b"\0")  # Left unread: the thread looks at its event next.
            super().disable_input()
            os.read(self._woken, 1)

    def close(self) -> None:
        """The terminal is as it was; what is left of the program is on its way out."""
        super().close()
        gc.freeze()  # Python looks through all that is alive once more before it ends: 0.2 s.
