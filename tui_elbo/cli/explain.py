"""`elbo-tui explain`: the answer without a screen: what moved log p, log q and the ELBO."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tui_elbo.cli.attribution_text import accounts, by_parameter, by_site, gap, spoken
from tui_elbo.cli.lens_lines import Lensed
from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.run import narrate, own_stdout
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.session import Session

POINTS = 50
"""The run is looked at so many times."""

LATE = 10
"""The last part of the run, about one in so many of its steps, has a sentence of its own."""

DESCRIPTION = """\
Run a scenario and tell what moved log p, log q and the ELBO: the guide's parameters (phi), the
model's (theta), or the luck of the draw.
"""


def main(words: list[str]) -> int:
    """Run a scenario and print its accounts; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first step.
        StepError: if a step raised.
    """
    options = parser("elbo-tui explain", DESCRIPTION)
    options.add_argument("scenario", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    options.add_argument(
        "--draws", type=whole(2), metavar="M", help="of the lens; default: 256, fewer one by one"
    )
    add_engine_options(options)
    chosen = options.parse_args(words)
    find_scenario(chosen.scenario)
    out = own_stdout()
    session, attribution, lensed = _run(chosen)
    out.write("\n".join(told(session, attribution, lensed)) + "\n")
    out.close()
    return 0 if session.non_finite is None else 3


def _run(chosen: argparse.Namespace) -> tuple[Session, Attribution, Lensed]:
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - these import torch
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
    attribution = Attribution(session, chosen.draws)
    every = max(steps // POINTS, 1)
    lensed = Lensed(
        session, attribution, every=every, steps=steps, out=sys.stderr, json=False, tell=narrate
    )
    while session.steps_taken < steps and session.non_finite is None:
        lensed.take(session.advance(min(steps - session.steps_taken, lensed.most())))
    if session.non_finite is not None:
        narrate(str(session.non_finite))
    return session, attribution, lensed


def told(session: Session, attribution: Attribution, lensed: Lensed) -> list[str]:
    """The accounts of the run so far, line by line."""
    points = lensed.known
    scenario = session.scenario
    lines = [
        f"{safe(scenario.source.name)}: {safe(scenario.title)}".rstrip(": "),
        f"{session.steps_taken} steps, seed {session.seed}",
    ]
    if not points:
        return lines
    first, last = points[0], points[-1]
    late = next(p for p in points if p.state >= last.state - session.steps_taken // LATE)
    lines += ["", *accounts(first, last, lensed.seen)]
    lines += ["", spoken(first, last, lensed.seen, attribution)]
    if late.state < last.state and late.state > first.state:
        now = spoken(late, last, lensed.seen, attribution)
        lines += [f"From step {late.state + 1} on: {now}"]
    lines += ["", *by_site(first, last), "", *by_parameter(attribution)]
    lines += ["", *gap(session, attribution)]
    return lines
