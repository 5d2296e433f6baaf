"""The table of the workspace: a line a run, sorted, filtered, some of them pinned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize
from textual.message import Message

from tui_elbo.model.estimate import with_error
from tui_elbo.model.run_table import Setting, columns, gaps, models, shown
from tui_elbo.model.text import safe
from tui_elbo.model.verdict import Estimate
from tui_elbo.model.workspace import FolderContent, WatchedRun
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, right
from tui_elbo.ui.style.theme import BAD, DIM, GOOD, KEY, WARN
from tui_elbo.ui.widgets.text_lines import Line, Piece, TextLines

WIDEST = 16
"""Cells for the value of a setting, at most."""

COLOURS = (
    *("cyan", "magenta", "yellow", "green", "blue"),
    *("bright_cyan", "bright_magenta", "bright_yellow", "bright_green", "bright_blue"),
)
"""By their ANSI names; red is for what is not finite."""

RANKS = (6, 1, 3, 5, 4, 2, 7)
"""Of step, ELBO, gap, loss, k̂, verdict and seconds; the highest is left out first."""

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What draws a run in ASCII."""

SortKey = tuple[int, float, str]


@dataclass(frozen=True)
class Cell:
    """A cell of the table."""

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
class TableColumn:
    """A column of the table."""

    name: str
    cells: tuple[Cell, ...]
    """Of each run."""
    rank: int = 0
    """The highest is left out first when there is no room; 0: never."""
    to_left: bool = False
    best_first: bool = False
    """Whether the largest comes first."""
    most: int = 99

    @property
    def width(self) -> int:
        """Cells that its widest takes."""
        longest = max((cell_len(cell.text) for cell in self.cells), default=0)
        return max(cell_len(self.name) + 1, min(longest, self.most))


@dataclass(frozen=True, eq=False)
class RunTable:
    """The runs of a folder and what the table says of them."""

    content: FolderContent
    names: tuple[str, ...] = ()
    """The settings that differ."""
    columns: tuple[TableColumn, ...] = ()
    groups: tuple[int, ...] = ()
    """Of each run the number of its settings, the seed left out."""
    seeds: int = 0
    """The most runs with the same settings."""
    gaps: dict[int, Estimate] = field(default_factory=dict)
    """Below the best of the same model, of runs by number: nats."""
    reasons: tuple[str, ...] = ()
    """Why not all are compared."""

    @staticmethod
    def of(content: FolderContent, glyphs: Glyphs) -> RunTable:
        """What there is to say."""
        sign = glyphs.error
        runs = content.runs
        rows = [run.row for run in runs]
        names = tuple(columns(rows)) or (("run",) if not content.swept else ("seed",))
        found, reasons = models(rows)
        below = gaps(rows, found)
        known: dict[tuple[str, ...], int] = {}
        groups = tuple(
            known.setdefault(
                tuple(str(row.run.get(n)) for n in names if n not in {"seed", "run"}), len(known)
            )
            for row in rows
        )
        cells = {
            "step": [by_number(str(row.step), row.step) for row in rows],
            "ELBO": [_estimate_cell(row.evaluation.elbo, sign) for row in rows],
            "below best": [_gap_cell(below.get(i), sign) for i in range(len(rows))],
            "loss": [_loss_cell(row.loss) for row in rows],
            glyphs.plain("k̂"): [_khat_cell(row.evaluation.khat) for row in rows],
            "verdict": [state_cell(run) for run in runs],
            "seconds": [by_number(f"{row.seconds:.1f}", row.seconds) for row in rows],
        }
        table = [
            *(_setting_column(name, [row.run.get(name) for row in rows]) for name in names),
            *(
                TableColumn(name, tuple(one), rank, name == "verdict", name == "ELBO")
                for (name, one), rank in zip(cells.items(), RANKS, strict=True)
            ),
        ]
        counts = [groups.count(group) for group in set(groups)]
        return RunTable(
            content,
            names,
            tuple(one for one in table if any(cell.text for cell in one.cells) or not one.rank),
            groups,
            max(counts, default=0),
            below,
            tuple(reasons),
        )

    def label(self, index: int) -> str:
        """The run in words."""
        run = self.content.runs[index].row.run
        return ", ".join(f"{name} {shown(run.get(name))}" for name in self.names)

    def group_label(self, group: int) -> str:
        """The settings of these runs in words."""
        run = self.content.runs[self.groups.index(group)].row.run
        names = [name for name in self.names if name not in {"seed", "run"}]
        return ", ".join(f"{name} {shown(run.get(name))}" for name in names)

    def colour(self, index: int, *, grouped: bool = False) -> str:
        """Of a run's curve: its own where there are enough of them, else that of its settings.

        Args:
            index: of the run.
            grouped: whether the runs with the same settings are one curve.
        """
        runs, groups = len(self.content.runs), len(set(self.groups))
        by_run = not grouped and (runs <= len(COLOURS) or groups in {1, runs})
        return COLOURS[(index if by_run else self.groups[index]) % len(COLOURS)]

    def letter(self, index: int, *, grouped: bool = False) -> str:
        """What draws a run's curve in ASCII."""
        return LETTERS[(self.groups[index] if grouped else index) % len(LETTERS)]

    def keeps(self, index: int, words: Sequence[str]) -> bool:
        """Whether the run has all these words; `lr=0.1` is the setting exactly."""
        run = self.content.runs[index]
        given = {name.casefold(): shown(value) for name, value in run.row.run.items()}
        state = state_cell(run).text
        text = " ".join([run.name, self.label(index), state, run.progress]).casefold()
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                if name not in given or not _same(given[name], value):
                    return False
            elif word not in text:
                return False
        return True


