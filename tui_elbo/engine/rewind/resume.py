"""A session's run as it goes into a file, and standing again where it stood."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from tui_elbo.engine.rewind.checkpoint import Checkpoint, Timeline
from tui_elbo.engine.rewind.packing import NotPackedError, packed, unpacked
from tui_elbo.engine.rewind.replay import ReplayableRun
from tui_elbo.engine.rewind.replay_log import BranchState, Record
from tui_elbo.engine.tuning import apply
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.records import Batch, Column
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import PackedTensor, RunSettings, SavedRun, read

LOSS = Column("step", "", "loss")


def saved(
    replayable: ReplayableRun,
    settings: RunSettings,
    batches: Sequence[Batch],
    branch: BranchState | None = None,
) -> SavedRun:
    """What a file holds of a run, or of a branch that it has left behind.

    Its state is one of some steps before the present, so that whoever goes on from it takes those
    again and sees that they meet the record.

    Args:
        replayable: the run.
        settings: its settings, but for those that the replayable knows.
        batches: all its steps.
        branch: the branch; None: the run.
    """
    path = replayable.log if branch is None else branch
    stepper = replayable.stepper if branch is None else branch.stepper
    end = replayable.step if branch is None else branch.record.end
    kept = path.timeline.nearest(max(0, end - 1))
    state: tuple[bytes, tuple[PackedTensor, ...]] = (b"", ())
    if kept is not None and stepper is not None:
        with suppress(NotPackedError):
            state = packed(kept, stepper, replayable.executions - {stepper})
    source_snapshot = replayable.source_snapshot
    settings = msgspec.structs.replace(
        settings,
        step=end,
        tunings=path.record.tunings,
        files=source_snapshot.digests,
    )
    return SavedRun(settings, source_snapshot.text, tuple(batches), *state)


def resume(replayable: ReplayableRun, run: SavedRun) -> bool:
    """Stand at the end of a saved run, which is seen to be the same run.

    Args:
        replayable: standing at step 0 of what the run was executed from.
        run: the saved run.

    Returns:
        Whether its state was enough; else all its steps were taken again.

    Raises:
        UsageError: if a module beside the scenario is not as it was.
        StepError: if the run's steps, taken again, do not meet its record.
    """
    _check_files(replayable, run.settings.files)
    replayable.log.record = record = Record(_losses(run), run.settings.tunings)
    if not record.end:
        return True
    kept = _set_up(replayable, run, record) if run.state else None
    if kept is None or not replayable.stepper.restore(kept):
        kept = None
        _from_the_beginning(replayable)
    else:
        replayable.log.timeline.add(replayable.stepper.capture())
    replayable.step = record.end
    try:
        replayable.stand_at(replayable.step, strict=True)
    except StepError:
        if kept is None:
            raise
        # What the state does not hold, all the steps from the first on bring about.
        replayable.log.mismatch = None
        _from_the_beginning(replayable)
        replayable.stand_at(replayable.step, strict=True)
        return False
    return kept is not None


def _from_the_beginning(replayable: ReplayableRun) -> None:
    replayable.log.timeline = Timeline(replayable.log.memory)
    replayable.execute(replayable.source_snapshot.text)


def _set_up(replayable: ReplayableRun, run: SavedRun, record: Record) -> Checkpoint | None:
    """The saved state, in terms of an execution that a first step has set up."""
    replayable.stepping = True
    try:
        at = _step_of(run)
        for after, tuning in record.tunings:
            if after < at:
                apply(replayable.stepper, tuning)
        replayable.stepper.take(due=False)
        return unpacked(run.state, run.tensors, replayable.stepper)
    except Exception:
        return None
    finally:
        replayable.stepping = False


def _step_of(run: SavedRun) -> int:
    """The step of the saved state; 0 if there is none."""
    saved_state = dict(msgspec.json.decode(run.state)["d"]) if run.state else {}
    return int(saved_state.get("step", 0))


def _losses(run: SavedRun) -> array[float]:
    losses = array("d")
    for batch in run.batches:
        row = batch.layout.index.get(LOSS)
        values = np.full(batch.steps, np.nan) if row is None else batch.values[row]
        losses.extend(values.tolist())
    return losses


def _check_files(replayable: ReplayableRun, files: dict[str, str]) -> None:
    now = replayable.source_snapshot.digests
    for path, digest in files.items():
        if path in now and now[path] != digest:
            what = "this file is not as it was when the run was saved"
            raise UsageError(what, where=path, hint="put it back, or begin a new run")


def own_of(target: str) -> Path:
    """The scenario's own folder.

    Raises:
        UsageError: if there is no such scenario and no such saved run.
    """
    if is_run_file(target):
        return read(Path(target)).settings.source.own
    return find_scenario(target).own
