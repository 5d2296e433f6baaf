"""The table of the workspace by settings: a line for the runs that differ in the seed alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tui_elbo.model.estimate import significant
from tui_elbo.model.run_table import SettingGap, SettingRow, by_setting, columns, shown
from tui_elbo.model.text import safe
from tui_elbo.ui.run_list import STYLES, RunTable, setting_column
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.theme import GOOD, WARN
from tui_elbo.ui.widgets.column_list import Cell, ColumnList, ListColumn, by_number, by_text
from tui_elbo.ui.widgets.text_lines import Piece

DIGITS = 4

Gaps = tuple[str, Mapping[str, SettingGap], Sequence[str]]
"""As `setting_gaps` gives them."""

NO_GAPS: Gaps = "", {}, ()


class SettingList(ColumnList):
    """The settings with a cursor.

    Args:
        glyphs: the characters to draw with.
    """

    def __init__(self, glyphs: Glyphs, *, id: str) -> None:
        super().__init__(glyphs, "setting", id=id)
        self.settings: list[SettingRow] = []
        self.gaps: Gaps = NO_GAPS
        self._table: RunTable | None = None
        self._members: list[list[int]] = []

    def show_settings(self, table: RunTable, gaps: Gaps) -> None:
        """Show the settings of these runs, with the cursor where it was."""
        rows = [run.row for run in table.content.runs]
        self.settings, self.gaps, self._table = by_setting(rows), gaps, table
        places = {id(row): index for index, row in enumerate(rows)}
        self._members = [[places[id(row)] for row in one.rows] for one in self.settings]
        self.show([one.label for one in self.settings], self._columns_of(table))

    def run_of(self, row: int) -> int:
        """The number of the first run of a setting."""
        return self._members[row][0]

    def words_of(self, row: int) -> str:
        """What the filter is to be for the runs of a setting alone."""
        run, rows = self.settings[row].run, [row for one in self.settings for row in one.rows]
        names = [name for name in columns(rows) if name not in {"seed", "run"}]
        return " ".join(f"{name}={shown(run.get(name))}" for name in names)

    def passes(self, row: int, words: Sequence[str]) -> bool:
        """Whether a run of the setting has all these words."""
        table = self._table
        return table is not None and any(table.keeps(i, words) for i in self._members[row])

    def marks(self, row: int) -> Sequence[Piece]:
        """The colour or letter of its curve."""
        table = self._table
        if table is None:
            return [("  ", "")]
        unicode = self.glyphs.dot == "·"
        mark = "█" if unicode else table.letter(self.run_of(row), grouped=True)
        return [(mark, table.colour(self.run_of(row), grouped=True)), (" ", "")]

    def about(self, row: int) -> str:
        """A line about a setting."""
        one, (best, gaps, left_out) = self.settings[row], self.gaps
        states = ", ".join(f"{count} {safe(state)}" for state, count in one.states.items())
        parts = [f"{len(one.rows)} run{'s' * (len(one.rows) > 1)}: {states}"]
        gap = gaps.get(one.label)
        if gap is not None:
            low, high = (significant(x, DIGITS) for x in (gap.low, gap.high))
            unclear = "" if gap.low > 0 or gap.high < 0 else ", not told apart"
            nats = significant(abs(gap.value), DIGITS)
            side = "below" if gap.value >= 0 else "above"
            parts.append(
                f"{nats} nats {side} {safe(best)} (95 % interval {low} to {high}{unclear})"
            )
        elif best and one.label != best:
            why = [text for text in left_out if {one.label, best} <= {*_both(text)}]
            parts += [safe(text) for text in why]
        return self.glyphs.plain("; ".join(parts))

    def _columns_of(self, table: RunTable) -> list[ListColumn]:
        best, gaps, _ = self.gaps
        some = self.settings
        names = [name for name in table.names if name not in {"seed", "run"}]
        columns = [setting_column(name, [one.run.get(name) for one in some]) for name in names]
        cells = {
            ("runs", 0): [by_number(str(len(one.rows)), len(one.rows)) for one in some],
            ("median ELBO", 1): [_number_cell(one.median) for one in some],
            ("lowest", 3): [_number_cell(min(one.elbos, default=math.nan)) for one in some],
            ("highest", 3): [
                _number_cell(one.elbos[-1] if one.elbos else math.nan) for one in some
            ],
            ("below best", 2): [_gap_cell(one.label, best, gaps) for one in some],
            ("verdicts", 4): [_states_cell(one) for one in some],
            ("findings", 5): [_faulty_cell(one) for one in some],
        }
        return [
            *columns,
            *(
                ListColumn(name, tuple(one), rank, name == "verdicts", name == "median ELBO")
                for (name, rank), one in cells.items()
                if any(cell.text for cell in one)
            ),
        ]


def _both(text: str) -> tuple[str, ...]:
    """The two settings that a sentence says are not compared."""
    return tuple(text.partition(" are not compared")[0].split(" and "))


def _number_cell(value: float) -> Cell:
    return by_number("" if math.isnan(value) else f"{value:.2f}", value)


def _gap_cell(label: str, best: str, gaps: Mapping[str, SettingGap]) -> Cell:
    if label == best:
        return by_number("best", 0.0, GOOD)
    gap = gaps.get(label)
    if gap is None:
        return Cell("")
    return by_number(f"{gap.value:.2f} ({gap.low:.2f} to {gap.high:.2f})", gap.value)


def _states_cell(one: SettingRow) -> Cell:
    text = ", ".join(f"{count} {state}" for state, count in one.states.items())
    (style,) = {STYLES.get(state, "") for state in one.states} if len(one.states) == 1 else ("",)
    return by_text(safe(text), style)


def _faulty_cell(one: SettingRow) -> Cell:
    return by_number(f"{one.faulty} of {len(one.rows)}" if one.faulty else "", one.faulty, WARN)
