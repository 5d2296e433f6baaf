"""What a rule on a running run is called with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tui_elbo.engine.checks.evidence import Evidence
from tui_elbo.engine.checks.examination import Examination
from tui_elbo.engine.checks.origin import Origin
from tui_elbo.model.errors import ElboError
from tui_elbo.model.records import SiteInfo


@dataclass(frozen=True)
class Failure:
    """A step that raised."""

    step: int
    text: str
    """The message of the error, and its traceback."""
    line: int = 0
    """In the scenario's file; 0 where it is not known."""


def failure_of(error: ElboError, step: int) -> Failure:
    """That a step raised this.

    Args:
        error: as a step raises it.
        step: the one that could not be taken.
    """
    line = error.where.rpartition(":")[2]
    text = f"{error.traceback}\n{error.what}"
    return Failure(step, text, int(line) if line.isdigit() else 0)


@dataclass(frozen=True, eq=False)
class Running:
    """What is known of a run at the step at which it stands."""

    evidence: Evidence
    rates: Mapping[str, float] | None = None
    """The learning rate of each parameter that the optimiser has been given; None: not known."""
    failure: Failure | None = None
    """Why the next step could not be taken; None if it was not tried, or could."""
    seen: Examination | None = None
    """The newest; it may be of an earlier step."""
    before: Examination | None = None
    """The one before it."""
    origin: Origin | None = None
    """Where the first number that is not finite, or not allowed, came from, if that was found."""
    planned: int = 0
    """How many steps there are to be; 0 where nobody knows."""
    faults: frozenset[str] = field(default_factory=frozenset)
    """Names of the sites and parameters that have an error or a warning of another cause, and of
    the rules that have found something."""

    @property
    def step(self) -> int:
        """The newest step."""
        return self.evidence.last

    @property
    def sites(self) -> tuple[SiteInfo, ...]:
        """Those of the newest step."""
        return self.evidence.layout.sites if self.evidence.layout else ()

    @property
    def numbers(self) -> int:
        """How many numbers the parameters are."""
        infos = self.evidence.layout.params if self.evidence.layout is not None else ()
        return sum(math.prod(info.shape) for info in infos)
