"""What a folder of runs holds, read again only where it has changed."""

from __future__ import annotations

import math
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from tui_elbo.many.chunk import LOSS
from tui_elbo.many.folder import (
    SECONDS,
    Plan,
    chunks_of,
    ended_run,
    goes_on,
    plan_of,
    progress_of,
    row_of,
    row_of_file,
    saved_run,
)
from tui_elbo.many.requests import Act, Request, ask, last_word, start_sweep, waiting
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec, parse_runs
from tui_elbo.model.records import Batch, Column
from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row
from tui_elbo.model.workspace import FolderContent, RunProgress, WatchedRun
from tui_elbo.protocol.codec import decode
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import RunSettings, read_columns, write

ELBO = Column("step", "", "elbo")

NO_RUNS = "there is no sweep and no saved run in this folder"


class _Steps(msgspec.Struct, frozen=True, eq=False):
    """What is read of a chunk: not its state, which may be large."""

    batches: tuple[Batch, ...]
    steps: int


Stamp = tuple[int, int]
"""When a file was written, in nanoseconds, and its size."""


@dataclass(eq=False)
class _Known:
    """What has been read of a run."""

    stamp: object = None
    """Of what its numbers were read from."""
    watched: WatchedRun | None = None
    elbo: Reduction = field(default_factory=Reduction)
    loss: Reduction = field(default_factory=Reduction)
    last_loss: float = math.nan
    seconds: float = 0.0
    most: int = 0
    """Where it goes, as far as is known."""

    def begin(self) -> None:
        """Nothing has been read of it."""
        self.elbo, self.loss = Reduction(), Reduction()
        self.last_loss, self.seconds = math.nan, 0.0

    def add(self, batches: Sequence[Batch]) -> None:
        """Steps that follow; from the first on, if they are."""
        if batches and batches[0].first == 1:
            self.begin()
        # Those before may be on the screen.
        self.elbo, self.loss = self.elbo.copy(), self.loss.copy()
        for batch in batches:
            index, values = batch.layout.index, batch.values
            self.take(
                batch.steps,
                [
                    values[index[column]] if column in index else None
                    for column in (ELBO, LOSS, SECONDS)
                ],
            )

    def take(self, steps: int, parts: Sequence[np.ndarray | None]) -> None:
        """The ELBO, the loss and the seconds of so many steps that follow."""
        elbo, loss, seconds = parts
        for reduction, part in ((self.elbo, elbo), (self.loss, loss)):
            if part is None:
                reduction.skip(steps)
            else:
                reduction.extend(part)
        if steps:
            self.last_loss = math.nan if loss is None else float(loss[-1])
        self.seconds += 0.0 if seconds is None else float(seconds.sum())


