"""A list with a cursor and a filter: its keys, and which part of it is on the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize

from tui_elbo.ui.widgets.text_lines import TextLines

FAR = 1_000_000
"""More rows than any list has."""


class CursorLines(TextLines, can_focus=True):
    """Base of what has a cursor that the arrows move: the tables of the panes, and the lists.

    Args:
        id: the widget's id.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.cursor = 0
        """The row that the arrows move."""
        self.top = 0
        """The first row shown."""
        self._filter = ""

    # What a subclass gives.

    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def filtered(self) -> None:
        """The filter has changed: show the rows that pass it."""
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        raise NotImplementedError

    def moved(self) -> None:
        """The cursor was moved, or there is another size."""
        self.paint()

    # What is the same for all.

    @property
    def filter(self) -> str:
        """What a row must have to be shown; all are if it is empty."""
        return self._filter

    @filter.setter
    def filter(self, text: str) -> None:
        if text != self._filter:
            self._filter = text
            self.filtered()

    @property
    def room(self) -> int:
        """Lines that there are for rows, below the header."""
        return max(1, self.size.height - 1)

    def shown_rows(self, row: int, of: int) -> slice:
        """Those on the screen, of so many of a line each: this one is among them."""
        self.top = max(row - self.room + 1, min(self.top, row, of - self.room), 0)
        return slice(self.top, self.top + self.room)

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        self.cursor = max(0, min(self.cursor + by, self.count() - 1))
        self.moved()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screenfuls."""
        self.action_move(by * max(1, self.room - 1))

    def on_resize(self, _event: Resize) -> None:
        """Lay it out anew."""
        self.moved()

    def on_focus(self, _event: Focus) -> None:
        """Show the cursor."""
        self.paint()

    def on_blur(self, _event: Blur) -> None:
        """Hide the cursor."""
        self.paint()


class ChoiceList(CursorLines):
    """Base of the lists from which a row is chosen: they have more keys to themselves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "move(-1)", show=False),
        Binding("j", "move(1)", show=False),
        Binding("space", "page(1)", show=False),
        Binding("home", f"move(-{FAR})", show=False),
        Binding("end", f"move({FAR})", show=False),
        Binding("enter", "open", show=False),
    ]

    def opened(self, row: int) -> None:
        """This row was chosen."""
        raise NotImplementedError

    def action_open(self) -> None:
        """Choose what is under the cursor."""
        if self.count():
            self.opened(self.cursor)
