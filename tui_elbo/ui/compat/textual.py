"""Every private API of Textual that the screen uses. Checked with Textual 8.2.5 and 8.2.8.

`PRIVATE` names them all, each with its reason; a test looks each of them up.
"""

from __future__ import annotations

import gc
import os
import selectors
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console, RenderableType
from textual import messages
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App, ScreenError
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Offset, Size
from textual.screen import Screen
from textual.timer import Timer

from tui_elbo.ui.cell_diff import Changes, Piece, ScreenCells

PRIVATE = {
    "textual.app:App._display": "the only place where a frame is still strips and not yet text",
    "textual.app:App._driver": "asked whether the terminal has taken the output before",
    "textual._compositor:CompositorUpdate.render_segments": "what `_display` writes",
    "textual._compositor:LayoutUpdate.strips": "a frame of the whole screen",
    "textual._compositor:LayoutUpdate.region": "where that is",
    "textual._compositor:ChopsUpdate.chops": "a frame of some parts of some lines, as they are cut",
    "textual._compositor:ChopsUpdate.chop_ends": "where these parts end",
    "textual._compositor:ChopsUpdate.spans": "what of them needs drawing",
    "textual.driver:Driver._app": "notified when the terminal hangs up",
    "textual.driver:Driver._debug": "what the parser is made with",
    "textual.drivers.linux_driver:LinuxDriver.run_input_thread": "replaced, as it ends too late",
    "textual.drivers.linux_driver:LinuxDriver._writer_thread": "has the output that waits",
    "textual.drivers._writer_thread:WriterThread._queue": "the output that waits",
    "textual._xterm_parser:XTermParser.feed": "turns what is typed into events",
    "textual._xterm_parser:XTermParser.tick": "ends an escape sequence of which no more comes",
}
"""Module, class and attribute of each, and why it is used."""

TICK = 0.1
"""Seconds between looks at whether the rest of an escape sequence is still to come."""

TICKS = 3
"""So many looks after the last byte; then there is nothing to wait for but the next."""

CHUNK = 4096

MAX_WAITING = 3
"""Pieces of output that may wait: a frame is at most so many. Textual's own bound is 30, which on a
slow line are seconds between a key and its answer."""


SETTLED = 0.1
"""Seconds without another change after which a terminal has found its size."""


class CellDiffApp(App[int]):
    """An app that sends the terminal only the cells that changed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._terminal_cells = ScreenCells()
        self._sent_screen: Screen[Any] | None = None
        self._sent_cursor: Offset | None = None
        self._settling: Timer | None = None

    def on_resize(self) -> None:
        """Send everything again: a terminal that was smaller for a moment, or suspended, has lost
        cells, also where Textual sees the size of before and draws nothing.
        """
        self._send_all()
        # Textual lays out a size once it has lasted for some milliseconds; what it draws until then
        # has another size than the terminal.
        if self._settling is not None:
            self._settling.reset()
        self._settle_soon()

    def _settle_soon(self) -> None:
        if self._settling is None:
            self._settling = self.set_timer(SETTLED, self._settle)

    def _settle(self) -> None:
        """See that the screen has the terminal's size.

        A screen that lays out a size posts that size to itself, which can replace a newer one that
        waits in its queue: see `Screen._refresh_layout` and `Resize.can_replace`.
        """
        self._settling = None
        with suppress(ScreenError):  # There is none any more when the program ends.
            for screen in self.screen_stack:
                if screen.outer_size != self.size:
                    screen.post_message(Resize(self.size, self.size))
            self._send_all()

    def _send_all(self) -> None:
        self._terminal_cells.forget()
        if self._sent_screen is not None:
            self.screen.refresh()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if not (self.is_headless or self.is_inline):
            renderable = self._compared(screen, renderable)
        super()._display(screen, renderable)

    def _compared(self, screen: Screen[Any], renderable: object) -> Any:
        """What of a frame is to be sent."""
        cells = self._terminal_cells
        if screen is not self._sent_screen:
            cells.forget()
        colors = COLOR_SYSTEMS.get(self.console.color_system or "", ColorSystem.TRUECOLOR)
        match renderable:
            case LayoutUpdate():
                size, pieces = renderable.region.size, _all(renderable)
            case ChopsUpdate(chops=[_, *_]):
                size = Size(renderable.chop_ends[0][-1], len(renderable.chops))
                pieces = _parts(renderable)
            case None:
                return None
            case _:
                cells.forget()
                return renderable
        if size != self.size:
            self._settle_soon()
        changes = cells.compare(size, pieces, colors)
        if not changes.text and self._sent_cursor == self.cursor_position:
            return None
        return _CellUpdate(changes.text, partial(self._written, screen, changes))

    def _written(self, screen: Screen[Any], changes: Changes) -> None:
        self._terminal_cells.apply(changes)
        self._sent_screen, self._sent_cursor = screen, self.cursor_position


class _CellUpdate(CompositorUpdate):
    """Changed cells. It reports when it is written: Textual drops updates in a batch."""

    def __init__(self, text: str, written: Callable[[], None]) -> None:
        self._text, self._written = text, written

    def render_segments(self, console: Console) -> str:
        del console
        self._written()
        return self._text


def _all(update: LayoutUpdate) -> Iterator[Piece]:
    for y, line in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in line:
            end = x + strip.cell_length
            yield Piece(y, x, end, strip)
            x = end


def _parts(update: ChopsUpdate) -> Iterator[Piece]:
    """The chops that reach into the spans that need drawing.

    Each is a whole one, where Textual cuts it at the end of the span, in the middle of a wide
    character if need be: of a chop, cells outside the spans are as they were.
    """
    for y, start, stop in update.spans:
        chops = update.chops[y].items()
        for (x, strip), end in zip(chops, update.chop_ends[y], strict=False):
            if strip is not None and x < stop and end > start:
                yield Piece(y, x, end, strip)


def output_is_waiting(app: App[Any]) -> bool:
    """Whether the terminal has not taken yet what was drawn before."""
    return getattr(app._driver, "output_waiting", False)


def quick_driver(driver: type[Driver]) -> type[Driver]:
    """The driver, or the one here for Textual's own of a Unix terminal."""
    return QuickDriver if driver is LinuxDriver else driver


class QuickDriver(LinuxDriver):
    """Reads keys until woken, and ends the program when the terminal hangs up.

    The input thread of Textual's driver looks at its exit event every tenth of a second, and waits
    once more after that, so leaving takes up to 0.2 s: see `LinuxDriver.run_input_thread` in
    https://github.com/Textualize/textual/blob/main/src/textual/drivers/linux_driver.py
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._woken, self._wake = os.pipe()

    @property
    def output_waiting(self) -> bool:
        """Whether the terminal has not taken yet what was drawn before."""
        writer = self._writer_thread
        return writer is not None and writer._queue.qsize() > MAX_WAITING

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
