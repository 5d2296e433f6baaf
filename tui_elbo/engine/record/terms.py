"""log p and log q of each step, read off the traces that the ELBO builds anyway.

Every trace-based estimator of Pyro makes its traces in one method (`compat.pyro`). The watch
replaces it on the instance by one that calls it and keeps the detached sums; it
runs no model, draws no random number and keeps no graph.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from pyro.infer import ELBO
from pyro.poutine import Trace

from tui_elbo.engine.compat.pyro import (
    enumerate_dim,
    is_deterministic,
    own_trace_builder,
    set_trace_builder,
    trace_builder,
)
from tui_elbo.engine.record.columns import Formula, Formulas, Steps, put_bounded
from tui_elbo.engine.record.enumeration import enumerated_terms
from tui_elbo.engine.record.estimators import traits_of
from tui_elbo.engine.record.numbers import Kept, kept
from tui_elbo.engine.record.sites import site_info
from tui_elbo.engine.record.timing import READING, StepTimer
from tui_elbo.model.records import Column, Floats, SiteInfo

MANY_SITES = 5_000
"""So many are remembered; names may be new at each step."""

OWN_COLUMNS = 5
"""Those of a step itself."""

LOG_P, LOG_Q = Column("step", "", "log_p"), Column("step", "", "log_q")

SUMMED_OUT = "enumerated in the model: summed out, so it has no term of its own"
DEPENDS_ON_SUMMED_OUT = "depends on a site that is summed out, so it has no term of its own"


@dataclass(eq=False, slots=True)
class StepTerms:
    """What was read off one step's traces."""

    plan: TermPlan
    """The same for all steps with the same sites in the same order."""
    row: list[Kept]
    """Log probabilities, in the order that the plan knows."""


@dataclass(frozen=True, eq=False, slots=True)
class TermsPart:
    """What was read off the traces of one evaluation of an estimator."""

    p_names: list[str]
    q_names: list[str]
    p: list[Kept]
    q: list[Kept]
    traces: int


@dataclass(eq=False)
class TermPlan:
    """How the numbers of such steps become columns."""

    sites: tuple[SiteInfo, ...]
    note: str
    particles: int
    terms: dict[Column, list[int]] = field(default_factory=dict)
    """For each site's column, which numbers add up to it."""
    log_p_by_loss: bool = False
    """log p is `log_q - loss`, since sums over sites would count enumerated branches."""

    def formulas(self) -> Formulas:
        """The columns of such steps: nats, mean over particles."""
        sites: Formulas = {column: self._mean(places) for column, places in self.terms.items()}
        if self.note:
            return sites
        log_q, log_p = self._total("log_q"), self._total("log_p")
        if self.log_p_by_loss:
            own: dict[str, Formula] = {
                "elbo": lambda steps: -steps.loss,
                "log_p": lambda steps: steps.column(LOG_Q) - steps.loss,
                "log_q": log_q,
            }
        else:
            own = {"elbo": _difference, "log_p": log_p, "log_q": log_q}
        return {Column("step", "", name): formula for name, formula in own.items()} | sites

    def _mean(self, places: list[int]) -> Formula:
        """The sum of these numbers, over the particles."""
        if len(places) == 1:
            return lambda steps: steps.terms[:, places[0]] / self.particles
        return lambda steps: steps.terms[:, places].sum(axis=1) / self.particles

    def _total(self, term: str) -> Formula:
        """The sum of a term over all sites."""
        columns = [column for column in self.terms if column.field == term]

        def total(steps: Steps) -> Floats:
            with np.errstate(over="ignore", invalid="ignore"):
                return sum(map(steps.column, columns), np.zeros(len(steps)))

        return total


def _difference(steps: Steps) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        return steps.column(LOG_P) - steps.column(LOG_Q)


