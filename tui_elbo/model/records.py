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

Floats = npt.NDArray[np.float64]
Role = Literal["model", "guide", "both", "none"]

MAX_ELEMENTS = 16
"""Parameters of up to so many elements are recorded element by element, larger ones summed up."""

SUMMARY = ("mean", "sd", "min", "max")
"""The fields recorded for a parameter of more than `MAX_ELEMENTS` elements."""


class Column(NamedTuple):
    """The name of one number of a step."""

    kind: Literal["step", "site", "param", "module"]
    """What it belongs to."""
    name: str
    """The site's, parameter's or module's name; empty for the step's own numbers."""
    field: str
    """`loss`, `elbo`, `log_p`, `log_q`, `seconds`, `loss[0]`… of a step; `log_p`, `log_q` of a
    site; `value[0]`… or those of `SUMMARY`, `grad_norm` and `update_norm` of a parameter; those of
    `SUMMARY` and both norms of a module."""


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

    @cached_property
    def index(self) -> dict[Column, int]:
        """The row of each column in `Batch.values`."""
        return {column: row for row, column in enumerate(self.columns)}

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


def record_of(layout: Layout, step: int, numbers: Floats) -> StepRecord:
    """One step in the shape in which it is printed.

    Args:
        layout: what the numbers are.
        step: the 1-based step.
        numbers: shape (columns,), in the order of `layout.columns`.
    """
    floats: list[float] = numbers.tolist()

    def get(kind: Literal["step", "site", "param"], name: str, field: str) -> float | None:
        row = layout.index.get(Column(kind, name, field))
        return None if row is None else floats[row]

    def site(info: SiteInfo) -> SiteRecord:
        log_p, log_q = get("site", info.name, "log_p"), get("site", info.name, "log_q")
        return SiteRecord(log_p, log_q, info.observed)

    parts = tuple(
        floats[row]
        for column, row in layout.index.items()
        if column.kind == "step" and column.field.startswith("loss[")
    )
    return StepRecord(
        step=step,
        loss=get("step", "", "loss"),
        elbo=get("step", "", "elbo"),
        log_p=get("step", "", "log_p"),
        log_q=get("step", "", "log_q"),
        seconds=get("step", "", "seconds") or 0.0,
        sites={info.name: site(info) for info in layout.sites},
        params={p.name: _param_record(p, layout, floats) for p in layout.recorded},
        loss_parts=parts or None,
        modules={m.name: _module_record(m, layout, floats) for m in layout.modules},
    )


def _module_record(info: ModuleInfo, layout: Layout, floats: list[float]) -> ModuleRecord:
    fields = ("grad_norm", "update_norm", *SUMMARY)
    rows = {field: layout.index.get(Column("module", info.name, field)) for field in fields}
    numbers = {field: None if row is None else floats[row] for field, row in rows.items()}
    return ModuleRecord(role=info.role, params=info.params, size=info.size, **numbers)


def _param_record(info: ParamInfo, layout: Layout, floats: list[float]) -> ParamRecord:
    def get(field: str) -> float | None:
        row = layout.index.get(Column("param", info.name, field))
        return None if row is None else floats[row]

    value: Any = None
    first = layout.index.get(Column("param", info.name, "value[0]"))
    if first is not None:
        size = int(np.prod(info.shape, dtype=np.int64))
        value = np.reshape(floats[first : first + size], info.shape).tolist()
    return ParamRecord(
        role=info.role,
        shape=info.shape,
        grad_norm=get("grad_norm"),
        update_norm=get("update_norm"),
        value=value,
        **{field: get(field) for field in SUMMARY},
    )
