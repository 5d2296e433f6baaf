"""What a rule of the catalogue is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tui_elbo.model.findings import Finding, Level, Subject

When = Literal["static", "running"]
"""`static`: seen by looks at model and guide before the first step; `running`: seen in the columns
and the lens of a run."""


class Found(NamedTuple):
    """What a rule has found of one subject."""

    subject: Subject
    message: str
    """One sentence without a full stop, with the names."""
    hint: str = ""
    """What to do; empty: what the rule says."""
    evidence: str = ""
    level: Level | None = None
    """None: the rule's own."""
    since: int = 1
    line: int = 0
    """Of the scenario's file; 0 where there is none."""


@dataclass(frozen=True)
class Rule:
    """An entry of the catalogue."""

    code: str
    """`SVI0..` for what is seen before the first step, `SVI1..` for what is seen in a run."""
    name: str
    """In words, such as `missing-in-guide`."""
    level: Level
    """Of most of what it finds."""
    message: str
    """What is wrong, in general: one line without a full stop."""
    why: str
    """Why it matters."""
    remedy: str
    """What to do."""
    reference: str
    """The address of Pyro's documentation, or of the paper."""
    fires: str
    """A scenario that it speaks of, without the imports of `examples.PRELUDE`."""
    silent: str
    """The same, mended."""
    check: Callable[[Any], Iterable[Found]]
    """Static: called with a `look.Look`."""
    when: When = "static"
    slow: bool = False
    """Static: it runs model or guide many times, and is tried after the others."""
    steps: int = 0
    """Running: within how many steps the example fires."""

    def finding(self, found: Found, step: int = 1) -> Finding:
        """What it has found, as it is reported at a step."""
        return Finding(
            self.code,
            self.name,
            found.level or self.level,
            found.subject,
            found.message,
            found.hint or self.remedy,
            evidence=found.evidence,
            why=self.why,
            step=step,
            since=found.since,
            line=found.line,
        )
