"""What the engine sends to the terminal."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from tui_elbo.model.attribution import BLOCK_TERMS, SUM_TERMS, LensPoint
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.bound import ImportanceBound
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.findings import Finding
from tui_elbo.model.noise import NoiseTable
from tui_elbo.model.rate_scan import RateScan
from tui_elbo.model.records import Batch, Floats, Layout
from tui_elbo.model.verdict import Verdict
from tui_elbo.protocol.commands import Breakpoint

VERSION = 14
"""Grows whenever a message changes its shape or its meaning."""


class Event(msgspec.Struct, frozen=True, tag=True):
    """From the engine to the terminal."""


class Hello(Event, frozen=True):
    """The first message of a connection."""

    version: int
    pid: int
    tells_output: bool = False
    """What is printed comes as `Printed`; else it is left in the pipe of the process."""


class EngineBusy(Event, frozen=True):
    """What the engine is busy with while it cannot step: a few words, replaced by the next."""

    text: str


class Capabilities(msgspec.Struct, frozen=True):
    """Why a source of runs cannot do something, in words that fit one line; empty where it can."""

    rewind: str = ""
    """Go back to an earlier step, or over to a branch."""
    tune: str = ""
    step_into: str = ""
    finish: str = ""
    """Run to a last step that is known beforehand."""
    restart: str = ""
    reload: str = ""
    save: str = ""
    lens: str = ""


class Loaded(Event, frozen=True):
    """A scenario stands at step 0; what came before is history of another run."""

    name: str
    path: str
    title: str
    notes: str
    """Markdown: the file's docstring without its first line."""
    seed: int
    steps: int
    """What "finish" runs to."""
    estimator: str
    """Such as `Trace_ELBO, 4 particles`."""
    optimizer: str
    """Such as `Adam, lr 0.02`."""
    reference: dict[str, Any]
    """As the scenario gives it: `log_evidence`, `elbo`,
    `params` {name: value} and `posterior` {site: (mean, sd)}, each of them optional."""
    estimators: tuple[str, ...] = ()
    """The names that `Tuning.estimator` may have."""
    watched: bool = False
    """The run is a script's own loop: it is left going, never ended from here."""
    optimizers: tuple[str, ...] = ()
    """The names that `Tuning.optimizer` may have."""
    capabilities: Capabilities = Capabilities()
    saved: int = 0
    """So many of the steps that follow are in the file of the saved run that it goes on from."""


class Rewound(Event, frozen=True):
    """The run stands at an earlier step; the steps after it are no longer part of it."""

    step: int
    left: int = 0
    """The number of the branch that the steps just left are kept as; 0 if they are not, as after an
    `UndoStep`, and where another branch begins with them. `BranchesListed` follows."""


class Tuned(Event, frozen=True):
    """Settings have changed from the step after `step` on."""

    step: int
    text: str
    """What has changed, such as `lr 0.1`."""
    estimator: str
    """As in `Loaded`."""
    optimizer: str
    """As in `Loaded`."""


class MovedToMean(Event, frozen=True):
    """The run, at the same step, stands at the mean of its newest iterates. `Tuned` follows."""

    step: int
    left: int
    """The number of the branch that the iterate just left is the end of; 0 if another one goes
    through it."""


class AverageMeasured(Event, frozen=True):
    """What going to the mean of the iterates has gained."""

    taken: AverageTaken


class TrainingInfo(msgspec.Struct, frozen=True):
    """One of the trainings of a process."""

    number: int
    """From 1 on, in the order of their first steps."""
    name: str
    """Of its guide."""
    estimator: str
    """As in `Loaded`."""
    optimizer: str
    """As in `Loaded`."""
    step: int
    """The newest step that is known."""
    loss: float | None
    """Of that step; None where there is none."""
    ended: bool = False
    """It is watched no more."""
    course: tuple[float, ...] = ()
    """Its loss over all steps so far: means of equal parts, from samples where these are long."""


class TrainingsListed(Event, frozen=True):
    """The trainings of the process, in place of those listed before."""

    trainings: tuple[TrainingInfo, ...]
    shown: int
    """The number of the one that the other events are about."""
    chosen: bool
    """Whether it stays shown; else another one is shown once this one steps no more."""


