"""What a condition may name: a number of a step; where a layout has it, or why it has not.

The names are those that `elbo-tui run --json` prints: `elbo`, `sites["z"].log_p`,
`params["w"][3]`, `params["net$$$weight"].mean`.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tui_elbo.model.records import MAX_ELEMENTS, SUMMARY, Column, Floats, Layout, ParamInfo

TERMS = ("elbo", "log_p", "log_q")
LARGEST = ("grad_norm", "update_norm")
"""Of a parameter; on their own, the largest of any parameter, or of any module where there are too
many parameters."""
STEP_FIELDS = ("step", "loss", *TERMS, "seconds", *LARGEST)
SITE_FIELDS = ("log_p", "log_q")
PARAM_FIELDS = (*SUMMARY, *LARGEST)

Values: TypeAlias = Floats | np.float64
"""One number a step: shape (steps,), or a scalar for a single step."""


class Found(NamedTuple):
    """Where a quantity is: columns, and how their numbers become one."""

    columns: tuple[Column, ...]
    reduce: Callable[[list[Values], Values], Values]
    """Takes the columns' numbers, in that order, and the steps' own."""


@dataclass(frozen=True)
class Quantity:
    """A number that a step may have."""

    kind: Literal["step", "site", "param"]
    name: str
    """The site's or the parameter's name; empty for the step's own."""
    field: str
    """One of `STEP_FIELDS`, `loss[0]`…; of `SITE_FIELDS`; of `PARAM_FIELDS`, or `value`."""
    index: tuple[int, ...] = ()
    """Which element of a parameter's `value`; empty for the only one."""

    def __str__(self) -> str:
        if self.kind == "step":
            return self.field
        named = _named(self.kind, self.name)
        if self.field != "value":
            return f"{named}.{self.field}"
        return f"{named}[{', '.join(map(str, self.index))}]" if self.index else named

    def find(self, layout: Layout) -> Found | None:
        """Its columns in this layout; None if the layout lacks it."""
        if self.field == "step":
            return Found((), lambda _, steps: steps)
        if self.kind == "param":
            return self._find_param(layout)
        if self.kind == "step" and self.field in LARGEST:
            return _find_largest(self.field, layout)
        return _single(Column(self.kind, self.name, self.field), layout)

    def problem(self, layout: Layout) -> tuple[str, str]:
        """Why this layout lacks it, and what would do."""
        if self.kind == "step":
            return self._step_problem(layout)
        names = [info.name for info in (layout.sites if self.kind == "site" else layout.params)]
        if self.name not in names:
            return _unknown(self.kind, self.name, names)
        if self.kind == "site":
            return self._site_problem(layout)
        info = next(info for info in layout.params if info.name == self.name)
        if self.field == "value":
            return _element_problem(info, self.index)
        if self.field == "grad_norm":
            return f'no gradient reaches parameter "{self.name}"', ""
        return f'parameter "{self.name}" has no {self.field} at this step', ""

    def unwatched(self, layout: Layout) -> bool:
        """Whether it is of a parameter that is recorded only while it is watched."""
        if self.kind != "param" or not layout.modules:
            return False
        recorded = any(info.name == self.name for info in layout.recorded)
        return not recorded and any(info.name == self.name for info in layout.params)

    def _find_param(self, layout: Layout) -> Found | None:
        info = next((info for info in layout.params if info.name == self.name), None)
        if info is None:
            return None
        if self.field != "value":
            found = _single(Column("param", self.name, self.field), layout)
            if found is not None or self.field not in SUMMARY:
                return found
            columns = [Column("param", self.name, f"value[{i}]") for i in range(_size(info))]
            if not columns or any(column not in layout.index for column in columns):
                return None
            return Found(tuple(columns), _SUMS[self.field])
        element = _element(info.shape, self.index)
        if element is None:
            return None
        return _single(Column("param", self.name, f"value[{element}]"), layout)

    def _step_problem(self, layout: Layout) -> tuple[str, str]:
        if self.field.startswith("loss["):
            parts = sum(c.kind == "step" and c.field.startswith("loss[") for c in layout.columns)
            return f"the loss has {parts or 'no'} parts, so there is no {self.field}", "use `loss`"
        if self.field in LARGEST:
            return f"no parameter has a {self.field} at this step", ""
        return f"the steps of this run have no {self.field}", layout.note

    def _site_problem(self, layout: Layout) -> tuple[str, str]:
        info = next(info for info in layout.sites if info.name == self.name)
        reason = info.note or layout.note
        if not reason and self.field == "log_q":
            reason = "it is observed" if info.observed else "the guide does not draw it"
        elif not reason:
            reason = "the model does not draw it"
        return f'site "{self.name}" has no {self.field}', reason


