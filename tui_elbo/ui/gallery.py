"""The gallery: what there is to look at, and a line to open a file of one's own."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from tui_elbo.client.process import Engine, spawn
from tui_elbo.client.session import Options
from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import find_scenario, gallery
from tui_elbo.model.text import safe
from tui_elbo.ui.gallery_list import GalleryList, TextLine
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.style.theme import BAD, DIM, KEY
from tui_elbo.ui.widgets.text_lines import Piece


class Gallery(Screen[None]):
    """A list of scenarios, with an engine that warms up behind it.

    Args:
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
    """

    class Chosen(Message):
        """A scenario was chosen; the engine goes with it."""

        def __init__(self, target: str, engine: Engine | None) -> None:
            self.target, self.engine = target, engine
            super().__init__()

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "leave", show=False),
        Binding("tab,shift+tab", "swap", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    Gallery {
        overflow: hidden hidden;
        TextLine { height: 1; }
        #title { margin-bottom: 1; }
        #list { height: 1fr; }
        #path { height: 1; border: none; padding: 0 1; background: $background; }
        #keys { margin-top: 1; }
    }
    """

    def __init__(self, options: Options, engine: Engine | None = None) -> None:
        super().__init__()
        self._glyphs = ASCII if options.ascii else UNICODE
        self._options, self._engine = options, engine

    def compose(self) -> ComposeResult:
        """The list, a word in answer, the line for a path, the keys."""
        yield TextLine(id="title")
        yield GalleryList(gallery(), self._glyphs, id="list")
        yield TextLine(id="answer")
        yield Input(placeholder="open a file: tab, then its path or a module's name", id="path")
        yield TextLine(id="keys")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(GalleryList).focus()
        self._word("title", (" elbo-tui", "bold"), ("  watch SVI, term by term", DIM))
        arrows = self._glyphs.up + self._glyphs.down
        keys = ((arrows, "choose"), ("enter", "open"), ("tab", "open a file"), ("q", "quit"))
        self._word(
            "keys", *(p for key, text in keys for p in ((f" {key}", KEY), (f" {text} ", DIM)))
        )

    def _word(self, id: str, *pieces: Piece) -> None:
        self.query_one(f"#{id}", TextLine).show(pieces)

    def action_swap(self) -> None:
        """Between the list and the line for a path."""
        choice = self.query_one(GalleryList)
        (self.query_one(Input) if choice.has_focus else choice).focus()

    def on_screen_resume(self) -> None:
        """Have an engine warm up for what will be chosen."""
        if self._engine is None:
            # One that cannot be started is reported where it is needed.
            with suppress(OSError):
                self._engine = spawn(self._options.argv)

    def on_unmount(self) -> None:
        """Leave no engine behind that nobody took."""
        if self._engine is not None:
            self._engine.end()

    def _choose(self, target: str) -> None:
        engine, self._engine = self._engine, None
        self.post_message(self.Chosen(target, engine))

    def action_leave(self) -> None:
        """From the line for a path back to the list; from the list out of the program."""
        choice = self.query_one(GalleryList)
        if choice.has_focus:
            self.app.exit(0)
        else:
            choice.focus()

    def on_gallery_list_opened(self, event: GalleryList.Opened) -> None:
        """Open the scenario under the cursor."""
        self._choose(event.entry.name)

    def on_input_changed(self) -> None:
        """The message about another path no longer holds."""
        self._word("answer")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open what was typed, if there is such a file."""
        target = event.value.strip()
        if not target:
            return
        try:
            find_scenario(target)
        except UsageError as error:
            self._word("answer", (f" {safe(error.where)}: {error.what}; {safe(error.hint)}", BAD))
        else:
            self._choose(target)
