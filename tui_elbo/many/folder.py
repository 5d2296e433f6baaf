"""The folder of a sweep: what is swept, the chunks that are finished, and the runs that have ended.

    DIR/NAME.run                each run that has ended, as `elbo-tui run --save` writes it
    DIR/runs.csv                the table of them
    DIR/.sweep/plan.json        what is swept, by which the folder is known
    DIR/.sweep/lock             held by the sweep that is under way
    DIR/.sweep/progress         how far it has come
    DIR/.sweep/chunks/NAME/     the finished chunks of a run that has not ended
    DIR/.sweep/ended/NAME       how a run has ended
    DIR/.sweep/iterates/NAME    what the verdict needs to know of its iterates, should it go on
    DIR/.sweep/requests/        what is asked of the sweep that is under way

Each file is written whole beside its place and then moved there. Nothing else is touched.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from tui_elbo.many.chunk import LOSS, Ending, Goal, Look, Taken, Task
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec, given_settings
from tui_elbo.model.halving import comparison_steps
from tui_elbo.model.history import History
from tui_elbo.model.own_settings import as_shown
from tui_elbo.model.records import Batch, Column, Floats, Layout
from tui_elbo.model.run_table import Row, Setting
from tui_elbo.model.workspace import Progress
from tui_elbo.protocol.codec import decode, encode
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import RunSettings, SavedRun, read, write

SECONDS = Column("step", "", "seconds")

LOCK_TRIES, LOCK_PAUSE = 3, 0.01
"""`goes_on` of another process may hold the lock for some microseconds; seconds between tries."""

GO_ON = ("steps", "dropped")
"""How a run has ended that goes on where the sweep is given more steps."""

RESUMED = ("by hand", "dropped")
"""How a run has ended that a person may let go on."""

FORMAT = 1
"""The version of what is in `.sweep`."""


class Plan(msgspec.Struct, frozen=True):
    """What is swept."""

    settings: RunSettings
    """What all runs have in common; the seed is of no meaning."""
    text: bytes
    """The scenario's source."""
    goal: Goal
    runs: tuple[RunSpec, ...]
    format: int = FORMAT


class EndedRun(msgspec.Struct, frozen=True, eq=False):
    """A run that has ended, and what it came to."""

    spec: RunSpec
    step: int
    loss: float
    """Of its last step; NaN if there is none."""
    seconds: float
    """Of its steps."""
    ending: Ending
    note: str = ""
    """Why it was not cut into chunks, in words; empty where it was."""


@dataclass(eq=False)
class RunSoFar:
    """A run that has not ended: what its next chunk goes on from."""

    spec: RunSpec
    losses: list[Floats] = field(default_factory=list)
    layouts: int = 0
    """How many layouts its steps have."""
    last: Taken | None = None
    """The newest chunk, without its steps."""
    whole: bool = False
    """Whether it is not to be cut."""
    lost: int = 0
    """How often the chunk that comes next was lost."""
    looks: dict[int, Look] = field(default_factory=dict)
    """Where it was compared with the others, by step."""
    stop: bool = False
    """Whether it is to end with its next chunk."""

    @property
    def step(self) -> int:
        """The last step of its finished chunks."""
        return sum(map(len, self.losses))

    def add(self, taken: Taken) -> None:
        """A chunk is finished."""
        if taken.batches and taken.batches[0].first == 1:
            self.losses.clear()
        for batch in taken.batches:
            row = batch.layout.index.get(LOSS)
            nan = np.full(batch.steps, np.nan)
            self.losses.append(nan if row is None else np.array(batch.values[row]))
            self.layouts = max(self.layouts, batch.layout.id + 1)
        self.last = msgspec.structs.replace(taken, batches=(), look=None)
        if taken.look is not None:
            self.looks[taken.look.step] = taken.look
        self.whole = self.whole or bool(taken.note)
        self.lost = 0


