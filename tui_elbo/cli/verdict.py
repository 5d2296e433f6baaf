"""The verdict without a screen: at the end of a run, and as the condition that ends it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

import msgspec

from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.findings import Finding, finding_object, standing_text
from tui_elbo.model.records import ParamRecord
from tui_elbo.model.tuning import Tuning
from tui_elbo.model.verdict import CONVERGED, Estimate, Verdict, next_judgement

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.session import Session


def reached(
    session: Session, chosen: argparse.Namespace, attribution: Attribution | None = None
) -> Verdict:
    """The verdict on a run where it stands.

    Args:
        session: the run.
        chosen: the options `draws`, `tolerance` and `lens_in_process`.
        attribution: follows the run; None: its lens is made anew.
    """
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - torch
    from tui_elbo.engine.verdict.probe import verdict_on  # noqa: PLC0415

    waits = getattr(chosen, "until", None) == CONVERGED
    if attribution is not None:
        return verdict_on(session, attribution, chosen.tolerance, patient=waits)
    own = Attribution(session, chosen.draws, in_process=chosen.lens_in_process)
    try:
        return verdict_on(session, own, chosen.tolerance, patient=waits)
    finally:
        own.close()


def averaged(
    session: Session, chosen: argparse.Namespace, attribution: Attribution | None = None
) -> tuple[AverageTaken, dict[str, ParamRecord]]:
    """Take the run to the mean of its newest iterates, and measure what that gains.

    Returns:
        That, and the parameters at the mean.

    Args:
        session: the run.
        chosen: the options `draws` and `lens_in_process`.
        attribution: follows the run; None: its lens is made anew.

    Raises:
        UsageError: if there is no such mean; the run then stands where it stood.
    """
    from tui_elbo.engine.lens.attribution import PATIENCE, Attribution  # noqa: PLC0415 - torch
    from tui_elbo.engine.lens.fork import LookError  # noqa: PLC0415
    from tui_elbo.engine.verdict.averaging import gained  # noqa: PLC0415
    from tui_elbo.protocol.codec import decode  # noqa: PLC0415

    before = session.present_state()
    session.tune(Tuning(average=True))
    after, mean = session.present_state(), session.tunings[-1][1].mean
    assert mean is not None
    taken, own = AverageTaken(session.steps_taken, mean.first, mean.last), None
    if attribution is None:
        own = attribution = Attribution(session, chosen.draws, in_process=chosen.lens_in_process)
    params = session.stepper.params.present()
    try:
        lens = attribution.lens()
        data = attribution.call(lambda _: gained(lens, before, after)).wait(PATIENCE)
    except LookError as error:
        return replace(taken, note=f"the lens cannot look: {error}"), params
    finally:
        if own is not None:
            own.close()
    return replace(taken, gain=decode(data, Estimate)), params


def print_average(taken: AverageTaken, params: Mapping[str, ParamRecord], out: TextIO) -> None:
    """Print it as a JSON object."""
    values = {name: _of_param(param) for name, param in params.items()}
    record = {"average": taken.record() | {"params": values}}
    out.write(msgspec.json.encode(record).decode() + "\n")


def _of_param(param: ParamRecord) -> dict[str, object]:
    """As in the record of a step, but for what only a step has."""
    found: dict[str, object] = msgspec.to_builtins(param)
    return {key: value for key, value in found.items() if not key.endswith("_norm")}


def print_verdict(verdict: Verdict, out: TextIO, standing: Sequence[Finding] = ()) -> None:
    """Print it as the JSON object that ends the output, with the errors and warnings that stand."""
    record: dict[str, object] = {"verdict": verdict.record()}
    if standing:
        record["findings"] = [finding_object(one) for one in standing]
    out.write(msgspec.json.encode(record).decode() + "\n")
    out.flush()


def verdict_line(verdict: Verdict, standing: Sequence[Finding]) -> str:
    """It in full; no good one is said where errors or warnings stand."""
    faults = standing_text(standing)
    if not faults:
        return verdict.text
    if verdict.good:
        return f"{faults}: whether the run is done is a question for after that."
    return f"{verdict.text} {faults}."


class UntilConverged:
    """Ends a run once going on would gain nothing, and reports it.

    Args:
        session: what is run.
        judge: reaches the verdict on it.
        report: called with each message.
        standing: gives the errors and warnings that stand.
    """

    def __init__(
        self,
        session: Session,
        judge: Callable[[], Verdict],
        report: Callable[[str], object],
        standing: Callable[[], Sequence[Finding]] = tuple,
    ) -> None:
        self._session, self._judge, self._report = session, judge, report
        self._standing = standing
        self._next = next_judgement(session.iterates.begin, session.iterates.begin)
        self._verdict: Verdict | None = None

    @property
    def most(self) -> int:
        """How many steps the run may take before it is judged."""
        return max(self._next - self._session.steps_taken, 1)

    def met(self) -> bool:
        """Whether it is done; if so, report it."""
        step, begin = self._session.steps_taken, self._session.iterates.begin
        if step < self._next:
            return False
        self._next = next_judgement(begin, step)
        self._verdict = self._judge()
        if self._verdict.done:
            self._report(f"--until {CONVERGED}: {verdict_line(self._verdict, self._standing())}")
        return self._verdict.done

    def missed(self) -> None:
        """Report that the run has ended without it."""
        steps = self._session.steps_taken
        self._report(f"--until {CONVERGED}: not reached in {steps} steps")
