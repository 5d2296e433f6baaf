"""`elbo-tui sweep`: a grid of runs, on the cores of this machine or on a cluster."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec

from tui_elbo.cli.options import MAX_THREADS, parser, tolerance, whole
from tui_elbo.cli.run import narrate
from tui_elbo.cli.run_table import csv_text, record, table_text
from tui_elbo.cli.streams import own_stdout
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec, grid, parse_choice, parse_seeds
from tui_elbo.model.scenarios import expanded, find_scenario
from tui_elbo.model.text import safe
from tui_elbo.model.verdict import CONVERGED, NATS
from tui_elbo.runfile.database import RunSettings

if TYPE_CHECKING:
    from tui_elbo.many.executors import Workers
    from tui_elbo.many.folder import EndedRun, Plan
    from tui_elbo.many.sweep import Sweep
    from tui_elbo.model.run_table import Row
    from tui_elbo.model.workspace import Progress

DESCRIPTION = """\
Run a scenario with every combination of seeds, settings and guides, and compare the runs.

Settings are those of the key t: lr, particles, estimator, optimizer; and those that the scenario
declares, as in settings = {"width": 0.1}.
Each run ends as a file of DIR, as elbo-tui run --save writes it. The same command goes on with a
sweep that was interrupted, and with more --steps it continues the runs. ctrl+c waits for the
chunks under way; a second one does not.

--halving compares the runs at doublings of the steps, at the mean of their newest iterates, and
drops those that cannot become the best by what is left at most and by their pace. What is not
sure is not dropped. A faster pace than their own so far, or another mode, is not foreseen.

--on says where the runs are taken: dask:tcp://HOST:PORT is a Dask cluster (pip install
elbo-tui[dask]); package.module:function calls a function that returns an Executor of
concurrent.futures. By default they are taken by processes on this machine, one a core.

