"""Where a session can go besides on: back, over to another future, into a step and out again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tui_elbo.engine.process_state import Surroundings
from tui_elbo.engine.record.budget import Always, Due
from tui_elbo.engine.record.nonfinite import NonFinite, NonFiniteFinder
from tui_elbo.engine.rewind.replay import ReplayableRun
from tui_elbo.engine.rewind.resume import saved
from tui_elbo.engine.verdict.iterates import Iterates
from tui_elbo.model.errors import UsageError
from tui_elbo.model.records import Batch
from tui_elbo.model.scenarios import ScenarioFile
from tui_elbo.protocol import Stage
from tui_elbo.runfile.database import RunSettings, write


class TimeTravel:
    """The part of a session that goes elsewhere; stepping on is the subclass's."""

    due: Due
    non_finite: NonFinite | None
    iterates: Iterates
    source: ScenarioFile
    _asked_seed: int | None
    _surroundings: Surroundings
    _track: ReplayableRun
    _suspects: NonFiniteFinder

    @property
    def steps_taken(self) -> int:
        """The step at which the run stands."""
        return self._track.step

    def advance(self, steps: int) -> list[Batch]:
        """Take so many steps."""
        raise NotImplementedError

    def flush(self) -> list[Batch]:
        """The steps that were taken and have not been returned yet."""
        raise NotImplementedError

    def _telling(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def interrupt(self) -> None:
        """Run steps again no further; may be called from a signal handler."""
        self._track.interrupted = True

    def go_to(self, step: int) -> None:
        """Stand at an earlier step, exactly as the run stood there; what came after is dropped.

        Raises:
            UsageError: if there is no such step.
            StepError: if a step that is run again raises, or does not meet the record.
            KeyboardInterrupt: if it is broken off.

        The run still stands where it stood if anything is raised.
        """
        if not 0 <= step <= self.steps_taken:
            what = f"there is no step {step}"
            raise UsageError(what, hint=f"choose one from 0 to {self.steps_taken}")
        self.flush()
        with self._telling():
            self._track.go_to(step)
        self.iterates.forget_after(step)
        if self._suspects.step is not None and self._suspects.step > step:
            self._suspects = NonFiniteFinder()
        self.non_finite = None

    @property
    def branch_end(self) -> int:
        """The last step of the future that was left behind; 0 if there is none."""
        return self._track.left_branch.record.end if self._track.left_branch is not None else 0

    @property
    def branch(self) -> int:
        """The last step that the run has in common with the future left behind, or its own."""
        return (
            self._track.left_branch.branch
            if self._track.left_branch is not None
            else self._track.step
        )

    def swap(self) -> None:
        """Go over to the end of the future left behind; the present is then the one left behind.

        Raises:
            UsageError: if there is none.
            StepError, KeyboardInterrupt: as `go_to`.
        """
        self.flush()
        with self._telling():
            self._track.swap()
        self.iterates.changed(self.steps_taken)
        self.non_finite = None
        self._suspects = NonFiniteFinder()

    def step_into(self) -> tuple[list[Batch], list[Stage]]:
        """Take one step, and tell all that happened in it.

        Raises:
            StepError: if the person's code raised; the run stays at the step before.
        """
        self.due = Always()
        recorder = self._track.recorder()
        with recorder.recording():
            batches = self.advance(1)
        return batches, recorder.stages()

    def save(self, path: Path, batches: Sequence[Batch]) -> None:
        """Write the run into a file, from which it can be gone on with.

        Args:
            path: of the file; a saved run that is there is replaced.
            batches: all the steps up to the present.

        Raises:
            UsageError: if it cannot be written there.
        """
        source, given = self.source, self._surroundings
        settings = RunSettings(
            name=source.name,
            path=str(source.path),
            module=source.module,
            root=str(source.root),
            own=str(source.own),
            seed=self._asked_seed,
            threads=given.threads,
            device=given.device,
            step=self.steps_taken,
        )
        write(path, saved(self._track, settings, batches))

    def undo(self) -> None:
        """Take back the step that was stepped into, as if it had not been taken.

        Raises:
            UsageError: if it is not the newest.
        """
        self.flush()
        self._track.undo()
        self.iterates.forget_after(self.steps_taken)
        self.non_finite = None
        self._suspects = NonFiniteFinder()
