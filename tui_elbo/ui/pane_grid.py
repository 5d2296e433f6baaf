"""All panes of the explorer: which of them are shown, where, and at which step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from textual.app import ComposeResult
from textual.events import Resize
from textual.widget import Widget

from tui_elbo.client.preferences import Preferences
from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import SpanChoice
from tui_elbo.model.findings import Finding
from tui_elbo.ui.panes.attribution import AttributionPane
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.panes.posterior import PosteriorPane
from tui_elbo.ui.panes.sites import SitesPane
from tui_elbo.ui.panes.texts import NotesPane, OutputPane
from tui_elbo.ui.panes.totals import TotalsPane
from tui_elbo.ui.plot.curve import Mode
from tui_elbo.ui.plot.run_curves import EVALUATION, changes, curves, why
from tui_elbo.ui.widgets.pane import Shown, SidePane
from tui_elbo.ui.widgets.placeholder import MissingTermsNote
from tui_elbo.ui.widgets.table import Table

PANES: tuple[type[SidePane], ...] = (
    ParamsPane,
    AttributionPane,
    SitesPane,
    PosteriorPane,
    TotalsPane,
    OutputPane,
    NotesPane,
)
"""The panes at the right, as far as there is room: the first always, the others in turn. A new one
is a file in `panes/` and an entry here."""

TABLES = tuple(pane.NAME for pane in PANES)

CURVES = ("log_p", "log_q", "elbo")
"""The curves, from top to bottom; `why` stands in for the first two where there are none."""

LEAST = 5
"""Rows of a pane at the least: its frame's, a header and three more."""

EACH = 9
"""Rows for each of the panes that take turns, before one more of them is shown."""

SECOND = 180
"""Columns from which there is a second column of tables."""

CURVE = 6
"""Rows of a curve at the least, its frame's included, where four are to be shown."""

WHY = 5
"""Rows for why there are no curves of log p and log q."""


MODES: tuple[Mode, ...] = ("robust", "full", "log")

LENS_EVERY = 4
"""While running, what the lens sees is drawn at each so many-th drawing of the tables."""


class PaneGrid(Widget):
    """The panes: curves at the left, tables at the right.

    Args:
        ascii: draw with ASCII characters alone.
        rearranged: called when other panes are shown, or in other places.
    """

    DEFAULT_CSS = "PaneGrid { height: 1fr; overflow: hidden hidden; }"

    def __init__(self, *, ascii: bool, rearranged: Callable[[], object]) -> None:
        super().__init__(id="panes")
        self.page = 0
        """Which of the tables that take turns comes first."""
        self.alone = ""
        """The id of the pane that is shown alone; empty for none."""
        self.shows_branches = True
        """Whether the curves of branches are shown."""
        self.places: dict[str, Place] = {}
        """Where each pane is that is shown."""
        self.shows_evaluations = True
        """Whether losses without an update are shown where there are any, in place of log q where
        there is no room for both."""
        self._silent = self._evaluates = False
        self._lens_drawn = 0
        self._rearranged = rearranged
        self._curves = {
            "log_p": CurvePane("log p(x, z)", id="log_p", ascii=ascii),
            "log_q": CurvePane("log q(z)", id="log_q", ascii=ascii),
            EVALUATION: CurvePane("", id=EVALUATION, ascii=ascii),
            "elbo": CurvePane("ELBO", id="elbo", ascii=ascii, axis=True),
        }
        self._side = {pane.NAME: pane(ascii=ascii) for pane in PANES}
        self.span_choice, self._why = SpanChoice(), MissingTermsNote()

    def compose(self) -> ComposeResult:
        """Every pane; `rearrange` says which of them is shown."""
        yield self._why
        yield from self._curves.values()
        yield from cast("Iterable[Widget]", self._side.values())

    @property
    def params(self) -> ParamsPane:
        """The pane of the parameters."""
        return self.query_one(ParamsPane)

    def mark(self, findings: Sequence[Finding]) -> None:
        """Mark the rows that an error or a warning is about."""
        grave = [one.subject for one in findings if one.level != "note"]
        params, sites = self.query_one(ParamsPane), self.query_one(SitesPane)
        params.marked = frozenset(one.name for one in grave if one.kind == "param")
        sites.marked = frozenset(one.name for one in grave if one.kind == "site")

    def on_mount(self) -> None:
        """Nothing is shown before there is a size."""
        for pane in self.children:
            pane.styles.position = "absolute"
            pane.display = False

    def on_resize(self, _event: Resize) -> None:
        """Place the panes anew."""
        self.rearrange()

    def rearrange(self) -> None:
        """Place the panes, if anything asks for other places than they have."""
        places = arrange(
            (self.size.width, self.size.height),
            {name: pane.wanted_height() for name, pane in self._side.items()},
            page=self.page,
            alone=self.alone,
            silent=self._silent,
            evaluates=self._evaluates and self.shows_evaluations,
        )
        if places == self.places or not self.size.area:
            return
        appeared = places.keys() - self.places.keys()
        self.places = places
        for pane in self.children:
            self._put(pane, places.get(str(pane.id)))
        if appeared:
            self._rearranged()

    def _put(self, pane: Widget, place: Place | None) -> None:
        pane.display = place is not None
        if place is not None:
            pane.styles.offset = (place.x, place.y)
            pane.styles.width, pane.styles.height = place.width, place.height
            pane.set_class(place.last, "-last")

    def draw(self, run: Run, step: int, *, tables: bool, live: bool) -> None:
        """Bring the panes up to date.

        Args:
            run: the run.
            step: the step whose numbers are shown.
            tables: draw the tables too, and titles: nobody reads them ten times a second.
            live: more is to come very soon.
        """
        reason = why(run)
        self._silent = bool(reason)
        self._why.show(reason)
        cursor = step if step < run.step else None
        marks = changes(run)
        shown_curves = curves(run, step)
        self._evaluates = any(curve.id == EVALUATION for curve in shown_curves)
        for curve in shown_curves:
            if curve.id not in self.places:
                continue
            pane = self._curves[curve.id]
            # A new title refreshes the whole pane, so it changes no more often than the tables.
            if tables and pane.title != curve.title:
                pane.title = curve.title
            shown = (curve.values, 1, run.step, curve.references, cursor)
            pane.show(
                *shown,
                marks=marks,
                line=curve.line,
                absent=curve.absent,
                branches=curve.branches(run) if self.shows_branches else (),
            )
        if tables:
            self._draw_tables(run, step, live=live)

    def _draw_tables(self, run: Run, step: int, *, live: bool) -> None:
        cursor = step if step < run.step else None
        self._lens_drawn = (self._lens_drawn + 1) % LENS_EVERY if live else 0
        span = None if self._lens_drawn else self.span_choice.span(run, cursor)
        shown = Shown(run, step, cursor, span, live)
        for pane in self._side.values():
            if not (pane.FROM_LENS and self._lens_drawn):
                pane.show_run(shown)
        self.rearrange()

    def remember(self, settings: Preferences) -> None:
        """Show things as they were left."""
        self.params.order = settings.order

    def next_page(self) -> None:
        """Show the next of the tables that take turns."""
        self.alone, self.page = "", (self.page + 1) % (len(TABLES) - 1)
        self.rearrange()

    def zoom(self) -> None:
        """Show the pane that has the focus alone, else the ELBO; or all panes again."""
        focused = self.screen.focused
        own = focused.id if focused is not None and focused in self.children else CURVES[-1]
        self.alone = "" if self.alone else str(own)
        self.rearrange()

    @property
    def mode(self) -> Mode:
        """Which y range the curves show."""
        return self._curves[CURVES[-1]].mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        for pane in self._curves.values():
            pane.mode = mode

    def next_mode(self) -> Mode:
        """Show the next y range."""
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]
        return self.mode

    @property
    def table(self) -> Table:
        """The table that has the focus, else that of the parameters."""
        focused = self.screen.focused
        return focused if isinstance(focused, Table) else self.params


