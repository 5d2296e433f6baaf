"""The workspace: the runs of a folder as a table, and their curves over each other."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import ClassVar, Literal, Protocol

import numpy as np
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key as KeyPressed
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from tui_elbo.client.process import Engine, spawn
from tui_elbo.client.session import Options
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import line_of
from tui_elbo.model.records import Floats
from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row, SettingRow, setting_gaps
from tui_elbo.model.text import safe
from tui_elbo.model.workspace import FolderContent, WatchedRun
from tui_elbo.ui.keys import Key
from tui_elbo.ui.pane_frames import SMALLEST
from tui_elbo.ui.plot.axes import LEAST_SPAN, Axes, round_up
from tui_elbo.ui.plot.cell_grid import Canvas, Look
from tui_elbo.ui.plot.curve import Bools, Mode
from tui_elbo.ui.plot.overlay import OverlaidCurve, axes_for, overlay, smoothed
from tui_elbo.ui.run_list import RunList, RunTable, estimate_text
from tui_elbo.ui.setting_list import NO_GAPS, Gaps, SettingList
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.theme import BAD, DIM, KEY, WARN
from tui_elbo.ui.views.views import HelpView, View
from tui_elbo.ui.widgets.column_list import ColumnList
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.placeholder import TooSmall
from tui_elbo.ui.widgets.status import fitting
from tui_elbo.ui.widgets.text_lines import Piece, TextLine, TextLines

POLL = 1.0
"""Seconds from one look at the folder to the next."""

MANY_RUNS = 10
"""With more runs, those with the same settings are drawn as one curve at first."""

MOST_LOOKED_AT = 200
"""Runs of which it is seen whether a line is enough for what there is to know."""

MODES: tuple[Mode, ...] = ("robust", "full", "log")

KEYS = (
    Key(
        "enter",
        "enter",
        None,
        "open",
        "open the run in the explorer at its last step",
        0,
    ),
    Key("up,down,k,j", "up down", None, "", "move the cursor; k and j do as well"),
    Key("pageup,pagedown,space", "pgup pgdn", None, "", "move it by a screenful; space: down"),
    Key("home,end", "home end", None, "", "the first run, the last one"),
    Key("left,right", "left right", None, "sort", "sort by another column", 3),
    Key("r", "r", None, "", "sort the other way round"),
    Key("slash", "/", None, "filter", "only runs with these words; lr=0.1: the setting exactly", 2),
    Key("p", "p", None, "pin", "pin the run: it comes first; only pinned runs are in colour", 3),
    Key("g", "g", None, "group", "a curve a run, or a setting: median and range of its seeds", 2),
    Key("t", "t", None, "settings", "a line a setting, over its seeds; enter: its runs", 4),
    Key("c", "c", None, "compare", "compare the runs shown, and their settings over the seeds", 2),
    Key(
        "s", "s", None, "stop", "end the run where it stands; one so ended, or dropped, goes on", 3
    ),
    Key("R", "R", None, "", "take the run again from step 0; asks, as its steps are lost"),
    Key("a", "a", None, "add", "add runs like this one: lr=0.03 seeds=8:12", 3),
    Key("v", "v", None, "loss", "curves of the ELBO, or of the loss; each is a running mean", 4),
    Key("y", "y", None, "", "y range: robust, full, log"),
    Key("question_mark", "?", None, "help", "this help", 1),
    Key("ctrl+p", "ctrl+p", None, "", "the themes"),
    Key("escape", "escape", None, "", "leave the filter, show all runs again; quit"),
    Key("q", "q", None, "quit", "quit; a sweep that is under way goes on", 1),
)
"""The keys of the workspace, in the order of the help."""


class Source(Protocol):
    """Where the runs come from."""

    def read(self) -> FolderContent | None:
        """What there is now; None if nothing has changed since the last time.

        Raises:
            UsageError: if it cannot be read.
        """
        ...

    def file_of(self, run: WatchedRun) -> str:
        """The file in which a run can be opened.

        Raises:
            UsageError: if there is none, with the reason.
        """
        ...

    def ask(self, act: Literal["stop", "resume", "restart"], run: WatchedRun) -> None:
        """Have the sweep do this with a run; one is started if none is under way.

        Raises:
            UsageError: if that cannot be asked.
        """
        ...

    def add(self, text: str) -> int:
        """Have the sweep take these runs as well; returns how many they are.

        Raises:
            UsageError: if they are no runs, or there already.
        """
        ...

    def close(self) -> None:
        """Leave nothing behind that it has made to be read."""
        ...

    def compare(self, rows: Sequence[Row]) -> str:
        """What the comparison of these runs says, in lines."""
        ...


class Overlay(TextLines):
    """The curves."""

    def __init__(self, *, ascii: bool, id: str) -> None:
        super().__init__(id=id)
        self._look = Look(ascii=ascii, axis=True)
        self._axes = Axes()
        self.table = RunTable(FolderContent("", (), 0, live=False, swept=False))
        self.shown: list[int] = []
        """The runs to draw, by their numbers."""
        self.here: int | None = None
        """The one under the cursor."""
        self.pinned: set[int] = set()
        self.grouped = False
        self.loss = False
        """The loss instead of the ELBO."""
        self.mode: Mode = "robust"

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        canvas = Canvas.of(width, height, self._look)
        steps = max((self._reduction(i).steps for i in self.shown), default=0)
        if not self.shown or not steps:
            nothing = " no run has taken a step yet" if self.shown else ""
            self.set_lines([[("", "")], [(nothing, DIM)]])
            return
        span = round_up(max(LEAST_SPAN, steps))
        parts = {}
        for i in self.shown:
            means, count = self._reduction(i).over(span, canvas.columns)
            parts[i] = smoothed(means, count > 0, span), count > 0
        pooled = np.concatenate([line for line, _ in parts.values()])
        self._axes = axes_for(
            pooled, steps, height=height, look=self._look, before=self._axes, mode=self.mode
        )
        make = self._by_setting if self.grouped else self._by_run
        self.set_lines(overlay(make(parts), self._axes, width, height, self._look))

    def _reduction(self, index: int) -> Reduction:
        run = self.table.content.runs[index]
        return run.loss if self.loss else run.elbo

    def _by_run(self, parts: dict[int, tuple[Floats, Bools]]) -> list[OverlaidCurve]:
        curves = []
        # The last is on top.
        for i in sorted(self.shown, key=lambda i: (i == self.here, i in self.pinned)):
            line, broken = parts[i]
            style = self.table.colour(i) if not self.pinned or self._stands_out(i) else DIM
            style = f"bold {style}" if i == self.here and style != DIM else style
            curves.append(OverlaidCurve(line, broken, style, self.table.letter(i)))
        return curves

    def _stands_out(self, index: int) -> bool:
        return index in self.pinned or index == self.here

    def _by_setting(self, parts: dict[int, tuple[Floats, Bools]]) -> list[OverlaidCurve]:
        groups = self.table.groups
        here = None if self.here is None else groups[self.here]
        curves = []
        members = sorted(self.shown, key=lambda i: (groups[i] == here, groups[i]))
        for group, found in groupby(members, key=lambda i: groups[i]):
            runs = list(found)
            broken = np.any([parts[i][1] for i in runs], axis=0)
            low, middle, high = spread(np.array([parts[i][0] for i in runs]))
            out = not self.pinned or any(map(self._stands_out, runs))
            style = self.table.colour(runs[0], grouped=True) if out else DIM
            style = f"bold {style}" if group == here and style != DIM else style
            band = (low, high) if len(runs) > 1 else None
            letter = self.table.letter(runs[0], grouped=True)
            curves.append(OverlaidCurve(middle, broken, style, letter, band))
        return curves

    def on_resize(self, _event: Resize) -> None:
        """Draw in the new size."""
        self.paint()


def spread(lines: Floats) -> tuple[Floats, Floats, Floats]:
    """The least, the median and the largest of those that have a number.

    Args:
        lines: shape (runs, columns).

    Returns:
        Each of shape (columns,); NaN where none has a number.
    """
    ordered = np.sort(lines, axis=0)  # NaN comes last.
    count = np.isfinite(lines).sum(axis=0)
    at = np.arange(lines.shape[1])
    last = np.maximum(count - 1, 0)
    middle = 0.5 * (ordered[last // 2, at] + ordered[(last + 1) // 2, at])
    return ordered[0], middle, ordered[last, at]


def chop_words(text: str, first: int, others: int) -> Iterator[str]:
    """The text in lines of so many cells, the first of its own width, cut between words."""
    room = max(10, first)
    lines = textwrap.wrap(text, room) or [""]
    yield lines[0]
    rest = " ".join(text.split())[len(" ".join(lines[0].split())) :].strip()
    yield from textwrap.wrap(rest, max(10, others))


class About(TextLines):
    """What there is to know of a run, in a line, or in two where some run needs them."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._pieces: tuple[Piece, ...] = ()

    def show(self, *pieces: Piece) -> None:
        """Show this."""
        self._pieces = pieces
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0:
            return
        *head, (text, style) = self._pieces or (("", ""),)
        room = width - sum(cell_len(part) for part, _ in head)
        lines = [*chop_words(text, room, width - 1)]
        first = [*head, (lines[0], style)]
        self.set_lines([first, *([(f" {line}", style)] for line in lines[1:])][:height])

    def on_resize(self, _event: Resize) -> None:
        """Lay it out anew."""
        self.paint()


