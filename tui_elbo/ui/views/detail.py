"""All about one parameter: its values, its past, its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from math import isfinite
from time import monotonic
from typing import Any, ClassVar

import numpy as np
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui_elbo.client.run_state import Run
from tui_elbo.model.records import MAX_ELEMENTS, SUMMARY, Column, Floats, ParamInfo
from tui_elbo.model.text import safe
from tui_elbo.protocol import Histogram, ParamInspected, Summary
from tui_elbo.ui.look_cursor import LookCursor
from tui_elbo.ui.plot.cell_grid import AXIS, BAND, BLANK, CURSOR, MARK, MEAN, REFERENCE
from tui_elbo.ui.plot.plotting import Curve, Drawing, Look, sketch
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.text import number
from tui_elbo.ui.style.theme import BAD, DIM, ROLE
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line, Piece

PACE = 1.0
"""Seconds between two looks while running: the whole view is sent."""

PLOT = 7
"""Rows of a plot."""

CELL = 14
"""Columns of a number."""

WORDS = {
    "model": "read by the model",
    "guide": "of the guide",
    "both": "read by model and guide",
    "none": "read by neither",
    "unknown": "role not known: the loss builds no traces that elbo-tui can see",
}
DRAWN = {
    BLANK: "",
    BAND: "cyan",
    MEAN: "bold",
    REFERENCE: "yellow",
    AXIS: DIM,
    CURSOR: "bold green",
    MARK: "green",
}
"""Styles of a drawing's keys; all others mark trouble."""

DO = ("n", "N", "space", "comma", "full_stop", "less_than_sign", "greater_than_sign")
"""The explorer's keys that do here what they do there."""


class ParamView(Live):
    """One parameter, over the whole screen.

    Args:
        run: where it is looked up; the engine reports the rest in `run.inspected`.
        looking: the step whose numbers are shown.
        name: of the parameter.
        do: does what a key does in the explorer.
        ascii: draw with ASCII characters alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"do('{key}')", show=False, priority=True) for key in DO
    ]

    def __init__(
        self,
        run: Run,
        looking: LookCursor,
        name: str,
        do: Callable[[str], object],
        *,
        ascii: bool = False,
    ) -> None:
        super().__init__()
        self.name_shown = name
        """The parameter."""
        self._do = do
        self._run, self._looking = run, looking
        self._glyphs = ASCII if ascii else UNICODE
        self._shown: Any = None
        self._next = 0.0

    def compose(self) -> ComposeResult:
        """The lines, from the first on."""
        yield self.framed(Lines([], id="frame"), safe(self.name_shown))

    def on_mount(self) -> None:
        """Look at once."""
        self.call_after_refresh(self.update)

    def action_do(self, key: str) -> None:
        """What the key does in the explorer."""
        self._do(key)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._shown, self._next = None, 0.0
        self.call_after_refresh(self.update)

    def update(self) -> None:
        """Show what has come since."""
        run = self._run
        step = self._looking.step(run.step)
        key = (step, run.inspected)
        running = run.level is not None and run.level.state == "running"
        if key == self._shown or (running and monotonic() < self._next):
            return
        for lines in self.query(Lines):
            self._shown, self._next = key, monotonic() + PACE
            width = lines.scrollable_content_region.width
            lines.put(detail_lines(run, self.name_shown, step, width, self._glyphs))


def detail_lines(run: Run, name: str, step: int, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """Everything known of a parameter after `step`, in lines of at most `width` cells."""
    layout = run.history.layout_at(step)
    params = layout.params if layout is not None else ()
    info = next((one for one in params if one.name == name), None)
    if info is None:
        yield [(f"Step {step} has no such parameter.", DIM)]
        return
    dot = f" {glyphs.dot} "
    if cell_len(safe(name)) > width - 4:
        yield [(safe(name), "bold")]
    about = [WORDS[info.role], f"shape {info.shape}", f"constraint {safe(info.constraint)}"]
    yield [(glyphs.role(info.role), ROLE[info.role]), (f" {dot.join(about)}", "")]
    yield [("", "")]
    inspected = run.inspected if run.inspected is not None and run.inspected.name == name else None
    newest = inspected if inspected is not None and inspected.step == step else None
    yield from _values(run, info, step, newest, glyphs)
    if inspected is not None and inspected.note:
        note = safe(inspected.note)
        yield [(f"{note[:1].upper()}{note[1:]}.", DIM)]
    yield from _past(run, info, step, width, glyphs)
    yield from _gradient(inspected, width, glyphs)


def _values(
    run: Run, info: ParamInfo, step: int, inspected: ParamInspected | None, glyphs: Glyphs
) -> Iterator[Line]:
    """The table of values, and the norms of this step."""
    yield [(f"{f'after step {step}':<12}{'constrained':>{CELL}}{'unconstrained':>{CELL}}", DIM)]
    one, free = (inspected.constrained, inspected.unconstrained) if inspected else (None, None)
    for label, field in _fields(info):
        recorded = _recorded(run, info, field, step)
        told_one = _of(one, field)
        yield _row(label, (recorded if told_one is None else told_one, _of(free, field)), glyphs)
    for summary in (one,):
        if summary is not None and summary.broken:
            yield [(f"{summary.broken} of {summary.size} elements are not finite", BAD)]
    norms = [_recorded(run, info, field, step) for field in ("grad_norm", "update_norm")]
    yield [("", "")]
    yield [(f"{'in this step':<12}{'gradient':>{CELL}}{'update':>{CELL}}", DIM)]
    yield _row("norm", norms, glyphs)


def _fields(info: ParamInfo) -> list[tuple[str, str]]:
    """The rows of the table: what a person calls them, and the fields that they show."""
    size = int(np.prod(info.shape, dtype=np.int64))
    if size > MAX_ELEMENTS:
        return [(field, field) for field in SUMMARY]
    if not info.shape:
        return [("value", "value[0]")]
    places = np.ndindex(info.shape)
    return [(_index(place), f"value[{i}]") for i, place in enumerate(places)]


def _index(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"


def _of(summary: Summary | None, field: str) -> float | None:
    """A field of a summary, if it has it."""
    if summary is None:
        return None
    if not field.startswith("value["):
        return float(getattr(summary, field))
    index = int(field[6:-1])
    return summary.elements[index] if index < len(summary.elements) else None


def _recorded(run: Run, info: ParamInfo, field: str, step: int) -> float | None:
    """What the history has of it at that step."""
    column, layout = Column("param", info.name, field), run.history.layout_at(step)
    if layout is None or column not in layout.index:
        return None
    return float(run.history.values(column)[step - 1])


def _row(label: str, values: Sequence[float | None], glyphs: Glyphs) -> Line:
    pieces: list[Piece] = [(f"{label:<12}", DIM)]
    for value in values:
        bad = value is not None and not isfinite(value)
        text = number(value, CELL - 1, none=glyphs.none)
        pieces.append((f" {text}", BAD if bad else DIM if value is None else ""))
    return pieces


def _past(run: Run, info: ParamInfo, step: int, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """A plot of each element's past, or of mean ± sd."""
    fields = _fields(info)
    names = {one.name for one in run.history.columns if one.kind == "param"}
    if info.name not in names:
        yield [("Its past is not recorded: w watches it from the next step on.", DIM)]
        return
    spread = None
    if fields[0][1] == "mean":
        spread = run.history.values(Column("param", info.name, "sd"))
        fields = [("mean +- sd" if glyphs is ASCII else "mean ± sd", "mean")]
    for label, field in fields:
        values = run.history.values(Column("param", info.name, field))
        reference = _reference(run, info, field)
        lines = () if reference is None else (("reference", reference),)
        known = " - reference" if glyphs is ASCII else f" {glyphs.dot} reference ┈┈┈"
        yield [("", "")]
        yield [(f"past of {label}", "bold"), (known * (reference is not None), "yellow")]
        cursor = step if step < run.step else None
        first = _first(run, Column("param", info.name, field))
        absent = run.history.skimmed()
        curve = Curve(values, first, run.step, lines, cursor, (), values, spread, absent)
        look = Look(ascii=glyphs is ASCII, axis=True)
        yield from painted(sketch(curve, width, PLOT, look))


