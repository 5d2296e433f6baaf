"""Looks for faults while a scenario runs without a screen, and prints them on stderr."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_elbo.model.errors import StepError
from tui_elbo.model.findings import Finding, Subject, finding_line
from tui_elbo.protocol import Event, FindingsChanged

if TYPE_CHECKING:
    from tui_elbo.engine.checks.monitor import Monitor
    from tui_elbo.engine.lens.attribution import Attribution
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
        self.standing: tuple[Finding, ...] = ()
        """Those that stand now."""

    def __call__(self, event: Event) -> None:
        """Print what is new."""
        if not isinstance(event, FindingsChanged):
            return
        self.standing = tuple(one for one in event.findings if one.level != "note")
        for finding in self.standing:
            if finding.key not in self._printed:
                self._printed.add(finding.key)
                self._narrate(finding_line(finding))


class RunChecks:
    """Tries the rules on a run: before its first step, while it runs, and where it ends.

    Args:
        session: what is run.
        steps: how many there are to be.
        chosen: the options `draws` and `lens_in_process`.
        narrate: prints a message.
    """

    def __init__(
        self,
        session: Session,
        steps: int,
        chosen: argparse.Namespace,
        narrate: Callable[[str], object],
    ) -> None:
        from tui_elbo.engine.checks.checker import Checker  # noqa: PLC0415 - imports torch
        from tui_elbo.engine.checks.monitor import Monitor  # noqa: PLC0415

        self._session, self._chosen = session, chosen
        self._narrator = FindingNarrator(narrate)
        self._checker = Checker(self._narrator)
        self._monitor: Monitor = Monitor(self._checker)
        if session.steps_taken:
            self._checker.begin(ignore=session.scenario.ignore)
        else:
            self._checker.follow(session.scenario, ignore=session.scenario.ignore)
        self._monitor.follow(lambda: session.optimizer, steps, step=session.steps_taken)
        session.observe(self._monitor.observe)

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The errors and warnings that stand."""
        return self._narrator.standing

    def stepped(self) -> None:
        """Steps have been taken."""
        self._monitor.stepped()

    def travelled(self) -> None:
        """The run stands elsewhere."""
        self._monitor.rewound(self._session.steps_taken)
        self._checker.rewound(self._session.steps_taken)

    def failed(self, error: StepError) -> None:
        """A step raised."""
        from tui_elbo.engine.checks.running import failure_of  # noqa: PLC0415

        self._checker.wait()
        self._monitor.failed(failure_of(error, self._session.steps_taken + 1))

    def end(self, attribution: Attribution | None) -> None:
        """The run stands where it ends: say what is found there, in a forked copy if need be.

        Args:
            attribution: follows the run; None: its lens is made anew.
        """
        from tui_elbo.engine.lens.attribution import PATIENCE, Attribution  # noqa: PLC0415
        from tui_elbo.engine.lens.fork import LookError  # noqa: PLC0415

        self._checker.wait()
        self._monitor.judge()
        if self._session.non_finite is not None or not self._monitor.due():
            return
        own = None
        if attribution is None:
            in_process = self._chosen.lens_in_process
            own = attribution = Attribution(
                self._session, self._chosen.draws, in_process=in_process
            )
        try:
            lens, roles = attribution.lens(), attribution.roles
            examine = self._monitor.examination()
            call = attribution.call(lambda progress: examine(lens, roles, progress))
            self._monitor.examined(call.wait(PATIENCE))
        except LookError:
            pass  # The verdict says why nothing can be seen.
        finally:
            if own is not None:
                own.close()