class TermRecorder:
    """Reads the terms of each step off the traces of one estimator.

    Args:
        loss: the estimator; its trace builder is replaced on the instance.
        timer: times single steps.
    """

    def __init__(self, loss: ELBO, timer: StepTimer | None = None) -> None:
        self._timer = StepTimer() if timer is None else timer
        self.model_params: set[str] = set()
        """Parameters read by the model."""
        self.guide_params: set[str] = set()
        """Parameters read by the guide."""
        self.traced = False
        """Whether a trace of model and guide has been seen."""
        self._infos: dict[str, SiteInfo] = {}
        self._guide: dict[str, tuple[str, bool]] = {}
        self._summed_out: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._plans: dict[Hashable, TermPlan] = {}
        self._described: set[str] = set()
        self._scales: dict[str, float] = {}
        self.watch(loss)

    def expect(self, loss: ELBO) -> None:
        """The traces that are taken from now on are this estimator's."""
        self._loss = loss
        traits = traits_of(loss)
        self._enumerates, self._note = traits.enumerates, traits.no_terms
        self._sums = not self._note and not self._enumerates
        self.begin()

    def watch(self, loss: ELBO) -> None:
        """Read another estimator's traces from now on; one watched before is known again."""
        self.expect(loss)
        take, original = self.take, trace_builder(loss)
        if original is None or own_trace_builder(loss) is not None:
            return

        def read(model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
            timer = self._timer
            if not timer.on:
                traces = original(model, guide, args, kwargs)
                take(*traces)
                return traces
            traces = timer.traces(original, model, guide, args, kwargs)
            take(*traces)
            timer.lap(READING)
            return traces

        set_trace_builder(loss, read)

    def begin(self) -> None:
        """Forget what an earlier, perhaps failed, step has left."""
        self._p_names: list[str] = []
        self._q_names: list[str] = []
        self._p: list[Kept] = []
        self._q: list[Kept] = []
        self._traces = 0
        self._evaluations = 1

    def part(self) -> TermsPart:
        """What one of a step's evaluations has said, taken out."""
        part = TermsPart(self._p_names, self._q_names, self._p, self._q, self._traces)
        self.begin()
        return part

    def join(self, parts: Sequence[TermsPart]) -> None:
        """The step is what these evaluations, at least one, have said."""
        self.begin()
        self._evaluations = len(parts)
        for part in parts:
            self._p_names += part.p_names
            self._q_names += part.q_names
            self._p += part.p
            self._q += part.q
            self._traces += part.traces

    @property
    def columns(self) -> int:
        """How many columns the step that is under way has, parameters aside."""
        return len(set(self._p_names)) + len(set(self._q_names)) + OWN_COLUMNS

    @property
    def _nesting(self) -> float:
        return self._loss.max_plate_nesting if self._enumerates else math.inf

    def finish(self) -> StepTerms:
        """What this step's traces said."""
        key = (
            self._note,
            self._enumerates,
            self._loss.num_particles,
            self._evaluations,
            self._traces > 0,
            tuple(self._p_names),
            tuple(self._q_names),
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plan()
            put_bounded(self._plans, key, plan)
        terms = StepTerms(plan, self._p + self._q)
        self.begin()
        if len(self._infos) > MANY_SITES:
            for known in (
                self._infos,
                self._guide,
                self._summed_out,
                self._hidden,
                self._described,
            ):
                known.clear()
            self._scales.clear()
        return terms

    def take(self, model_trace: Trace, guide_trace: Trace) -> None:
        """Read the traces of one particle."""
        self._traces += 1
        self.traced = True
        # This runs once a particle: one pass over each trace, and nothing that can wait.
        for name, node in guide_trace.nodes.items():
            if node["type"] == "sample":
                if name not in self._guide:
                    self._describe_guide_site(name, node, guide_trace)
                if self._sums:
                    self._q_names.append(name)
                    self._q.append(kept(node["log_prob_sum"]))
            elif node["type"] == "param":
                self.guide_params.add(name)
        scales = self._scales
        for name, node in model_trace.nodes.items():
            if node["type"] == "sample":
                if name not in self._described:
                    self._describe_model_site(name, node)
                elif node["scale"] is not scales.get(name):
                    self._note_scale(name, node["scale"])
                if self._sums:
                    self._p_names.append(name)
                    self._p.append(kept(node["log_prob_sum"]))
            elif node["type"] == "param":
                self.model_params.add(name)
        if self._enumerates and not self._note:
            self._take_enumerated(model_trace, guide_trace)

    def _take_enumerated(self, model_trace: Trace, guide_trace: Trace) -> None:
        found = enumerated_terms(model_trace, guide_trace)
        for term, name, value in found:
            names, values = (
                (self._p_names, self._p) if term == "log_p" else (self._q_names, self._q)
            )
            names.append(name)
            values.append(kept(value))
        self._note_summed_out(model_trace, set(self._p_names))

    def _describe_guide_site(self, name: str, node: Any, trace: Trace) -> None:
        auxiliary = bool(node["infer"].get("is_auxiliary"))
        base = name.removesuffix("_unconstrained")
        shown = base if auxiliary and base in trace.nodes else name
        self._guide[name] = (shown, auxiliary)
        self._infos.setdefault(shown, site_info(shown, node, self._nesting))

    def _describe_model_site(self, name: str, node: Any) -> None:
        self._described.add(name)
        self._note_scale(name, node["scale"])
        if is_deterministic(node):
            self._hidden.add(name)
            return
        self._infos[name] = site_info(name, node, self._nesting)

    def _note_scale(self, name: str, scale: Any) -> None:
        """A site may be scaled otherwise than before: annealed, say, or by a smaller last batch."""
        # A tensor is not read: that costs, and within a compiled estimator it has no value.
        if type(scale) is not float:
            return
        before, self._scales[name] = self._scales.get(name, scale), scale
        info = self._infos.get(name)
        if before != scale and info is not None and not math.isnan(info.scale):
            self._infos[name] = msgspec.structs.replace(info, scale=math.nan)
            self._plans.clear()

    def _note_summed_out(self, trace: Trace, with_terms: set[str]) -> None:
        for name, node in trace.nodes.items():
            if node["type"] == "sample" and name not in with_terms:
                enumerated = enumerate_dim(node) is not None
                self._summed_out[name] = SUMMED_OUT if enumerated else DEPENDS_ON_SUMMED_OUT

    def _plan(self) -> TermPlan:
        plan = TermPlan((), self._note, self._loss.num_particles * self._evaluations)
        plan.log_p_by_loss = self._enumerates
        if not self._note and not self._traces:
            plan.note = "the loss builds no traces that elbo-tui can see"
        names = [("log_p", name) for name in self._p_names]
        names += [("log_q", name) for name in self._q_names]
        for index, (term, name) in enumerate(names):
            if name in self._hidden:
                continue
            shown = self._guide[name][0] if term == "log_q" else name
            plan.terms.setdefault(Column("site", shown, term), []).append(index)
        present = {column.name for column in plan.terms} or set(self._infos)
        present |= self._summed_out.keys()
        order = sorted(self._infos, key=lambda name: name not in self._described)
        plan.sites = tuple(self._noted(self._infos[name]) for name in order if name in present)
        return plan

    def _noted(self, info: SiteInfo) -> SiteInfo:
        note = self._summed_out.get(info.name)
        return info if note is None else msgspec.structs.replace(info, note=note)