class ConditionMet(Event, frozen=True):
    """The run has stopped on a step because it meets the condition that was given."""

    step: int
    text: str
    """The condition with the step's numbers, such as `elbo = -1.19 > -1.2`."""


class RunStatus(Event, frozen=True):
    """The state of the run. A newer one replaces an older one."""

    state: str
    """`loading`, `paused`, `running` or `failed` (no scenario is loaded: only `Load` helps)."""
    step: int
    target: int | None
    """The step that it runs to; None if there is none."""
    rate: float
    """Steps a second since it was last resumed; 0 when paused."""
    seq: int
    """The last command that has been carried out."""
    memory: int = 0
    """Bytes, about, of the checkpoints."""


class ErrorReported(Event, frozen=True):
    """Something went wrong; the run stands at `step`, nothing is lost."""

    what: str
    where: str
    hint: str
    traceback: str
    """The traceback in the person's own code; may be empty."""
    step: int
    kind: str
    """`load`, `step`, `interrupted`, `nonfinite`; `refused` for a command that cannot be done."""


class Summary(msgspec.Struct, frozen=True):
    """A tensor in a few numbers. What is not finite is counted, and left out of the others."""

    size: int
    """How many elements it has."""
    mean: float
    sd: float
    """Population standard deviation of the finite elements."""
    min: float
    max: float
    broken: int
    """Elements that are not finite."""
    elements: tuple[float, ...]
    """The elements in row-major order, if there are at most `MAX_ELEMENTS`; else none."""


class Histogram(msgspec.Struct, frozen=True):
    """How the finite elements of a tensor are spread over bins of one width."""

    low: float
    high: float
    counts: tuple[int, ...]
    broken: int
    """Elements that are not finite."""


class ParamInspected(Event, frozen=True):
    """Everything about the parameter that was asked for."""

    name: str
    step: int
    """The values are those after this step's update."""
    constrained: Summary | None
    """None if the store has no such parameter now."""
    unconstrained: Summary | None
    gradient: Histogram | None
    """Of the unconstrained tensor, as the optimiser received it in this step; None if it is not
    known (yet), or nothing reached the parameter."""
    note: str = ""
    """Why something is missing, in words."""


class WarningIssued(Event, frozen=True):
    """A warning, Pyro's or ours: for the output pane, and for stderr without a screen."""

    text: str
    source: str
    """Such as `UserWarning` or `elbo-tui`."""


class LayoutAdded(Event, frozen=True):
    """Comes before the first rows that use it."""

    layout: Layout


class StepsRecorded(Event, frozen=True, eq=False):
    """The numbers of consecutive steps. Never dropped, never merged."""

    layout: int
    """The id of a `LayoutAdded` that came before."""
    first: int
    """The 1-based number of the first step."""
    values: Floats
    """Shape (columns, steps). What is not finite is kept as it is."""

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ValueError(f"rows of shape {self.values.shape}")

    @classmethod
    def of(cls, batch: Batch) -> StepsRecorded:
        """The event that carries the batch."""
        return cls(batch.layout.id, batch.first, batch.values)

    @property
    def count(self) -> int:
        """How many steps it holds."""
        return int(self.values.shape[1])

    def batch(self, layouts: dict[int, Layout]) -> Batch:
        """The batch that the event carries.

        Raises:
            ProtocolError: if its layout is unknown or has another number of columns.
        """
        layout = layouts.get(self.layout)
        if layout is None:
            raise ProtocolError(f"rows of layout {self.layout}, which was never described")
        if len(self.values) != len(layout.columns):
            raise ProtocolError(f"{len(self.values)} columns where {len(layout.columns)} belong")
        return Batch(layout, self.first, self.values)


class RunFlagged(Event, frozen=True):
    """A flag of the run that holds until it is loaded or restarted."""

    kind: str
    """`unrepeatable`: replay did not reproduce a recorded loss; `source`: a file has changed since
    the run began; the run keeps the code that was executed; `by_evaluation`: no optimiser is known,
    so steps are counted by evaluations; `minibatches`: the lens sees the data of some steps;
    `unwatched`: nothing more is seen of it."""
    text: str
    """Empty: it holds no more."""