def _first(run: Run, column: Column) -> int:
    """The first step that has the column."""
    starts = (start for start, _, layout in run.history.stretches() if column in layout.index)
    return next(starts, 1)


def _reference(run: Run, info: ParamInfo, field: str) -> float | None:
    """What the scenario says that it comes to, if it says."""
    known = run.loaded.reference.get("params", {}) if run.loaded else {}
    if info.name not in known or field == "mean":
        return None
    values: Floats = np.asarray(known[info.name], dtype=float).reshape(-1)
    index = int(field[6:-1])
    return float(values[index]) if index < len(values) else None


def painted(drawing: Drawing) -> Iterator[Line]:
    """A drawing as lines of pieces."""
    for row, keys in zip(drawing.rows, drawing.styles, strict=True):
        pieces: list[Piece] = [("", "")]
        at = 0
        for key, run in groupby(keys):
            end = at + len(list(run))
            pieces.append((row[at:end], DRAWN.get(key, BAD)))
            at = end
        yield pieces


def _gradient(inspected: ParamInspected | None, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """How the elements of the gradient are spread."""
    found = inspected.gradient if inspected else None
    if inspected is None or found is None:
        return
    yield [("", "")]
    yield [
        ("gradient as the optimiser received it", "bold"),
        (f", step {inspected.step}, {sum(found.counts)} elements, unconstrained", DIM),
    ]
    if found.broken:
        yield [(f"{found.broken} elements are not finite", BAD)]
    yield from bars(found, width, glyphs)


def bars(found: Histogram, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """A line a bin: where it begins and ends, a bar, and how many elements are in it."""
    if not found.counts:
        return
    edges = np.linspace(found.low, found.high, len(found.counts) + 1).tolist()
    most = max(1, *found.counts)
    room = max(1, width - 2 * CELL - 12)
    for (low, high), count in zip(pairwise(edges), found.counts, strict=True):
        bar = (glyphs.bars[-1]) * -(-count * room // most)
        ends = f"{number(low, CELL - 2)} to {number(high, CELL - 2)} "
        yield [(ends, DIM), (bar, "cyan"), (f" {count}", "")]
