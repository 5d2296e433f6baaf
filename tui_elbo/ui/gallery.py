"""The gallery: what there is to look at, and a line to open a file of one's own."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from tui_elbo.errors import UsageError
from tui_elbo.scenario import find, gallery
from tui_elbo.ui.canvas import Piece
from tui_elbo.ui.choice import Choice, Word
from tui_elbo.ui.glyphs import ASCII, UNICODE
from tui_elbo.ui.text import safe
from tui_elbo.ui.theme import BAD, DIM, KEY


class Gallery(Screen[str | None]):
    """A list of scenarios; answers the one that was chosen, or None on leaving.

    Args:
        ascii: draw with ASCII characters alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "leave", show=False),
        Binding("tab,shift+tab", "swap", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    Gallery {
        overflow: hidden hidden;
        Word { height: 1; }
        #title { margin-bottom: 1; }
        #list { height: 1fr; }
        #path { height: 1; border: none; padding: 0 1; background: $background; }
        #keys { margin-top: 1; }
    }
    """

    def __init__(self, *, ascii: bool = False) -> None:
        super().__init__()
        self._glyphs = ASCII if ascii else UNICODE

    def compose(self) -> ComposeResult:
        """The list, a word in answer, the line for a path, the keys."""
        yield Word(id="title")
        yield Choice(gallery(), self._glyphs, id="list")
        yield Word(id="answer")
        yield Input(placeholder="open a file: tab, then its path or a module's name", id="path")
        yield Word(id="keys")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(Choice).focus()
        self._word("title", (" elbo-tui", "bold"), ("  watch SVI, term by term", DIM))
        arrows = self._glyphs.up + self._glyphs.down
        keys = ((arrows, "choose"), ("enter", "open"), ("tab", "open a file"), ("q", "quit"))
        self._word(
            "keys", *(p for key, text in keys for p in ((f" {key}", KEY), (f" {text} ", DIM)))
        )

    def _word(self, id: str, *pieces: Piece) -> None:
        self.query_one(f"#{id}", Word).show(pieces)

    def action_swap(self) -> None:
        """Between the list and the line for a path."""
        choice = self.query_one(Choice)
        (self.query_one(Input) if choice.has_focus else choice).focus()

    def action_leave(self) -> None:
        """From the line for a path back to the list; from the list out of the program."""
        choice = self.query_one(Choice)
        if choice.has_focus:
            self.dismiss(None)
        else:
            choice.focus()

    def on_choice_opened(self, event: Choice.Opened) -> None:
        """Open the scenario under the cursor."""
        self.dismiss(event.entry.name)

    def on_input_changed(self) -> None:
        """What was said of another path no longer holds."""
        self._word("answer")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open what was typed, if there is such a file."""
        target = event.value.strip()
        if not target:
            return
        try:
            find(target)
        except UsageError as error:
            self._word("answer", (f" {safe(error.where)}: {error.what}; {safe(error.todo)}", BAD))
        else:
            self.dismiss(target)