class FindingsChanged(Event, frozen=True):
    """All findings of the run, in place of those sent before."""

    findings: tuple[Finding, ...]
    """The gravest first."""
    dismissed: tuple[Finding, ...] = ()
    """Those that were dismissed for this run."""
    unchecked: tuple[str, ...] = ()
    """What could not be checked and why, in words."""
    examined: int = -1
    """The last step at which the rules have run the model: 0 before the first; -1: not yet."""


class LensPointAdded(Event, frozen=True, eq=False):
    """A lens point: the terms and the posterior at one parameter state. Never dropped."""

    point: LensPoint

    def __post_init__(self) -> None:
        point = self.point
        terms, players = len(point.terms), len(point.players)
        flat = all(part.shape == (terms,) for part in (point.value, point.error, point.spread))
        tables = (point.share, point.share_error, point.total, point.total_error, point.doubt)
        square = all(part.shape == (players, terms) for part in tables)
        blocks = point.blocks.ndim == 3 and point.blocks.shape[:2] == (players, BLOCK_TERMS)
        moments = all(
            part.shape == (len(one.mean),)
            for one in point.posterior.values()
            for part in (one.mean, one.sd, one.mean_error, one.sd_error)
        )
        if not (
            flat and square and blocks and moments and point.terms[: len(SUM_TERMS)] == SUM_TERMS
        ):
            raise ValueError("a lens point whose parts do not fit together")


class GradientsComputed(Event, frozen=True, eq=False):
    """Each parameter's change since a state, and its gradients at the present one."""

    step: int
    since: int
    """The state that the changes are counted from: the one asked for, or the last before it of
    which the values are kept."""
    names: tuple[str, ...]
    """The largest change first."""
    reasons: tuple[str, ...]
    """Why a parameter has no gradients, in words; empty when it has."""
    values: Floats
    """Shape (params, 7): Euclidean norm of the change, unconstrained; norm and signal-to-noise
    ratio of the gradients of E log p, of E log q, and of the ELBO."""

    def __post_init__(self) -> None:
        if not (self.values.shape == (len(self.names), 7) and len(self.reasons) == len(self.names)):
            raise ValueError(f"gradients of shape {self.values.shape} for {len(self.names)} names")


class ImportanceBoundComputed(Event, frozen=True):
    """The importance-weighted bound at the parameters after a step."""

    step: int
    bound: ImportanceBound


class VerdictReached(Event, frozen=True):
    """Is the run done, and what would help; a newer verdict replaces an older one."""

    verdict: Verdict


class NoiseMeasured(Event, frozen=True, eq=False):
    """The noise of the gradient, in answer to `MeasureNoise`."""

    table: NoiseTable


class RatesScanned(Event, frozen=True):
    """What other learning rates would gain, in answer to `ScanRates`."""

    scan: RateScan


class BranchSwitched(Event, frozen=True):
    """The run has gone over to a branch, and stands at its end."""

    number: int
    step: int
    left: int
    """The number of the branch that the path before is kept as; 0 if it is not. `BranchesListed`
    follows."""


class BranchInfo(msgspec.Struct, frozen=True):
    """A path that the run has left behind."""

    number: int
    """From 1 on, in the order of leaving."""
    since: int
    """The last step that it has in common with the run."""
    end: int
    """Its last step."""


class BranchesListed(Event, frozen=True):
    """The branches that there are now, the newest last; any other is kept no longer."""

    branches: tuple[BranchInfo, ...]


class BranchRestored(Event, frozen=True):
    """To a terminal that attaches: the steps sent so far are a branch. The next path follows, from
    its first step on."""

    number: int
    saved: int = 0
    """The last of its steps that is in a file."""


class RunSaved(Event, frozen=True):
    """The run, or a branch, has been saved to a file."""

    path: str
    step: int
    branch: int = 0
    """The number of the branch; 0: the run."""


