"""Every private API of Textual that the screen uses. Checked with Textual 8.2.5 and 8.2.8.

`PRIVATE` names them all, each with its reason; a test looks each of them up.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import selectors
import signal
import threading
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console, RenderableType
from textual import messages
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App, ScreenError
from textual.await_complete import AwaitComplete
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.errors import NoWidget
from textual.events import Event, InputEvent, MouseEvent, Resize
from textual.geometry import Offset, Size
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.timer import Timer

from tui_elbo.ui.cell_diff import Changes, Piece, ScreenCells

if TYPE_CHECKING:
    from textual.command import CommandPalette

PRIVATE = {
    "textual.app:App._display": "the only place where a frame is still strips and not yet text",
    "textual.app:App._driver": "asked whether the terminal has taken the output before",
    "textual.app:App._handle_exception": "where an error while input is passed on belongs",
    "textual.message_pump:MessagePump._task": "ends with a widget that was waited for",
    "textual.message_pump:MessagePump._mounted_event": "a screen takes keys from then on",
    "textual.message_pump:MessagePump._dispatch_message": "a closed palette answers no message",
    "textual.command:CommandPalette._action_command_list": "fails on a list not laid out",
    "textual._compositor:CompositorUpdate.render_segments": "what `_display` writes",
    "textual._compositor:LayoutUpdate.strips": "a frame of the whole screen",
    "textual._compositor:LayoutUpdate.region": "where that is",
    "textual._compositor:ChopsUpdate.chops": "a frame of some parts of some lines, as they are cut",
    "textual._compositor:ChopsUpdate.chop_ends": "where these parts end",
    "textual._compositor:ChopsUpdate.spans": "what of them needs drawing",
    "textual.drivers.linux_driver:LinuxDriver._get_terminal_size": "the size that counts",
    "textual.driver:Driver._app": "notified when the terminal hangs up",
    "textual.drivers.linux_driver:LinuxDriver._file": "the terminal, which may go away",
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

CHUNK = 256
"""Bytes read at once."""

MAX_TYPED = 300
"""Keys and mouse reports that may wait; what comes on top is not read. A person types ten a second,
and a paste that is no bracketed paste is a hundred thousand keys."""

LOST_SECONDS = 4.0
"""After which a program without a terminal ends in any case."""

MAX_WAITING = 3
"""Pieces of output that may wait: a frame is at most so many. Textual's own bound is 30, which on a
slow line are seconds between a key and its answer."""


INPUT_SECONDS = 5.0
"""So long at most the next key waits for what the one before has begun."""

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
        self._input: deque[Event] = deque()
        self.handled_input = 0
        """How many keys and mouse reports have been handled."""
        self._passing: asyncio.Task[None] | None = None

    async def on_event(self, event: Event) -> None:
        """Pass input on one by one.

        Textual passes on at once all that arrives together, to what has the focus then; a key that
        opens or closes a screen leaves the keys behind it to a screen that is no longer there.
        """
        if not isinstance(event, InputEvent) or event.is_forwarded:
            await super().on_event(event)
            return
        self._input.append(event)
        if not self.input_waits:
            self._passing = asyncio.create_task(self._pass_on())

    def input_was_dropped(self) -> None:
        """Not all that was typed has been read; called in its place among the keys."""

    @property
    def input_waits(self) -> bool:
        """Whether something that was typed is not handled yet."""
        return self._passing is not None and not self._passing.done()

    async def _pass_on(self) -> None:
        try:
            while self._input and self.is_running:
                event = self._input.popleft()
                self.handled_input += 1
                if isinstance(event, InputDropped):
                    self.input_was_dropped()
                    continue
                where = self._way_of(event)
                await super().on_event(event)
                await self._handled(where)
        except Exception as error:
            self._handle_exception(error)

    def _way_of(self, event: Event) -> list[MessagePump]:
        """The widget that an event goes to, and all those that it bubbles up to."""
        node: MessagePump | None = self.focused or self.screen
        if isinstance(event, MouseEvent):
            with suppress(NoWidget):
                node, _ = self.get_widget_at(event.x, event.y)
        way: list[MessagePump] = []
        while node is not None and node is not self:
            way.append(node)
            node = node._parent
        return [*way, self]

    async def _handled(self, way: list[MessagePump]) -> None:
        """What was passed on is handled, and a screen that it has opened takes the next."""
        for node in way:
            await _turn(node)
        with suppress(ScreenError):
            screen = self.screen
            if not screen._mounted_event.is_set():
                await _either(screen._mounted_event, screen)
                await _turn(screen)

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
        """See that the app has the terminal's size, and its screens have the app's.

        Textual asks for the size in a signal handler, which the next signal can interrupt: then the
        older size comes last. A screen that lays out a size posts that size to itself, which can
        replace a newer one that waits in its queue: see `LinuxDriver.start_application_mode`,
        `Screen._refresh_layout` and `Resize.can_replace`.
        """
        self._settling = None
        size = terminal_size(self)
        if size != self.size:
            self.post_message(Resize(size, size))
            return
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


async def _turn(node: MessagePump) -> None:
    """Everything is handled that waits in a widget's queue now."""
    handled = asyncio.Event()
    if node.is_running and node.call_later(handled.set):
        await _either(handled, node)


