"""The table of the workspace: a line a run, sorted, filtered, some of them pinned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui_elbo.model.estimate import with_error
from tui_elbo.model.run_table import Row, Setting, columns, gaps, models, shown
from tui_elbo.model.verdict import Estimate
from tui_elbo.model.workspace import FolderContent, WatchedRun
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.theme import BAD, DIM, GOOD, KEY, WARN
from tui_elbo.ui.widgets.column_list import Cell, ColumnList, ListColumn, by_number, by_text
from tui_elbo.ui.widgets.text_lines import Piece

WIDEST = 16
"""Cells for the value of a setting, at most."""

COLOURS = (
    *("cyan", "magenta", "yellow", "green", "blue"),
    *("bright_cyan", "bright_magenta", "bright_yellow", "bright_green", "bright_blue"),
)
"""By their ANSI names; red is for what is not finite."""

RANKS = (6, 1, 3, 7, 5, 2, 4, 8)
"""Of step, ELBO, gap, loss, k̂, verdict, findings and seconds; the highest is left out first."""

TO_LEFT = {"verdict", "findings"}
"""Columns of words."""

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What draws a run in ASCII."""


@dataclass(frozen=True, eq=False)
class RunTable:
    """The runs of a folder and what the table says of them."""

    content: FolderContent
    names: tuple[str, ...] = ()
    """The settings that differ."""
    columns: tuple[ListColumn, ...] = ()
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
            "findings": [_findings_cell(row) for row in rows],
            "seconds": [by_number(f"{row.seconds:.1f}", row.seconds) for row in rows],
        }
        table = [
            *(setting_column(name, [row.run.get(name) for row in rows]) for name in names),
            *(
                ListColumn(name, tuple(one), rank, name in TO_LEFT, name == "ELBO")
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
        found = " ".join(f"{one.code} {one.name}" for one in run.row.standing)
        text = " ".join([run.name, self.label(index), state, run.progress, found]).casefold()
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


def setting_column(name: str, values: Sequence[Setting | None]) -> ListColumn:
    """The column of a setting."""
    cells = tuple(
        by_number(shown(value), float(value))
        if isinstance(value, int | float)
        else by_text(shown(value))
        for value in values
    )
    return ListColumn(name, cells, to_left=True, most=WIDEST if name != "run" else 2 * WIDEST)


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
    return by_text(row.state, STYLES.get(row.state, ""))


STYLES = {
    "stationary": GOOD,
    "rate too high": WARN,
    "ELBO falls": BAD,
    "not finite": BAD,
    "failed": BAD,
    "dropped": DIM,
    "ended by hand": DIM,
}


def _findings_cell(row: Row) -> Cell:
    """The code of its gravest error or warning, and how many more there are."""
    worst = row.standing[0].level if row.standing else ""
    return by_text(row.findings_text, BAD if worst == "error" else WARN)


class RunList(ColumnList):
    """The table with its cursor; the pinned runs come first.

    Args:
        glyphs: the characters to draw with.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "pin", show=False)]

    def __init__(self, glyphs: Glyphs, *, id: str) -> None:
        super().__init__(glyphs, "run", id=id)
        self.table = RunTable(FolderContent("", (), 0, live=False, swept=False))
        self.pinned: set[str] = set()
        """By their names."""
        self.grouped = False
        """Whether the runs with the same settings are one curve."""

    @property
    def in_words(self) -> str:
        """By which column it is sorted and how."""
        plain = "in the order of the sweep" if self.table.content.swept else "by file"
        return self.sorted_by or plain

    def show_runs(self, table: RunTable) -> None:
        """Show these, with the cursor where it was."""
        self.table = table
        self.show([run.name for run in table.content.runs], table.columns)

    def passes(self, row: int, words: Sequence[str]) -> bool:
        """Whether the run has all these words; `lr=0.1` is the setting exactly."""
        return self.table.keeps(row, words)

    def first(self, row: int) -> bool:
        """Whether it is pinned."""
        return self.table.content.runs[row].name in self.pinned

    def marks(self, row: int) -> Sequence[Piece]:
        """The colour or letter of its curve, and whether it is pinned."""
        unicode = self.glyphs.dot == "·"
        mark = "█" if unicode else self.table.letter(row, grouped=self.grouped)
        pin = "*" if self.first(row) else " "
        return [(mark, self.table.colour(row, grouped=self.grouped)), (pin, WARN)]

    def action_pin(self) -> None:
        """Pin the run under the cursor, or let go of it."""
        if self.here is not None:
            self.pinned ^= {self.table.content.runs[self.here].name}
            self.reorder()
