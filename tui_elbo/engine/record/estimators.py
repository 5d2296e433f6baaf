"""What is known of each of Pyro's estimators: one row an estimator.

A subclass that has no row of its own is taken for what it inherits from; one that inherits from no
estimator of Pyro's is read as `Trace_ELBO` is, by the traces that it builds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyro.infer import (
    ELBO,
    JitTrace_ELBO,
    JitTraceEnum_ELBO,
    JitTraceGraph_ELBO,
    JitTraceMeanField_ELBO,
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    Trace_MMD,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    TraceTailAdaptive_ELBO,
    TraceTMC_ELBO,
)

LossKind = Literal["negative_elbo", "other", "parts", "none"]


@dataclass(frozen=True)
class EstimatorTraits:
    """What an estimator reports, and what can be read off its traces."""

    loss: LossKind = "negative_elbo"
    """What `svi.step` returns: minus the mean of log p - log q; another objective; a tuple of
    objectives; or nothing that means anything (infinity at each step)."""
    enumerates: bool = False
    """It enumerates discrete sites: log p is `log_q - loss`, since a sum over the sites of its
    traces would count each branch."""
    no_terms: str = ""
    """Why log p and log q cannot be read, in words; empty where they can."""
    chosen_by_name: bool = True
    """It needs nothing but its particles, so a run can change to it by its name."""

    @property
    def reports_loss(self) -> bool:
        """Whether its loss means anything; otherwise the run is judged by its terms."""
        return self.loss != "none"


def _compiled(kind: type[ELBO], loss: LossKind, *, enumerates: bool = False) -> EstimatorTraits:
    name = kind.__name__
    why = (
        f"{name} runs compiled code: it builds no traces after its first step, so log p and "
        f"log q cannot be read; {name.removeprefix('Jit')} shows them"
    )
    return EstimatorTraits(loss, enumerates=enumerates, no_terms=why)


_TMC = "TraceTMC_ELBO draws several values a site at once and reports one bound, without terms"

ESTIMATORS: dict[type[ELBO], EstimatorTraits] = {
    Trace_ELBO: EstimatorTraits(),
    TraceGraph_ELBO: EstimatorTraits(),
    TraceEnum_ELBO: EstimatorTraits(enumerates=True),
    TraceMeanField_ELBO: EstimatorTraits("other"),  # an analytic KL
    RenyiELBO: EstimatorTraits("other"),
    TraceTMC_ELBO: EstimatorTraits("other", no_terms=_TMC),
    Trace_MMD: EstimatorTraits("other", chosen_by_name=False),  # needs a kernel
    ReweightedWakeSleep: EstimatorTraits("parts"),
    TraceTailAdaptive_ELBO: EstimatorTraits("none"),
    JitTrace_ELBO: _compiled(JitTrace_ELBO, "negative_elbo"),
    JitTraceGraph_ELBO: _compiled(JitTraceGraph_ELBO, "negative_elbo"),
    JitTraceEnum_ELBO: _compiled(JitTraceEnum_ELBO, "negative_elbo", enumerates=True),
    JitTraceMeanField_ELBO: _compiled(JitTraceMeanField_ELBO, "other"),
}

UNKNOWN = EstimatorTraits("other", chosen_by_name=False)
"""Of an estimator that inherits from none of the table: its loss may be anything."""


def traits_of_type(kind: type) -> EstimatorTraits:
    """The traits of the nearest class that has a row."""
    rows = (ESTIMATORS[base] for base in kind.__mro__ if base in ESTIMATORS)
    return next(rows, UNKNOWN)


def traits_of(estimator: object) -> EstimatorTraits:
    """The traits of an estimator, or of whatever stands for one."""
    return traits_of_type(type(estimator))


def estimators() -> dict[str, type[ELBO]]:
    """The estimators that a run can change to by name."""
    return {kind.__name__: kind for kind, one in ESTIMATORS.items() if one.chosen_by_name}