The exit code is 0; 1 if a run failed, 3 if the loss of one was not finite: the others go on.
"""


def main(words: list[str]) -> int:
    """Run a sweep; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first run, or if the folder cannot be written.
    """
    chosen = _options().parse_args(words)
    if chosen.scenario is None:
        return _gone_on_with(chosen)
    runs = grid(
        parse_seeds(chosen.seeds) if chosen.seeds else (),
        [parse_choice(one) for one in chosen.set or ()],
        [one.strip() for one in chosen.guide.split(",")] if chosen.guide else [],
    )
    if chosen.until not in (None, CONVERGED):
        what = f"a sweep runs until {CONVERGED}, and not until {chosen.until!r}"
        raise UsageError(what, hint=f"--until {CONVERGED}, or --steps N")
    source = find_scenario(chosen.scenario)
    if chosen.dry_run:
        return _dry_run(runs, chosen)
    if chosen.out is None:
        raise UsageError("a sweep needs a folder", hint="--out DIR")
    settings = RunSettings(
        name=source.name,
        path=str(source.path),
        module=source.module,
        root=str(source.root),
        own=str(source.own),
        seed=None,
        threads=chosen.threads,
        device=chosen.device,
        step=0,
    )
    out = own_stdout()
    plan = _plan(settings, runs, chosen)
    return _swept(plan, _workers(chosen), chosen, out)


def _gone_on_with(chosen: argparse.Namespace) -> int:
    """Go on with the sweep that a folder holds."""
    from tui_elbo.many.folder import plan_of  # noqa: PLC0415 - only what it takes

    if chosen.out is None or chosen.seeds or chosen.set or chosen.guide or chosen.until:
        what = "a sweep needs a scenario, or else only the folder of one to go on with"
        raise UsageError(what, hint="elbo-tui sweep SCENARIO --seeds 0:8 --out DIR")
    plan = plan_of(expanded(Path(chosen.out)))
    if plan is None:
        raise UsageError("there is no sweep to go on with", where=chosen.out)
    if chosen.steps:
        goal = msgspec.structs.replace(plan.goal, steps=chosen.steps)
        plan = msgspec.structs.replace(plan, goal=goal)
    if chosen.dry_run:
        return _dry_run(plan.runs, chosen)
    return _swept(plan, _workers(chosen), chosen, own_stdout())


def _plan(settings: RunSettings, runs: tuple[RunSpec, ...], chosen: argparse.Namespace) -> Plan:
    from tui_elbo.many.check import check_settings  # noqa: PLC0415 - these import torch
    from tui_elbo.many.chunk import Goal  # noqa: PLC0415
    from tui_elbo.many.folder import Plan  # noqa: PLC0415

    text = settings.source.path.read_bytes()
    steps = check_settings(settings, text, runs)
    goal = Goal(
        steps=chosen.steps or steps,
        converged=chosen.until == CONVERGED,
        tolerance=chosen.tolerance,
        draws=chosen.draws,
        halving=chosen.halving,
        findings=not chosen.no_findings,
    )
    return Plan(settings, text, goal, runs)


def _workers(chosen: argparse.Namespace) -> Workers:
    from tui_elbo.many.executors import elsewhere, local  # noqa: PLC0415

    return local(chosen.jobs) if chosen.on is None else elsewhere(chosen.on, chosen.jobs)


def _swept(plan: Plan, workers: Workers, chosen: argparse.Namespace, out: TextIO) -> int:
    from tui_elbo.many.folder import SweepFolder, row_of  # noqa: PLC0415
    from tui_elbo.many.sweep import Sweep  # noqa: PLC0415

    path = expanded(Path(chosen.out))
    folder = SweepFolder(path.absolute(), plan)
    try:
        sweep = Sweep(folder, workers, chosen.chunk_seconds)
        stop = _Stop(sweep)
        teller = _Teller()

        def ended(run: EndedRun) -> None:
            teller.clear()
            if run.ending.note:
                narrate(f"{run.spec.name}: {run.ending.note}")
            if chosen.json:
                out.write(msgspec.json.encode(record(row_of(run, path))).decode() + "\n")
                out.flush()

        runs = sweep.run(teller, ended)
        teller.clear()
        rows = [row_of(run, path) for run in runs]
        if rows:
            folder.write_text("runs.csv", csv_text(rows))
    finally:
        folder.close()
    if rows and not chosen.json:
        from tui_elbo.many.barrier import barrier_between  # noqa: PLC0415

        out.write(table_text(rows, barrier_between))
    out.close()
    _report_saved(rows, plan)
    left = len(plan.runs) - len(rows)
    if stop.asked and left:
        narrate(f"interrupted, {left} of {len(plan.runs)} runs are left: the same command goes on")
        return 130
    kinds = {row.ended for row in rows}
    return 1 if "failed" in kinds else 3 if "not finite" in kinds else 0


def _report_saved(rows: Sequence[Row], plan: Plan) -> None:
    """What dropping runs has saved."""
    most = plan.goal.steps or 0
    saved = [most - row.step for row in rows if row.ended == "dropped"]
    if saved:
        share = sum(saved) / (most * len(plan.runs))
        runs = f"{len(saved)} run{'s' * (len(saved) > 1)} dropped"
        narrate(f"{runs}: {sum(saved):,} of {most * len(plan.runs):,} steps saved ({share:.0%})")


def _dry_run(runs: tuple[RunSpec, ...], chosen: argparse.Namespace) -> int:
    for run in runs:
        if chosen.json:
            print(msgspec.json.encode({"run": run.record, "file": f"{run.name}.run"}).decode())
        else:
            print(f"{run.name}.run")
    print(f"elbo-tui: {len(runs)} run{'s' * (len(runs) > 1)}", file=sys.stderr)
    return 0


class _Stop:
    """ctrl+c: begins no more chunks and waits for those under way; a second one ends them."""

    def __init__(self, sweep: Sweep) -> None:
        self.asked, self._sweep = False, sweep
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = self._sweep.stopping = True
        print("\nelbo-tui: waiting for the chunks under way", file=sys.stderr, flush=True)


class _Teller:
    """Reports the progress on stderr: in one line on a terminal, else now and then."""

    EACH = 10.0
    """Seconds between two lines where it is no terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Report it."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._live else self.EACH)
        parts = [
            f"{progress.ended} of {progress.runs} runs",
            f"{progress.steps:,} of at most {progress.most:,} steps",
        ]
        if progress.left is not None and progress.ended < progress.runs:
            parts.append(f"about {_duration(progress.left)} left")
        if progress.lost:
            parts.append(f"{progress.lost} chunks lost and taken again")
        if progress.notice:
            parts.append(safe(progress.notice))
        text = " · ".join(parts)
        if self._live:
            text = text[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{text}" if self._live else text, file=sys.stderr, flush=True, end="")
        if not self._live:
            print(file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for another line."""
        if self._live:
            print("\r\x1b[K", file=sys.stderr, flush=True, end="")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0, and is {text}")
    return value


def _options() -> argparse.ArgumentParser:
    options = parser("elbo-tui sweep", DESCRIPTION)
    options.add_argument(
        "scenario",
        nargs="?",
        help="a gallery name, a path or a module; none: go on with what DIR holds",
    )
    options.add_argument("--seeds", metavar="A:B", help="from A to B - 1, or a list: 1,5,9")
    options.add_argument(
        "--set",
        action="append",
        metavar="NAME=V,V",
        help="values of a setting, such as lr=0.01,0.03; may be given several times",
    )
    options.add_argument(
        "--guide", metavar="NAMES", help="Pyro's own guides in place of the scenario's: AutoNormal"
    )
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    options.add_argument(
        "--until", metavar=CONVERGED, help="end each run once its verdict is that it is done"
    )
    options.add_argument(
        "--halving",
        action="store_true",
        help="at doublings of the steps, drop the runs that cannot catch up with the best",
    )
    options.add_argument("--no-findings", action="store_true", help="do not look for faults")
    options.add_argument("--out", metavar="DIR", help="the folder of the runs")
    options.add_argument("--on", metavar="PLACE", help="where the runs are taken; default: here")
    options.add_argument(
        "--jobs", type=whole(1, 4096), metavar="N", help="runs under way at once; default: cores"
    )
    options.add_argument(
        "--chunk-seconds", type=_seconds, default=5.0, metavar="S", help="of a chunk; default: 5"
    )
    options.add_argument("--dry-run", action="store_true", help="list the runs, and do nothing")
    options.add_argument("--json", action="store_true", help="one JSON object a run on stdout")
    options.add_argument(
        "--threads", type=whole(1, MAX_THREADS), default=1, metavar="N", help="torch's, of each run"
    )
    options.add_argument("--device", help="torch's default device; default: torch's own")
    options.add_argument(
        "--tolerance", type=tolerance, default=NATS, metavar="NATS", help="of the verdict"
    )
    options.add_argument(
        "--draws", type=whole(2), default=256, metavar="M", help="of the lens; default: 256"
    )
    options.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return options
