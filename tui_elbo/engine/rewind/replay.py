"""A run's steps, forward and back: an execution of the scenario, and what is kept of its past."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import pyro

from tui_elbo.engine.lens.fork import why_no_fork
from tui_elbo.engine.process_state import Environment
from tui_elbo.engine.record.columns import Observation
from tui_elbo.engine.record.options import Always, Budget, Due, RecordingOptions
from tui_elbo.engine.record.step_into import Recorder
from tui_elbo.engine.rewind.checkpoint import Timeline, dense
from tui_elbo.engine.rewind.replay_log import BranchState, Record, ReplayLog, SavedPosition
from tui_elbo.engine.scenario import own_files
from tui_elbo.engine.source_snapshot import SourceSnapshot
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tuning import apply, rehearsed, retune
from tui_elbo.engine.verdict.averaging import stand_at_mean
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.own_settings import Given
from tui_elbo.model.scenarios import ScenarioFile
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import RunFlagged

Tell: TypeAlias = Callable[[str], object]

CHECKPOINTS = 0.027
"""The part of the time of running that taking checkpoints may take."""

BY_HAND = 0.04
"""The same where steps are taken by hand and a checkpoint takes long; else each has one."""

BRANCHES, BRANCH_BYTES, EXECUTIONS = 64, 2**27, 4
"""So many branches are kept, of so many bytes for their columns and the states at their ends, and
with so many executions of the file besides the run's own; the oldest give way."""

WORD_SECONDS = 0.3
"""Running steps again for longer than this is worth a word, each time."""


