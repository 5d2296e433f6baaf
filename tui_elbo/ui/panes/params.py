"""The param store: role, value, change, gradient norm and past of each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from rich.cells import cell_len

from tui_elbo.history import History
from tui_elbo.records import MAX_ELEMENTS, SUMMARY, Column, Floats, Layout, ParamInfo
from tui_elbo.ui.canvas import Line, Piece
from tui_elbo.ui.table import Table
from tui_elbo.ui.text import left, number, safe, signed, tail
from tui_elbo.ui.theme import BAD, DIM, ROLE

NAME, VALUE, CHANGE, GRAD, COURSE = 8, 11, 10, 9, 5
"""The least widths of the columns, a space before each number included."""

ELEMENT = 11
"""The width of one element of a vector."""


class ParamsPane(Table):
    """The table of parameters.

    Δ is the signed change of a single number in this step; for what has more elements it is the
    Euclidean norm of what the optimiser added, in unconstrained space.
    """

    def __init__(self, *, id: str = "params", ascii: bool = False) -> None:
        super().__init__("parameters", "known after the first step", id=id, ascii=ascii)
        self._layout: Layout | None = None
        self._history = History()
        self._step = 0
        self._plan = (NAME, False, 0)

    def show(self, history: History, step: int) -> None:
        """Show the parameters after `step`; nothing if there is no such step."""
        layout = history.layout_at(step)
        if layout is not self._layout:
            self._layout = layout
            self.replan()
            self.detail = self._roles(layout.params) if layout else ""
        self._history, self._step = history, step
        self.paint()

    def _roles(self, params: Sequence[ParamInfo]) -> str:
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
    def _params(self) -> tuple[ParamInfo, ...]:
        return self._layout.params if self._layout else ()

    @property
    def _role_width(self) -> int:
        both = any(p.role == "both" for p in self._params)
        return (1 + both) * len(self.glyphs.theta) + 1

    def count(self) -> int:
        """How many parameters there are."""
        return len(self._params)

    def widths(self, width: int) -> Sequence[int]:
        """Role, name, value, change, gradient norm, course; 0 where there is no room for it."""
        names = [safe(p.name) for p in self._params]
        longest = max((cell_len(name) for name in names), default=0)
        rest = width - self._role_width - VALUE - CHANGE
        grad = rest - GRAD >= NAME
        rest -= GRAD * grad
        course = rest - COURSE >= NAME
        if course and longest > rest - COURSE:
            # Names that can be told apart are worth more than the course.
            cut = {tail(name, rest - COURSE - 1) for name in names[:200]}
            course = len(cut) == len(set(names[:200]))
        room = max(0, rest - COURSE * course)
        name = min(room, max(NAME, longest + 1))
        spare = min(room - name, 10) if course else 0
        blank = room - name - spare
        self._plan = (name, grad, (COURSE + spare) * course)
        return (self._role_width, name, VALUE, CHANGE, GRAD * grad, self._plan[2], blank)

    def header(self) -> Line:
        """The names of the columns."""
        name, grad, course = self._plan
        text = f"{'':{self._role_width}}{'name':{name}.{name}}{'value':>{VALUE}}"
        text += f"{self.glyphs.delta:>{CHANGE}}"
        text += f"{self.glyphs.grad:>{GRAD}}" if grad else ""
        return [(text + (" past" if course else ""), DIM)]

    def height_of(self, row: int) -> int:
        """One line, and more for the elements of what is no single number."""
        shape = self._params[row].shape
        size = prod(shape)
        if not shape or size == 1:
            return 1
        per = max(1, (self.size.width - self._role_width) // ELEMENT)
        return 2 if size > MAX_ELEMENTS else 1 + -(-size // per)

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """The parameter in one line, and its elements below it."""
        info = self._params[row]
        name, grad, course = self._plan
        first: list[Piece] = [
            (left(self.glyphs.role(info.role), self._role_width), ROLE[info.role]),
            (tail(safe(info.name), name - 1, self.glyphs.more) + " ", ""),
            *self._value(info, whole),
            self._piece(self._change(info), CHANGE, "", signs=prod(info.shape) == 1),
        ]
        if grad:
            first.append(self._piece(self._get(info, "grad_norm"), GRAD, DIM, digits=4))
        if course:
            first.append((" " + self._course(info, course - 1), DIM))
        return [first, *self._elements(info)] if whole else [first]

    def _get(self, info: ParamInfo, field: str, step: int | None = None) -> float | None:
        step = self._step if step is None else step
        column = Column("param", info.name, field)
        if self._layout is None or column not in self._layout.index or step < 1:
            return None
        return float(self._history.values(column)[step - 1])

    def _value(self, info: ParamInfo, whole: bool) -> list[Piece]:
        """A single number; else the shape if the elements stand below, and their mean if not."""
        size = prod(info.shape)
        if size == 1:
            return [self._piece(self._get(info, "value[0]"), VALUE, "")]
        if whole:
            shape = "(" + ", ".join(map(str, info.shape)) + ")"
            return [(" " + left(shape, VALUE - 1, self.glyphs.more).rjust(VALUE - 1), DIM)]
        mean = self._get(info, "mean")
        if mean is None and size <= MAX_ELEMENTS:
            values = [self._get(info, f"value[{i}]") for i in range(size)]
            mean = float(np.mean([np.nan if v is None else v for v in values])) if values else None
        return [(" mean", DIM), self._piece(mean, VALUE - 5, "", digits=3)]

    def _change(self, info: ParamInfo) -> float | None:
        if prod(info.shape) != 1:
            return self._get(info, "update_norm")
        new, old = (self._get(info, "value[0]", step) for step in (self._step, self._step - 1))
        return None if new is None or old is None else new - old

    def _elements(self, info: ParamInfo) -> list[Line]:
        """Each element of a small tensor, mean, sd and range of a large one."""
        size = prod(info.shape)
        indent: Piece = (" " * self._role_width, "")
        if size == 1:
            return []
        if size > MAX_ELEMENTS:
            line: list[Piece] = [indent]
            used = self._role_width + sum(len(field) + 1 for field in SUMMARY)
            width = max(6, min(10, (self.size.width - used) // len(SUMMARY)))
            for field in SUMMARY:
                digits = min(4, width - 4)
                line += [
                    (field, DIM),
                    self._piece(self._get(info, field), width, "", digits=digits),
                ]
                line.append((" ", ""))
            return [line]
        per = max(1, (self.size.width - self._role_width) // ELEMENT)
        pieces = [self._piece(self._get(info, f"value[{i}]"), ELEMENT, "") for i in range(size)]
        return [[indent, *pieces[i : i + per]] for i in range(0, size, per)]

    def _course(self, info: ParamInfo, width: int) -> str:
        """The value over all steps so far; the mean of what has several elements."""
        if self._layout is None:
            return " " * width
        size = prod(info.shape)
        fields = ["mean"] if size > MAX_ELEMENTS else [f"value[{i}]" for i in range(size)]
        columns = [Column("param", info.name, field) for field in fields]
        if not columns or not all(column in self._layout.index for column in columns):
            return " " * width
        part = slice(0, self._step, stride(self._step, width))
        sample = np.array([self._history.values(column)[part] for column in columns])
        return course(sample.mean(axis=0), width, self.glyphs.bars)

    def _piece(
        self, value: float | None, width: int, style: str, *, digits: int = 6, signs: bool = False
    ) -> Piece:
        """A number with a space before it, in red if it is not finite."""
        write = signed if signs else number
        text = " " + write(value, width - 1, digits, self.glyphs.none)
        if value is None:
            return text, DIM
        return text, style if np.isfinite(value) else BAD


def stride(count: int, width: int) -> int:
    """How far apart to look at `count` numbers, so that about eight are looked at for each cell.

    A power of two: the same numbers are looked at for as long as possible.
    """
    return 1 << max(0, (count // (8 * width)).bit_length())


def course(sample: Floats, width: int, bars: str) -> str:
    """The numbers as `width` characters from low to high; what is not finite is a space."""
    if len(sample) == 0:
        return " " * width
    count = min(width, len(sample))
    edges = (np.arange(count) * len(sample)) // count
    finite = np.isfinite(sample)
    low = float(np.min(sample, initial=np.inf, where=finite))
    high = float(np.max(sample, initial=-np.inf, where=finite))
    if not low <= high:
        return " " * width
    scale = (high - low) or 1.0
    share = np.where(finite, (sample - low) / scale, 0.0)
    total = np.add.reduceat(finite.astype(float), edges)
    means = np.add.reduceat(share, edges) / np.maximum(total, 1.0)
    level = np.minimum((means * len(bars)).astype(int), len(bars) - 1)
    text = "".join(bars[i] if n else " " for i, n in zip(level.tolist(), total, strict=True))
    return text.ljust(width)