@dataclass(frozen=True)
class Place:
    """A pane's rectangle, its frame included, in the region for all panes."""

    x: int
    y: int
    width: int
    height: int
    last: bool
    """Whether it is at the bottom: only there a frame has a bottom edge of its own."""


def arrange(
    size: tuple[int, int],
    wanted: Mapping[str, int],
    *,
    page: int = 0,
    alone: str = "",
    silent: bool = False,
    evaluates: bool = False,
) -> dict[str, Place]:
    """The place of each pane that is shown.

    Args:
        size: columns and rows for all panes together.
        wanted: how many rows each pane at the right wants, its frame not included; the
            first is always shown, the others take turns.
        page: which of the tables that take turns comes first.
        alone: the pane that is shown alone; empty for none.
        silent: there are no curves of log p and log q, and a sentence says why.
        evaluates: there is a curve of losses without an update.
    """
    width, height = size
    if alone:
        return {alone: Place(0, 0, width, height, last=True)}
    right = min(68, width * 3 // 5)
    first, *others = _turned(wanted, page)
    columns = [[first, *others[: _fitting(height, len(others))]]]
    if width >= SECOND:
        right = min(68, width * 3 // 10)
        fitting = _fitting(height + EACH, len(others))
        columns = [[first, others[0]], others[1 : 1 + fitting]]
    places = _curves(width - right * len(columns), height, silent=silent, evaluates=evaluates)
    for index, column in enumerate(columns):
        x = width - right * (len(columns) - index)
        heights = stack(height - 1, [wanted[name] + 1 for name in column])
        places |= _column(column, x, right, heights)
    return places


def _turned(names: Iterable[str], page: int) -> list[str]:
    """The first, and from the page on the others."""
    first, *others = names
    page %= len(others)
    return [first, *others[page:], *others[:page]]


def _fitting(height: int, others: int) -> int:
    return max(1, min(others, (height - 8) // EACH))


def _curves(width: int, height: int, *, silent: bool, evaluates: bool) -> dict[str, Place]:
    if silent:
        above, names = [WHY], ["why", "elbo"]
    else:
        above, names = [], list(CURVES)
    if evaluates:
        names.insert(-1, EVALUATION)
        if (height - 1 - sum(above)) // (len(names) - len(above)) < CURVE and not silent:
            names.remove("log_q")
    each = (height - 1 - sum(above)) // (len(names) - len(above))
    heights = above + [each] * (len(names) - len(above) - 1)
    return _column(names, 0, width, [*heights, height - 1 - sum(heights)])


def _column(names: Sequence[str], x: int, width: int, heights: Sequence[int]) -> dict[str, Place]:
    """Panes one above the other; the last is a row higher, for the bottom edge of its frame."""
    places, y = {}, 0
    for name, height in zip(names, heights, strict=True):
        last = name == names[-1]
        places[name] = Place(x, y, width, height + last, last)
        y += height
    return places


def stack(room: int, wanted: Sequence[int]) -> list[int]:
    """How many of `room` rows each of several panes gets; they add up to it.

    Nobody gets more than an equal share at another's cost. What is left over is the first one's.
    """
    heights = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for place, index in enumerate(order):
        share = room // (len(order) - place)
        heights[index] = min(share, max(wanted[index], min(LEAST, share)))
        room -= heights[index]
    if heights:
        heights[0] += room
    return heights
