"""The sample sites: distribution, shape, log p and log q of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from rich.cells import cell_len

from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Layout, SiteInfo
from tui_elbo.model.text import safe
from tui_elbo.ui.style.names import fit_names
from tui_elbo.ui.style.text import left, number
from tui_elbo.ui.style.theme import BAD, DIM, LATENT, OBSERVED, WARN
from tui_elbo.ui.widgets.pane import Shown
from tui_elbo.ui.widgets.table import Table
from tui_elbo.ui.widgets.text_lines import Line, Piece

MARK, TERM = 2, 10
LEAST = (6, 6, 5)
"""The least widths of name, distribution and shape."""

SPARE = (4, 6, 2)
"""How much wider they may be than what is in them."""

MORE = ("plates", "scale", "masked")
"""Columns for which there has to be room, and a site that has something in it."""


class SitesPane(Table):
    """The table of sample sites."""

    NAME: ClassVar[str] = "sites"
    FROM_LENS: ClassVar[bool] = False

    def __init__(self, *, id: str = "sites", ascii: bool = False) -> None:
        super().__init__("sites", "known after the first step", id=id, ascii=ascii)
        self._layout: Layout | None = None
        self._history = History()
        self._step = 0
        self.marked: frozenset[str] = frozenset()
        """Those that an error or a warning is about."""
        self._plan = LEAST
        self._labels: dict[str, str] = {}
        self._more: dict[str, int] = {}

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        self.show(shown.run.history, shown.step)

    def show(self, history: History, step: int) -> None:
        """Show the sites of `step`; nothing if there is no such step."""
        layout = history.layout_at(step)
        if layout is not self._layout:
            self._layout = layout
            self.replan()
            self.detail = self._kinds(layout.sites) if layout else ""
        self._history, self._step = history, step
        self.paint()

    def _kinds(self, sites: Sequence[SiteInfo]) -> str:
        observed = sum(site.observed for site in sites)
        return (
            f"{self.glyphs.latent} latent {len(sites) - observed} {self.glyphs.dot} "
            f"{self.glyphs.observed} observed {observed}"
        )

    @property
    def _sites(self) -> tuple[SiteInfo, ...]:
        return self._layout.sites if self._layout else ()

    def count(self) -> int:
        """How many sites there are."""
        return len(self._sites)

    def plan(self, width: int) -> None:
        """Mark, name, distribution, shape, what there is room for of `MORE`, log p, log q."""
        room = max(0, width - MARK - 2 * TERM)
        want = [
            max(cell_len(text) for text in texts) + 1
            for texts in (
                ["site", *(safe(s.name) for s in self._sites)],
                ["dist", *(safe(s.dist) for s in self._sites)],
                ["shape", *(shape_text(s) for s in self._sites)],
            )
        ]
        while sum(want) > room and any(w > least for w, least in zip(want, LEAST, strict=True)):
            widest = max(range(3), key=lambda i: want[i] - LEAST[i])
            want[widest] -= 1
        plan = want if sum(want) <= room else [room, 0, 0]
        more = {}
        for field in MORE:
            wide = max([len(field), *(cell_len(more_text(s, field)) for s in self._sites)]) + 1
            if any(more_text(s, field) for s in self._sites) and wide <= room - sum(plan):
                plan = [*plan, wide]
                more[field] = wide
        for i, most in enumerate(SPARE):
            plan[i] += min(most, room - sum(plan))
        self._plan, self._more = (plan[0], plan[1], plan[2]), more
        names = [safe(site.name) for site in self._sites]
        self._labels = fit_names(names, max(0, plan[0] - 1), self.glyphs.more)

    def header(self) -> Line:
        """The names of the columns."""
        name, dist, shape = self._plan
        words = ("distribution" if dist > 12 else "dist", "shape")
        text = (
            f"{'':{MARK}}{'site':{name}.{name}}{words[0]:{dist}.{dist}}{words[1]:{shape}.{shape}}"
        )
        text += "".join(f"{field:{wide}}" for field, wide in self._more.items())
        return [(f"{text}{'log p':>{TERM}}{'log q':>{TERM}}", DIM)]

    def height_of(self, row: int) -> int:
        """One line, and one more for a note."""
        return 2 if self._sites[row].note else 1

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """The site in one line, and why it lacks a term below it."""
        site, (_, dist, shape), more = self._sites[row], self._plan, self.glyphs.more
        mark = self.glyphs.observed if site.observed else self.glyphs.latent
        marked = site.name in self.marked
        first: list[Piece] = [
            (left("!" if marked else mark, MARK), WARN)
            if marked
            else (left(mark, MARK), OBSERVED if site.observed else LATENT),
            (self._labels[safe(site.name)] + " ", WARN if marked else ""),
            (_cell(safe(site.dist), dist, more), DIM),
            (_cell(shape_text(site), shape, more), DIM),
            *((left(more_text(site, f), wide, more), DIM) for f, wide in self._more.items()),
            self._term(site, "log_p"),
            self._term(site, "log_q"),
        ]
        if not (whole and site.note):
            return [first]
        note = left(safe(site.note), self.size.width - MARK, more)
        return [first, [(" " * MARK, ""), (note, WARN)]]

    def _term(self, site: SiteInfo, field: str) -> Piece:
        column = Column("site", site.name, field)
        known = self._layout is not None and column in self._layout.index
        # A rewind may have taken the step away since this pane was brought up to date.
        if not known or self._step > self._history.last:
            return number(None, TERM, none=self.glyphs.none), DIM
        value = float(self._history.values(column)[self._step - 1])
        return " " + number(value, TERM - 1), "" if np.isfinite(value) else BAD


def _cell(text: str, width: int, more: str) -> str:
    return f"{left(text, width - 1, more)} " if width > 0 else ""


def shape_text(site: SiteInfo) -> str:
    """Batch and event shape as Pyro's `format_shapes` has them: `8 3 | 2`; `()` for a number."""
    batch, event = (" ".join(map(str, shape)) for shape in (site.batch_shape, site.event_shape))
    return f"{batch}|{event}" if event else batch or "()"


def more_text(site: SiteInfo, field: str) -> str:
    """What a site has in a column of `MORE`; empty for what goes without saying."""
    if field == "plates":
        return safe(" ".join(site.plates))
    if field == "masked":
        return str(site.masked) if site.masked else ""
    if site.scale == 1.0:
        return ""
    return f"{site.scale:.6g}" if np.isfinite(site.scale) else "varies"
