"""The param store: role, value, change, gradient norm and past of each parameter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from tui_elbo.model.history import History, mean
from tui_elbo.model.records import (
    MAX_ELEMENTS,
    SUMMARY,
    Column,
    Layout,
    ModuleInfo,
    ParamInfo,
    Role,
)
from tui_elbo.model.text import safe
from tui_elbo.ui.plot.sparkline import sparkline, stride
from tui_elbo.ui.style.names import fit_names, short_names
from tui_elbo.ui.style.text import left, number, signed
from tui_elbo.ui.style.theme import BAD, DIM, KEY, ROLE, WARN
from tui_elbo.ui.widgets.pane import Shown
from tui_elbo.ui.widgets.table import Table
from tui_elbo.ui.widgets.text_lines import Line, Piece

NAME, VALUE, CHANGE, GRAD, COURSE = 8, 11, 10, 9, 5
"""The least widths of the columns, a space before each number included."""

ELEMENT = 11
"""The width of one element of a vector."""

ORDERS = ("as in the store", "largest movement first")

RECENT = 100
"""So many steps back a movement is looked for."""

SUMS_KEPT = 2_000
"""So many steps after they were taken sums are still shown."""


@dataclass(frozen=True)
class Row:
    """A parameter, or several of a module that are summed up."""

    kind: str
    """`param` or `module`: that of its columns."""
    name: str
    role: Role
    shape: tuple[int, ...]
    """Of a module, the number of all its elements."""
    recorded: bool = True
    """Whether it has columns."""
    params: int = 1
    """How many parameters it stands for."""

    @property
    def label(self) -> str:
        """What it is called on the screen."""
        return self.name or "everything"

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def summed(self) -> bool:
        """Whether there are sums of it and not each element."""
        return self.kind == "module" or self.size > MAX_ELEMENTS

    @property
    def fields(self) -> tuple[str, ...]:
        """What its value is recorded as."""
        return ("mean",) if self.summed else tuple(f"value[{i}]" for i in range(self.size))

    def column(self, field: str) -> Column:
        """The column of one of its numbers."""
        return Column("module" if self.kind == "module" else "param", self.name, field)

    def taken(self, layout: Layout, field: str) -> bool:
        """Whether a step of that layout has this number of its own."""
        return self.column(field) in layout.index

    def at(self, history: History, layout: Layout, field: str, step: int) -> float | None:
        """One of its numbers at a step of that layout; None if it has none.

        Sums are not taken at every step of a run; then it is that taken last before.
        """
        column = self.column(field)
        if not 1 <= step <= history.last or not self.recorded:
            return None
        if column in layout.index:
            return float(history.values(column)[step - 1])
        if not self.summed:
            return None
        earlier = history.values(column)[max(0, step - SUMS_KEPT) : step]
        known = earlier[np.isfinite(earlier)]
        return float(known[-1]) if len(known) else None


def rows(layout: Layout, filtered: str, watched: Collection[str]) -> list[Row]:
    """The rows of a layout, in the order of the store; those watched first.

    Parameters that are summed up in modules have rows of their own only where a filter asks for
    them.

    Args:
        layout: which parameters there are.
        filtered: what a name must have in it, whatever the capitals.
        watched: names of parameters.
    """
    part = filtered.casefold()
    whole = {column.name for column in layout.columns if column.kind == "param"}
    found = [_of_module(module) for module in layout.modules]
    for info in layout.params:
        recorded = info.name in whole or not layout.modules
        if recorded or part:
            found.append(_of_param(info, recorded=recorded))
    found = [row for row in found if part in row.name.casefold()]
    return sorted(found, key=lambda row: row.name not in watched or row.kind == "module")


def by_movement(
    found: Iterable[Row], history: History, layout: Layout, step: int, watched: Collection[str]
) -> list[Row]:
    """The rows by how far they move in a step, the largest first; those watched before all."""
    return sorted(
        found, key=lambda row: (row.name not in watched, -_movement(row, history, layout, step))
    )


def _movement(row: Row, history: History, layout: Layout, step: int) -> float:
    """Its mean update in unconstrained space over the last steps; −1 if nothing is known of it."""
    if not row.recorded or not (row.summed or row.taken(layout, "update_norm")):
        return -1.0
    recent = history.values(row.column("update_norm"))[max(0, step - RECENT) : step]
    known = recent[np.isfinite(recent)]
    return mean(known) if len(known) else -1.0


def _of_param(info: ParamInfo, *, recorded: bool) -> Row:
    return Row("param", info.name, info.role, info.shape, recorded)


def _of_module(info: ModuleInfo) -> Row:
    return Row("module", info.name, info.role, (info.size,), params=info.params)


class ParamsPane(Table):
    """The table of parameters.

    Δ is the signed change of a single number in this step; for what has more elements it is the
    Euclidean norm of what the optimiser added, in unconstrained space.
    """

    NAME: ClassVar[str] = "params"
    FROM_LENS: ClassVar[bool] = False

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", show=False)]

    class Opened(Message):
        """The person wants to know all about this parameter."""

        def __init__(self, name: str) -> None:
            self.name = name
            super().__init__()

    def __init__(self, *, id: str = "params", ascii: bool = False) -> None:
        super().__init__("parameters", "known after the first step", id=id, ascii=ascii)
        self.watched: tuple[str, ...] = ()
        """The parameters that come first, and are recorded whole."""
        self.marked: frozenset[str] = frozenset()
        """Those that an error or a warning is about."""
        self.order = ORDERS[0]
        """One of `ORDERS`."""
        self._layout: Layout | None = None
        self._history = History()
        self._step = 0
        self._steps: npt.NDArray[np.int64] | None = None
        """The places of the steps that were read whole; None: of all."""
        self._rows: list[Row] = []
        self._filtered_at = -1
        self._plan = (NAME, True, False, 0)
        self._labels: dict[str, str] = {}

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        self.show(shown.run.history, shown.step, live=shown.live)

    def show(self, history: History, step: int, *, live: bool = False) -> None:
        """Show the parameters after `step`; nothing if there is no such step.

        Args:
            history: the numbers.
            step: the step.
            live: more is to come very soon: the order of the rows stays.
        """
        layout = history.layout_at(step)
        moved = self.order != ORDERS[0] and not live and self._filtered_at != step
        self._history, self._step = history, step
        skimmed = history.skimmed()
        self._steps = None if skimmed is None else np.flatnonzero(~skimmed[:step])
        if layout is not self._layout:
            self._layout = layout
            self.apply_filter()
            self.replan()
            self.detail = self._roles(layout.params) if layout else ""
        elif moved:
            self.apply_filter()
        self.paint()

    def apply_filter(self) -> None:
        """Choose the rows anew; the cursor stays with its parameter."""
        under = self._rows[self.cursor].name if self.cursor < len(self._rows) else ""
        found: list[Row] = []
        if self._layout is not None:
            found = rows(self._layout, self.filter, self.watched)
            if self.order != ORDERS[0]:
                found = by_movement(found, self._history, self._layout, self._step, self.watched)
        self._rows, self._filtered_at = found, self._step
        names = [row.name for row in found]
        self.cursor = names.index(under) if under in names else 0

    def show_watched(self, names: tuple[str, ...]) -> None:
        """These are watched, whoever has asked for it."""
        if names != self.watched:
            self.watched = names
            self.apply_filter()
            self.paint()

    def toggle_watched(self) -> tuple[str, ...]:
        """Watch the parameter under the cursor, or no more; the names of those that are."""
        row = self._rows[self.cursor] if self._rows else None
        if row is not None and row.kind == "param":
            others = tuple(name for name in self.watched if name != row.name)
            self.watched = others if row.name in self.watched else (*self.watched, row.name)
            self.apply_filter()
            self.paint()
        return self.watched

    def next_order(self) -> str:
        """Show the rows in the other order; in words."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        self.apply_filter()
        self.cursor = 0
        self.paint()
        return self.order

    def action_open(self) -> None:
        """All about the parameter under the cursor; of a module, its parameters."""
        if not self._rows:
            return
        row = self._rows[self.cursor]
        if row.kind == "module":
            self.filter = row.name
        else:
            self.post_message(self.Opened(row.name))

    def _roles(self, params: Sequence[ParamInfo]) -> str:
        if any(p.role == "unknown" for p in params):
            return "roles not known"
        both = sum(p.role == "both" for p in params)
        theta = sum(p.role == "model" for p in params)
        phi = sum(p.role == "guide" for p in params)
        parts = [f"{self.glyphs.theta} {theta}", f"{self.glyphs.phi} {phi}"]
        if both:
            parts.append(f"{self.glyphs.theta}{self.glyphs.phi} {both}")
        if none := len(params) - both - theta - phi:
            parts.append(f"unused {none}")
        return f" {self.glyphs.dot} ".join(parts)

    @property
    def _role_width(self) -> int:
        both = any(row.role == "both" for row in self._rows)
        return (1 + both) * len(self.glyphs.theta) + 1

    def count(self) -> int:
        """How many parameters there are."""
        return len(self._rows)

    def plan(self, width: int) -> None:
        """Role, name, value, change, gradient norm, sparkline; 0 where there is no room for it."""
        names = [safe(row.label) for row in self._rows]
        params = self._layout.params if self._layout is not None else ()
        group = [safe(info.name) for info in params if info.role == "guide"]
        longest = max((cell_len(name) for name in names), default=0)
        rest = width - self._role_width - VALUE
        change = rest - CHANGE >= NAME
        rest -= CHANGE * change
        grad = rest - GRAD >= NAME
        rest -= GRAD * grad
        sparkline = rest - COURSE >= NAME
        if sparkline and longest > rest - COURSE:
            # Whole names are worth more than the sparkline.
            short = short_names(names, group).values()
            sparkline = all(cell_len(name) < rest - COURSE for name in short)
        room = max(0, rest - COURSE * sparkline)
        name = min(room, max(NAME, longest + 1))
        spare = min(room - name, 10) if sparkline else 0
        self._plan = (name, change, grad, (COURSE + spare) * sparkline)
        self._labels = fit_names(names, max(0, name - 1), self.glyphs.more, group)

    def header(self) -> Line:
        """The names of the columns."""
        name, change, grad, sparkline = self._plan
        text = f"{'':{self._role_width}}{'name':{name}.{name}}{'value':>{VALUE}}"
        text += f"{self.glyphs.delta:>{CHANGE}}" if change else ""
        text += f"{self.glyphs.grad:>{GRAD}}" if grad else ""
        return [(text + (" past" if sparkline else ""), DIM)]

    def height_of(self, row: int) -> int:
        """One line, and more for the elements of what is no single number."""
        one = self._rows[row]
        if one.size == 1 or not one.recorded:
            return 1
        per = max(1, (self.size.width - self._role_width) // ELEMENT)
        return 2 if one.summed else 1 + -(-one.size // per)

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """The parameter in one line, and its elements below it."""
        one = self._rows[row]
        _, change, grad, sparkline = self._plan
        letter = left(self.glyphs.role(one.role), self._role_width - 1)
        watched = one.kind == "param" and one.name in self.watched
        marked = one.kind == "param" and one.name in self.marked
        first: list[Piece] = [
            (letter, ROLE[one.role]),
            ("!", WARN) if marked else (self.glyphs.watched if watched else " ", KEY),
            (self._labels[safe(one.label)] + " ", WARN if marked else ""),
            *self._value(one, whole),
        ]
        if change:
            style, signs = self._style(one), one.size == 1
            first.append(self._piece(self._change(one), CHANGE, style, signs=signs))
        if grad:
            first.append(self._piece(self._get(one, "grad_norm"), GRAD, DIM, digits=4))
        if sparkline:
            first.append((" " + self._course(one, sparkline - 1), DIM))
        return [first, *self._elements(one)] if whole else [first]

    def _get(self, row: Row, field: str, step: int | None = None) -> float | None:
        if self._layout is None:
            return None
        if step is None:
            return row.at(self._history, self._layout, field, self._step)
        layout = self._history.layout_at(step)
        return None if layout is None else row.at(self._history, layout, field, step)

    def _style(self, row: Row) -> str:
        """Of its sums: dim where they are those of an earlier step."""
        taken = self._layout is not None and row.taken(self._layout, "update_norm")
        return "" if taken or not row.summed else DIM

    def _value(self, row: Row, whole: bool) -> list[Piece]:
        """A single number; else the shape if the elements stand below, and their mean if not."""
        if not row.recorded:
            return [(" " + left("w watches", VALUE - 1, self.glyphs.more), DIM)]
        if row.size == 1 and not row.summed:
            return [self._piece(self._get(row, "value[0]"), VALUE, "")]
        if whole:
            shape = "(" + ", ".join(map(str, row.shape)) + ")"
            shape = f"{row.params} params" if row.kind == "module" else shape
            return [(" " + left(shape, VALUE - 1, self.glyphs.more).rjust(VALUE - 1), DIM)]
        values = [self._get(row, field) for field in row.fields]
        known = [value for value in values if value is not None]
        middle = mean(np.array(known)) if known and len(known) == len(values) else None
        return [(" mean", DIM), self._piece(middle, VALUE - 5, self._style(row), digits=3)]

    def _change(self, row: Row) -> float | None:
        if row.size != 1 or row.summed:
            return self._get(row, "update_norm")
        new, old = (self._get(row, "value[0]", step) for step in (self._step, self._step - 1))
        return None if new is None or old is None else new - old

    def _elements(self, row: Row) -> list[Line]:
        """Each element of a small tensor, mean, sd and range of a large one."""
        indent: Piece = (" " * self._role_width, "")
        if not row.recorded or (row.size == 1 and not row.summed):
            return []
        if row.summed:
            line: list[Piece] = [indent]
            used = self._role_width + sum(len(field) + 1 for field in SUMMARY)
            width = max(6, min(10, (self.size.width - used) // len(SUMMARY)))
            for field in SUMMARY:
                digits = min(4, width - 4)
                line += [
                    (field, DIM),
                    self._piece(self._get(row, field), width, self._style(row), digits=digits),
                ]
                line.append((" ", ""))
            return [line]
        per = max(1, (self.size.width - self._role_width) // ELEMENT)
        pieces = [self._piece(self._get(row, field), ELEMENT, "") for field in row.fields]
        return [[indent, *pieces[i : i + per]] for i in range(0, row.size, per)]

    def _course(self, row: Row, width: int) -> str:
        """The value over all steps so far; the mean of what has several elements."""
        columns = [row.column(field) for field in row.fields]
        if row.summed and row.recorded:
            means = self._history.values(columns[0])[: self._step]
            means = means[np.isfinite(means)]
            return sparkline(means[:: stride(len(means), width)], width, self.glyphs.bars)
        known = self._layout is not None and all(c in self._layout.index for c in columns)
        if not columns or not known:
            return " " * width
        steps = self._steps
        if steps is None:
            part = slice(0, self._step, stride(self._step, width))
            sample = np.array([self._history.values(column)[part] for column in columns])
        else:
            some = steps[:: stride(len(steps), width)]
            sample = np.array([self._history.values(column)[some] for column in columns])
        return sparkline(sample.mean(axis=0), width, self.glyphs.bars)

    def _piece(
        self, value: float | None, width: int, style: str, *, digits: int = 6, signs: bool = False
    ) -> Piece:
        """A number with a space before it, in red if it is not finite."""
        write = signed if signs else number
        text = " " + write(value, width - 1, digits, self.glyphs.none)
        if value is None:
            return text, DIM
        return text, style if np.isfinite(value) else BAD
