"""`elbo-tui run`: the explorer's headless twin: the same session, the same records, printed.

What the scenario's code prints goes to stderr, from Python or from C; stdout has our data alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from tui_elbo.cli.lens_lines import Lensed, add_lens_options, follow
from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.printers import Lines, Printer, Summary
from tui_elbo.cli.save_options import Keeping, add_saving_options, target
from tui_elbo.cli.script import add_script_option, asked, play
from tui_elbo.cli.until import Until
from tui_elbo.model.conditions import parse
from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.session import Session

DESCRIPTION = """\
Run a scenario without a screen.

COND is a step number, or compares the numbers of a step, by the names that --json has:
  --until 500                  --until 'params["phi"] > 1 and step > 100'
  --until 'elbo > -1.2'        --until 'params["w"][3] < 0 or params["w"].mean > 0.9'
  --until 'grad_norm > 100'    --until 'not finite(sites["x"].log_p)'
grad_norm and update_norm alone are the largest of any parameter.
Beyond 512 columns parameters are summed up by module, and those that COND names recorded whole.

--csv has a column for whatever any step has; an empty cell is a number that the step lacks or
that is not finite. Since columns may come late, the table is written when the run ends.
"""

CHUNK_STEPS, CHUNK_SECONDS = 2000, 0.2


def main(words: list[str]) -> int:
    """Run a scenario and print what happened; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first step.
        StepError: if a step raised; the steps before it are printed.
    """
    chosen = _options().parse_args(words)
    pressed = asked(chosen)
    name = target(chosen, pressed)
    condition = None if chosen.until is None else parse(chosen.until)
    out = own_stdout()
    from tui_elbo.engine.record.budget import Always, Every  # noqa: PLC0415 - these import torch

    session = _session(name, chosen, goes_back=bool(pressed or chosen.save))
    steps = chosen.steps or (condition and condition.step) or session.scenario.steps
    session.due = Every(chosen.every, steps)
    if pressed or (condition is not None and condition.reads_params):
        session.due = Always()
    until = None if condition is None else Until(condition, session, narrate)
    printer = _printer(chosen, session, steps, out)
    lensed = follow(session, chosen, steps, out, narrate)
    stop = _Stop(session)

    def go() -> int:
        if pressed:
            play(session, pressed, printer, lambda: stop.asked)
            return _ended(session)
        return _run(session, steps, printer, until=until, lensed=lensed, stop=stop)

    code = _guarded(session, printer, stop, go)
    for one in (printer, lensed, out):
        if one is not None:
            one.close()
    return code


def _session(name: str, chosen: argparse.Namespace, *, goes_back: bool) -> Session:
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    return Session(
        name,
        seed=chosen.seed,
        threads=chosen.threads,
        device=chosen.device,
        checkpoint_memory=chosen.checkpoint_memory if goes_back else 0,
        warn=narrate,
        busy=_Once(),
        caution=lambda caution: narrate(caution.text) if caution.kind == "source" else None,
    )


def _printer(chosen: argparse.Namespace, session: Session, steps: int, out: TextIO) -> Printer:
    printer: Printer = Lines(out, chosen.every, steps)
    if not chosen.json:
        printer = CsvTable(out, chosen.every) if chosen.csv else Summary(out, session, steps)
        printer.take(list(session.restored), last=False)
    return printer if chosen.save is None else Keeping(printer, session, chosen.save)


def _options() -> argparse.ArgumentParser:
    options = parser("elbo-tui run", DESCRIPTION)
    options.add_argument("scenario", nargs="?", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    options.add_argument(
        "--every", type=whole(1), default=1, metavar="K", help="print each K-th step, and the last"
    )
    options.add_argument("--until", metavar="COND", help="stop on the first step that meets it")
    output = options.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a step on stdout")
    output.add_argument("--csv", action="store_true", help="a table on stdout, when the run ends")
    add_script_option(options)
    add_saving_options(options)
    add_lens_options(options)
    add_engine_options(options)
    return options


class _Once:
    """Narrates what takes its time, but not how far it has come."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, text: str) -> None:
        what = text.partition(":")[0]
        if what != self._said:
            self._said = what
            narrate(what)


class _Stop:
    """ctrl+c: breaks off the person's code at once, and ours between two pieces of the run.

    Asked twice, it waits for nothing.
    """

    def __init__(self, session: Session) -> None:
        self.asked = False
        self._session = session
        # A shell starts what runs in the background with ctrl+c ignored; so it stays.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: object) -> None:
        at_once, self.asked = self.asked or self._session.stepping, True
        self._session.interrupt()
        if at_once:
            raise KeyboardInterrupt


def _guarded(session: Session, printer: Printer, stop: _Stop, go: Callable[[], int]) -> int:
    """Run, and print what there is however that ends; returns the exit code."""
    try:
        code = go()
    except StepError:
        printer.take(session.flush(), last=True)
        printer.close()
        raise
    except KeyboardInterrupt:
        stop.asked, code = True, 130
    if stop.asked and not code % 130:
        printer.take(session.flush(), last=True)
        narrate(f"interrupted, {session.steps_taken} steps taken")
        return 130
    return code


def _run(
    session: Session,
    steps: int,
    printer: Printer,
    *,
    until: Until | None,
    lensed: Lensed | None,
    stop: _Stop,
) -> int:
    while session.steps_taken < steps and not stop.asked:
        # A condition's names are checked as soon as the first step has shown which there are.
        most = 1 if until is not None and session.steps_taken == 0 else CHUNK_STEPS
        if lensed is not None:
            most = min(most, lensed.most())
        batches = session.advance(min(steps - session.steps_taken, most), CHUNK_SECONDS)
        if until is not None:
            until.check(batches)
        printer.take(batches, last=session.met or session.non_finite is not None)
        if lensed is not None:
            lensed.take(batches)
        met = until is not None and until.met(batches)
        if met or session.non_finite is not None:
            return _ended(session)
    if until is not None and not stop.asked:
        until.missed()
    return 0


def _ended(session: Session) -> int:
    if session.non_finite is None:
        return 0
    narrate(str(session.non_finite))
    return 3


def narrate(text: str) -> None:
    """Say something on stderr."""
    print(f"elbo-tui: {safe(text, lines=True)}", file=sys.stderr, flush=True)


def own_stdout() -> TextIO:
    """stdout for us alone: to everything else in this process, it is stderr from now on.

    It stays so to the end, since the C library may hold back what is printed until the exit.
    """
    if sys.stdout is None:
        raise UsageError("stdout is closed, and it is where the numbers go")
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own
