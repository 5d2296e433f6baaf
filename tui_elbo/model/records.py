"""What happened: the numbers of a run, as plain data without a tensor in it.

A *layout* says which sites, parameters and columns a stretch of steps has; a *batch* holds the
numbers of consecutive steps of one layout, column by column; a `StepRecord` is one step of it, in
the shape in which `elbo-tui run --json` prints it.

All log probabilities are in nats. JSON has no word for what is not finite, so it prints `null`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tui_elbo.model.errors import ElboError

Floats = npt.NDArray[np.float64]
Role = Literal["model", "guide", "both", "none", "unknown"]

MAX_ELEMENTS = 16
"""Parameters of up to so many elements are recorded element by element, larger ones summed up."""

SUMMARY = ("mean", "sd", "min", "max")
"""The fields recorded for a parameter of more than `MAX_ELEMENTS` elements."""

NORMS = ("grad_norm", "update_norm")
"""The fields recorded for each parameter and each module."""

Kind = Literal["step", "site", "param", "module"]
KINDS: tuple[Kind, ...] = ("step", "site", "param", "module")


class Column(NamedTuple):
    """The name of one number of a step."""

    kind: Kind
    """What it belongs to."""
    name: str
    """The site's, parameter's or module's name; empty for the step's own numbers."""
    field: str
    """A field of `FIELDS`; `loss[0]`… and `value[0]`… are elements of one."""

    def __str__(self) -> str:
        return self.field if self.kind == "step" else f"{self.kind}s.{self.name}.{self.field}"


class Field(NamedTuple):
    """What readers have to know of a column besides its numbers."""

    text: str
    """In a message, before the name of what it belongs to."""
    indexed: bool = False
    """It has a column an element: `value[0]`, `value[1]`…"""
    always_finite: bool = True
    """A number that is not finite is a fault; otherwise NaN also says that it was not taken."""
    optional: bool = False
    """A table leaves it out where no step has it."""


FIELDS: dict[Kind, dict[str, Field]] = {
    "step": {
        "loss": Field("the loss"),
        "elbo": Field("the ELBO"),
        "log_p": Field("log p"),
        "log_q": Field("log q"),
        "seconds": Field("the time", always_finite=False),
        "eval_loss": Field("the loss without an update", always_finite=False, optional=True),
    },
    "site": {"log_p": Field("log p of site"), "log_q": Field("log q of site")},
    "param": {
        "value": Field("parameter", indexed=True),
        **dict.fromkeys(SUMMARY, Field("parameter", always_finite=False)),
        "grad_norm": Field("the gradient of"),
        "update_norm": Field("parameter", always_finite=False),
    },
    "module": {
        **dict.fromkeys(SUMMARY, Field("module", always_finite=False)),
        "grad_norm": Field("the gradient of"),
        "update_norm": Field("module", always_finite=False),
    },
}
"""Every field that a step may have. Conditions and records take what there is from here; a column
that is not here raises `UnknownColumnError` where it is read."""

_SINGLE = {
    kind: tuple(name for name, field in fields.items() if not field.indexed)
    for kind, fields in FIELDS.items()
}
"""The fields with one column each."""


class UnknownColumnError(ElboError):
    """A column that its reader does not know, or that the step does not have."""

    def __init__(self, column: Column) -> None:
        super().__init__(f"there is no column {column}")
        self.column = column


def field_of(column: Column) -> Field:
    """What is known of a column.

    Raises:
        UnknownColumnError: if it is not in `FIELDS`.
    """
    base, bracket, _ = column.field.partition("[")
    field = FIELDS.get(column.kind, {}).get(base)
    parts = (column.kind, base) == ("step", "loss")
    if field is None or (field.indexed != bool(bracket) and not parts):
        raise UnknownColumnError(column)
    return field


class SiteInfo(msgspec.Struct, frozen=True):
    """What a sample site is; an auxiliary `x_unconstrained` is part of `x`."""

    name: str
    observed: bool
    """True if its value is data."""
    dist: str
    """The class of its distribution in the model; in the guide for a site of the guide alone."""
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...]
    note: str = ""
    """Why one of its terms is missing, in words; empty when none is."""
    plates: tuple[str, ...] = ()
    """The plates around it, from the outermost in."""
    scale: float = 1.0
    """What its log probabilities are multiplied by; NaN where that differs by element, and once it
    has differed by step."""
    masked: int = 0
    """How many of its batch's elements a mask takes out of its log probability."""


