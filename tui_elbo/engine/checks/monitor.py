"""Follows a running run with the rules on running runs.

What is taken in of each batch, and how often the rules are tried, is bounded to a share of the
run's time; what runs the person's code happens in a forked copy.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pyro
from torch.optim import Optimizer

from tui_elbo.engine.checks.catalogue import CATALOGUE
from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.checks.evidence import ElementRows, Elements, Evidence
from tui_elbo.engine.checks.examination import Examination, Wanted, examine
from tui_elbo.engine.checks.origin import Origin
from tui_elbo.engine.checks.running import Failure, Running
from tui_elbo.engine.checks.trials import rates_of
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.fork import Progress
from tui_elbo.engine.record.columns import Observation, Steps
from tui_elbo.engine.record.options import Budget
from tui_elbo.model.findings import Finding
from tui_elbo.model.records import Batch, Column, Role
from tui_elbo.protocol.codec import decode

FOLLOWING, JUDGING = 0.013, 0.004
"""Of the processor's time for the steps, what following them and what trying the rules may take:
the clock on the wall also counts the time in which others have the processor."""

LENT = 0.05
"""Seconds of the processor by which following may be ahead of its share; beyond them, batches are
only skimmed."""

GATHERED = 64
"""So many steps are taken in together, where nothing asks for them before: a batch costs about as
much however many steps it has."""

LEAST_STEPS = 100
"""No examination before so many steps, unless they are all there are to be."""

GROWTH = 2.0
"""The run has to have grown by so much since the last one."""

SAID_BEFORE = {
    "never-moves": "no-gradient",
    "draw-off-support": "outside-support",
    "size-changes": "batch-size-changes",
    "non-finite-gradient": "gradient-not-finite",
}
"""Rules that add nothing where a fault of the same subject, or this one, was found before the first
step."""

RUNNING = tuple(rule for rule in CATALOGUE if rule.when == "running")


class Monitor:
    """Takes in the batches of one run at a time, and hands what the rules find to a checker.

    Args:
        checker: keeps the findings.
    """

    def __init__(self, checker: Checker) -> None:
        self._checker, self._lock = checker, threading.RLock()
        self._optimizer: Callable[[], Any] = lambda: None
        self._planned = 0
        self._origin_of: Callable[[int], Origin | None] = lambda _: None
        self.forget()

    def follow(
        self,
        optimizer: Callable[[], Any],
        planned: int,
        *,
        step: int = 0,
        origin_of: Callable[[int], Origin | None] = lambda _: None,
    ) -> None:
        """Follow another run.

        Args:
            optimizer: gives the one in use.
            planned: how many steps there are to be; 0 where nobody knows.
            step: where the run stands.
            origin_of: finds where the first bad number of a step came from.
        """
        self.forget(step)
        self._optimizer, self._planned = optimizer, planned
        self._origin_of = origin_of

    def forget(self, step: int = 0) -> None:
        """Nothing is known of the run but where it stands."""
        with self._lock:
            self._evidence = Evidence(since=step, last=step)
            self._newest = step
            self._waiting: list[tuple[Batch, ElementRows | None]] = []
            self._failure: Failure | None = None
            self._origin: Origin | None = None
            self._traced = 0
            self._seen: Examination | None = None
            self._before: Examination | None = None
            self._examined = self._tried = 0
            self._owed, self._warm, self._stood = 0.0, False, -math.inf
            self._judging = Budget(JUDGING)

    def rewound(self, step: int) -> None:
        """The run stands elsewhere: what was seen of it later holds no longer."""
        seen = self._seen
        self.forget(step)
        if seen is not None and seen.step <= step:
            self._seen, self._examined, self._tried = seen, seen.step, seen.step

    def observe(self, batch: Batch, seen: Sequence[Observation], steps: Steps | None) -> None:
        """Take in a batch as it is made; of skimmed steps, whether they are finite."""
        with self._lock:
            began = time.thread_time()
            self._failure = None
            waiting = self._waiting
            rows = None if steps is None else _elements(batch, seen, steps)
            waiting.append((batch, rows))
            self._newest = batch.first + batch.steps - 1
            if self._newest - waiting[0][0].first >= GATHERED:
                self._take_in()
            # Not more than the clock says, should another thread have taken the last steps.
            row = batch.layout.index[Column("step", "", "seconds")]
            took = min(float(batch.values[row].sum()), max(began - self._stood, 0.0))
            self._stood = time.thread_time()
            cost = self._stood - began
            # The first batch also pays for what is only set up once.
            cost *= self._warm
            self._warm = True
            self._owed = max(0.0, self._owed + cost - FOLLOWING * took)
            self._judging.took(0.0, took)

    def _take_in(self) -> None:
        """Take in the steps that wait for it."""
        waiting, self._waiting = self._waiting, []
        for batch, rows in _joined(waiting):
            if self._owed < LENT and not batch.layout.skimmed:
                self._evidence.take(batch, rows)
            else:
                self._evidence.skim(batch)

    def stepped(self) -> None:
        """Steps have been taken: try the rules if there is time."""
        if self._judging.at(0):
            self.judge()

    def failed(self, failure: Failure, present: Mapping[Column, float] | None = None) -> None:
        """The next step raised.

        Args:
            failure: why.
            present: the parameters as they are now, where the newest steps were skimmed.
        """
        self._failure = failure
        if present is not None:
            self._take_in()
            self._evidence.newest = {**self._evidence.newest, **present}
        self.judge()

    def judge(self) -> None:
        """Try every rule on what is known."""
        with self._lock:
            began = time.thread_time()
            self._checker.running(self.findings())
            self._judging.took(time.thread_time() - began, 0.0)

    def findings(self) -> list[Finding]:
        """What the rules find now."""
        self._take_in()
        evidence = self._evidence
        if evidence.layout is None and self._failure is None:
            return []
        faults = {name for one in self._checker.static_findings for name in _names(one)}
        known = frozenset(faults)
        run = Running(
            evidence,
            rates=self._rates(),
            failure=self._failure,
            origin=self._found_origin(),
            seen=self._seen,
            before=self._before,
            planned=self._planned,
        )
        found: list[Finding] = []
        for rule in RUNNING:
            asked = replace(run, faults=frozenset(faults))
            for one in rule.check(asked):
                if known.intersection((SAID_BEFORE.get(rule.name, ""), one.subject.name)) and (
                    rule.name in SAID_BEFORE
                ):
                    continue
                finding = rule.finding(one, max(1, evidence.last))
                found.append(finding)
                faults.update(_names(finding))
        return found

    def _found_origin(self) -> Origin | None:
        """Where the step that broke the run went wrong; looked for once."""
        bad = self._evidence.first_bad
        step = bad[0] if bad else self._failure.step if self._failure else 0
        if step != self._traced:
            self._traced = step
            self._origin = self._origin_of(step) if step else None
        return self._origin

    # Examinations.

    def due(self, *, running: bool = False) -> bool:
        """Whether the run has gone far enough for another examination.

        Args:
            running: it goes on; what was tried and has given way is then not tried again at once.
        """
        step, end = self._newest, self._planned
        last = max(self._tried, self._examined) if running else self._examined
        if step >= LEAST_STEPS and step >= GROWTH * last:
            return True
        return not running and step == end > last and step >= LEAST_STEPS // 3

    def examination(self) -> Callable[[Lens, dict[str, Role], Progress], Examination]:
        """What is to be called in a forked copy of the process."""
        with self._lock:
            self._take_in()
        evidence, optimizer = self._evidence, self._optimizer()
        self._tried = evidence.last
        layout = evidence.layout
        infos = layout.params if layout is not None else ()
        wanted = Wanted(
            step=evidence.last,
            gradients=not evidence.whole,
            positive=[info.name for info in infos if info.constraint != "real"],
        )
        return lambda lens, roles, report: examine(lens, roles, wanted, optimizer, report)

    def examined(self, data: bytes) -> None:
        """Take in what the copy has answered."""
        with self._lock:
            seen: Examination = decode(data, Examination)
            self._take_in()
            if seen.step <= self._evidence.last:
                self._before, self._seen = self._seen, seen
                self._examined, self._tried = seen.step, self._evidence.last
                self._checker.examined(seen.step)
                self.judge()

    def _rates(self) -> Mapping[str, float] | None:
        optimizer = self._optimizer()
        if not (isinstance(optimizer, Optimizer) or getattr(optimizer, "optim_objs", None)):
            return None
        rates = rates_of(optimizer)
        leaves = pyro.get_param_store().named_parameters()
        return {name: rates[id(leaf)] for name, leaf in leaves if id(leaf) in rates}


def _names(finding: Finding) -> tuple[str, ...]:
    """What a finding of level warning or worse is about, and its rule."""
    return () if finding.level == "note" else (finding.subject.name, finding.name)


def _joined(
    waiting: Sequence[tuple[Batch, ElementRows | None]],
) -> Iterator[tuple[Batch, ElementRows | None]]:
    """Consecutive batches with the same columns as one."""
    for _, some in groupby(waiting, lambda one: _kind(*one)):
        batches, rows = zip(*some, strict=True)
        first: Batch = batches[0]
        if len(batches) == 1:
            yield first, rows[0]
            continue
        values = np.concatenate([one.values for one in batches], axis=1)
        known = [one for one in rows if one is not None]
        joined = None
        if known:
            joined = ElementRows(
                known[0].elements,
                known[0].first,
                np.concatenate([one.after for one in known]),
                np.concatenate([one.grads for one in known]),
            )
        yield Batch(first.layout, first.first, values), joined


def _kind(batch: Batch, rows: ElementRows | None) -> tuple[int, Elements | None]:
    return batch.layout.id, None if rows is None else rows.elements


def _elements(batch: Batch, seen: Sequence[Observation], steps: Steps) -> ElementRows | None:
    plan = seen[0].params.plan
    if not plan.small:
        return None
    names = tuple(param.name for param in plan.small)
    shapes = tuple(tuple(param.tensor.shape) for param in plan.small)
    elements = Elements(names, shapes, plan.has_grad[: len(plan.small)])
    return ElementRows(elements, batch.first, steps.after, steps.grads)
