"""A chunk of a run: its state in; columns, and the state after them, out.

One session a process: a process that gets the next chunk of the run that it has just left goes on
with its session, any other begins from the state, which is exact.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tui_elbo.model.comparison import Evaluation, unevaluated
from tui_elbo.model.errors import ElboError
from tui_elbo.model.findings import Finding
from tui_elbo.model.records import Batch, Column, Floats, Layout
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.model.verdict import CONVERGED, Tolerance, Verdict, cannot_tell, next_judgement
from tui_elbo.protocol.codec import decode, encode
from tui_elbo.runfile.database import PackedTensor, RunSettings, SavedRun

if TYPE_CHECKING:
    from tui_elbo.engine.checks.run_checks import RunChecks
    from tui_elbo.engine.session import Session
    from tui_elbo.engine.verdict.iterates import PackedIterates

LOOK_SECONDS, LOOK_STEPS = 0.2, 2000
"""After so long, or so many steps, the clock is looked at."""

LOSS = Column("step", "", "loss")


class Goal(msgspec.Struct, frozen=True):
    """Where a run of a sweep goes."""

    steps: int | None
    """At most so many; None: as many as the scenario says."""
    converged: bool
    """Whether it ends earlier, once its verdict is that going on would gain nothing."""
    tolerance: Tolerance
    """Of the verdict."""
    draws: int
    """Of the lens."""
    halving: bool = False
    """Whether runs that cannot catch up are dropped at doublings of the steps."""
    findings: bool = False
    """Whether faults are looked for."""


class Task(msgspec.Struct, frozen=True, eq=False):
    """A chunk to be taken."""

    key: str
    """Of the run; two runs never have the same."""
    goal: Goal
    seconds: float
    """After so long the chunk ends."""
    settings: RunSettings
    text: bytes
    """The scenario's source."""
    losses: Floats
    """Of the steps taken so far, shape (steps,)."""
    layouts: int = 0
    """How many layouts these steps have."""
    state: bytes = b""
    tensors: tuple[PackedTensor, ...] = ()
    """The state to go on from; empty at the beginning."""
    iterates: bytes = b""
    whole: bool = False
    """Whether the run is not to be cut, since its state cannot travel."""
    look_at: int = 0
    """After this step the chunk ends, and the run is looked at; 0: nowhere."""
    before_steps: tuple[Finding, ...] = ()
    """What was found before the first step."""
    stop: bool = False
    """Whether the run ends with the next step, since a person has asked for it."""
    versions: dict[str, str] = {}
    """Of the libraries of whoever asks for it; empty: any will do."""


class Header(msgspec.Struct, frozen=True):
    """What is read of a task, or of its result, whatever version of elbo-tui has made it."""

    key: str = ""
    versions: dict[str, str] = {}


class Look(msgspec.Struct, frozen=True, eq=False):
    """How a run stands where it is compared with the others."""

    step: int
    verdict: Verdict
    evaluation: Evaluation
    """At this step."""
    at_mean: Evaluation
    """At the mean of its newest iterates."""
    rate_decays: bool
    """Whether its learning rate changes by itself."""


class Ending(msgspec.Struct, frozen=True, eq=False):
    """How a run has ended, and what it has come to."""

    kind: str
    """`steps`, `converged`, `dropped`, `by hand`, `not finite` or `failed`."""
    note: str
    """What was not finite, or the error; empty otherwise."""
    verdict: Verdict
    evaluation: Evaluation
    findings: tuple[Finding, ...] = ()
    """What is wrong with it, the gravest first."""


class Taken(msgspec.Struct, frozen=True, eq=False):
    """What a chunk came to."""

    batches: tuple[Batch, ...]
    """Its steps. If they begin with the first, what was taken of the run before is void."""
    settings: RunSettings
    state: bytes
    tensors: tuple[PackedTensor, ...]
    iterates: bytes
    steps: int
    """Where the run goes at most."""
    ending: Ending | None
    """None while the run goes on."""
    note: str = ""
    """Why the run is not cut into chunks, in words; empty while it is."""
    seconds: float = 0.0
    """That the chunk took, all in all."""
    look: Look | None = None
    """Where it has ended to be compared with the others; None where it has not."""
    before_steps: tuple[Finding, ...] = ()
    """What was found before the first step."""
    versions: dict[str, str] = {}
    """Of the libraries that took it."""
    missing: str = ""
    """Why the scenario cannot be loaded there, if it lacks a module; empty otherwise."""


@dataclass
class _Warm:
    """The session of the chunk before."""

    key: str = ""
    session: Session | None = None
    layout: Layout | None = None
    """Of its newest step."""
    checks: RunChecks | None = None


