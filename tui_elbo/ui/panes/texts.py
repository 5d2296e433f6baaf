"""Panes of plain text, where there is room for them: what was printed, and the notes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import islice
from typing import ClassVar

from textual.content import Content
from textual.events import Resize

from tui_elbo.client.output import Output
from tui_elbo.model.text import safe
from tui_elbo.ui.style.text import BULLET, reflowed
from tui_elbo.ui.style.theme import DIM
from tui_elbo.ui.widgets.lines import wrapped
from tui_elbo.ui.widgets.pane import Shown
from tui_elbo.ui.widgets.text_lines import Line, TextLines

MANY = 200
"""More lines than any pane has."""


class TextPane(TextLines):
    """Lines of text in a frame, wrapped; the first or the last that fit.

    Args:
        title: plain text.
        id: the widget's id.
        end: show the last lines, not the first.
    """

    def __init__(self, title: str, *, id: str, end: bool = False) -> None:
        super().__init__(id=id)
        self.border_title = Content(title)
        self._end, self._lines = end, list[Line]()

    def wanted_height(self) -> int:
        """How many lines it would like to have."""
        return len(self._lines)

    def put_lines(self, lines: Iterable[Line]) -> None:
        """Show these lines."""
        self._lines = list(lines)
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not (self.is_mounted and self.display) or width <= 0 or height <= 0:
            return
        lines = [part for line in self._lines for part in self._broken(line, width - 1)]
        lines = lines[-height:] if self._end else lines[:height]
        self.set_lines([[(" ", ""), *line] for line in lines])

    def _broken(self, line: Line, width: int) -> Iterable[Line]:
        """The line in so many cells: prose between words, output anywhere."""
        if self._end:
            return wrapped(line, width)
        [(text, style)] = line
        if text.startswith("    "):
            return [[(text, style)]]
        indent = "  " if text.startswith(BULLET) else ""
        parts = textwrap.wrap(text, max(3, width), subsequent_indent=indent)
        return [[(part, style)] for part in parts or [""]]

    def on_resize(self, _event: Resize) -> None:
        """Wrap anew."""
        self.paint()


class OutputPane(TextPane):
    """The last lines of what the model prints, and of warnings."""

    NAME: ClassVar[str] = "output"
    FROM_LENS: ClassVar[bool] = False

    def __init__(self, *, ascii: bool = False) -> None:
        del ascii
        super().__init__("output", id="output", end=True)
        self._version = -1

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        self.show(shown.run.output)

    def show(self, output: Output) -> None:
        """Show what has come since."""
        if output.version != self._version:
            self._version = output.version
            newest = list(output.shown())[-MANY:]
            lines: list[Line] = [[(safe(line, lines=True), "")] for line in newest]
            self.put_lines(lines or [[("nothing has been printed, no warnings", DIM)]])


class NotesPane(TextPane):
    """The first lines of the scenario's notes."""

    NAME: ClassVar[str] = "notes"
    FROM_LENS: ClassVar[bool] = False

    def __init__(self, *, ascii: bool = False) -> None:
        del ascii
        super().__init__("notes", id="notes")
        self._shown: tuple[str, str] | None = None

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        loaded = shown.run.loaded
        if loaded is not None:
            self.show(loaded.title, loaded.notes)

    def show(self, title: str, notes: str) -> None:
        """Show these notes."""
        if (title, notes) != self._shown:
            self._shown = (title, notes)
            text = safe(notes, lines=True).strip() or "This file has no notes."
            lines: list[Line] = [[(safe(title), "bold")]]
            lines += ([(line, "")] for line in islice(reflowed(text), MANY))
            self.put_lines(lines)
