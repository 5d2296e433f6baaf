"""Looks for faults while a scenario runs without a screen, and prints them on stderr."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_elbo.model.findings import Subject, finding_line
from tui_elbo.protocol import Event, FindingsChanged

if TYPE_CHECKING:
    from tui_elbo.engine.checks.run_checks import RunChecks
    from tui_elbo.engine.session import Session


def add_findings_option(options: argparse.ArgumentParser) -> None:
    """Add the option without which faults are looked for."""
    options.add_argument(
        "--no-findings",
        action="store_true",
        help="do not look for faults, nor print them on stderr",
    )


class FindingNarrator:
    """Prints errors and warnings on stderr, each once.

    Args:
        narrate: prints a message.
    """

    def __init__(self, narrate: Callable[[str], object]) -> None:
        self._narrate = narrate
        self._printed: set[tuple[str, Subject]] = set()

    def __call__(self, event: Event) -> None:
        """Print what is new."""
        if not isinstance(event, FindingsChanged):
            return
        for finding in event.findings:
            if finding.level != "note" and finding.key not in self._printed:
                self._printed.add(finding.key)
                self._narrate(finding_line(finding))


def run_checks(
    session: Session,
    steps: int,
    chosen: argparse.Namespace,
    narrate: Callable[[str], object],
) -> RunChecks:
    """Try the rules on a run, and print what is found.

    Args:
        session: what is run.
        steps: how many there are to be.
        chosen: the options `draws` and `lens_in_process`.
        narrate: prints a message.
    """
    from tui_elbo.engine.checks.run_checks import RunChecks  # noqa: PLC0415 - imports torch

    return RunChecks(
        session,
        steps,
        draws=chosen.draws,
        in_process=chosen.lens_in_process,
        send=FindingNarrator(narrate),
    )