_warm = _Warm()


def begin_worker() -> None:
    """Make this process ready for chunks: import what all runs take, and leave it out of searches.

    The modules of a run are looked for among all objects that the garbage collector knows.
    """
    import tui_elbo.engine.evaluation  # noqa: PLC0415 - torch
    import tui_elbo.engine.verdict.probe  # noqa: F401, PLC0415
    from tui_elbo.engine.lens.importance_weights import prepare  # noqa: PLC0415
    from tui_elbo.engine.process_state import warm_up  # noqa: PLC0415

    warm_up()
    prepare()
    gc.collect()
    gc.freeze()


@cache
def versions() -> dict[str, str]:
    """The libraries that decide what a step comes to; without what a build is for."""
    names = ("elbo-tui", "pyro-ppl", "torch")
    return {name: version(name).partition("+")[0] for name in names}


def run_chunk(data: bytes) -> bytes:
    """Take a chunk; this is what a worker is given. Packed tasks in, packed results out.

    Whatever is wrong with the run itself is part of the result. Where the libraries here are others
    than those of the task, it is not taken, and the result is their versions alone.
    """
    theirs = decode(data, Header).versions
    if theirs and theirs != versions():
        return encode(Header(versions=versions()))
    taken = take(decode(data, Task))
    return encode(msgspec.structs.replace(taken, versions=versions()))


def take(task: Task) -> Taken:
    """The same, unpacked."""
    began = time.monotonic()
    try:
        chunk = _Chunk(task)
    except ElboError as error:
        _warm.key = ""
        ending = Ending("failed", str(error), _none(0), unevaluated("the run did not begin"))
        steps = task.goal.steps or 0
        cause = error.__cause__
        missing = str(cause) if isinstance(cause, ModuleNotFoundError) else ""
        return Taken((), task.settings, b"", (), b"", steps, ending, missing=missing)
    taken = chunk.take(began + task.seconds)
    return msgspec.structs.replace(taken, seconds=time.monotonic() - began)


