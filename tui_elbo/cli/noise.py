"""`elbo-tui noise`: which estimator and how many particles give least noise for their time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tui_elbo.cli.options import add_engine_options, parser, seconds, whole
from tui_elbo.cli.run import narrate
from tui_elbo.cli.streams import own_stdout
from tui_elbo.model.noise import (
    SECONDS,
    UNIT,
    NoiseTable,
    head,
    param_lines,
    row_line,
    unmeasured,
)
from tui_elbo.model.rate_scan import (
    RateScan,
    scan_foot,
    scan_head,
    scan_line,
    unscanned,
)
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.session import Session

BURST = 200
"""Steps between two words of progress."""

DESCRIPTION = """\
Run a scenario, and measure at the state where it ends the noise of the gradient and the time of a
step: for each estimator that fits the model, with 1, 10 and 100 particles. The figure that matters
is noise² × time, relative to the present setting: the time that a gradient of the same noise takes.
"""


def main(words: list[str]) -> int:
    """Measure the noise of the gradient; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first step.
        StepError: if a step raised.
    """
    options = parser("elbo-tui noise", DESCRIPTION)
    options.add_argument("scenario", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps",
        type=whole(0),
        metavar="N",
        help="before it is measured; default: the scenario's own, else 1000",
    )
    options.add_argument(
        "--seconds",
        type=seconds,
        default=SECONDS,
        metavar="S",
        help=f"how long to measure, about; default: {SECONDS:g}",
    )
    options.add_argument(
        "--scan",
        action="store_true",
        help="instead: short runs from there at × 0.1 to × 10 of the learning rate, and the best",
    )
    options.add_argument("--json", action="store_true", help="one JSON object on stdout")
    add_engine_options(options)
    chosen = options.parse_args(words)
    find_scenario(chosen.scenario)
    out = own_stdout()
    session, attribution = _run(chosen)
    if session.non_finite is not None:
        narrate(str(session.non_finite))
        return 3
    if chosen.scan:
        scan = scanned(session, attribution, chosen)
        name, record, lines, failed = "scan", scan.record(), scan_text(scan), scan.why_none
    else:
        table = measured(session, attribution, chosen)
        name, record, lines, failed = "noise", table.record(), table_text(table), table.why_none
    if chosen.json:
        out.write(msgspec.json.encode({name: record}).decode() + "\n")
    else:
        out.write("\n".join(safe(line) for line in lines) + "\n")
    out.close()
    return 1 if failed else 0


def _run(chosen: argparse.Namespace) -> tuple[Session, Attribution]:
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    session = Session(
        chosen.scenario,
        seed=chosen.seed,
        given=tuple(chosen.given),
        threads=chosen.threads,
        device=chosen.device,
        warn=narrate,
        busy=narrate,
    )
    steps = session.scenario.steps if chosen.steps is None else chosen.steps
    attribution = Attribution(session, in_process=chosen.lens_in_process)
    while session.steps_taken < steps and session.non_finite is None:
        session.advance(min(steps - session.steps_taken, BURST))
    return session, attribution


def measured(session: Session, attribution: Attribution, chosen: argparse.Namespace) -> NoiseTable:
    """The table of a run where it stands, measured in a copy of the process."""
    from tui_elbo.engine.lens.fork import LookError  # noqa: PLC0415
    from tui_elbo.engine.noise.gradient_noise import gradient_noise, measured_run  # noqa: PLC0415
    from tui_elbo.protocol.codec import decode  # noqa: PLC0415

    run = measured_run(session, attribution, chosen.seconds)
    try:
        call = attribution.call(lambda progress: gradient_noise(run, progress))
        with _Progress(lambda: call.progress, "measuring") as progress:
            table: NoiseTable = decode(call.wait(run.patience, progress.seen), NoiseTable)
    except LookError as error:
        return unmeasured(session.steps_taken, str(error))
    return table


def scanned(session: Session, attribution: Attribution, chosen: argparse.Namespace) -> RateScan:
    """Short runs at other learning rates, in a copy of the process."""
    from tui_elbo.engine.lens.fork import ForkedCall, LookError, why_no_fork  # noqa: PLC0415
    from tui_elbo.engine.noise.rate_scan import Scanned, scan_rates  # noqa: PLC0415
    from tui_elbo.protocol.codec import decode  # noqa: PLC0415

    if why_no_fork():
        return unscanned(session.steps_taken, why_no_fork())
    settled, seconds = attribution.settled_or_none, chosen.seconds
    run = Scanned(session.stepper, settled, seconds=seconds)
    try:
        call = ForkedCall(lambda progress: scan_rates(run, progress))
        with _Progress(lambda: call.progress, "scanning") as progress:
            scan: RateScan = decode(call.wait(run.patience, progress.seen), RateScan)
    except LookError as error:
        return unscanned(session.steps_taken, str(error))
    return scan


def scan_text(scan: RateScan) -> list[str]:
    """The rates, and the advice."""
    if scan.why_none:
        return [scan.advice]
    rows = [scan_line(row) for row in scan.rows]
    return [*scan_head(scan), *rows, "", scan_foot(scan), scan.advice]


class _Progress:
    """Reports on stderr how far something is, if that is a terminal."""

    def __init__(self, progress: Callable[[], tuple[int, int]], what: str) -> None:
        self._progress, self._what = progress, what
        self._shown, self._next = False, time.monotonic() + 0.5

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def seen(self) -> bool:
        """Asked now and then whether to stop; it never is."""
        if sys.stderr.isatty() and time.monotonic() > self._next:
            done, of = self._progress()
            sys.stderr.write(f"\r\x1b[K{self._what}: {100 * done // (of or 1)} %")
            sys.stderr.flush()
            self._shown, self._next = True, time.monotonic() + 0.5
        return False


def table_text(table: NoiseTable) -> list[str]:
    """The table, the noise of each parameter, and the advice."""
    if table.why_none:
        return [table.advice]
    lines = [f"gradient noise at step {table.step}: standard deviation, {UNIT}", *head(table)]
    lines += [row_line(table, row) for row in table.rows]
    shown = [row for row in (table.present, table.best) if row is not None and not row.problem]
    lines += ["", *param_lines(table, shown), ""]
    lines += [f"- {remark}" for remark in table.remarks]
    return [*lines, "", table.advice]
