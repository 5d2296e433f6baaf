"""A list of rows in columns, which are sorted, filtered, and left out where there is no room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, right
from tui_elbo.ui.style.theme import DIM
from tui_elbo.ui.widgets.choice_list import ChoiceList
from tui_elbo.ui.widgets.text_lines import Line, Piece

SortKey = tuple[int, float, str]


@dataclass(frozen=True)
class Cell:
    """A cell of the list; its text is safe to draw."""

    text: str
    style: str = ""
    key: SortKey = (2, 0.0, "")
    """What is missing comes last."""


def by_number(text: str, value: float, style: str = "") -> Cell:
    """A cell that is sorted by a number; NaN is missing."""
    return Cell(text, style) if math.isnan(value) else Cell(text, style, (0, value, ""))


def by_text(text: str, style: str = "") -> Cell:
    """A cell that is sorted by its text; no text is missing."""
    return Cell(text, style, (1, 0.0, text)) if text else Cell(text, style)


@dataclass(frozen=True)
class ListColumn:
    """A column of the list."""

    name: str
    cells: tuple[Cell, ...]
    """Of each row."""
    rank: int = 0
    """The highest is left out first when there is no room; 0: never."""
    to_left: bool = False
    best_first: bool = False
    """Whether the largest comes first."""
    most: int = 99
    """Cells for it, at most."""

    @property
    def width(self) -> int:
        """Cells that its widest takes."""
        longest = max((cell_len(cell.text) for cell in self.cells), default=0)
        return max(cell_len(self.name) + 1, min(longest, self.most))


class ColumnList(ChoiceList):
    """The list, with its cursor on a row that keeps its name when the order changes.

    Args:
        glyphs: the characters to draw with.
        what: what a row is, in a word: "run".
        id: the widget's id.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "sort(-1)", show=False),
        Binding("right", "sort(1)", show=False),
        Binding("r", "reverse", show=False),
    ]

    class Opened(Message):
        """This row was chosen."""

        def __init__(self, row: int) -> None:
            self.row = row
            super().__init__()

    class Changed(Message):
        """Other rows are shown, or the cursor is on another."""

    def __init__(self, glyphs: Glyphs, what: str, *, id: str) -> None:
        super().__init__(id=id)
        self.glyphs, self.what = glyphs, what
        self.order: list[int] = []
        """The rows that are shown, by their numbers."""
        self._names: Sequence[str] = ()
        self._columns: Sequence[ListColumn] = ()
        self._sort = ""
        """The column by which it is sorted; empty: as they came."""
        self._reversed = False

    # What a subclass may give.

    def marks(self, row: int) -> Sequence[Piece]:  # noqa: ARG002
        """What stands before the columns, in two cells."""
        return [("  ", "")]

    def first(self, row: int) -> bool:  # noqa: ARG002
        """Whether the row comes before all that are not."""
        return False

    def passes(self, row: int, words: Sequence[str]) -> bool:
        """Whether the row has all these words, which are in small letters."""
        text = " ".join(column.cells[row].text for column in self._columns)
        return all(word in f"{self._names[row]} {text}".casefold() for word in words)

    # What it does.

    def show(self, names: Sequence[str], columns: Sequence[ListColumn]) -> None:
        """Show these rows, with the cursor where it was.

        Args:
            names: of the rows; no two have the same.
            columns: with a cell for each row.
        """
        under = None if self.here is None else self._names[self.here]
        self._names, self._columns = names, columns
        self._reorder(under)

    @property
    def here(self) -> int | None:
        """The number of the row under the cursor."""
        return self.order[self.cursor] if self.order else None

    @property
    def sorted_by(self) -> str:
        """By which column and how, in words; empty where it is not."""
        if not self._sort:
            return ""
        return f"sorted by {self._sort}{', reversed' if self._reversed else ''}"

    @property
    def below(self) -> int:
        """How many rows there are below those that there is room for."""
        return max(0, len(self.order) - self.top - self.room)

    def count(self) -> int:
        """How many rows are shown."""
        return len(self.order)

    def filtered(self) -> None:
        """Show the rows with these words."""
        self.reorder()

    def reorder(self) -> None:
        """Choose the rows anew; the cursor stays on its own if that is among them."""
        self._reorder(None if self.here is None else self._names[self.here])

    def _reorder(self, under: str | None) -> None:
        words = self.filter.casefold().split()
        order = [row for row in range(len(self._names)) if self.passes(row, words)]
        for column in self._columns:
            if column.name == self._sort:
                keys = [cell.key for cell in column.cells]
                there = [row for row in order if keys[row][0] < 2]
                there.sort(key=keys.__getitem__, reverse=column.best_first != self._reversed)
                order = there + [row for row in order if keys[row][0] == 2]
        self.order = sorted(order, key=lambda row: not self.first(row))
        names = [self._names[row] for row in self.order]
        self.cursor = names.index(under) if under in names else 0
        self.moved()

    def moved(self) -> None:
        """Show where it is, and let others know."""
        self.paint()
        self.post_message(self.Changed())

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        chosen = self._fitting(width)
        if not self.order:
            nothing = f" no {self.what} has {safe(self.filter)!r}; escape shows all"
            self.set_lines([self._header(chosen), [(nothing if self.filter else "", DIM)]])
            return
        rows = self.order[self.shown_rows(self.cursor, len(self.order))]
        self.set_lines([self._header(chosen), *(self._line(row, chosen, width) for row in rows)])

    def _fitting(self, width: int) -> list[ListColumn]:
        chosen = list(self._columns)
        while 2 + sum(column.width + 2 for column in chosen) > width + 1:
            loose = [one for one in chosen if one.rank and one.name != self._sort]
            if not loose:
                break
            chosen.remove(max(loose, key=lambda column: column.rank))
        return chosen

    def _header(self, chosen: Sequence[ListColumn]) -> Line:
        pieces: list[Piece] = [("  ", "")]
        for column in chosen:
            sorts = column.name == self._sort
            down = column.best_first != self._reversed
            mark = (self.glyphs.down if down else self.glyphs.up) if sorts else ""
            text = self._fitted(column.name + mark, column)
            pieces.append((f"{text}  ", "bold" if sorts else DIM))
        return pieces

    def _fitted(self, text: str, column: ListColumn) -> str:
        fit = left if column.to_left else right
        return fit(text, column.width, self.glyphs.more)

    def _line(self, row: int, chosen: Sequence[ListColumn], width: int) -> Line:
        cells = [(column, column.cells[row]) for column in chosen]
        pieces = [*self.marks(row)]
        if row == self.here:
            text = "".join(f"{self._fitted(cell.text, column)}  " for column, cell in cells)
            style = "reverse" if self.has_focus else "bold"
            return [*pieces, (left(text, max(0, width - 2), self.glyphs.more), style)]
        return [*pieces, *((f"{self._fitted(cell.text, c)}  ", cell.style) for c, cell in cells)]

    def opened(self, row: int) -> None:
        """This row was chosen."""
        self.post_message(self.Opened(self.order[row]))

    def action_sort(self, by: int) -> None:
        """Sort by the next column, or the one before."""
        names = ["", *(column.name for column in self._columns)]
        at = names.index(self._sort) if self._sort in names else 0
        self._sort, self._reversed = names[(at + by) % len(names)], False
        self.reorder()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reversed = bool(self._sort) and not self._reversed
        self.reorder()