def _same(shown_value: str, typed: str) -> bool:
    try:
        return float(shown_value) == float(typed)
    except ValueError:
        return shown_value.casefold() == typed


def _setting_column(name: str, values: Sequence[Setting | None]) -> TableColumn:
    cells = tuple(
        by_number(shown(value), float(value))
        if isinstance(value, int | float)
        else by_text(shown(value))
        for value in values
    )
    return TableColumn(name, cells, to_left=True, most=WIDEST if name != "run" else 2 * WIDEST)


def estimate_text(one: Estimate, plus_minus: str = "±") -> str:
    """A number of nats with as many decimals as its standard error has meaning for."""
    if not math.isfinite(one.value):
        return ""
    if not math.isfinite(one.mcse):
        return f"{one.value:.4f}"
    return with_error(one.value, one.mcse).replace("±", plus_minus)


def _estimate_cell(one: Estimate, plus_minus: str) -> Cell:
    return by_number(estimate_text(one, plus_minus), one.value)


def _gap_cell(gap: Estimate | None, plus_minus: str) -> Cell:
    if gap is None:
        return Cell("")
    if gap.value == 0 == gap.mcse:
        return by_number("best", 0.0, GOOD)
    return by_number(estimate_text(gap, plus_minus), gap.value)


def _loss_cell(loss: float) -> Cell:
    if math.isnan(loss):
        return Cell("")
    return by_number(f"{loss:.5g}", loss, "" if math.isfinite(loss) else BAD)


def _khat_cell(khat: float) -> Cell:
    return by_number("" if math.isnan(khat) else f"{khat:.2f}", khat)


def state_cell(run: WatchedRun) -> Cell:
    """How it ended or where it is, in two words."""
    row = run.row
    if run.progress != "ended":
        words = {"left": "not ended", "unreadable": "not readable"}
        style = {"running": KEY, "unreadable": BAD}.get(run.progress, DIM)
        return by_text(words.get(run.progress, run.progress), style)
    if row.ended in {"not finite", "failed"}:
        return by_text(row.ended, BAD)
    if row.ended == "dropped":
        return by_text(row.ended, DIM)
    style = {"stationary": GOOD, "rate too high": WARN, "ELBO falls": BAD}.get(row.verdict, "")
    return by_text(row.verdict, style)


