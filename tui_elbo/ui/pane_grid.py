"""All panes of the explorer: which of them are shown, where, and at which step."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.events import Resize
from textual.widget import Widget

from tui_elbo.client.gap import gap
from tui_elbo.client.preferences import Settings
from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import Spanning, unseen
from tui_elbo.ui.pane_layout import CURVES, TABLES, Place, arrange, pages
from tui_elbo.ui.panes.attribution import AccountsPane
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.panes.posterior import PosteriorPane
from tui_elbo.ui.panes.sites import SitesPane
from tui_elbo.ui.panes.texts import NotesPane, OutputPane
from tui_elbo.ui.panes.totals import TotalsPane
from tui_elbo.ui.plot.curve import Mode
from tui_elbo.ui.plot.run_curves import changes, curves, why
from tui_elbo.ui.widgets.placeholder import Why
from tui_elbo.ui.widgets.table import Table

MODES: tuple[Mode, ...] = ("robust", "full", "log")

ACCOUNTS = 4
"""While running, the accounts are drawn at each so many-th drawing of the tables."""


class Desk(Widget):
    """The panes: curves at the left, tables at the right.

    Args:
        ascii: draw with ASCII characters alone.
        rearranged: called when other panes are shown, or in other places.
    """

    DEFAULT_CSS = "Desk { height: 1fr; overflow: hidden hidden; }"

    def __init__(self, *, ascii: bool, rearranged: Callable[[], object]) -> None:
        super().__init__(id="panes")
        self.page = 0
        """Which of the tables that take turns comes first."""
        self.alone = ""
        """The id of the pane that is shown alone; empty for none."""
        self.ghosts = True
        """Whether the future left behind is shown."""
        self.places: dict[str, Place] = {}
        """Where each pane is that is shown."""
        self._silent = False
        self._accounted = 0
        self._rearranged = rearranged
        self._curves = {
            "log_p": CurvePane("log p(x, z)", id="log_p", ascii=ascii),
            "log_q": CurvePane("log q(z)", id="log_q", ascii=ascii),
            "elbo": CurvePane("ELBO", id="elbo", ascii=ascii, axis=True),
        }
        self.params, self.sites = ParamsPane(ascii=ascii), SitesPane(ascii=ascii)
        self.accounts, self.spanning = AccountsPane(ascii=ascii), Spanning()
        self._posterior, self._totals = PosteriorPane(ascii=ascii), TotalsPane(ascii=ascii)
        self._why, self._output, self._notes = Why(), OutputPane(), NotesPane()

    def compose(self) -> ComposeResult:
        """Every pane; `rearrange` says which of them is shown."""
        yield self._why
        yield from self._curves.values()
        yield from (self.params, self.accounts, self.sites)
        yield from (self._posterior, self._totals, self._output, self._notes)

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
        tables = {pane.id: pane for pane in self.children if pane.id in TABLES}
        wishes = {name: pane.wish() for name, pane in tables.items() if hasattr(pane, "wish")}
        places = arrange(
            (self.size.width, self.size.height),
            {str(name): wish for name, wish in wishes.items()},
            page=self.page,
            alone=self.alone,
            silent=self._silent,
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
        for curve in curves(run, step):
            if curve.id not in self.places:
                continue
            pane = self._curves[curve.id]
            if tables and pane.title != curve.title:  # A title costs a drawing of the whole pane.
                pane.title = curve.title
            shown = (curve.values, 1, run.step, curve.references, cursor)
            ghost = curve.ghost(run) if self.ghosts else None
            pane.show(
                *shown,
                marks=marks,
                line=curve.line,
                ghost=ghost,
                label=run.branch.label(run.settings) if run.branch is not None else "",
            )
        if tables:
            self._draw_tables(run, step, live=live)

    def _draw_tables(self, run: Run, step: int, *, live: bool) -> None:
        self.params.show(run.history, step, live=live)
        self.sites.show(run.history, step)
        self._accounted = (self._accounted + 1) % ACCOUNTS if live else 0
        if not self._accounted:
            self._draw_lens(run, step)
        self._output.show(run.output)
        if run.loaded is not None:
            self._notes.show(run.loaded.title, run.loaded.notes)
        self.rearrange()

    def _draw_lens(self, run: Run, step: int) -> None:
        look = step if step < run.step else None
        span = self.spanning.span(run, look)
        self.accounts.show(span, gap(run, span), blind=bool(unseen(run, step)))
        seen = run.lens_history.latest(step)
        if "posterior" in self.places:
            wanted = run.loaded.reference.get("posterior") if run.loaded is not None else None
            detail = "" if seen is None else f"after {seen.state}"
            self._posterior.show({} if seen is None else seen.posterior, wanted, detail=detail)
        if "totals" in self.places:
            self._totals.show_totals(run, look)

    @property
    def turned(self) -> str:
        """The id of the first of the tables that take turns."""
        return TABLES[1:][self.page]

    def remember(self, settings: Settings) -> None:
        """Show things as they were left."""
        self.mode = settings.range
        self.params.order = settings.order
        if settings.table in TABLES[1:]:
            self.page = TABLES[1:].index(settings.table)

    def next_page(self) -> None:
        """Show the next of the tables that take turns."""
        self.alone, self.page = "", (self.page + 1) % pages()
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