class RunIdAssigned(Event, frozen=True):
    """The id by which the run can be attached to after its terminal has gone."""

    id: str
    """Empty if it cannot."""
    why: str = ""
    """Why it cannot, in words."""


class Printed(Event, frozen=True):
    """A piece of what the engine's process and the model have printed."""

    data: bytes


class TakenOver(Event, frozen=True):
    """The last message of a connection: the run has another terminal now."""


class SubscriptionsChanged(Event, frozen=True):
    """What terminals have subscribed to, for those that attach later."""

    points: tuple[Breakpoint, ...]
    """The breakpoints, off and on."""
    watched: tuple[str, ...]
    """The parameters that are recorded whole."""


class StatusReported(Event, frozen=True):
    """The state of a run, in answer to `ReportStatus`."""

    id: str
    scenario: str
    """Its name; empty before it is loaded."""
    path: str
    step: int
    state: str
    """As in `RunStatus`."""
    target: int | None
    since: float
    """When the engine began, in seconds since 1970."""
    pid: int
    attached: bool
    """Whether it has a terminal."""
    watched: bool
    """As in `Loaded`."""
    steps: int = 0
    """As in `Loaded`; 0 for none."""
    memory: int = 0
    """Bytes that the process holds in memory; 0 where that cannot be found out."""
    left: float | None = None
    """Seconds until the run ends for want of a terminal; None while it has one or is at work."""


class SiteDraws(msgspec.Struct, frozen=True, eq=False):
    """Draws of one latent site."""

    name: str
    values: Floats
    """Shape (count, *shape of one draw)."""


class PosteriorDrawn(Event, frozen=True):
    """Draws from the guide, in answer to `DrawPosterior`."""

    step: int
    """The state after this step."""
    count: int
    sites: tuple[SiteDraws, ...]
    note: str = ""
    """Why something is missing, in words."""


class TimingPart(msgspec.Struct, frozen=True):
    """One part of what a step takes."""

    name: str
    seconds: float
    about: str
    """A few words more; may be empty."""


class StepTimed(Event, frozen=True):
    """Where the seconds of a step go; a newer one replaces an older one."""

    step: int
    """The newest step."""
    count: int
    """How many single steps before it were timed; the seconds are their means."""
    parts: tuple[TimingPart, ...]
    """All that was measured, in the order of a step."""
    memory: int
    """Bytes that the process holds in memory; 0 where that cannot be found out."""
    peak: int
    """The most that it has held."""
    on_cuda: int
    """Bytes that tensors hold on the present CUDA device; 0 where none is in use."""


class Stage(msgspec.Struct, frozen=True):
    """One thing that happened in a step."""

    kind: str
    """`guide` and `model` for a site; `loss`, `gradient`, `update`."""
    name: str
    """The site's or the parameter's."""
    lines: tuple[str, ...]
    """Its details, in words and numbers."""
    line: int
    """The line of the scenario's file that it is on; 0 if it is on none."""
    first: int
    """The number of the first line of `code`."""
    code: tuple[str, ...]
    """The lines around it."""


class SteppedInto(Event, frozen=True):
    """A step was taken, and this is what happened in it, in its order."""

    step: int
    stages: tuple[Stage, ...]


AnyEvent: TypeAlias = (
    Hello
    | EngineBusy
    | Loaded
    | Rewound
    | Tuned
    | MovedToMean
    | AverageMeasured
    | TrainingsListed
    | ConditionMet
    | RunStatus
    | ErrorReported
    | ParamInspected
    | WarningIssued
    | LayoutAdded
    | StepsRecorded
    | RunFlagged
    | FindingsChanged
    | LensPointAdded
    | GradientsComputed
    | ImportanceBoundComputed
    | VerdictReached
    | NoiseMeasured
    | RatesScanned
    | RunIdAssigned
    | Printed
    | TakenOver
    | StatusReported
    | PosteriorDrawn
    | BranchSwitched
    | BranchesListed
    | BranchRestored
    | SteppedInto
    | StepTimed
    | RunSaved
    | SubscriptionsChanged
)