class CompareView(View):
    """Which of the runs, and which of their settings, are better.

    Args:
        lines: what the comparison says.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "close", show=False)]

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The lines, from the first on."""
        yield self.framed(Lines([[(line, "")] for line in self._lines], id="frame"), "comparison")


class Workspace(Screen[None]):
    """The runs of a folder.

    Args:
        source: where they come from.
        options: what the program was started with.
        engine: a running engine to use for the first run that is opened.
        back: where escape leads back to; empty: out of the program.
    """

    class Left(Message):
        """The person goes back."""

    class Chosen(Message):
        """A run was chosen, and is in this file; the engine goes with it."""

        def __init__(self, run: WatchedRun, file: str, engine: Engine | None) -> None:
            self.run, self.file, self.engine = run, file, engine
            super().__init__()

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "leave", show=False),
        Binding("slash", "filter", show=False),
        Binding("g", "group", show=False),
        Binding("t", "table", show=False),
        Binding("c", "compare", show=False),
        Binding("s", "stop", show=False),
        Binding("R,shift+r", "restart", show=False),
        Binding("a", "add", show=False),
        Binding("v", "values", show=False),
        Binding("y", "mode", show=False),
        Binding("question_mark", "help", show=False),
    ]

    DEFAULT_CSS = """
    Workspace {
        overflow: hidden hidden;
        TextLine, About { height: 1; }
        Overlay { height: 1fr; }
        Input, Input:focus {
            height: 1; border: none; padding: 0 1; background: $background;
        }
        #filter, #add, #settings { display: none; }
        &.-settings #settings { display: block; }
        &.-settings #runs { display: none; }
        &.-filtering #filter { display: block; }
        &.-adding #add { display: block; }
        &.-filtering #keys { display: none; }
        &.-adding #keys { display: none; }
        TooSmall { display: none; }
        &.-small > * { display: none; }
        &.-small TooSmall { display: block; }
    }
    """

    def __init__(
        self, source: Source, options: Options, engine: Engine | None = None, *, back: str = ""
    ) -> None:
        super().__init__()
        self._back = back
        self._source, self._options, self._engine = source, options, engine
        self._glyphs: Glyphs = ASCII if options.ascii else UNICODE
        self._reading = False
        self._seen = False
        """Whether the folder has been read."""
        self._lost = ""
        """Why it cannot be read any more."""
        self._notice = ""
        self._restarts: WatchedRun | None = None
        """The run that is taken again if the question about it is answered so."""
        self._gaps: Gaps = NO_GAPS
        """Of the settings, below the best."""
        self._compared: object = None
        """What they were found from."""

    def compose(self) -> ComposeResult:
        """The curves, the table, what there is to know of a run, the keys."""
        yield TextLine(id="title")
        yield Overlay(ascii=self._options.ascii, id="curves")
        yield RunList(self._glyphs, id="runs")
        yield SettingList(self._glyphs, id="settings")
        yield About(id="about")
        yield TextLine(id="keys")
        yield Input(placeholder="words, or lr=0.1; enter: back to the table", id="filter")
        adding = "lr=0.03 seeds=8:12; enter adds these runs"
        yield Input(placeholder=adding, select_on_focus=False, id="add")
        yield TooSmall(SMALLEST, "q quits.")

    @property
    def _list(self) -> RunList:
        return self.query_one(RunList)

    @property
    def _settings(self) -> SettingList:
        return self.query_one(SettingList)

    @property
    def _by_setting(self) -> bool:
        """Whether the table has a line a setting."""
        return self.has_class("-settings")

    @property
    def _table(self) -> ColumnList:
        """The one that is shown."""
        return self._settings if self._by_setting else self._list

    @property
    def _here(self) -> int | None:
        """The run under the cursor; of a setting its first."""
        if self._by_setting:
            here = self._settings.here
            return None if here is None else self._settings.run_of(here)
        return self._list.here

    @property
    def _curves(self) -> Overlay:
        return self.query_one(Overlay)

    async def on_mount(self) -> None:
        """Begin in the table; look at the folder now and then."""
        self._list.focus()
        self.query_one("#title", TextLine).show([(" reading the runs", DIM)])
        self._show_keys()
        self.set_interval(POLL, self._poll)
        self.call_after_refresh(self._poll)

    async def _poll(self) -> None:
        if self._reading or not self.is_current:
            return
        self._reading = True
        try:
            content = await asyncio.to_thread(self._source.read)
        except UsageError as error:
            if error.what != self._lost:
                self._lost = error.what
                self._show_about()
            return
        finally:
            self._reading = False
        if content is not None and self.is_mounted:
            self._lost = ""
            self._show(content)

    def _show(self, content: FolderContent) -> None:
        table = RunTable.of(content, self._glyphs)
        curves, runs = self._curves, self._list
        if not self._seen:
            self._seen = True
            curves.grouped = table.seeds > 1 and len(content.runs) > MANY_RUNS
            runs.grouped = curves.grouped
            curves.loss = all(run.elbo.empty for run in content.runs) and any(
                not run.loss.empty for run in content.runs
            )
        runs.show_runs(table)
        self._settings.show_settings(table, self._gaps)
        if self._by_setting:
            self._compare_settings()
        self._lay_out()

    def _compare_settings(self) -> None:
        """Compare the settings anew if their runs have changed."""
        some = list(self._settings.settings)
        basis = [(one.label, *one.elbos) for one in some]
        if some and basis != self._compared:
            self._compared = basis
            self.run_worker(self._find_gaps(some), exclusive=True, group="settings")

    async def _find_gaps(self, settings: Sequence[SettingRow]) -> None:
        self._gaps = await asyncio.to_thread(setting_gaps, settings)
        self._settings.show_settings(self._list.table, self._gaps)

    def _lay_out(self) -> None:
        """The table takes up to half of the height."""
        table, height = self._list.table, self.size.height
        count = len(table.content.runs)
        self._list.styles.height = max(4, min(count + 1, (height - 3) // 2))
        self._settings.styles.height = max(4, min(self._settings.count() + 1, (height - 3) // 2))
        long = any(
            len(table.label(index)) + len(about(table, index)[0]) + 14 > self.size.width
            for index in range(min(count, MOST_LOOKED_AT))
        )
        self.query_one(About).styles.height = 2 if long else 1

    def on_column_list_changed(self) -> None:
        """Draw the runs that are shown."""
        curves, runs = self._curves, self._list
        found = runs.table.content.runs
        curves.table = runs.table
        curves.shown, curves.here = list(runs.order), self._here
        curves.pinned = {i for i in runs.order if found[i].name in runs.pinned}
        curves.paint()
        self._show_title()
        self._show_about()

    def _show_title(self) -> None:
        content, dot = self._list.table.content, f" {self._glyphs.dot} "
        shown, curves = len(self._list.order), self._curves
        count = f"{len(content.runs)} runs" if len(content.runs) != 1 else "1 run"
        if shown < len(content.runs):
            count = f"{shown} of {count}"
        what = ("loss" if curves.loss else "ELBO") + ", running mean"
        if curves.mode != "robust":
            what += f" ({curves.mode})"
        if curves.grouped:
            what += ": median and range of the seeds"
        by = self._settings.sorted_by if self._by_setting else self._list.in_words
        parts = [count, *progress_words(content), what, *filter(None, [by])]
        room = self.size.width - len(content.title) - 2
        while len(parts) > 1 and sum(len(part) + 3 for part in parts) > room:
            parts.pop()
        pieces: list[Piece] = [(f" {safe(content.title)}", "bold")]
        pieces += [(f"{dot}{part}", "") for part in parts]
        self.query_one("#title", TextLine).show(pieces)

    def _show_about(self) -> None:
        """What there is to know of the run under the cursor, or a word in answer to a key."""
        line = self.query_one(About)
        table, here, row = self._list.table, self._here, self._settings.here
        notice = self._notice or self._lost or safe(table.content.notice)
        if notice:
            line.show((f" {notice}", WARN))
        elif here is None:
            line.show()
        elif self._by_setting and row is not None:
            settings = self._settings
            more = f"{self._glyphs.down} {settings.below} more  " if settings.below else ""
            name, text = settings.settings[row].label, settings.about(row)
            line.show((f" {more}", DIM), (f"{name}: ", "bold"), (text, ""))
        else:
            more = f"{self._glyphs.down} {self._list.below} more  " if self._list.below else ""
            text, style = about(table, here)
            text = self._glyphs.plain(text)
            line.show((f" {more}", DIM), (f"{table.label(here)}: ", "bold"), (text, style))

    def _show_keys(self) -> None:
        keys = [self._labelled(key) for key in KEYS]
        shown = fitting(keys, max(20, self.size.width - 2))
        pieces = [p for key in shown for p in ((f" {key.show}", KEY), (f" {key.label} ", DIM))]
        self.query_one("#keys", TextLine).show(pieces)

    def _labelled(self, key: Key) -> Key:
        if key.key == "v" and self._curves.loss:
            return replace(key, label="ELBO")
        if key.key == "q" and self._back:
            return replace(key, label="back")
        if key.key == "g" and self._curves.grouped:
            return replace(key, label="each run")
        if key.key == "t" and self._by_setting:
            return replace(key, label="runs")
        return key

    def on_resize(self) -> None:
        """As many keys as there is room for; below the smallest size one sentence."""
        width, height = self.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-small")
        self._lay_out()
        self._show_keys()
        if self._seen:
            self._show_title()

    def answer(self, notice: str) -> None:
        """Show a line in answer to what was typed."""
        self._notice = notice
        self._show_about()

    def on_key(self, event: KeyPressed) -> None:
        """Say so of a key that has no use here, and no more of the one before."""
        if not self._table.has_focus:
            return
        name = safe(event.character) if event.is_printable and event.character else event.key
        known = event.key in self.active_bindings
        notice = "" if known else f"{name} has no use here: ? lists the keys"
        if name != "R":
            self._restarts = None
        if notice != self._notice:
            self.answer(notice)

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(HelpView(KEYS, ascii=self._options.ascii, marks=False))

    def action_group(self) -> None:
        """Draw each run, or each setting."""
        if self._list.table.seeds < 2:
            self.answer("no two runs have the same settings: each is drawn by itself")
            return
        self._curves.grouped = self._list.grouped = not self._curves.grouped
        self._list.paint()
        self._redrawn()

    def action_table(self) -> None:
        """A line a setting, or a line a run."""
        if not self._by_setting and self._list.table.seeds < 2:
            self.answer("no two runs have the same settings: each has a line of its own")
            return
        self._show_by_setting(not self._by_setting)

    def _show_by_setting(self, by_setting: bool) -> None:
        self.set_class(by_setting, "-settings")
        if by_setting:
            self._curves.grouped = self._list.grouped = True
            self._compare_settings()
        self._table.focus()
        self.on_column_list_changed()
        self._show_keys()

    def action_values(self) -> None:
        """Draw the ELBO, or the loss."""
        self._curves.loss = not self._curves.loss
        self._redrawn()

    def action_mode(self) -> None:
        """Another y range."""
        self._curves.mode = MODES[(MODES.index(self._curves.mode) + 1) % len(MODES)]
        self._redrawn()

    def _redrawn(self) -> None:
        self._curves.paint()
        self._show_keys()
        self._show_title()

    def action_filter(self) -> None:
        """Ask for words that the runs to show must have."""
        self.set_class(True, "-filtering")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        if event.input.id == "filter":
            self._list.filter = self._settings.filter = event.value

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Back to the table; add what was typed."""
        if event.input.id == "add" and event.value.strip():
            try:
                count = self._source.add(event.value)
            except UsageError as error:
                self.answer(safe("; ".join(filter(None, (error.what, error.hint)))))
                return
            self.answer(f"{count} run{'s' * (count > 1)} asked for")
        self.set_class(False, "-filtering")
        self.set_class(False, "-adding")
        self._table.focus()

    def action_add(self) -> None:
        """Ask for runs to add, from the settings of the one under the cursor."""
        if not self._list.table.content.swept:
            self.answer("these are saved runs, and of no sweep")
            return
        here, line = self._here, self.query_one("#add", Input)
        line.value = "" if here is None else line_of(self._list.table.content.runs[here].row.run)
        line.cursor_position = len(line.value)
        self.answer("")
        self.set_class(True, "-adding")
        line.focus()

    def action_stop(self) -> None:
        """End the run under the cursor, or let it go on."""
        run = self._run_here()
        if run is None:
            return
        if run.progress != "ended":
            self._ask("stop", run, "it ends with the chunk under way")
        elif run.row.ended in {"by hand", "dropped"}:
            self._ask("resume", run, f"it goes on from step {run.row.step}")
        else:
            self.answer("it has ended by itself: R takes it again from step 0")

    def action_restart(self) -> None:
        """Take the run under the cursor again, once the question about it is answered."""
        run = self._run_here()
        if run is None:
            return
        if run.row.step and self._restarts is not run:
            self._restarts = run
            self.answer(f"R again takes it again from step 0: its {run.row.step} steps are lost")
            return
        self._ask("restart", run, "it is taken again from step 0")

    def _run_here(self) -> WatchedRun | None:
        here, content = self._list.here, self._list.table.content
        if not content.swept:
            self.answer("these are saved runs, and of no sweep")
            return None
        if self._by_setting:
            self.answer("a line is a setting with all its runs: t shows the runs")
            return None
        return None if here is None else content.runs[here]

    def _ask(self, act: Literal["stop", "resume", "restart"], run: WatchedRun, answer: str) -> None:
        self._restarts = None
        try:
            self._source.ask(act, run)
        except UsageError as error:
            self.answer(safe(error.what))
        else:
            self.answer(answer)

    def action_leave(self) -> None:
        """From the filter back to the table; then show all of it again; then out of the program."""
        if self._table.has_focus and not self._list.filter:
            if self._back:
                self.post_message(self.Left())
            else:
                self.app.exit(0)
            return
        if not self.has_class("-adding"):
            self.query_one("#filter", Input).value = self._list.filter = self._settings.filter = ""
        self.set_class(False, "-filtering")
        self.set_class(False, "-adding")
        self._notice = ""
        self._table.focus()

    async def on_column_list_opened(self, event: RunList.Opened) -> None:
        """Open the run under the cursor, one that has not ended as it stands; of a setting show
        the runs.
        """
        if self._by_setting:
            words = self._settings.words_of(event.row)
            self.query_one("#filter", Input).value = words
            self._list.filter = self._settings.filter = words
            self._show_by_setting(False)
            return
        run = self._list.table.content.runs[event.row]
        if not run.row.step or run.progress == "unreadable":
            self.answer(f"it cannot be opened: {safe(run.row.note) or 'it has taken no step'}")
            return
        try:
            file = await asyncio.to_thread(self._source.file_of, run)
        except UsageError as error:
            self.answer(safe(f"it cannot be opened: {error.what}"))
            return
        if not file:
            self.answer(f"it cannot be opened: {safe(run.row.note)}")
            return
        engine, self._engine = self._engine, None
        self.post_message(self.Chosen(run, file, engine))

    def action_compare(self) -> None:
        """Say which of the runs that are shown, and which settings, are better."""
        runs = self._list.table.content.runs
        rows = [runs[i].row for i in sorted(self._list.order) if runs[i].progress == "ended"]
        if len(rows) < 2:
            self.answer("there are no two runs that have ended")
            return
        self.answer("comparing")
        self.run_worker(self._compare(rows), exclusive=True)

    async def _compare(self, rows: Sequence[Row]) -> None:
        text = await asyncio.to_thread(self._source.compare, rows)
        self.answer("")
        if self.is_current:
            self.app.push_screen(CompareView(text.rstrip().splitlines()))

    async def on_screen_resume(self) -> None:
        """Have an engine ready for the run that will be opened; see what has changed."""
        if self._engine is None:
            # One that cannot be started is reported where it is needed.
            with suppress(OSError):
                self._engine = spawn(self._options.argv)
        if self._seen:
            await self._poll()

    def on_unmount(self) -> None:
        """Leave no engine behind that nobody took."""
        if self._engine is not None:
            self._engine.end()
        if self._back:
            self._source.close()


def progress_words(content: FolderContent) -> list[str]:
    """How far a sweep is: runs that have ended, errors, rate, time left."""
    if not content.swept:
        return []
    runs = content.runs
    ended = sum(run.progress == "ended" for run in runs)
    bad = sum(run.row.ended in {"not finite", "failed"} for run in runs)
    words = [] if ended == len(runs) else [f"{ended} ended"]
    words += [f"{bad} with errors"] if bad else []
    progress = content.progress
    if progress is not None and ended < len(runs):
        if progress.rate is not None:
            words.append(f"{progress.rate:,.0f} steps/s")
        if progress.left is not None:
            words.append(f"about {_duration(max(0.0, progress.left - content.since))} left")
        if progress.lost:
            words.append(f"{progress.lost} chunk{'s' * (progress.lost > 1)} lost")
    elif ended < len(runs) and not content.live:
        words.append("no sweep is under way")
    return words


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def about(table: RunTable, index: int) -> tuple[str, str]:
    """A line about a run, and its style."""
    run = table.content.runs[index]
    row = run.row
    faults = [safe(f"{one.code} {one.message}") for one in row.standing]
    note = "; ".join(filter(None, (safe(row.note), *faults)))
    if run.progress == "unreadable":
        return note, BAD
    if run.progress == "left":
        return f"not ended, at step {row.step}: the same sweep command goes on with it", WARN
    if run.progress != "ended":
        words = "waits for a worker" if run.progress == "waiting" else "is running"
        return f"{words}, at step {row.step} of at most {table.content.steps}", ""
    if row.ended in {"not finite", "failed", "dropped"}:
        text = f"{row.ended} at step {row.step}" + (f": {note}" if note else "")
        return text, "" if row.ended == "dropped" else BAD
    elbo, gap = estimate_text(row.evaluation.elbo), table.gaps.get(index)
    if not elbo:
        problem = safe(row.evaluation.problem)
        return "; ".join(filter(None, (f"no ELBO, since {problem}" if problem else "", note))), WARN
    by_hand = ", where it was ended by hand" if row.ended == "by hand" else ""
    text = f"ELBO {elbo} nats at step {row.step}{by_hand}"
    if gap is None:
        reasons = "; ".join(map(safe, table.reasons))
        text += f"; not compared: {reasons}" if reasons else ""
    elif gap.value == 0 == gap.mcse:
        text += ", the best"
    else:
        text += f", {estimate_text(gap)} below the best"
    return "; ".join(filter(None, (text, note))), WARN if note else ""