class SweepFolder:
    """A folder that a sweep is kept in, held by this process.

    Args:
        path: of the folder; made if it is not there.
        plan: what is swept.

    Raises:
        UsageError: if it cannot be used for this sweep, with the reason.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self._own = path, path / ".sweep"
        self.plan = plan
        self._shown_progress: object = None
        if plan_of(path) is None:  # Nothing is put into a folder that cannot be used.
            for spec in plan.runs:
                self._refuse_foreign(spec)
        try:
            for name in ("chunks", "ended", "iterates"):
                (self._own / name).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            what = f"the sweep cannot be kept there: {error.strerror}"
            raise UsageError(what, where=str(path), hint="choose another folder") from error
        try:
            self._take_hold()
        except BaseException:
            self.close()
            raise

    def _take_hold(self) -> None:
        for left in reversed(range(LOCK_TRIES)):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if not left:
                    what = "another sweep is under way in this folder"
                    hint = "wait for it, or choose another folder"
                    raise UsageError(what, where=str(self.path), hint=hint) from error
                time.sleep(LOCK_PAUSE)
        before = plan_of(self.path)
        grown = False
        if before is not None:
            ours, theirs = {*self.plan.runs}, {*before.runs}
            if ours < theirs:  # Runs have been added to it.
                self.plan = msgspec.structs.replace(self.plan, runs=before.runs)
            elif theirs < ours:
                more = tuple(run for run in self.plan.runs if run not in theirs)
                self.plan = msgspec.structs.replace(self.plan, runs=(*before.runs, *more))
                before = msgspec.structs.replace(before, runs=self.plan.runs)
                grown = True
        longer = before is not None and _goes_further(before, self.plan)
        if before is not None and not longer and (why := _other(before, self.plan)):
            hint = "the same command, or one with more --steps, goes on with it; or choose another "
            hint += "folder"
            raise UsageError(f"it holds another sweep: {why}", where=str(self.path), hint=hint)
        for spec in self.plan.runs:
            self._refuse_foreign(spec)
        if longer:
            self._take_up_again()
        if before is None or longer or grown:
            self._put(self._own / "plan.json", msgspec.json.encode(self.plan))

    def _take_up_again(self) -> None:
        """Let the runs that have taken all their steps go on from their files.

        One that was dropped goes on as well: it could not catch up in the steps that it had.
        """
        for spec in self.plan.runs:
            ended = self.ended(spec)
            if ended is not None and ended.ending.kind in GO_ON:
                self.take_up(spec, ended)

    def take_up(self, spec: RunSpec, ended: EndedRun) -> None:
        """Let a run that has ended go on from its file."""
        if ended.step:
            saved = read(self.file(spec))
            kept = self._own / "iterates" / spec.name
            last = Taken(
                batches=saved.batches,
                settings=saved.settings,
                state=saved.state,
                tensors=saved.tensors,
                iterates=kept.read_bytes() if kept.exists() else b"",
                steps=self.plan.goal.steps or ended.step,
                ending=None,
                note=ended.note,
                before_steps=tuple(one for one in ended.ending.findings if one.step <= 1),
            )
            with self._writing(), suppress(FileNotFoundError):
                shutil.rmtree(self._chunks_of(spec))
            self.add(spec, last)
        with self._writing():
            (self._own / "ended" / spec.name).unlink()

    def restart(self, spec: RunSpec) -> None:
        """Forget what a run has come to, so that it is taken again from its first step."""
        with self._writing():
            (self._own / "ended" / spec.name).unlink(missing_ok=True)
            self.file(spec).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.rmtree(self._chunks_of(spec))

    def add_runs(self, runs: Sequence[RunSpec]) -> None:
        """Sweep these as well.

        Raises:
            UsageError: if a file is in the place of one.
        """
        for spec in runs:
            self._refuse_foreign(spec)
        self.plan = msgspec.structs.replace(self.plan, runs=(*self.plan.runs, *runs))
        self._put(self._own / "plan.json", msgspec.json.encode(self.plan))

    def _refuse_foreign(self, spec: RunSpec) -> None:
        # What is there without a word from us is somebody else's.
        if self.file(spec).exists() and self.ended(spec) is None and not self.chunks(spec):
            what = "this file is there already, and is left alone"
            raise UsageError(what, where=str(self.file(spec)), hint="choose another folder")

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)

    def file(self, spec: RunSpec) -> Path:
        """Of a run that has ended."""
        return self.path / f"{spec.name}.run"

    def ended(self, spec: RunSpec) -> EndedRun | None:
        """How a run has ended; None if it has not."""
        return ended_run(self.path, spec)

    def chunks(self, spec: RunSpec) -> list[Taken]:
        """The finished chunks of a run that has not ended."""
        return chunks_of(self.path, spec)

    def add(self, spec: RunSpec, taken: Taken) -> None:
        """Keep a chunk.

        Raises:
            UsageError: if it cannot be written.
        """
        folder = self._chunks_of(spec)
        with self._writing():
            folder.mkdir(exist_ok=True)
            number = len(list(folder.glob("*.chunk")))
        self._put(folder / f"{number:06}.chunk", encode(taken))

    def end(self, spec: RunSpec) -> EndedRun:
        """Make the file of a run whose last chunk is there.

        Raises:
            UsageError: if it cannot be written.
        """
        chunks = self.chunks(spec)
        last = chunks[-1]
        ending = last.ending
        if ending is None:
            raise ValueError(f"run {spec.name} has not ended")
        run = saved_run(chunks, self.plan.text)
        batches = run.batches
        if batches:
            write(self.file(spec), run)
        found = EndedRun(
            spec=spec,
            step=last.settings.step,
            loss=_last_loss(batches),
            seconds=sum(
                float(batch.values[batch.layout.index[SECONDS]].sum()) for batch in batches
            ),
            ending=ending,
            note=next((taken.note for taken in chunks if taken.note), ""),
        )
        if ending.kind in (*GO_ON, *RESUMED):
            self._put(self._own / "iterates" / spec.name, last.iterates)
        self._put(self._own / "ended" / spec.name, encode(found))
        with suppress(OSError):
            shutil.rmtree(self._chunks_of(spec))
        return found

    def so_far(self, spec: RunSpec) -> RunSoFar:
        """What is kept of a run that has not ended."""
        run = RunSoFar(spec)
        for taken in self.chunks(spec):
            run.add(taken)
        return run

    def task(self, run: RunSoFar, seconds: float) -> Task:
        """The next chunk of a run.

        Args:
            run: as far as it has come.
            seconds: after so long the chunk ends.
        """
        compared = comparison_steps(self.plan.goal.steps or 0) if self.plan.goal.halving else ()
        look_at = next((step for step in compared if step > run.step), 0)
        key, spec, last = f"{self.path}/{run.spec.name}", run.spec, run.last
        if last is None:
            settings = msgspec.structs.replace(
                self.plan.settings,
                seed=spec.seed,
                guide=spec.guide,
                given=spec.given,
                tunings=() if spec.tuning is None else ((0, spec.tuning),),
            )
            return Task(
                key=key,
                goal=self.plan.goal,
                seconds=seconds,
                settings=settings,
                text=self.plan.text,
                losses=np.empty(0),
                look_at=look_at,
                stop=run.stop,
            )
        return Task(
            key=key,
            goal=self.plan.goal,
            seconds=seconds,
            settings=last.settings,
            text=self.plan.text,
            losses=np.concatenate([np.empty(0), *run.losses]),
            layouts=run.layouts,
            state=last.state,
            tensors=last.tensors,
            iterates=last.iterates,
            whole=run.whole,
            look_at=look_at,
            before_steps=last.before_steps,
            stop=run.stop,
        )

    def keep_progress(self, progress: Progress) -> None:
        """Let others see how far the sweep is; where that cannot be written, they do not."""
        now = (progress.steps, progress.lost, progress.under_way, progress.notice)
        if now == self._shown_progress:
            return
        self._shown_progress = now
        file = self._own / "progress"
        beside = file.with_name(".progress.writing")
        with suppress(OSError):
            beside.write_bytes(encode(progress))
            beside.replace(file)

    def write_text(self, name: str, text: str) -> None:
        """Write a file into the folder.

        Raises:
            UsageError: if it cannot be written.
        """
        self._put(self.path / name, text.encode())

    def _chunks_of(self, spec: RunSpec) -> Path:
        return self._own / "chunks" / spec.name

    def _put(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.writing")
        with self._writing():
            try:
                with beside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(path)
            finally:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"the sweep cannot be kept: {error.strerror or error}"
            hint = "what is finished is there: the same command goes on from it"
            raise UsageError(what, where=str(self.path), hint=hint) from error


def plan_of(path: Path) -> Plan | None:
    """What is swept in a folder; None if no sweep is kept there.

    Raises:
        UsageError: if it is another version's, or damaged.
    """
    file = path / ".sweep" / "plan.json"
    try:
        data = file.read_bytes()
    except OSError:
        return None
    try:
        found = msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        hint = "choose another folder"
        raise UsageError(f"it is not whole: {error}", where=str(file), hint=hint) from error
    if found.format != FORMAT:
        what = f"this sweep is another elbo-tui's (format {found.format}, and this has {FORMAT})"
        raise UsageError(what, where=str(path))
    return found


def ended_run(path: Path, spec: RunSpec) -> EndedRun | None:
    """How a run of the sweep in a folder has ended; None if it has not."""
    try:
        data = (path / ".sweep" / "ended" / spec.name).read_bytes()
        found: EndedRun = decode(data, EndedRun)
    except (OSError, msgspec.MsgspecError):
        return None
    return found


def chunks_of(path: Path, spec: RunSpec) -> list[Taken]:
    """The finished chunks of a run of the sweep in a folder, if it has not ended."""
    found: list[Taken] = []
    for file in sorted((path / ".sweep" / "chunks" / spec.name).glob("*.chunk")):
        taken: Taken = decode(file.read_bytes(), Taken)
        if taken.batches and taken.batches[0].first == 1:
            found.clear()
        found.append(taken)
    return found


def saved_run(chunks: Sequence[Taken], text: bytes) -> SavedRun:
    """The run as far as these chunks, one at least, have come.

    Args:
        chunks: of a run, in their order.
        text: the scenario's source.
    """
    batches = joined([batch for taken in chunks for batch in taken.batches])
    last = chunks[-1]
    return SavedRun(last.settings, text, tuple(batches), last.state, last.tensors)


def progress_of(path: Path) -> tuple[Progress, float] | None:
    """How far the sweep in a folder was last, and for how many seconds that has been written."""
    file = path / ".sweep" / "progress"
    try:
        found: Progress = decode(file.read_bytes(), Progress)
        return found, max(0.0, time.time() - file.stat().st_mtime)
    except (OSError, msgspec.MsgspecError):
        return None


def goes_on(path: Path) -> bool:
    """Whether a sweep is under way in a folder, on whatever process of this machine."""
    try:
        lock = os.open(path / ".sweep" / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def row_of(run: EndedRun, folder: Path) -> Row:
    """A run of a sweep in the table.

    Args:
        run: that has ended.
        folder: of the sweep.
    """
    file = folder / f"{run.spec.name}.run"
    return Row(
        run=run.spec.record,
        step=run.step,
        loss=run.loss,
        evaluation=run.ending.evaluation,
        verdict=run.ending.verdict.words,
        seconds=run.seconds,
        ended=run.ending.kind,
        note="; ".join(part for part in (run.ending.note, run.note) if part),
        file=str(file) if run.step else "",
        findings=run.ending.findings,
    )


def row_of_file(path: Path, settings: RunSettings, loss: float, seconds: float) -> Row:
    """A saved run in the table, of which no more is known than what its file says."""
    found: dict[str, Setting] = {"scenario": settings.name}
    for _, tuning in settings.tunings:
        found |= given_settings(tuning)
    found |= {name: as_shown(text) for name, text in settings.given}
    if settings.guide is not None:
        found["guide"] = settings.guide
    if settings.seed is not None:
        found["seed"] = settings.seed
    return Row(
        run={"run": path.stem} | found,
        step=settings.step,
        loss=loss,
        evaluation=unevaluated("the lens has not looked at it"),
        verdict="",
        seconds=seconds,
        ended="",
        note="",
        file=str(path),
    )


def joined(batches: Sequence[Batch]) -> list[Batch]:
    """The steps of several chunks as those of one run: equal layouts are one, numbered from 0."""
    known: dict[bytes, Layout] = {}
    history = History()
    for batch in batches:
        plain = encode(msgspec.structs.replace(batch.layout, id=0))
        if plain not in known:
            known[plain] = msgspec.structs.replace(batch.layout, id=len(known))
        history.append(Batch(known[plain], batch.first, batch.values))
    return history.batches()


def saved_runs(paths: Sequence[Path]) -> list[tuple[Path, SavedRun]]:
    """The saved runs among files, and in folders.

    Raises:
        UsageError: if there is none, or one is damaged.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files.extend(sorted(one for one in path.iterdir() if is_run_file(str(one))))
        else:
            files.append(path)
    if not files:
        hint = "name files of run --save, or the folder of a sweep"
        raise UsageError("there is no saved run", where=", ".join(map(str, paths)), hint=hint)
    return [(path, read(path)) for path in files]


def _goes_further(before: Plan, now: Plan) -> bool:
    """Whether it is the same sweep with more steps."""
    steps = before.goal.steps
    if steps is None or now.goal.steps is None or now.goal.steps <= steps:
        return False
    goal = msgspec.structs.replace(now.goal, steps=steps)
    return not _other(before, msgspec.structs.replace(now, goal=goal))


def _other(before: Plan, now: Plan) -> str:
    """In what it is another sweep; empty if it is the same."""
    if before.text != now.text:
        return "of another scenario, or of this one before it was changed"
    if before.runs != now.runs:
        return "its runs are others"
    if before.goal != msgspec.structs.replace(now.goal, findings=before.goal.findings):
        return "its runs go elsewhere (--steps, --until, --draws, --tolerance)"
    return "" if before.settings == now.settings else "it is run otherwise (--threads, --device)"


def _last_loss(batches: Sequence[Batch]) -> float:
    row = batches[-1].layout.index.get(LOSS) if batches else None
    return math.nan if row is None else float(batches[-1].values[row, -1])