class _Chunk:
    def __init__(self, task: Task) -> None:
        from tui_elbo.engine.record.options import Every  # noqa: PLC0415 - these import torch
        from tui_elbo.engine.verdict.iterates import PackedIterates  # noqa: PLC0415

        self._task, self._goal = task, task.goal
        self._note = ""
        self._whole = task.whole
        self._batches: list[Batch] = []
        done = len(task.losses)
        warm = _warm.session if _warm.key == task.key else None
        if warm is not None and warm.steps_taken == done and warm.sound:
            self._session = warm
        else:
            self._session = self._opened()
            if self._session.steps_taken and task.iterates:
                kept: PackedIterates = decode(task.iterates, PackedIterates)
                self._session.iterates.go_on_with(kept)
        self._layout: Layout | None = _warm.layout if self._session is warm else None
        self._checks: RunChecks | None = _warm.checks if self._session is warm else None
        self._steps = self._goal.steps or self._session.scenario.steps
        self._session.due = Every(1, self._steps)
        if self._goal.findings and self._checks is None:
            self._checks = self._checked()
        _warm.key, _warm.session, _warm.checks = task.key, self._session, self._checks

    def _checked(self) -> RunChecks:
        from tui_elbo.engine.checks.run_checks import RunChecks  # noqa: PLC0415 - torch

        goal, known = self._goal, self._task.before_steps
        return RunChecks(self._session, self._steps, draws=goal.draws, known=known)

    def _opened(self) -> Session:
        from tui_elbo.engine.scenario import release  # noqa: PLC0415
        from tui_elbo.engine.session import Session  # noqa: PLC0415

        _warm.session = None
        release()
        try:
            session = Session(_saved_run(self._task), checkpoint_memory=CHECKPOINT_MEMORY)
        except ElboError as error:
            if not len(self._task.losses):
                raise
            # It cannot be taken up where it was left: it is run again, in one piece.
            self._note = f"run again in one piece: {error.what}"
            self._whole = True
            again = msgspec.structs.replace(
                self._task, losses=np.empty(0), state=b"", tensors=(), layouts=0
            )
            session = Session(_saved_run(again), checkpoint_memory=CHECKPOINT_MEMORY)
        if not session.from_state and session.steps_taken:
            self._note = "in one piece: what it keeps in Python variables is no part of a state"
            self._whole = True
        return session

    def take(self, deadline: float) -> Taken:
        """Take steps until the run ends, or the chunk does."""
        session, over = self._session, False
        while True:
            over = over or session.steps_taken == self._look_at - 1
            if over:
                session.keep_state()
            ending = self._advance(1 if over or self._task.stop else LOOK_STEPS)
            if ending is None and self._task.stop:
                ending = self._ended("by hand")
            if ending is None and over and not session.saved(()).state:
                self._note, self._whole = "in one piece: its state cannot be packed", True
                over = False
            if over or ending is not None:
                return self._taken(ending)
            over = time.monotonic() >= deadline and not self._whole

    @property
    def _look_at(self) -> int:
        """After which step it is looked at; one that is not to be cut is not."""
        return 0 if self._whole else self._task.look_at

    def _look(self) -> Look:
        from tui_elbo.engine.evaluation import evaluate  # noqa: PLC0415

        session, draws = self._session, self._goal.draws
        return Look(
            step=session.steps_taken,
            verdict=self._verdict(),
            evaluation=evaluate(session, self._layout, draws),
            at_mean=evaluate(session, self._layout, draws, at_mean=True),
            rate_decays=session.rate_decays,
        )

    def _advance(self, most: int) -> Ending | None:
        from tui_elbo.model.errors import StepError  # noqa: PLC0415

        session = self._session
        before, begin = session.steps_taken, session.iterates.begin
        judged = self._next_judgement(before, begin)
        if before >= self._steps:
            return self._ended("steps")
        most = min(most, self._steps - before, judged - before)
        if before < self._look_at - 1:
            most = min(most, self._look_at - 1 - before)
        try:
            self._add(session.advance(most, LOOK_SECONDS))
        except StepError as error:
            self._add(session.flush())
            if self._checks is not None:
                self._checks.failed(error)
            return self._ended("failed", str(error))
        if session.non_finite is not None:
            return self._ended("not finite", str(session.non_finite))
        if self._goal.converged and session.steps_taken == judged:
            verdict = self._verdict()
            if verdict.done:
                return self._ended(CONVERGED, verdict=verdict)
        return self._ended("steps") if session.steps_taken >= self._steps else None

    def _next_judgement(self, step: int, begin: int) -> int:
        """The first step after this one at which the run is judged; far away if it never is."""
        if not self._goal.converged:
            return self._steps + 1
        judged = begin
        while judged <= step:
            judged = next_judgement(begin, judged)
        return judged

    def _add(self, batches: list[Batch]) -> None:
        self._batches += batches
        if batches:
            self._layout = _warm.layout = batches[-1].layout

    def _verdict(self) -> Verdict:
        from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415
        from tui_elbo.engine.verdict.probe import verdict_on  # noqa: PLC0415

        attribution = Attribution(self._session, self._goal.draws)
        try:
            goal = self._goal
            return verdict_on(self._session, attribution, goal.tolerance, patient=goal.converged)
        finally:
            attribution.close()

    def _ended(self, kind: str, note: str = "", verdict: Verdict | None = None) -> Ending:
        from tui_elbo.engine.evaluation import evaluate  # noqa: PLC0415

        session, checks = self._session, self._checks
        if checks is not None and kind != "failed":
            checks.end()
        if kind == "not finite":
            evaluation = unevaluated("its last step is not finite")
        elif kind == "failed":
            evaluation = unevaluated("a step failed")
        else:
            evaluation = evaluate(session, self._layout, self._goal.draws)
        if verdict is None and kind == "failed":
            verdict = _none(session.steps_taken, "a step failed")
        findings = () if checks is None else checks.findings
        return Ending(kind, note, verdict or self._verdict(), evaluation, findings)

    def _taken(self, ending: Ending | None) -> Taken:
        saved = self._session.saved(())
        looked = ending is None and self._session.steps_taken == self._look_at
        return Taken(
            batches=tuple(self._batches),
            settings=saved.settings,
            state=saved.state,
            tensors=saved.tensors,
            iterates=encode(self._session.iterates.packed()),
            steps=self._steps,
            ending=ending,
            note=self._note,
            look=self._look() if looked else None,
            before_steps=() if self._checks is None else self._checks.before_steps,
        )


def _saved_run(task: Task) -> SavedRun:
    """What the task goes on from, as a saved run whose steps have a loss and nothing else."""
    layout = Layout(max(task.layouts - 1, 0), (), (), (LOSS,))
    done = Batch(layout, 1, task.losses[None, :])
    return SavedRun(
        task.settings,
        task.text,
        (done,) if len(task.losses) else (),
        task.state,
        task.tensors,
    )


def _none(step: int, why: str = "the run did not begin") -> Verdict:
    return cannot_tell(step, why)
