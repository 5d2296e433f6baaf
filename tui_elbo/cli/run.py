"""`elbo-tui run`: the explorer's headless twin: the same session, the same records, printed.

What the scenario's code prints goes to stderr, from Python or from C; stdout has our data alone.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO

from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.printers import Lines, Printer, Summary
from tui_elbo.errors import StepError, UsageError
from tui_elbo.scenario import find
from tui_elbo.ui.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.session import Session

CHUNK_STEPS, CHUNK_SECONDS = 2000, 0.2


def main(words: list[str]) -> int:
    """Run a scenario and print what happened; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first step.
        StepError: if a step raised; the steps before it are printed.
    """
    options = parser("elbo-tui run", "Run a scenario without a screen.")
    options.add_argument("scenario", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    options.add_argument(
        "--every", type=whole(1), default=1, metavar="K", help="print each K-th step, and the last"
    )
    options.add_argument("--json", action="store_true", help="one JSON object a step on stdout")
    add_engine_options(options)
    chosen = options.parse_args(words)
    find(chosen.scenario)
    out = _own_stdout()
    from tui_elbo.engine.due import Every  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    session = Session(
        chosen.scenario,
        seed=chosen.seed,
        threads=chosen.threads,
        device=chosen.device,
        warn=narrate,
        busy=narrate,
    )
    steps = chosen.steps or session.scenario.steps
    session.due = Every(chosen.every, steps)
    printer = Lines(out, chosen.every, steps) if chosen.json else Summary(out, session, steps)
    code = _run(session, steps, printer)
    printer.close()
    out.close()
    return code


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
        if at_once:
            raise KeyboardInterrupt


def _run(session: Session, steps: int, printer: Printer) -> int:
    stop = _Stop(session)
    try:
        while session.steps_taken < steps and not stop.asked:
            left = min(steps - session.steps_taken, CHUNK_STEPS)
            printer.take(session.advance(left, CHUNK_SECONDS), session.non_finite is not None)
            if session.non_finite is not None:
                narrate(str(session.non_finite))
                return 3
    except StepError:
        printer.take(session.flush(), last=True)
        printer.close()
        raise
    except KeyboardInterrupt:
        stop.asked = True
    if stop.asked:
        printer.take(session.flush(), last=True)
        narrate(f"interrupted, {session.steps_taken} steps taken")
        return 130
    return 0


def narrate(text: str) -> None:
    """Say something on stderr."""
    print(f"elbo-tui: {safe(text, lines=True)}", file=sys.stderr, flush=True)


def _own_stdout() -> TextIO:
    """stdout for us alone: to everything else in this process, it is stderr from now on.

    It stays so to the end, since the C library may hold back what is printed until the exit.
    """
    if sys.stdout is None:
        raise UsageError("stdout is closed, and it is where the numbers go")
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own
