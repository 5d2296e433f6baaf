"""`elbo-tui explain`: prints what moved log p, log q and the ELBO, without a screen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TextIO

from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.report import (
    LensFollower,
    attribution_table,
    evidence_gap,
    parameter_table,
    site_table,
    span_sentence,
)
from tui_elbo.cli.run import narrate
from tui_elbo.cli.streams import own_stdout
from tui_elbo.cli.verdict import print_verdict, reached
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.session import Session

POINTS = 50
"""The lens evaluates the run so many times."""

LATE = 10
"""The last tenth of the run has a sentence of its own."""

DESCRIPTION = """\
Run a scenario and print what moved log p, log q and the ELBO: the guide's parameters (phi), the
model's (theta), or the luck of the draw.
"""


def main(words: list[str]) -> int:
    """Run a scenario and print its attribution; returns the exit code.

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
    options.add_argument(
        "--json", action="store_true", help="one JSON object a lens point, and the verdict"
    )
    add_engine_options(options)
    chosen = options.parse_args(words)
    find_scenario(chosen.scenario)
    out = own_stdout()
    session, attribution, follower = _run(chosen, out)
    verdict = reached(session, chosen, attribution)
    if chosen.json:
        print_verdict(verdict, out)
    else:
        lines = [*explanation_lines(session, attribution, follower), "", verdict.text]
        out.write("\n".join(lines) + "\n")
    out.close()
    return 0 if session.non_finite is None else 3


def _run(chosen: argparse.Namespace, out: TextIO) -> tuple[Session, Attribution, LensFollower]:
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.session import Session  # noqa: PLC0415
    from tui_elbo.engine.verdict.iterates import memory_of  # noqa: PLC0415

    session = Session(
        chosen.scenario,
        seed=chosen.seed,
        threads=chosen.threads,
        device=chosen.device,
        iterates_memory=memory_of(chosen.checkpoint_memory),
        warn=narrate,
        busy=narrate,
    )
    steps = chosen.steps or session.scenario.steps
    attribution = Attribution(session, chosen.draws, in_process=chosen.lens_in_process)
    every = max(steps // POINTS, 1)
    follower = LensFollower(
        session,
        attribution,
        every=every,
        steps=steps,
        out=out,
        json=chosen.json,
        report=narrate,
    )
    while session.steps_taken < steps and session.non_finite is None:
        follower.take(session.advance(min(steps - session.steps_taken, follower.most())))
    if session.non_finite is not None:
        narrate(str(session.non_finite))
    return session, attribution, follower


def explanation_lines(
    session: Session, attribution: Attribution, follower: LensFollower
) -> list[str]:
    """The attribution of the run so far, line by line."""
    points = follower.known
    scenario = session.scenario
    lines = [
        f"{safe(scenario.source.name)}: {safe(scenario.title)}".rstrip(": "),
        f"{session.steps_taken} steps, seed {session.seed}",
    ]
    if not points:
        return lines
    first, last = points[0], points[-1]
    late = next(p for p in points if p.state >= last.state - session.steps_taken // LATE)
    lines += ["", *attribution_table(first, last, follower.seen)]
    lines += ["", span_sentence(first, last, follower.seen, attribution)]
    if late.state < last.state and late.state > first.state:
        now = span_sentence(late, last, follower.seen, attribution)
        lines += [f"From step {late.state + 1} on: {now}"]
    lines += ["", *site_table(first, last), "", *parameter_table(attribution)]
    lines += ["", *evidence_gap(session, attribution)]
    return lines