async def _either(event: asyncio.Event, node: MessagePump) -> None:
    """Wait for an event, but no longer than for the end of a widget, or for a second."""
    comes = asyncio.create_task(event.wait())
    ends = [node._task] if node._task is not None else []
    await asyncio.wait([comes, *ends], timeout=INPUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    comes.cancel()


@lru_cache(1)
def palette_class() -> type[CommandPalette]:
    """Textual's palette, which closes once: imported only when it is opened, as it takes a while.

    It calls what was chosen twice, and dismisses whatever screen is there, when two keys choose:
    see `CommandPalette._select_or_command`.
    """
    from textual.command import CommandPalette  # noqa: PLC0415
    from textual.widgets import Input, OptionList  # noqa: PLC0415

    class Palette(CommandPalette):
        """The palette, closed once."""

        def dismiss(self, result: None = None) -> AwaitComplete:
            # Whoever waits for it has been answered if it is dismissed a second time.
            with suppress(asyncio.InvalidStateError):
                if self.is_current:
                    return super().dismiss(result)
            return AwaitComplete()

        def _action_command_list(self, action: str) -> None:
            # A list that has not been laid out has no lines yet: see `OptionList._move_page`.
            with suppress(KeyError):
                super()._action_command_list(action)

        async def _dispatch_message(self, message: Message) -> None:
            # What its widgets still say when it has closed is not answered any more.
            said = isinstance(message, (Input.Changed, Input.Submitted, OptionList.OptionMessage))
            if self.is_current or not said:
                await super()._dispatch_message(message)

    return Palette


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


def terminal_size(app: App[Any]) -> Size:
    """The size that the terminal has now."""
    asked = getattr(app._driver, "_get_terminal_size", None)
    return Size(*asked()) if asked is not None else app.size


def output_is_waiting(app: App[Any]) -> bool:
    """Whether the terminal has not taken yet what was drawn before."""
    return getattr(app._driver, "output_waiting", False)


def quick_driver(driver: type[Driver]) -> type[Driver]:
    """The driver, or the one here for Textual's own of a Unix terminal."""
    return QuickDriver if driver is LinuxDriver else driver


class InputDropped(InputEvent):
    """More was typed at once than is read."""


ESCAPE = "\x1b[27u"
"""The key escape, as a terminal writes it that leaves no doubt."""

_ESCAPE_AND_KEY = re.compile("\x1b(?=[a-zA-NQ-WYZ0-9 ?/,.<>])")
"""Escape and a key behind it in one read, as on a slow line: no key of ours goes with alt."""


class InputReader:
    """Turns bytes of a terminal into events.

    Args:
        debug: what Textual's parser is made with.
    """

    def __init__(self, debug: bool = False) -> None:
        self._debug = debug
        self._dropping = False
        self._begin()

    def _begin(self) -> None:
        self._parser = XTermParser(self._debug)
        self._decode = getincrementaldecoder("utf-8")("replace").decode

    def read(self, data: bytes, waiting: int) -> Iterator[Message]:
        """The events of what has come.

        Args:
            data: the bytes.
            waiting: how many earlier events have not been handled yet.
        """
        if waiting > MAX_TYPED:
            if not self._dropping:
                self._begin()  # What is cut off must not continue what comes later.
                yield InputDropped()
            self._dropping = True
            return
        self._dropping = False
        # Half a character decodes to an empty string, which the parser takes for the end of input.
        if text := self._decode(data):
            yield from self._parser.feed(_ESCAPE_AND_KEY.sub(ESCAPE, text))

    def tick(self) -> Iterator[Message]:
        """The events of an escape sequence of which no more comes."""
        yield from self._parser.tick()


class _LosableFile:
    """What is drawn on, as long as it is there: without it the thread that writes would die, and
    the one that draws would wait for it for ever."""

    def __init__(self, file: TextIO, lost: Callable[[], None]) -> None:
        self._file, self._lost, self._gone = file, lost, False

    def write(self, text: str) -> None:
        self._guarded(partial(self._file.write, text))

    def flush(self) -> None:
        self._guarded(self._file.flush)

    def _guarded(self, act: Callable[[], object]) -> None:
        if not self._gone:
            try:
                act()
            except OSError:
                self._gone = True
                self._lost()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class QuickDriver(LinuxDriver):
    """Reads keys until woken, and ends the program when the terminal hangs up.

    The input thread of Textual's driver looks at its exit event every tenth of a second, and waits
    once more after that, so leaving takes up to 0.2 s: see `LinuxDriver.run_input_thread` in
    https://github.com/Textualize/textual/blob/main/src/textual/drivers/linux_driver.py
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._woken, self._wake = os.pipe()
        self._file: Any = _LosableFile(cast(TextIO, self._file), self._lost)
        self._watchdog: threading.Timer | None = None
        self._passed_on = 0

    def _lost(self) -> None:
        """The terminal is gone: end in good order, and if that does not do, at once.

        Good order can wait for a terminal that reads no more: see `WriterThread.stop`.
        """
        if self._watchdog is None:
            self._watchdog = threading.Timer(LOST_SECONDS, os._exit, (128 + signal.SIGHUP,))
            self._watchdog.daemon = True
            self._watchdog.start()
            self._app.post_message(messages.ExitApp())

    @property
    def output_waiting(self) -> bool:
        """Whether the terminal has not taken yet what was drawn before."""
        writer = self._writer_thread
        return writer is not None and writer._queue.qsize() > MAX_WAITING

    def run_input_thread(self) -> None:
        """Hand what is typed to the app."""
        reader = InputReader(self._debug)
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
                        self._lost()
                        return
                    waiting = self._passed_on - getattr(self._app, "handled_input", 0)
                    for event in reader.read(data, waiting):
                        self._passed_on += isinstance(event, InputEvent)
                        self.process_message(event)
                for event in reader.tick():
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
