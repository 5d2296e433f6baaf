"""`elbo-tui explain`: prints what moved log p, log q and the ELBO, without a screen."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TextIO

from tui_elbo.cli.findings import add_findings_option, run_checks
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
from tui_elbo.cli.verdict import print_verdict, reached, verdict_line
from tui_elbo.model.errors import StepError
from tui_elbo.model.findings import Finding
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
model's (theta), or the luck of the draw. Faults are printed on stderr, as by `elbo-tui run`.
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
    add_findings_option(options)
    add_engine_options(options)
    chosen = options.parse_args(words)
    find_scenario(chosen.scenario)
    out = own_stdout()
    session, attribution, follower, standing = _run(chosen, out)
    verdict = reached(session, chosen, attribution)
    if chosen.json:
        print_verdict(verdict, out, standing)
    else:
        text = verdict_line(verdict, standing)
        explained = explanation_lines(session, attribution, follower, sound=not standing)
        lines = [*explained, "", text]
        out.write("\n".join(lines) + "\n")
    out.close()
    return 0 if session.non_finite is None else 3


def _run(
    chosen: argparse.Namespace, out: TextIO
) -> tuple[Session, Attribution, LensFollower, tuple[Finding, ...]]:
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.session import Session  # noqa: PLC0415
    from tui_elbo.engine.verdict.iterates import memory_of  # noqa: PLC0415

    session = Session(
        chosen.scenario,
        seed=chosen.seed,
        given=tuple(chosen.given),
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
    checks = None if chosen.no_findings else run_checks(session, steps, chosen, narrate)
    try:
        while session.steps_taken < steps and session.non_finite is None:
            follower.take(session.advance(min(steps - session.steps_taken, follower.most())))
            if checks is not None:
                checks.stepped()
    except StepError as error:
        if checks is not None:
            checks.failed(error)
        raise
    if session.non_finite is not None:
        narrate(str(session.non_finite))
    if checks is None:
        return session, attribution, follower, ()
    checks.end(attribution)
    return session, attribution, follower, checks.standing


def explanation_lines(
    session: Session, attribution: Attribution, follower: LensFollower, *, sound: bool = True
) -> list[str]:
    """The attribution of the run so far, line by line.

    Args:
        session: the run.
        attribution: follows it.
        follower: has looked at it through the lens.
        sound: whether no error or warning stands; else no sentence is said of what moved.
    """
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
    if sound:
        lines += ["", span_sentence(first, last, follower.seen, attribution)]
    if sound and first.state < late.state < last.state:
        now = span_sentence(late, last, follower.seen, attribution)
        lines += [f"From step {late.state + 1} on: {now}"]
    lines += ["", *site_table(first, last), "", *parameter_table(attribution)]
    lines += ["", *evidence_gap(session, attribution)]
    return lines
