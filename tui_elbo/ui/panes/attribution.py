"""Attribution: what the parameters and the draw changed in log p, log q and the ELBO."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from tui_elbo.client.spans import Span, gap, unseen
from tui_elbo.model.attribution import PLAYERS, SUM_TERMS, Player, TermAttribution
from tui_elbo.model.estimate import one_digit
from tui_elbo.model.text import safe
from tui_elbo.ui.style.text import left, nats
from tui_elbo.ui.style.theme import BAD, DIM, ROLE
from tui_elbo.ui.widgets.pane import Shown
from tui_elbo.ui.widgets.table import Table
from tui_elbo.ui.widgets.text_lines import Line, Piece

ROWS = (
    (SUM_TERMS[0], "log p"),
    (SUM_TERMS[3], " likelihood"),
    (SUM_TERMS[4], " prior"),
    (SUM_TERMS[1], "log q"),
    (SUM_TERMS[2], "ELBO"),
)

NAME, LEAST_NAME, NUMBER, ABSENT, ERROR = 11, 7, 8, 4, 6
"""The widths of the columns, a space before each number included."""

PRECISE = 5e-4
"""A standard error below this is not shown: the numbers have three decimals."""

NOT_YET, SEES_NOTHING = "the lens has not looked yet", "the lens sees nothing: the reason is below"
"""Shown where there is no attribution."""

STYLES = {"phi": ROLE["guide"], "theta": ROLE["model"], "both": ROLE["both"]}


class AttributionPane(Table):
    """Signed changes in nats, by who caused them; below them the gap to the evidence."""

    NAME: ClassVar[str] = "attribution"
    FROM_LENS: ClassVar[bool] = True

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", show=False)]

    class Opened(Message):
        """The person wants the change broken down."""

    def __init__(self, *, id: str = "attribution", ascii: bool = False) -> None:
        super().__init__("what moved it", NOT_YET, id=id, ascii=ascii)
        self._span: Span | None = None
        self._players: tuple[Player, ...] = ()
        self._gap: tuple[str, ...] = ()
        self._notes: list[str] = []
        self._plan = (NAME, 0, NUMBER, NUMBER)

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        blind = bool(unseen(shown.run, shown.step))
        self.show(shown.span, gap(shown.run, shown.span), blind=blind)

    def show(self, span: Span | None, gap: Sequence[str] = (), *, blind: bool = False) -> None:
        """Show the attribution of a span.

        Args:
            span: None if there is none yet.
            gap: how far the ELBO is from the evidence, in words, and what else is to be known.
            blind: without a span, whether that is because the lens cannot look.
        """
        players = () if span is None else span.end.players
        if players != self._players or tuple(gap) != self._gap:
            self._players, self._gap = players, tuple(gap)
            self.replan()
        self._span = span
        self._empty = SEES_NOTHING if blind else NOT_YET
        self.detail = "" if span is None else span.words
        self.paint()

    def action_open(self) -> None:
        """Break the change down."""
        self.post_message(self.Opened())

    def count(self) -> int:
        """The terms, and the lines below them."""
        room = max(0, self.size.height - 1 - len(ROWS))
        return 0 if self._span is None else len(ROWS) + min(len(self._notes), room)

    def wanted_height(self) -> int:
        """The header, the terms and two lines more: always the same, so that nothing moves."""
        return 1 + len(ROWS) + 2

    @property
    def _columns(self) -> list[Player]:
        return [player for player in PLAYERS if player != "both" or player in self._players]

    def plan(self, width: int) -> None:
        """Name, each player with its error where there is room, draw, observed."""
        self._notes = [line for text in self._gap for line in self._wrapped(text, width - 1)]
        absent = len(self._columns) - len(self._players)
        count = len(self._players) + 2
        room = width - ABSENT * absent - NUMBER * count
        name = max(LEAST_NAME, min(NAME, room))
        error = ERROR if room - name >= ERROR * len(self._players) else 0
        number = NUMBER if room >= name else max(1, (width - name - ABSENT * absent) // count)
        players = [number + error if p in self._players else ABSENT for p in self._columns]
        seen = number + (name + sum(players) + 2 * number < width)
        self._plan = (name, error, number, seen)

    def _wrapped(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(self.glyphs.plain(safe(text)), max(10, width))

    def header(self) -> Line:
        """The names of the columns."""
        name, error, number, seen = self._plan
        letters = {"phi": self.glyphs.phi, "theta": self.glyphs.theta, "both": "both"}
        last = "" if self._span is None else self._span.last
        pieces: list[Piece] = [(left(last, name, self.glyphs.more), DIM)]
        for player in self._columns:
            width = number if player in self._players else ABSENT
            pieces.append((letters[player].rjust(width), STYLES[player]))
            pieces.append((" " * (error if player in self._players else 0), ""))
        word = "observed" if seen > len("observed") else "seen"
        return [*pieces, ("draw".rjust(number), DIM), (word.rjust(seen), DIM)]

    def height_of(self, row: int) -> int:
        """One line."""
        del row
        return 1

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """A term and what each did to it; or a line of what is below."""
        del whole
        if self._span is None or row >= len(ROWS):
            return [[(" " + self._notes[row - len(ROWS)], DIM)]]
        term, text = ROWS[row]
        share = self._span.shares.get(term)
        name, error, number, seen = self._plan
        own = term in (SUM_TERMS[0], SUM_TERMS[1], SUM_TERMS[2])
        line: list[Piece] = [(left(text, name, self.glyphs.more), "" if own else DIM)]
        for player in self._columns:
            line += self._moved(share, player, number, error, bad=own or not self._known(player))
        draw, observed = (math.nan,) * 2 if share is None else (share.draw, share.observed)
        return [[*line, self._number(draw, number, DIM), self._number(observed, seen, DIM)]]

    def _known(self, player: Player) -> bool:
        """Whether log p is; parts of it that are not are then summed over, and not broken."""
        share = None if self._span is None else self._span.shares.get(SUM_TERMS[0])
        return share is not None and math.isfinite(share.shares.get(player, 0.0))

    def _moved(
        self, share: TermAttribution | None, player: Player, number: int, error: int, *, bad: bool
    ) -> Sequence[Piece]:
        if player not in self._players:
            return [(self.glyphs.none.rjust(ABSENT), DIM)]
        if share is not None and not share.split:
            return [("?".rjust(number) + " " * error, DIM)]
        value = math.nan if share is None else share.shares.get(player, 0.0)
        pieces = [self._number(value, number, "", bad=bad)]
        if error:
            standard_error = math.nan if share is None else share.errors.get(player, math.nan)
            text = (
                f"{self.glyphs.error}{one_digit(standard_error)}"
                if standard_error >= PRECISE
                else ""
            )
            pieces.append((left(text if cell_len(text) <= error else "", error), DIM))
        return pieces

    def _number(self, value: float, width: int, style: str, *, bad: bool = False) -> Piece:
        """A signed number; none where nothing moved, or where nothing is known that could be."""
        if value == 0:
            return self.glyphs.none.rjust(width), DIM
        if math.isfinite(value):
            return " " + nats(value, width - 1), style
        if bad or math.isinf(value):
            return " " + f"{value:g}".rjust(width - 1), BAD
        return self.glyphs.none.rjust(width), DIM
