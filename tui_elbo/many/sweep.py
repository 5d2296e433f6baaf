"""A grid of runs on an executor: chunks are handed out, and what comes back is kept at once.

A run goes on where its chunk has ended as long as there are no more runs under way than workers,
so that mostly the worker gets it that has its session. A chunk that is lost is taken again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)

import msgspec

from tui_elbo.many.check import check_settings
from tui_elbo.many.chunk import Ending, Header, Look, Taken, versions
from tui_elbo.many.executors import Workers
from tui_elbo.many.folder import RESUMED, EndedRun, RunSoFar, SweepFolder
from tui_elbo.many.requests import Request, requests
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.grid import RunSpec
from tui_elbo.model.halving import Standing, dropped
from tui_elbo.model.verdict import cannot_tell
from tui_elbo.model.workspace import Progress
from tui_elbo.protocol.codec import decode, encode

CHUNK_SECONDS = 5.0
"""So much of a run is lost at most with a worker."""

ALONE_AFTER, MOST_LOST = 2, 4
"""A chunk that was lost so often is taken while no other is, since whoever dies takes the others
with it; and one that is lost twice then is not taken any more."""

WAIT_SECONDS = 0.5


class Sweep:
    """Runs what has not ended of a sweep.

    Args:
        folder: that it is kept in.
        workers: that take the chunks.
        seconds: of a chunk.
    """

    def __init__(
        self, folder: SweepFolder, workers: Workers, seconds: float = CHUNK_SECONDS
    ) -> None:
        self._folder, self._workers, self._seconds = folder, workers, seconds
        self._executor: Executor | None = None
        self._waiting: deque[RunSoFar] = deque()
        self._compared: list[RunSoFar] = []
        """Those that wait for the others, to be compared at the step where they stand."""
        self._looks: dict[str, dict[int, Look]] = {}
        self._under_way: dict[Future[bytes], RunSoFar] = {}
        self._steps: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._lost = 0
        self._ended: list[EndedRun] = []
        self._void: set[Future[bytes]] = set()
        """Chunks of runs that have been restarted meanwhile."""
        self._notice = self._trouble = ""
        self.stopping = False
        """Set to begin no more chunks; those under way are waited for."""

    def run(
        self,
        report: Callable[[Progress], object] = lambda _: None,
        ended: Callable[[EndedRun], object] = lambda _: None,
    ) -> list[EndedRun]:
        """Run until every run has ended, or until it is to stop.

        Args:
            report: of the progress, now and then.
            ended: called with each run that has ended, those of an earlier time first.

        Returns:
            The runs that have ended, in the order of the plan.

        Raises:
            UsageError: if something cannot be written, or nothing takes the chunks any more.
        """
        self._report_ended = ended
        self._began, self._first = time.monotonic(), 0
        for spec in self._folder.plan.runs:
            before = self._folder.ended(spec)
            run = self._folder.so_far(spec) if before is None else None
            if run is not None and run.last is not None and run.last.ending is not None:
                before, run = self._folder.end(spec), None
            if before is not None:
                self._has_ended(before)
            elif run is not None:
                self._go_on(run, first=False)
                self._count(run)
        self._first = sum(self._steps.values())
        try:
            while self._goes_on():
                if not self._waiting and not self._under_way:
                    self._compare()
                self._hand_out()
                self._folder.keep_progress(self._progress())
                wait(self._under_way, timeout=WAIT_SECONDS, return_when=FIRST_COMPLETED)
                for future in [one for one in self._under_way if one.done()]:
                    self._take(future)
                self._trouble = self._workers.trouble()
                report(self._progress())
        finally:
            if self._executor is not None:
                self._workers.end(self._executor)
        places = {spec.name: place for place, spec in enumerate(self._folder.plan.runs)}
        return sorted(self._ended, key=lambda run: places[run.spec.name])

    def _goes_on(self) -> bool:
        for request in requests(self._folder.path):
            try:
                self._carry_out(request)
                self._notice = ""
            except ElboError as error:
                self._notice = str(error)
        left = bool(self._waiting or self._compared)
        return bool(self._under_way) or (left and not self.stopping)

    def _carry_out(self, request: Request) -> None:
        specs = {spec.name: spec for spec in self._folder.plan.runs}
        for name in request.runs:
            if name in specs:
                match request.act:
                    case "stop":
                        self._stop(name)
                    case "resume":
                        self._resume(name)
                    case "restart":
                        self._restart(specs[name])
        added = tuple(spec for spec in request.added if spec.name not in specs)
        if added:
            plan = self._folder.plan
            check_settings(plan.settings, plan.text, added)
            self._folder.add_runs(added)
            for spec in added:
                self._waiting.append(RunSoFar(spec))

    def _stop(self, name: str) -> None:
        """Have the run end with its next chunk."""
        for run in (*self._waiting, *self._compared, *self._under_way.values()):
            if run.spec.name == name:
                run.stop = True
                if run in self._compared:
                    self._compared.remove(run)
                    self._waiting.appendleft(run)

    def _resume(self, name: str) -> None:
        """Let a run go on that was stopped or dropped."""
        for run in (*self._waiting, *self._under_way.values()):
            run.stop = run.stop and run.spec.name != name
        for ended in [one for one in self._ended if one.spec.name == name]:
            if ended.ending.kind in RESUMED:
                self._ended.remove(ended)
                self._folder.take_up(ended.spec, ended)
                self._go_on(self._folder.so_far(ended.spec), first=False)

    def _restart(self, spec: RunSpec) -> None:
        """Take the run again from its first step."""
        self._void |= {one for one, run in self._under_way.items() if run.spec == spec}
        self._waiting = deque(run for run in self._waiting if run.spec != spec)
        self._compared = [run for run in self._compared if run.spec != spec]
        self._ended = [run for run in self._ended if run.spec != spec]
        self._looks.pop(spec.name, None)
        self._folder.restart(spec)
        self._steps[spec.name] = 0
        self._waiting.append(RunSoFar(spec))

    def _hand_out(self) -> None:
        if self.stopping:
            return
        suspects = [run for run in self._waiting if run.lost >= ALONE_AFTER]
        if suspects:
            if not self._under_way:
                self._waiting.remove(suspects[0])
                self._submit(suspects[0])
            return
        while self._waiting and len(self._under_way) < self._workers.count:
            self._submit(self._waiting.popleft())

    def _submit(self, run: RunSoFar) -> None:
        task = self._folder.task(run, self._seconds)
        data = encode(msgspec.structs.replace(task, versions=versions()))
        for _ in range(2):
            if self._executor is None:
                self._executor = self._workers.make()
            try:
                future = self._executor.submit(self._workers.work, data)
            except BrokenExecutor:
                self._leave_executor()
                continue
            except Exception as error:
                self._workers.trouble()
                raise _not_taken(error) from error
            self._under_way[future] = run
            return
        self._waiting.appendleft(run)

    def _leave_executor(self) -> None:
        if self._executor is not None:
            self._workers.end(self._executor)
            self._executor = None

    def _take(self, future: Future[bytes]) -> None:
        run = self._under_way.pop(future)
        if future in self._void:
            self._void.remove(future)
            if not future.cancelled() and isinstance(future.exception(), BrokenExecutor):
                self._leave_executor()
            return
        try:
            data = future.result()
        except CancelledError:  # The run has no part in that: its place has let go of it.
            self._lost += 1
            self._waiting.appendleft(run)
            return
        except Exception as error:
            if isinstance(error, BrokenExecutor):
                self._leave_executor()
            self._lose(run, error)
            return
        _require_same(decode(data, Header).versions)
        taken: Taken = decode(data, Taken)
        if taken.missing:
            raise _not_loaded(taken.missing)
        self._keep(run, taken)

    def _keep(self, run: RunSoFar, taken: Taken) -> None:
        self._folder.add(run.spec, taken)
        run.add(taken)
        self._most[run.spec.name] = taken.steps
        self._count(run)
        if taken.ending is not None:
            self._has_ended(self._folder.end(run.spec))
        else:
            self._go_on(run)

    def _go_on(self, run: RunSoFar, *, first: bool = True) -> None:
        """Have the run wait for a worker, or for the others where it is to be compared."""
        self._looks[run.spec.name] = run.looks
        if run.stop:
            self._waiting.appendleft(run)
        elif run.step in run.looks:
            self._compared.append(run)
        elif first:
            self._waiting.appendleft(run)
        else:
            self._waiting.append(run)

    def _compare(self) -> None:
        """Drop those that cannot catch up, of the runs that stand at the first step of comparison.

        Every other run has been seen there, or has ended: so it is the same comparison, whenever
        the sweep goes on.
        """
        step = min(run.step for run in self._compared)
        standing = {
            run.spec.name: Standing(run.ending.evaluation, run.ending.verdict, 0)
            for run in self._ended
            if run.ending.kind != "dropped"
        }
        for name, looks in self._looks.items():
            if step in looks and name not in standing:
                standing[name] = _standing(looks, step, self._folder.plan.goal.steps or 0)
        drops = dropped(standing)
        here = [run for run in self._compared if run.step == step]
        self._compared = [run for run in self._compared if run.step != step]
        for run in here:
            drop = drops.get(run.spec.name)
            if drop is None or run.last is None:
                self._waiting.append(run)
                continue
            look = run.looks[step]
            found = run.last.before_steps
            ending = Ending("dropped", str(drop), look.verdict, look.evaluation, found)
            self._looks.pop(run.spec.name)
            self._keep(run, msgspec.structs.replace(run.last, ending=ending))

    def _lose(self, run: RunSoFar, error: Exception) -> None:
        self._lost += 1
        run.lost += 1
        if run.lost < MOST_LOST:
            self._waiting.appendleft(run)
            return
        if not isinstance(error, self._workers.run_errors):
            raise _not_taken(error) from error
        what = f"its worker ended {run.lost} times in the chunk after step {run.step}"
        note = f"{what}: {type(error).__name__}: {error}"
        verdict = cannot_tell(run.step, "its worker ended")
        ending = Ending("failed", note, verdict, unevaluated("its worker ended"))
        settings = self._folder.task(run, 0.0).settings
        last = run.last or Taken((), settings, b"", (), b"", run.step, None)
        self._keep(run, msgspec.structs.replace(last, ending=ending))

    def _has_ended(self, run: EndedRun) -> None:
        self._ended.append(run)
        self._steps[run.spec.name] = self._most[run.spec.name] = run.step
        self._report_ended(run)

    def _count(self, run: RunSoFar) -> None:
        self._steps[run.spec.name] = run.step

    def _progress(self) -> Progress:
        runs = self._folder.plan.runs
        steps = sum(self._steps.values())
        usual = self._folder.plan.goal.steps or max(self._most.values(), default=0)
        most = sum(self._most.get(spec.name, usual) for spec in runs)
        taken = steps - self._first
        seconds = time.monotonic() - self._began
        return Progress(
            ended=len(self._ended),
            runs=len(runs),
            steps=steps,
            most=most,
            left=seconds * (most - steps) / taken if taken else None,
            lost=self._lost,
            rate=taken / seconds if taken else None,
            under_way=tuple(sorted({run.spec.name for run in self._under_way.values()})),
            notice=self._notice or self._trouble,
        )


def _not_taken(error: Exception) -> UsageError:
    """Of a place that takes no chunks, which no run has a part in."""
    what = f"no chunk is taken there: {type(error).__name__}: {error}"
    hint = "see that its workers have elbo-tui: the same command goes on from what is finished"
    return UsageError(what, hint=hint)


def _not_loaded(missing: str) -> UsageError:
    """Of a worker that has not what the scenario imports, which no run has a part in."""
    hint = "what it imports must be on the path of each worker, as by PYTHONPATH"
    return UsageError(f"a worker cannot load the scenario: {missing}", hint=hint)


def _require_same(theirs: Mapping[str, str]) -> None:
    """Nothing is kept of workers whose steps may be others.

    Raises:
        UsageError: if a library has another version there.
    """
    other = [
        f"{name} {theirs.get(name, 'of another version')} (here {ours})"
        for name, ours in versions().items()
        if theirs.get(name) != ours
    ]
    if other:
        what = f"a worker has {', '.join(other)}: its steps may not be those of here"
        raise UsageError(what, hint="install the same versions on all workers")


def _standing(looks: Mapping[int, Look], step: int, steps: int) -> Standing:
    """Of a run where it is compared."""
    look = looks[step]
    earlier = [one for one in looks if one < step]
    return Standing(
        look.at_mean,
        look.verdict,
        steps - step,
        look.rate_decays,
        looks[max(earlier)].verdict if earlier else None,
    )