class ReplayableRun:
    """Takes a run's steps, and finds any of them again.

    Args:
        source: the scenario's file.
        seed: of the run; None: the scenario's own.
        environment: what each execution of the file is given.
        options: what is kept of single parameters.
        memory: bytes for checkpoints; 0 takes none.
        warn: receives what the person should know and no error says.
        busy: receives what takes its time.
        flag: receives what holds of the run from now on.
        executed: is called with what a new execution of the file has made.
        text: what to execute in place of what the file says now.
        guide: the stock guide in place of the scenario's own; None: its own.
        given: values of the scenario's own settings.

    Raises:
        ScenarioError: if the file cannot be executed or breaks the contract.
    """

    def __init__(
        self,
        source: ScenarioFile,
        seed: int | None,
        environment: Environment,
        options: RecordingOptions,
        *,
        memory: int,
        warn: Tell,
        busy: Tell,
        flag: Callable[[RunFlagged], object],
        executed: Callable[[Stepper], object],
        text: bytes | None = None,
        guide: str | None = None,
        given: Given = (),
    ) -> None:
        self._asked_seed, self._environment = seed, environment
        self._guide, self._given = guide, given
        self._options = options
        self._warn, self._busy, self._executed = warn, busy, executed
        self._flag = flag
        self.source_snapshot = SourceSnapshot(source, text)
        self.step = 0
        """The step at which the run stands."""
        self.stepping = False
        """True while the person's own code may be running."""
        self.interrupted = False
        """Set from a signal handler to have steps run again no further."""
        self.log = ReplayLog(memory)
        self.branches: list[BranchState] = []
        """The paths that were left behind, the newest last."""
        self.row_bytes = 0
        """What the columns of a step take."""
        self._left = self._states = 0
        self._before_step: tuple[int, SavedPosition] | None = None
        self._stepper: Stepper
        self.execute(text)

    @property
    def stepper(self) -> Stepper:
        """The file's last execution; it may stand elsewhere than the run until the next step."""
        return self._stepper

    @property
    def stands(self) -> bool:
        """Whether the live state is that of the step at which the run stands."""
        return not self._failed and self._stepper.taken == self.step

    def stand_at_present(self, *, again: bool = False) -> None:
        """Find the state at which the run stands, if something has left another behind.

        Args:
            again: run its last step again: a gradient belongs to a step, and to no checkpoint.
        """
        if not self.stands:
            self.stand_at(self.step, start=max(0, self.step - 1) if again else None)

    def advance(self, *, due: bool) -> Observation:
        """Take the next step; whatever the person's code raises goes through.

        Args:
            due: whether to take the sums of large parameters.
        """
        seen = self._taken(due=due)
        self.step = self._stepper.taken
        return seen

    def recorder(self) -> Recorder:
        """Records the next step, and remembers the state before it for `undo`."""
        self.stand_at_present()
        self._before_step = self.step, self._place()
        return Recorder(self._stepper, self.source_snapshot.source.path, self.source_snapshot.text)

    def undo(self) -> None:
        """Take back the step that was recorded last; no future is left behind.

        Raises:
            UsageError: if it was not the last step.
        """
        step, place = self._before_step or (-1, None)
        if place is None or step != self.step - 1:
            raise UsageError("only the step just stepped into can be undone", hint="N goes back")
        self.step, self._before_step = step, None
        self._come_back(place)
        self.log.forget_after(self.step)

    def keep(self, seen: Observation, *, always: bool) -> None:
        """Keep of the newest step what going back takes; its state when that is due.

        Args:
            seen: the step.
            always: whether it is due unless it takes long, as with thousands of parameters.
        """
        quick = always and self.log.quick
        when: Due = Always() if quick else self._keep_by_hand if always else self._keep_when_running
        if said := self.log.took(self._stepper, when, seen.seconds):
            self._warn(said)

    def keep_state(self) -> None:
        """Keep the state at which the run stands."""
        self.log.timeline.add(self._stepper.capture())

    def go_to(self, step: int) -> int:
        """Stand at an earlier step; what came after is left behind.

        Returns:
            The number of the branch that it becomes; 0 if it is the beginning of another one.

        Raises:
            UsageError: if the scenario cannot be executed again as it was.
            StepError: if a step that is run again does not meet the record, the first time.
            Exception: if a step that is run again ends so.

        The run still stands where it stood if anything is raised.
        """
        self.source_snapshot.look(self._flag)
        place, record, past = self._place(), self.log.record, self.log.timeline.copy()
        try:
            self.stand_at(step, strict=True)
        except BaseException:
            self._come_back(place)
            raise
        left = self._leave(place, record, past) if record.end > step else 0
        self.log.forget_after(step)
        self.step, self._before_step = step, None
        self._fit()
        return left

    def switch(self, number: int = 0) -> int:
        """Go over to the end of a branch; the present path is left behind in its turn.

        Args:
            number: of the branch; 0: the one that was left last.

        Returns:
            The number of the branch that the present path becomes; 0 if it is the beginning of
            another one.

        Raises:
            UsageError: if there is no such branch.
            Exception: as `go_to`; the run then still stands where it stood.
        """
        to = self.branch(number)
        place, record, past = self._place(), self.log.record, self.log.timeline.copy()
        self.log.record = to.record
        try:
            self._go_over(to, record.common(to.record))
        except BaseException:
            self.log.record = record
            self._come_back(place)
            self.log.timeline = past
            raise
        self.branches.remove(to)
        self.step, self._before_step = to.record.end, None
        left = 0 if record.retraces(to.record) else self._leave(place, record, past)
        self._fit()
        return left

    def branch(self, number: int = 0) -> BranchState:
        """The branch of that number; 0: the one that was left last.

        Raises:
            UsageError: if there is none.
        """
        found = [one for one in self.branches if number in (0, one.number)]
        if not found:
            what = f"there is no branch {number}" if number else "there is no branch"
            raise UsageError(what, hint="rewinding leaves one behind")
        return found[-1]

    def common(self, branch: BranchState) -> int:
        """The last step that the run has in common with a branch."""
        return self.log.record.common(branch.record)

    def _leave(self, place: SavedPosition, record: Record, past: Timeline) -> int:
        """Keep a path, unless one that is kept begins with the same steps and goes further."""
        if any(record.retraces(one.record) for one in self.branches):
            return 0
        self.branches = [one for one in self.branches if not one.record.retraces(record)]
        self._left += 1
        branch = BranchState(self._left, record, place.stepper, place.state, past)
        self.branches.append(branch)
        return branch.number

    def _fit(self) -> None:
        """Keep the branches within their memory: first fewer states, then fewer branches."""
        now = self.log.record
        self.branches = [one for one in self.branches if not one.record.retraces(now)]
        executions: list[Stepper] = []
        for one in reversed(self.branches):
            if one.stepper is None or one.stepper in (self._stepper, *executions):
                continue
            if len(executions) < EXECUTIONS:
                executions.append(one.stepper)
            else:
                one.let_go()
        self._fit_states()
        while len(self.branches) > BRANCHES or self._branch_bytes > BRANCH_BYTES:
            gone = self.branches.pop(0)
            first, last = self.common(gone) + 1, gone.record.end
            most = f"{BRANCHES} branches, {BRANCH_BYTES // 2**20} MB"
            self._warn(f"the oldest branch, steps {first} to {last}, is dropped: at most {most}")

    def _fit_states(self) -> None:
        """Of the oldest branches keep the last state alone, until all take as much as may be."""
        own = {id(one) for one in self.log.timeline}
        held = Counter(id(one) for branch in self.branches for one in branch.timeline)
        sizes = {
            id(one): one.size
            for branch in self.branches
            for one in branch.timeline
            if id(one) not in own
        }
        total = sum(sizes.values())
        for branch in self.branches:
            if total <= self.log.memory:
                break
            before = {id(one) for one in branch.timeline}
            branch.timeline.keep_last(branch.record.end - 1)
            for gone in before - {id(one) for one in branch.timeline}:
                held[gone] -= 1
                total -= 0 if held[gone] else sizes.get(gone, 0)
        self._states = total

    @property
    def kept_bytes(self) -> int:
        """What the checkpoints of the run and of its branches take, about."""
        return self.log.timeline.size + self._states

    def remove(self, number: int) -> None:
        """Keep a branch no longer.

        Raises:
            UsageError: if there is no such branch.
        """
        self.branches.remove(self.branch(number))
        self._fit()

    @property
    def executions(self) -> set[Stepper]:
        """The executions of the file that the run and its branches belong to."""
        return {self._stepper, *(one.stepper for one in self.branches if one.stepper is not None)}

    @property
    def _branch_bytes(self) -> int:
        ends = (one.state.size for one in self.branches if one.state is not None)
        return sum(ends) + sum(one.record.end * self.row_bytes for one in self.branches)

    def _go_over(self, to: BranchState, common: int) -> None:
        if to.stepper is None:
            self.log.timeline.forget_after(common)
        else:
            self._adopt(to.stepper, to.timeline)
        if to.state is not None and self._stepper.restore(to.state):
            self._failed = False
            if self.log.memory:
                self.log.timeline.add(to.state)
        else:
            self.stand_at(to.record.end, strict=True)

    def _adopt(self, stepper: Stepper, timeline: Timeline) -> None:
        """Go on with this execution of the file; its state is still to be found again."""
        self.log.timeline = timeline
        if stepper is not self._stepper:
            # What modules of the other execution have put there is none of this one's.
            pyro.get_param_store().clear()
            self._stepper, self._failed = stepper, True
            self._executed(stepper)

    def tune(self, tuning: Tuning) -> tuple[str, str]:
        """Change settings from the next step on, if they fit the scenario.

        Returns:
            The estimator and the optimiser with them, in words.

        Raises:
            UsageError: with the reason, if they do not fit; the run is then as it was.
        """
        self.stand_at_present()
        self.stepping = True
        try:
            words = self._tried(tuning) if why_no_fork() else rehearsed(self._stepper, tuning)
        finally:
            self.stepping = False
        if tuning.mean is not None:
            # The loss of this step is the same in both; what the run stands at is not.
            self._leave(self._place(), self.log.record, self.log.timeline.copy())
        self.log.tuned(self.step, tuning)
        self._stand_at_means()
        self._fit()
        return words

    def _stand_at_means(self) -> None:
        """Stand at the mean of iterates, if the run was taken there after the newest step."""
        for tuning in self.log.tunings(self._stepper.taken):
            if tuning.mean is not None:
                stand_at_mean(tuning.mean)
                self._stepper.params.forget()

    def _tried(self, tuning: Tuning) -> tuple[str, str]:
        """In this process, whose state is found again after it."""
        before = self._stepper.capture() if self.step else None
        try:
            return retune(self._stepper, tuning)
        finally:
            if before is None or not self._stepper.restore(before):
                self._failed = True

    def _place(self) -> SavedPosition:
        state = None if not self.stands or not self.step else self._stepper.capture()
        return SavedPosition(self._stepper, self.log.timeline, state)

    def _come_back(self, place: SavedPosition) -> None:
        if self._stepper is not place.stepper:
            self._adopt(place.stepper, place.timeline)
        self._failed = place.state is None or not self._stepper.restore(place.state)

    def execute(self, text: bytes | None = None) -> None:
        """Execute the file afresh; what it makes stands at step 0."""
        self._environment.put_back()
        self.stepping = True
        try:
            self._stepper = Stepper(
                self.source_snapshot.source,
                self._asked_seed,
                self._options,
                text,
                self._guide,
                given=self._given,
            )
        finally:
            self.stepping = False
        self.source_snapshot.note(own_files())
        self._keep_when_running, self._keep_by_hand = Budget(CHECKPOINTS), Budget(BY_HAND)
        self._failed = False
        self._executed(self._stepper)

    def _execute_again(self) -> None:
        """Stand at step 0, as the run began.

        Raises:
            UsageError: if a file is not there any more as it was.
        """
        earliest = self.log.timeline.earliest
        self.source_snapshot.require(earliest.step if earliest is not None else 0)
        unchanged = self.source_snapshot.source.path not in self.source_snapshot.changed()
        self.log.timeline = Timeline(self.log.memory)
        self.execute(None if unchanged else self.source_snapshot.text)

    def _taken(self, *, due: bool) -> Observation:
        for tuning in self.log.tunings(self._stepper.taken):
            apply(self._stepper, tuning)
        self.stepping = True
        try:
            return self._stepper.take(due=due)
        except BaseException:
            self._failed = True
            raise
        finally:
            self.stepping = False

    def stand_at(self, step: int, *, start: int | None = None, strict: bool = False) -> None:
        """Find the state of a step again: from a checkpoint if there is one, else from the file.

        Args:
            step: which.
            start: no checkpoint of a later step is used.
            strict: raise if a step that is run again does not meet the record.

        A failed step leaves random state and lazily made things behind; nothing of them is saved
        at each step, since that would cost every step.
        """
        self.interrupted = False
        checkpoint = self.log.timeline.nearest(step if start is None else start)
        if checkpoint is None or not self._stepper.restore(checkpoint):
            self._execute_again()
        self._failed = False
        first, reported = self._stepper.taken + 1, time.perf_counter()
        while self._stepper.taken < step:
            if self.interrupted:
                raise KeyboardInterrupt
            self._repeat_step(keep=dense(self._stepper.taken + 1, step), strict=strict)
            if (now := time.perf_counter()) > reported + WORD_SECONDS:
                reported, done = now, (self._stepper.taken + 1 - first) / (step + 1 - first)
                self._busy(f"running steps {first} to {step} again: {done:.0%}")
        self._stand_at_means()

    def _repeat_step(self, *, keep: bool, strict: bool) -> None:
        self._taken(due=False)
        if self.log.repeated(self._stepper, keep=keep):
            text = str(self.log.mismatch)
            self._flag(RunFlagged("unrepeatable", text))
            if strict:
                hint = "going back once more goes on without the record"
                raise StepError(text, where=str(self.source_snapshot.source.path), hint=hint)
