"""The running totals: what each has done to a term since step 0, as curves on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from textual.binding import Binding, BindingType

from tui_elbo.client.run_state import Run
from tui_elbo.model.attribution import PLAYERS, SUM_TERMS, Term
from tui_elbo.model.records import Column, Floats
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.plot.cell_grid import BAND, BOTH, MEAN, PHI, THETA
from tui_elbo.ui.plot.curve import Curve
from tui_elbo.ui.plot.plotting import Axes, Canvas, Drawing, Look, plot
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.widgets.pane import Shown

TERMS = ((SUM_TERMS[0], "log p"), (SUM_TERMS[1], "log q"), (SUM_TERMS[2], "ELBO"))
"""Shown in turn."""

STYLES = {"phi": PHI, "theta": THETA, "both": BOTH, "draw": BAND}

ROWS = 9
"""Rows that it would like to have."""

_BRAILLE = range(0x2800, 0x2900)


@dataclass(frozen=True, eq=False)
class Series:
    """What one did up to each step."""

    who: str
    """A player, or `draw`."""
    values: Floats
    """Index `step - 1`, up to the last step that the lens has looked at."""


class TotalsPane(CurvePane):
    """A curve for each player and one for the draw, each with its letter at its end."""

    NAME: ClassVar[str] = "totals"
    FROM_LENS: ClassVar[bool] = True

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "turn", show=False)]

    def __init__(self, *, id: str = "totals", ascii: bool = False) -> None:
        super().__init__("what moved", id=id, ascii=ascii, axis=True)
        self._glyphs = ASCII if ascii else UNICODE
        self._series: Sequence[Series] = ()
        self._turn = 0
        self._run: Run | None = None
        self._cursor: int | None = None

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        if self.display:
            self.show_totals(shown.run, shown.cursor)

    def wanted_height(self) -> int:
        """Enough for a curve."""
        return ROWS

    def show_totals(self, run: Run, cursor: int | None) -> None:
        """Show the totals of a run.

        Args:
            run: the run.
            cursor: the step looked at; None follows the newest.
        """
        self._run, self._cursor = run, cursor
        term, name = TERMS[self._turn]
        self._series = totals(run, term)
        letters = [self._letter(one.who) for one in self._series]
        self.title = f" {self._glyphs.dot} ".join([f"what moved {name}", *letters])
        low = high = np.empty(0)
        if self._series:
            table = np.array([one.values for one in self._series])
            low, high = table.min(axis=0), table.max(axis=0)
        # The axes are those of a band that reaches over all of them.
        self._curve = Curve((low + high) / 2, 1, run.step, cursor=cursor, spread=(high - low) / 2)
        self._draw()

    def action_turn(self) -> None:
        """Show the totals of the next term."""
        self._turn = (self._turn + 1) % len(TERMS)
        if self._run is not None:
            self.show_totals(self._run, self._cursor)

    def _letter(self, who: str) -> str:
        return {"phi": self._glyphs.phi, "theta": self._glyphs.theta}.get(who, who)

    def _drawn(self, width: int, height: int) -> Drawing:
        letters = {one.who: self._letter(one.who)[:2] for one in self._series}
        letters["draw"] = "d"
        size = width, height
        return several(self._series, self._axes, size, letters, look=self._look, at=self._cursor)


def totals(run: Run, term: Term) -> list[Series]:
    """What each has done to a term since the first record; nothing before the lens has looked.

    Between the states that the lens has looked at, the lines are straight.
    """
    seen = run.lens_history
    values = seen.values(term, run.step)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return []
    columns: dict[str, Floats] = {
        player: np.nan_to_num(seen.totals(player, term, run.step)[known])
        for player in PLAYERS
        if player in seen.players
    }
    column = Column("step", "", term.field)
    if column in run.history.columns:
        values = run.history.values(column)
        moved = sum(columns.values(), np.zeros(len(known)))
        draw = values[known] - values[known[0]] - moved
        if np.isfinite(draw).all():
            columns["draw"] = draw
    at = np.arange(known[-1] + 1)
    return [Series(who, np.interp(at, known, heights)) for who, heights in columns.items()]


def several(
    series: Sequence[Series],
    axes: Axes,
    size: tuple[int, int],
    letters: Mapping[str, str],
    *,
    look: Look,
    at: int | None = None,
) -> Drawing:
    """Draw curves on the same axes, the first uppermost.

    Args:
        series: what to draw.
        axes: that cover them all.
        size: columns and rows.
        letters: what is written at the end of each, by whom it is of.
        look: the kind of marks.
        at: the step looked at.
    """
    width, height = size
    empty = Curve(np.empty(0), axes.first, 0, cursor=at)
    base = plot(empty, axes, width, height, look=look)
    rows, styles = [list(row) for row in base.rows], [list(style) for style in base.styles]
    canvas = Canvas.of(width, height, look)
    for one in reversed(series):
        curve = Curve(one.values, axes.first, len(one.values), line=one.values)
        own = plot(curve, axes, width, height, look=look)
        for y, (row, style) in enumerate(zip(own.rows, own.styles, strict=True)):
            for x, (character, kind) in enumerate(zip(row, style, strict=True)):
                if kind in (BAND, MEAN):
                    rows[y][x] = _over(character, rows[y][x])
                    styles[y][x] = STYLES[one.who]
    for one in series:
        if len(one.values) and canvas.width > 0 and canvas.height > 0:
            letter, (y, x) = letters[one.who], _end(one, axes, canvas)
            if x + len(letter) <= len(rows[y]) and rows[y][x] in " ⠀":
                rows[y][x : x + len(letter)] = letter
                styles[y][x : x + len(letter)] = STYLES[one.who] * len(letter)
    return Drawing(tuple("".join(row) for row in rows), tuple("".join(style) for style in styles))


def _over(new: str, old: str) -> str:
    """Two marks in one cell: the dots of both, where they are dots."""
    if ord(new) in _BRAILLE and ord(old) in _BRAILLE:
        return chr(ord(new) | ord(old))
    return new


def _end(one: Series, axes: Axes, canvas: Canvas) -> tuple[int, int]:
    """The row and the column of the cell behind a curve."""
    y = float(np.clip(one.values[-1], axes.low, axes.high))
    return canvas.row(y, axes), canvas.left + canvas.cell(len(one.values), axes) + 1
