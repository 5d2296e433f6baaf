"""The state of a run, folded from the engine's events: the one fold, of engine and terminal alike.

The engine folds its own events to tell a terminal that comes later; the terminal folds what it
receives to draw it. `RunState.events` gives the events that lead to the same state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from msgspec.structs import replace

from tui_elbo.model.attribution import LensPoint
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.findings import Finding
from tui_elbo.model.history import History
from tui_elbo.model.lens_history import LensHistory
from tui_elbo.model.noise import NoiseTable
from tui_elbo.model.rate_scan import RateScan
from tui_elbo.model.records import Column, Floats, Layout
from tui_elbo.model.verdict import Verdict
from tui_elbo.protocol.events import (
    AverageMeasured,
    BranchesListed,
    BranchInfo,
    BranchRestored,
    BranchSwitched,
    ConditionMet,
    EngineBusy,
    ErrorReported,
    Event,
    FindingsChanged,
    GradientsComputed,
    ImportanceBoundComputed,
    LayoutAdded,
    LensPointAdded,
    Loaded,
    MovedToMean,
    NoiseMeasured,
    ParamInspected,
    Printed,
    RatesScanned,
    Rewound,
    RunFlagged,
    RunIdAssigned,
    RunSaved,
    RunStatus,
    StepsRecorded,
    StepTimed,
    SubscriptionsChanged,
    TrainingsListed,
    Tuned,
    VerdictReached,
    WarningIssued,
)

CHUNK = 2**20
"""Bytes of numbers in one message."""

OUTPUT_BYTES = 2**18
"""Of what was printed, and of warnings, that are kept to be sent again."""


@dataclass(eq=False)
class Branch:
    """A path that the run has left behind: its columns, and how it came about."""

    history: History
    """Of all its steps, from the first on."""
    tunings: list[Tuned]
    settings: tuple[str, str]
    """The estimator and the optimiser of its last step, in words."""
    since: int
    """The last step that it has in common with the run."""
    saved: int = 0
    """The last of its steps that is in a file."""
    seen: LensPoint | None = None
    """What the lens has seen of it last; None if nothing."""
    loaded: Loaded | None = None
    """The scenario."""
    _drawn: dict[tuple[Column, int], tuple[int, Floats]] = field(default_factory=dict)

    def values(self, column: Column, sign: int = 1) -> Floats:
        """A column from `since` on, times the sign, index `step - 1`; the same array each time."""
        known = self._drawn.get((column, sign))
        if known is None or known[0] != self.since:
            values = sign * self.history.values(column)
            values[: max(0, self.since - 1)] = np.nan
            known = self._drawn[column, sign] = self.since, values
        return known[1]

    @property
    def changes(self) -> str:
        """What was changed on the way, as `changes_in_words` says it."""
        return changes_in_words(self.loaded, self.tunings, self.history.last)

    def label(self, settings: Sequence[str]) -> str:
        """A few words for what differs from the run with these settings, such as `lr .02`."""
        words = [part for text in self.settings for part in text.split(", ")]
        here = {part for text in settings for part in text.split(", ")}
        apart = [word.removesuffix(" particles") for word in words if word not in here]
        return ", ".join(apart[:2]).replace(" 0.", " .") or "before"


def changes_in_words(loaded: Loaded | None, tunings: Sequence[Tuned], last: int) -> str:
    """What was changed on the way to the step `last`, the newest first, such as `lr 0.01 -> 0.03
    from step 200`.

    Where nothing was, the settings that it began with.
    """
    began = [*loaded.estimator.split(", "), *loaded.optimizer.split(", ")] if loaded else []
    rate = next((word for word in began if word.startswith("lr ")), "")
    parts = []
    for tuned in tunings:
        moved = tuned.text.startswith("mean of ")
        if tuned.step > last or (tuned.step == last and not moved):
            continue
        words = tuned.text.split(", ")
        for place, word in enumerate(words):
            if word.startswith("lr "):
                if rate:
                    words[place] = f"{rate} -> {word.removeprefix('lr ')}"
                rate = word
        parts.append(
            f"{', '.join(words)} {'at' if moved else 'from'} step {tuned.step + (not moved)}"
        )
    return "; ".join(reversed(parts)) or ", ".join(["as it began", *began])


class RunState:
    """What the events so far say of a run. Only `apply` changes it."""

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        """The scenario that the history is of."""
        self.level: RunStatus | None = None
        self.phase = ""
        """What keeps the engine from stepping, in words; empty when nothing does."""
        self.named: RunIdAssigned | None = None
        """The run's name, or why it has none."""
        self.subscriptions: SubscriptionsChanged | None = None
        """The breakpoints, and the parameters recorded whole."""
        self.trainings: TrainingsListed | None = None
        """Those of the process; None where they are not listed."""
        self.saved = 0
        """The last of the history's steps that is in a file."""
        self._output = _Output()
        self._layouts: dict[int, Layout] = {}
        self._begin()

    def _begin(self) -> None:
        self.history = History()
        self.tunings: list[Tuned] = []
        """The changes of settings, from the first on."""
        self.branches: dict[int, Branch] = {}
        """The paths that were left behind, by number; the newest last."""
        self.lens_history = LensHistory()
        """What the lens has seen."""
        self.cautions: dict[str, RunFlagged] = {}
        """What holds of the run from now on, by kind; the newest last."""
        self.checked: FindingsChanged | None = None
        """The newest word about findings."""
        self.inspected: ParamInspected | None = None
        """The newest word about the parameter that is inspected."""
        self.verdict: Verdict | None = None
        """The newest verdict; None before the first, and once its settings hold no more."""
        self.timed: StepTimed | None = None
        """Where the seconds of a step go, as measured last."""
        self._stand_anew()

    def _stand_anew(self) -> None:
        """Forget what holds at one step only."""
        self.fault: ErrorReported | None = None
        """What went wrong last, until a step or a new start goes well."""
        self.met: ConditionMet | None = None
        """Why the run has stopped by itself, until it goes on."""
        self.weighed: ImportanceBoundComputed | None = None
        """The newest word about importance weights."""
        self.average: AverageTaken | None = None
        """The mean of the iterates at which the run stands, until it goes on."""
        self.pulled: GradientsComputed | None = None
        """The newest word about the parameters' gradients."""
        self.noise: NoiseTable | None = None
        """The noise of the gradient, as measured last; None once other settings are in use."""
        self.scan: RateScan | None = None
        """What other learning rates would gain, likewise."""

    @property
    def step(self) -> int:
        """The newest step that the history holds."""
        return self.history.last

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the run, the gravest first; without what was dismissed."""
        return () if self.checked is None else self.checked.findings

    @property
    def settings(self) -> tuple[str, str]:
        """The estimator and the optimiser of the next step, in words; empty before loading."""
        newest = self.tunings[-1] if self.tunings else self.loaded
        return (newest.estimator, newest.optimizer) if newest else ("", "")

    @property
    def _used(self) -> tuple[str, str]:
        """The estimator and the optimiser of the last step, in words."""
        taken = [tuned for tuned in self.tunings if tuned.step < self.history.last]
        newest = taken[-1] if taken else self.loaded
        return (newest.estimator, newest.optimizer) if newest else ("", "")

    def apply(self, event: Event) -> None:
        """Take in the next event.

        Raises:
            ProtocolError: if it does not fit what came before.
        """
        match event:
            case StepsRecorded():
                self._append(event)
            case LayoutAdded():
                self._layouts[event.layout.id] = event.layout
            case LensPointAdded():
                self.lens_history.add(event.point)
            case RunStatus():
                self.level = event
                if event.state != "loading":
                    self.phase = ""
            case Loaded():
                self.loaded, self.phase = event, ""
                self._begin()
                self.saved = event.saved
            case Rewound() | BranchSwitched() | BranchesListed() | BranchRestored() | MovedToMean():
                self._travel(event)
            case AverageMeasured():
                self.average = event.taken
            case Tuned():
                self.tunings.append(event)
                self.fault = self.verdict = self.noise = self.scan = None
            case _:
                self._note(event)

    def _flag(self, event: RunFlagged) -> None:
        self.cautions.pop(event.kind, None)
        if event.text:
            self.cautions[event.kind] = event

    def _note(self, event: Event) -> None:
        """The newest of a kind replaces the one before."""
        match event:
            case ConditionMet():
                self.met = event
            case FindingsChanged():
                self.checked = event
            case ParamInspected():
                self.inspected = event
            case ImportanceBoundComputed():
                self.weighed = event
            case GradientsComputed():
                self.pulled = event
            case RunFlagged():
                self._flag(event)
            case EngineBusy():
                self.phase = event.text
            case ErrorReported():
                self.fault, self.phase = event, ""
            case RunIdAssigned() | SubscriptionsChanged() | TrainingsListed():
                self._note_process(event)
            case RunSaved():
                self._note_saved(event)
            case Printed() | WarningIssued():
                self._output.keep(event)
            case _:
                self._note_measured(event)

    def _note_saved(self, event: RunSaved) -> None:
        if not event.branch:
            self.saved = event.step
        elif event.branch in self.branches:
            self.branches[event.branch].saved = event.step

    def _note_process(self, event: RunIdAssigned | SubscriptionsChanged | TrainingsListed) -> None:
        """What holds of the process and its terminals."""
        match event:
            case RunIdAssigned():
                self.named = event
            case SubscriptionsChanged():
                self.subscriptions = event
            case TrainingsListed():
                self.trainings = event

    def _note_measured(self, event: Event) -> None:
        """What takes its time."""
        match event:
            case VerdictReached():
                self.verdict = event.verdict
            case NoiseMeasured():
                self.noise = event.table
            case RatesScanned():
                self.scan = event.scan
            case StepTimed():
                self.timed = event

    def share(self, other: RunState) -> None:
        """Be a run of the same process as `other`: its name, the trainings that there are, and what
        it prints are the same.
        """
        self.named, self._output = other.named, other._output
        self.trainings = other.trainings

    def events(self, *, output: bool = True) -> Iterator[Event]:
        """Events from which another state comes to be what this one is now.

        They may be taken slowly, while this state goes on: what is applied meanwhile, and sent
        after them, makes good whatever it has changed.

        Args:
            output: whether what was printed is among them.
        """
        parts: list[Iterable[Event | None]] = []
        described = set[int]()
        for number, branch in self.branches.items():
            parts += [tuple(branch.tunings), _rows(branch.history, 0, described)]
            seen = [] if branch.seen is None else [LensPointAdded(branch.seen)]
            parts.append([*seen, BranchRestored(number, branch.saved)])
        if self.branches:
            listed = [
                BranchInfo(number, one.since, one.history.last)
                for number, one in self.branches.items()
            ]
            parts.append([BranchesListed(tuple(listed))])
        first = [
            replace(self.loaded, saved=self.saved) if self.loaded is not None else None,
            self.named,
            self.trainings,
            *(self._output.events() if output else ()),
        ]
        parts.insert(0, first)
        parts += [tuple(self.tunings), _rows(self.history, 0, described)]
        parts.append(map(LensPointAdded, tuple(self.lens_history)))
        parts.append(
            [self.subscriptions, *self.cautions.values(), self.checked, self.pulled, self.weighed]
        )
        phase = EngineBusy(self.phase) if self.phase else None
        parts.append([VerdictReached(self.verdict) if self.verdict is not None else None])
        parts.append([AverageMeasured(self.average) if self.average is not None else None])
        parts.append([NoiseMeasured(self.noise) if self.noise is not None else None])
        parts.append([RatesScanned(self.scan) if self.scan is not None else None])
        parts.append([self.timed, self.met, self.fault, self.level, phase])
        return (event for event in chain.from_iterable(parts) if event is not None)

    def _append(self, rows: StepsRecorded) -> None:
        try:
            self.history.append(rows.batch(self._layouts))
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        self.fault = self.met = self.average = None

    def _travel(
        self,
        event: Rewound | BranchSwitched | BranchesListed | BranchRestored | MovedToMean,
    ) -> None:
        match event:
            case Rewound():
                self._rewind(event)
            case BranchSwitched():
                self._switch(event)
            case MovedToMean():
                self._move_to_mean(event)
            case BranchesListed():
                self._list_branches(event)
            case BranchRestored():
                self._restore_branch(event)

    def _left(self, since: int) -> Branch:
        """The path up to now, as a branch."""
        return Branch(
            self.history,
            list(self.tunings),
            self._used,
            since,
            self.saved,
            self.lens_history.latest_usable(self.history.last),
            self.loaded,
        )

    def _keep_branch(self, number: int, since: int) -> None:
        if number:
            branch = self._left(since)
            branch.history = self.history.copy()
            self.branches[number] = branch

    def _list_branches(self, event: BranchesListed) -> None:
        listed = {one.number: one for one in event.branches}
        if not listed.keys() <= self.branches.keys():
            raise ProtocolError("a branch that nobody has seen")
        self.branches = {n: one for n, one in self.branches.items() if n in listed}
        for number, branch in self.branches.items():
            branch.since = listed[number].since

    def _restore_branch(self, event: BranchRestored) -> None:
        self.saved, saved = event.saved, self.saved
        self.branches[event.number] = self._left(0)
        self.saved, self.history, self.tunings = saved, History(), []
        self.lens_history = LensHistory()
        self._stand_anew()

    def _move_to_mean(self, event: MovedToMean) -> None:
        # The step is the same, but what was seen there is what has been left.
        self._keep_branch(event.left, event.step - 1)
        self.saved = min(self.saved, event.step - 1)
        self.lens_history.forget_after(event.step - 1)
        self._stand_anew()

    def _rewind(self, event: Rewound) -> None:
        self._keep_branch(event.left, event.step)
        self.saved = min(self.saved, event.step)
        self.history.forget_after(event.step)
        self.tunings = [tuned for tuned in self.tunings if tuned.step <= event.step]
        self.lens_history.forget_after(event.step)
        if self.verdict is not None and self.verdict.step > event.step:
            self.verdict = None
        self._stand_anew()

    def _switch(self, event: BranchSwitched) -> None:
        other = self.branches.pop(event.number, None)
        if other is None or other.history.last != event.step:
            raise ProtocolError(f"a branch that ends at step {event.step}, which nobody has seen")
        if event.left:
            self.branches[event.left] = self._left(other.since)
        self.saved = other.saved
        self.history, self.tunings = other.history, list(other.tunings)
        self.lens_history.forget_after(other.since)
        self.verdict = None
        self._stand_anew()


class _Output:
    """The end of what a process has printed."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Printed | WarningIssued, int]] = deque()
        self._bytes = 0

    def keep(self, event: Printed | WarningIssued) -> None:
        size = len(event.data) if isinstance(event, Printed) else len(event.text)
        self._kept.append((event, size))
        self._bytes += size
        while self._bytes > OUTPUT_BYTES:
            self._bytes -= self._kept.popleft()[1]

    def events(self) -> list[Event]:
        return [event for event, _ in self._kept]


def _rows(history: History, after: int, described: set[int]) -> Iterator[Event]:
    """The steps after this one, in messages of a bounded size, each layout before its first."""
    stretches = [
        (max(first, after + 1), last, layout)
        for first, last, layout in history.stretches()
        if last > after
    ]
    # The columns are those of now; messages are made only as they are taken.
    columns = [
        [history.values(column)[first - 1 : last] for column in layout.columns]
        for first, last, layout in stretches
    ]

    def messages() -> Iterator[Event]:
        for (first, last, layout), numbers in zip(stretches, columns, strict=True):
            if layout.id not in described:
                described.add(layout.id)
                yield LayoutAdded(layout)
            count = max(1, CHUNK // (8 * max(1, len(numbers))))
            for start in range(0, last - first + 1, count):
                part = np.array([column[start : start + count] for column in numbers])
                steps = min(count, last - first + 1 - start)
                yield StepsRecorded(layout.id, first + start, part.reshape(len(numbers), steps))

    return messages()