class RunList(TextLines, can_focus=True):
    """The table with its cursor; the pinned runs come first.

    Args:
        glyphs: the characters to draw with.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home", "move(-100000)", show=False),
        Binding("end", "move(100000)", show=False),
        Binding("left", "sort(-1)", show=False),
        Binding("right", "sort(1)", show=False),
        Binding("r", "reverse", show=False),
        Binding("p", "pin", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """This run was chosen."""

        def __init__(self, run: WatchedRun) -> None:
            self.run = run
            super().__init__()

    class Changed(Message):
        """Other runs are shown, or the cursor is on another."""

    def __init__(self, glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self.table = RunTable(FolderContent("", (), 0, live=False, swept=False))
        self.pinned: set[str] = set()
        """By their names."""
        self.grouped = False
        """Whether the runs with the same settings are one curve."""
        self.order: list[int] = []
        """The runs that are shown, by their numbers."""
        self._filter = ""
        self._sort = ""
        """The column by which it is sorted; empty: as the sweep has them."""
        self._reversed = False
        self._at = ""
        """The run under the cursor, by its name."""
        self._top = 0

    @property
    def filter(self) -> str:
        """Only runs that have all its words are shown."""
        return self._filter

    @filter.setter
    def filter(self, text: str) -> None:
        if text != self._filter:
            self._filter = text
            self._arrange()

    @property
    def sorted_by(self) -> str:
        """By which column and how, in words."""
        if not self._sort:
            return "in the order of the sweep" if self.table.content.swept else "by file"
        return f"sorted by {self._sort}{', reversed' if self._reversed else ''}"

    def show(self, table: RunTable) -> None:
        """Show this, with the cursor where it was."""
        self.table = table
        self._arrange()

    @property
    def here(self) -> int | None:
        """The number of the run under the cursor."""
        return self.order[self._place] if self.order else None

    @property
    def _place(self) -> int:
        runs = self.table.content.runs
        for place, index in enumerate(self.order):
            if runs[index].name == self._at:
                return place
        return 0

    def _arrange(self) -> None:
        table, runs = self.table, self.table.content.runs
        words = self._filter.casefold().split()
        order = [i for i in range(len(runs)) if table.keeps(i, words)]
        for column in table.columns:
            if column.name == self._sort:
                keys = [cell.key for cell in column.cells]
                there = [i for i in order if keys[i][0] < 2]
                backwards = column.best_first != self._reversed
                there.sort(key=keys.__getitem__, reverse=backwards)
                order = there + [i for i in order if keys[i][0] == 2]
        self.order = sorted(order, key=lambda i: runs[i].name not in self.pinned)
        if self.order:
            self._at = runs[self.order[self._place]].name
        self.post_message(self.Changed())
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        chosen = self._fitting(width)
        if not self.order:
            nothing = f" no run has {safe(self._filter)!r}; escape shows all"
            self.set_lines([self._header(chosen), [(nothing, DIM)]])
            return
        room = max(1, height - 1)
        here = self._place
        self._top = max(here - room + 1, min(self._top, here, len(self.order) - room), 0)
        shown_rows = self.order[self._top : self._top + room]
        self.set_lines([self._header(chosen), *(self._line(i, chosen, width) for i in shown_rows)])

    @property
    def below(self) -> int:
        """How many runs there are below those that there is room for."""
        return max(0, len(self.order) - self._top - max(1, self.size.height - 1))

    def _fitting(self, width: int) -> list[TableColumn]:
        chosen = list(self.table.columns)
        while 2 + sum(column.width + 2 for column in chosen) > width + 1:
            loose = [one for one in chosen if one.rank and one.name != self._sort]
            if not loose:
                break
            chosen.remove(max(loose, key=lambda column: column.rank))
        return chosen

    def _header(self, chosen: Sequence[TableColumn]) -> Line:
        pieces: list[Piece] = [("  ", "")]
        for column in chosen:
            sorts = column.name == self._sort
            down = column.best_first != self._reversed
            mark = (self._glyphs.down if down else self._glyphs.up) if sorts else ""
            text = self._fitted(column.name + mark, column)
            pieces.append((f"{text}  ", "bold" if sorts else DIM))
        return pieces

    def _fitted(self, text: str, column: TableColumn) -> str:
        fit = left if column.to_left else right
        return fit(text, column.width, self._glyphs.more)

    def _line(self, index: int, chosen: Sequence[TableColumn], width: int) -> Line:
        run = self.table.content.runs[index]
        here = run.name == self._at
        unicode = self._glyphs.dot == "·"
        mark = "█" if unicode else self.table.letter(index, grouped=self.grouped)
        pin = "*" if run.name in self.pinned else " "
        cells = [(column, column.cells[index]) for column in chosen]
        pieces: list[Piece] = [(mark, self.table.colour(index, grouped=self.grouped)), (pin, WARN)]
        if here:
            text = "".join(f"{self._fitted(c.text, column)}  " for column, c in cells)
            style = "reverse" if self.has_focus else "bold"
            return [*pieces, (left(text, max(0, width - 2), self._glyphs.more), style)]
        for column, cell in cells:
            pieces.append((f"{self._fitted(cell.text, column)}  ", cell.style))
        return pieces

    # Keys.

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        if self.order:
            place = max(0, min(self._place + by, len(self.order) - 1))
            self._at = self.table.content.runs[self.order[place]].name
            self.post_message(self.Changed())
            self.paint()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screenfuls."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_sort(self, by: int) -> None:
        """Sort by the next column, or the one before."""
        names = ["", *(column.name for column in self.table.columns)]
        at = names.index(self._sort) if self._sort in names else 0
        self._sort, self._reversed = names[(at + by) % len(names)], False
        self._arrange()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reversed = bool(self._sort) and not self._reversed
        self._arrange()

    def action_pin(self) -> None:
        """Pin the run under the cursor, or let go of it."""
        if self.here is not None:
            self.pinned ^= {self._at}
            self._arrange()

    def action_open(self) -> None:
        """Choose what is under the cursor."""
        if self.here is not None:
            self.post_message(self.Opened(self.table.content.runs[self.here]))

    def on_resize(self, _event: Resize) -> None:
        """Lay the table out anew."""
        self.paint()
        self.post_message(self.Changed())

    def on_focus(self, _event: Focus) -> None:
        """Show the cursor."""
        self.paint()

    def on_blur(self, _event: Blur) -> None:
        """Hide the cursor."""
        self.paint()