def _named(kind: str, name: str) -> str:
    return f"{kind}s[{json.dumps(name, ensure_ascii=False)}]"


def _first(values: list[Values], _: Values) -> Values:
    return values[0]


def _single(column: Column, layout: Layout) -> Found | None:
    return Found((column,), _first) if column in layout.index else None


def _size(info: ParamInfo) -> int:
    return math.prod(info.shape)


def _element(shape: tuple[int, ...], index: tuple[int, ...]) -> int | None:
    """The place of an element in the flattened tensor; None if there is no such element."""
    if not index:
        return 0 if math.prod(shape) == 1 else None
    if len(index) != len(shape):
        return None
    place = 0
    for at, size in zip(index, shape, strict=True):
        if not -size <= at < size:
            return None
        place = place * size + at % size
    return place


def _element_problem(info: ParamInfo, index: tuple[int, ...]) -> tuple[str, str]:
    named, shape = _named("param", info.name), tuple(info.shape)
    if _size(info) > MAX_ELEMENTS:
        what = f'parameter "{info.name}" has {_size(info)} elements and is recorded in sums'
        return what, f"use {named}.mean, .sd, .min, .max, .grad_norm or .update_norm"
    what = f'parameter "{info.name}" has shape {shape}'
    if index:
        what += f", so no element [{', '.join(map(str, index))}]"
    example = f"[{', '.join('0' * len(shape))}]" if shape else ""
    return what, f"name one element, such as {named}{example}, or {named}.mean"


def _unknown(kind: str, name: str, names: list[str]) -> tuple[str, str]:
    what = f'there is no {"parameter" if kind == "param" else "site"} "{name}"'
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return what, f"did you mean {' or '.join(_named(kind, one) for one in close)}?"
    if not names:
        return what, "the run has none"
    listed = ", ".join(_named(kind, one) for one in names[:5])
    return what, f"there {'are' if len(names) > 1 else 'is'} {listed}" + ", …" * (len(names) > 5)


def _find_largest(field: str, layout: Layout) -> Found | None:
    parts = [c for c in layout.columns if c.kind in ("param", "module")]
    summed = {(c.kind, c.name) for c in parts if c.field == "mean"}
    columns = [c for c in parts if c.field == field]
    if not columns:
        return None
    columns.sort(key=lambda column: (column.kind, column.name) in summed)
    small = sum((column.kind, column.name) not in summed for column in columns)

    def largest(values: list[Values], _: Values) -> Values:
        # A NaN among the sums of large parameters may stand for a gradient that never came.
        parts = [np.maximum.reduce(values[:small])] if small else []
        if values[small:]:
            parts.append(np.fmax.reduce(values[small:]))
        if len(parts) == 1:
            return _plain(parts[0])
        return _plain(np.where(np.isnan(parts[1]), parts[0], np.maximum(*parts)))

    return Found(tuple(columns), largest)


def _plain(values: Floats) -> Values:
    return values[()] if values.ndim == 0 else values


def _sd(values: list[Values], _: Values) -> Values:
    if len(values) == 1:
        return values[0] * np.nan
    return _plain(np.asarray(np.std(values, axis=0, ddof=1)))


def _over(function: Callable[..., Floats]) -> Callable[[list[Values], Values], Values]:
    def reduce(values: list[Values], _: Values) -> Values:
        return values[0] if len(values) == 1 else _plain(np.asarray(function(values, axis=0)))

    return reduce


_SUMS: dict[str, Callable[[list[Values], Values], Values]] = {
    "mean": _over(np.mean),
    "sd": _sd,
    "min": _over(np.min),
    "max": _over(np.max),
}
"""As those of a large parameter are taken: the standard deviation with n - 1."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A few words that name what is nearest; all of them if nothing is near."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