class ParamInfo(msgspec.Struct, frozen=True):
    """What a parameter of the param store is."""

    name: str
    role: Role
    """`model` (θ), `guide` (φ), `both`, or `none`: in the store and read by neither."""
    shape: tuple[int, ...]
    """Of the constrained value."""
    constraint: str
    """`real` when there is none."""


class ModuleInfo(msgspec.Struct, frozen=True):
    """Parameters that are summed up together, beyond the budget of columns."""

    name: str
    """What their names begin with; empty for those that have nothing in common."""
    role: Role
    params: int
    """How many parameters."""
    size: int
    """How many elements together."""


class Layout(msgspec.Struct, frozen=True, dict=True):
    """Which sites, parameters and columns a stretch of steps has."""

    id: int
    sites: tuple[SiteInfo, ...]
    params: tuple[ParamInfo, ...]
    """Every parameter of the store; beyond the budget of columns most have no column."""
    columns: tuple[Column, ...]
    note: str = ""
    """Why the step's own terms are missing, in words; empty when none is."""
    modules: tuple[ModuleInfo, ...] = ()
    """What is summed up because there are too many parameters; empty within the budget."""
    skimmed: bool = False
    """Only the loss and the time of its steps were read: sites and parameters are those of the step
    before them that was read whole."""

    @cached_property
    def index(self) -> dict[Column, int]:
        """The row of each column in `Batch.values`."""
        return {column: row for row, column in enumerate(self.columns)}

    @cached_property
    def known_index(self) -> dict[Column, int]:
        """The same, each of them seen to be in `FIELDS`.

        Raises:
            UnknownColumnError: if one of them is not.
        """
        for column in self.columns:
            field_of(column)
        return self.index

    @cached_property
    def loss_parts(self) -> tuple[int, ...]:
        """The rows of the parts of a loss that is a sum."""
        parts = (c for c in self.columns if c.kind == "step" and c.field.startswith("loss["))
        return tuple(self.index[column] for column in parts)

    @cached_property
    def recorded(self) -> tuple[ParamInfo, ...]:
        """The parameters that are recorded by themselves: within the budget, all."""
        if not self.modules:
            return self.params
        names = {column.name for column in self.columns if column.kind == "param"}
        return tuple(info for info in self.params if info.name in names)


class Batch(msgspec.Struct, frozen=True, eq=False):
    """The numbers of consecutive steps of one layout."""

    layout: Layout
    first: int
    """The 1-based number of its first step."""
    values: Floats
    """Shape (columns, steps). What is not finite is kept as it is."""

    @property
    def steps(self) -> int:
        """How many steps it holds."""
        return int(self.values.shape[1])

    def records(self) -> list[StepRecord]:
        """Each of its steps, in the shape in which it is printed."""
        columns = range(self.steps)
        return [record_of(self.layout, self.first + i, self.values[:, i]) for i in columns]


class SiteRecord(msgspec.Struct, frozen=True):
    """A site's share of one step."""

    log_p: float | None
    """log p of the site: nats, scaled, mean over particles; None for a site of the guide alone."""
    log_q: float | None
    """log q of the site: nats; None for what is observed or in the model alone."""
    observed: bool


class ParamRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parameter after one step's update, in constrained space; norms in unconstrained space."""

    role: Role
    shape: tuple[int, ...]
    grad_norm: float | None
    """Euclidean norm of the gradient as the optimiser received it; None if nothing reached it."""
    update_norm: float | None
    """Euclidean norm of what the optimiser added; None if it was not taken at this step."""
    value: Any = None
    """A float, or nested lists of floats, of up to `MAX_ELEMENTS` elements."""
    mean: float | None = None
    sd: float | None = None
    min: float | None = None
    max: float | None = None


class ModuleRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is summed up of many parameters, after one step's update; None if not at this step."""

    role: Role
    params: int
    """How many parameters."""
    size: int
    """How many elements together."""
    grad_norm: float | None
    """Euclidean norm of all their gradients together; None if nothing reached them."""
    update_norm: float | None
    """Euclidean norm of all that the optimiser added, in unconstrained space."""
    mean: float | None = None
    """Over all elements, in constrained space; as are the others."""
    sd: float | None = None
    min: float | None = None
    max: float | None = None


class StepRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one optimiser step estimated, and what it changed.

    For `Trace_ELBO`, `elbo` is `-loss` up to float rounding. Estimators with an analytic KL
    (`TraceMeanField_ELBO`) or another objective (`RenyiELBO`) report a `loss` that
    `log_p - log_q` does not add up to; both are kept.

    References:
        Ranganath, Gerrish, Blei (2014), Black Box Variational Inference, eq. 1.
    """

    step: int
    """1-based. The terms belong to the values that this step started from."""
    loss: float | None
    """What `svi.step` returned; None where the estimator reports none."""
    elbo: float | None
    """`log_p - log_q`, mean over particles: nats, maximised."""
    log_p: float | None
    """log p(x, z) of the step's draws: nats, summed over sites, mean over particles."""
    log_q: float | None
    """log q(z) of the step's draws: nats, summed over sites, mean over particles."""
    seconds: float
    """Wall-clock time of `svi.step`."""
    sites: dict[str, SiteRecord]
    params: dict[str, ParamRecord]
    """Values are those after this step's update. Beyond the budget of columns, only the parameters
    that are recorded by themselves."""
    loss_parts: tuple[float, ...] | None = None
    """The parts of a loss that is a sum, such as that of `ReweightedWakeSleep`."""
    modules: dict[str, ModuleRecord] = {}
    """What is summed up because there are too many parameters, by what their names begin with;
    each holds all of its parameters, those that are recorded by themselves too."""
    eval_loss: float | None = None
    """Mean loss of the evaluations since the step before that no update followed, such as those of
    validation data; None without. At the values that this step started from."""


def record_of(layout: Layout, step: int, numbers: Floats) -> StepRecord:
    """One step in the shape in which it is printed.

    Args:
        layout: what the numbers are.
        step: the 1-based step.
        numbers: shape (columns,), in the order of `layout.columns`.
    """
    floats: list[float] = numbers.tolist()
    own = _fields(layout, "step", "", floats)
    parts = tuple(floats[row] for row in layout.loss_parts)
    return StepRecord(
        step=step,
        **own | {"seconds": own["seconds"] or 0.0},
        sites={
            info.name: SiteRecord(
                observed=info.observed, **_fields(layout, "site", info.name, floats)
            )
            for info in layout.sites
        },
        params={info.name: _param_record(info, layout, floats) for info in layout.recorded},
        loss_parts=parts or None,
        modules={
            info.name: ModuleRecord(
                role=info.role,
                params=info.params,
                size=info.size,
                **_fields(layout, "module", info.name, floats),
            )
            for info in layout.modules
        },
    )


def _fields(layout: Layout, kind: Kind, name: str, floats: list[float]) -> dict[str, Any]:
    """The numbers of all fields of a kind but those of elements; None for what the step lacks."""
    rows = layout.known_index
    found = ((field, rows.get(Column(kind, name, field))) for field in _SINGLE[kind])
    return {field: None if row is None else floats[row] for field, row in found}


def _param_record(info: ParamInfo, layout: Layout, floats: list[float]) -> ParamRecord:
    value: Any = None
    first = layout.index.get(Column("param", info.name, "value[0]"))
    if first is not None:
        size = int(np.prod(info.shape, dtype=np.int64))
        value = np.reshape(floats[first : first + size], info.shape).tolist()
    fields = _fields(layout, "param", info.name, floats)
    return ParamRecord(role=info.role, shape=info.shape, value=value, **fields)