class FolderReader:
    """Reads a folder of runs: that of a sweep, or one with saved runs.

    Args:
        path: of the folder.

    Raises:
        UsageError: if there is no run in it, or the sweep is another version's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, _Known] = {}
        self._before: object = None
        self._copies: tempfile.TemporaryDirectory[str] | None = None
        self._started: subprocess.Popen[bytes] | None = None
        self._notice = ""
        self._plan, self._plan_stamp = plan_of(path), _stamp_of(path / ".sweep" / "plan.json")
        if self._plan is None and not any(True for _ in self._run_files()):
            files = sum(not name.startswith(".") for name in os.listdir(path))
            what = f"{NO_RUNS} ({files} other files)" if files else "this folder is empty"
            hint = f"elbo-tui sweep SCENARIO --seeds 0:8 --out {path} makes runs"
            raise UsageError(what, where=str(path), hint=hint)

    def read(self) -> FolderContent | None:
        """What is in it; None if nothing has changed since the last time.

        Raises:
            UsageError: if it is gone.
        """
        self._read_plan_again()
        try:
            if self._plan is not None:
                return self._of_sweep(self._plan)
            return self._of_files()
        except OSError as error:
            what = f"the folder cannot be read: {error.strerror or error}"
            raise UsageError(what, where=str(self._path)) from error

    def _read_plan_again(self) -> None:
        """The same sweep may have been given more steps."""
        stamp = _stamp_of(self._path / ".sweep" / "plan.json")
        if stamp is not None and stamp != self._plan_stamp:
            self._plan, self._plan_stamp = plan_of(self._path), stamp
            self._known.clear()

    def file_of(self, run: WatchedRun) -> str:
        """The file in which a run can be opened; of one that has not ended, a copy as it stands.

        Raises:
            UsageError: if there is none, with the reason.
        """
        if run.row.file or self._plan is None:
            return run.row.file
        (spec,) = (one for one in self._plan.runs if one.name == run.name)
        try:
            chunks = chunks_of(self._path, spec)
        except (OSError, msgspec.MsgspecError) as error:
            what = "its chunks cannot be read just now"
            raise UsageError(what, hint="it may just have ended: try again") from error
        if not any(taken.batches for taken in chunks):
            raise UsageError("it has taken no step yet")
        if self._copies is None:
            self._copies = tempfile.TemporaryDirectory(prefix="elbo-tui-")
        copy = Path(self._copies.name) / f"{spec.name}.run"
        write(copy, saved_run(chunks, self._plan.text))
        return str(copy)

    def ask(self, act: Act, run: WatchedRun) -> None:
        """Have the sweep stop, resume or restart a run; one is started if none is under way.

        Raises:
            UsageError: if that cannot be asked.
        """
        self._ask(Request(act, (run.name,)))

    def add(self, text: str) -> int:
        """Have runs added, such as `lr=0.03 seeds=8:12`; returns how many.

        Raises:
            UsageError: if it names none that is not there yet, or the sweep cannot be asked.
        """
        known = set() if self._plan is None else {spec.name for spec in self._plan.runs}
        added = tuple(spec for spec in parse_runs(text) if spec.name not in known)
        if not added:
            raise UsageError("these runs are there already")
        self._ask(Request("add", added=added))
        return len(added)

    def _ask(self, request: Request) -> None:
        if self._plan is None:
            raise UsageError("these are saved runs, and of no sweep")
        ask(self._path, request)
        self._notice = ""
        if not goes_on(self._path):
            self._started = start_sweep(self._path)

    def _watch_started(self) -> None:
        """See that a sweep takes what was asked; it may have ended before it saw it."""
        if self._started is None or self._started.poll() is None:
            return
        failed, self._started = self._started.returncode not in (0, 1, 3), None
        if failed:
            self._notice = f"the sweep has ended: {last_word(self._path)}"

    def close(self) -> None:
        """Remove the copies."""
        if self._copies is not None:
            self._copies.cleanup()
            self._copies = None

    def _of_sweep(self, plan: Plan) -> FolderContent | None:
        own = self._path / ".sweep"
        files = _stamps(self._path, ".run")
        ended = _stamps(own / "ended")
        live = goes_on(self._path)
        self._watch_started()
        if not live and self._started is None and not self._notice and waiting(self._path):
            self._started = start_sweep(self._path)
        found = progress_of(self._path) if live else None
        progress, since = found or (None, 0.0)
        under_way = progress.under_way if progress is not None else ()
        runs = []
        for spec in plan.runs:
            known = self._known.setdefault(spec.name, _Known(most=plan.goal.steps or 0))
            if spec.name in ended:
                stamp = (ended[spec.name], files.get(f"{spec.name}.run"))
                self._ended(spec, known, stamp)
            else:
                state: RunProgress = "running" if spec.name in under_way else "waiting"
                self._so_far(spec, known, state if live else "left")
            runs.append(known.watched)
        notice = self._notice or (progress.notice if progress is not None else "")
        now = [*runs, live, progress, notice]
        if self._before is not None and now == self._before:
            return None
        self._before = now
        return FolderContent(
            title=plan.settings.name,
            runs=tuple(run for run in runs if run is not None),
            steps=max(known.most for known in self._known.values()),
            live=live,
            swept=True,
            since=since,
            progress=progress,
            notice=notice,
        )

    def _ended(self, spec: RunSpec, known: _Known, stamp: object) -> None:
        if known.stamp == stamp:
            return
        run = ended_run(self._path, spec)
        if run is None:
            return  # It is being written.
        known.stamp, known.most = stamp, run.step
        row = row_of(run, self._path)
        if run.step:
            problem = self._read_file(known, self._path / f"{spec.name}.run")
            if problem is not None:
                row = replace(row, note="; ".join(filter(None, (row.note, problem))), file="")
        known.watched = WatchedRun(spec.name, "ended", row, known.elbo, known.loss)

    def _so_far(self, spec: RunSpec, known: _Known, state: RunProgress) -> None:
        chunks = sorted(_stamps(self._path / ".sweep" / "chunks" / spec.name, ".chunk"))
        read = known.stamp if isinstance(known.stamp, list) else []
        if read != chunks[: len(read)]:
            read = []
        if not read:
            known.begin()
        done = list(read)
        for name in chunks[len(read) :]:
            try:
                data = (self._path / ".sweep" / "chunks" / spec.name / name).read_bytes()
                chunk: _Steps = decode(data, _Steps)
            except (OSError, msgspec.MsgspecError):
                break  # The run has just ended.
            known.add(chunk.batches)
            known.most = chunk.steps
            done.append(name)
        changed = known.stamp != done
        known.stamp = done
        if not changed and known.watched is not None and known.watched.progress == state:
            return
        row = Row(
            run=spec.record,
            step=known.loss.steps,
            loss=known.last_loss,
            evaluation=unevaluated("it has not ended"),
            verdict="",
            seconds=known.seconds,
            ended="",
            note="",
            file="",
        )
        known.watched = WatchedRun(spec.name, state, row, known.elbo, known.loss)

    def _of_files(self) -> FolderContent | None:
        found = dict(self._run_files())
        for name in self._known.keys() - found.keys():
            del self._known[name]
        for name, stamp in found.items():
            known = self._known.setdefault(name, _Known())
            if known.stamp != stamp:
                known.stamp = stamp
                self._file(name, known)
        runs = [self._known[name].watched for name in sorted(found)]
        if self._before is not None and runs == self._before:
            return None
        self._before = runs
        watched = tuple(run for run in runs if run is not None)
        names = {str(run.row.run.get("scenario")) for run in watched if run.row.file}
        return FolderContent(
            title=names.pop() if len(names) == 1 else self._path.name,
            runs=watched,
            steps=max((run.row.step for run in watched), default=0),
            live=False,
            swept=False,
        )

    def _file(self, name: str, known: _Known) -> None:
        path = self._path / name
        try:
            settings = self._read(known, path)
        except UsageError as error:
            row = Row(
                run={"run": path.stem},
                step=0,
                loss=math.nan,
                evaluation=unevaluated(error.what),
                verdict="",
                seconds=0.0,
                ended="",
                note=error.what,
                file="",
            )
            known.begin()
            known.watched = WatchedRun(name, "unreadable", row, known.elbo, known.loss)
            return
        row = row_of_file(path, settings, known.last_loss, known.seconds)
        known.watched = WatchedRun(name, "ended", row, known.elbo, known.loss)

    def _read_file(self, known: _Known, path: Path) -> str | None:
        """Read the numbers of a file; what is wrong with it, in words."""
        try:
            self._read(known, path)
        except UsageError as error:
            known.begin()
            return error.what
        return None

    def _read(self, known: _Known, path: Path) -> RunSettings:
        settings, parts = read_columns(path, (ELBO, LOSS, SECONDS))
        known.begin()
        for steps, columns in parts:
            known.take(steps, columns)
        return settings

    def _run_files(self) -> Iterator[tuple[str, Stamp]]:
        for name, stamp in _stamps(self._path).items():
            known = self._known.get(name)
            if (known is not None and known.stamp == stamp) or is_run_file(str(self._path / name)):
                yield name, stamp


def _stamp_of(file: Path) -> Stamp | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _stamps(folder: Path, ending: str = "") -> dict[str, Stamp]:
    """The files of a folder, hidden ones left out; none if it is not there."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(ending) and not entry.name.startswith("."):
                    try:
                        if entry.is_file():
                            stat = entry.stat()
                            found[entry.name] = (stat.st_mtime_ns, stat.st_size)
                    except OSError:
                        continue
    except FileNotFoundError:
        if not folder.name == "ended" and ending != ".chunk":
            raise
    return found
