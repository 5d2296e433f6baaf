"""Statements about a run that a person can act on: what is wrong, with what, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Level = Literal["error", "warning", "note"]
"""`error`: it cannot run or cannot be right; `warning`: very likely not what the person wants;
`note`: worth knowing."""

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
"""The gravest first."""

SubjectKind = Literal["site", "param", "plate", "data", "optimizer", "estimator", "module", "run"]


class Subject(msgspec.Struct, frozen=True):
    """What a finding is about."""

    kind: SubjectKind
    name: str = ""
    """Of the site, parameter, plate or module; empty where the kind says all."""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}"' if self.name else self.kind


class Finding(msgspec.Struct, frozen=True):
    """One fault, or one thing worth knowing, of a run."""

    code: str
    """Of its rule, such as `SVI012`."""
    name: str
    """The rule's name in words, such as `missing-in-guide`."""
    level: Level
    subject: Subject
    message: str
    """One sentence without a full stop."""
    hint: str
    """What to do, in one sentence without a full stop."""
    evidence: str = ""
    """The numbers or the place that show it; empty where the message says all."""
    why: str = ""
    """Why it matters, as the rule explains it."""
    step: int = 1
    """The step at which it was found; 1 where it was found before the first step."""
    since: int = 1
    """From which step on it holds."""
    line: int = 0
    """The line of the scenario's file that it is about; 0 where there is none."""

    @property
    def key(self) -> tuple[str, Subject]:
        """What tells it from others: one rule finds one thing of one subject."""
        return self.code, self.subject


def merged(known: Iterable[Finding], found: Iterable[Finding]) -> tuple[Finding, ...]:
    """All findings, each once, the gravest and the oldest first.

    What is found again has the newer words and numbers, and holds since the earlier step.
    """
    by_key = {finding.key: finding for finding in known}
    for finding in found:
        before = by_key.get(finding.key)
        if before is not None:
            since = min(before.since, finding.since)
            finding = msgspec.structs.replace(finding, since=since)  # noqa: PLW2901
        by_key[finding.key] = finding
    return ordered(by_key.values())


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first, then those that hold since the earliest step, then by code."""
    return tuple(sorted(findings, key=lambda one: (LEVELS.index(one.level), one.since, one.code)))


def finding_line(finding: Finding) -> str:
    """A finding as a command prints it, on one line but for its hint."""
    line = f"line {finding.line}: " if finding.line else ""
    evidence = f" ({finding.evidence})" if finding.evidence else ""
    head = f"{finding.level} {finding.code} {finding.name}: {line}{finding.message}{evidence}"
    return f"{head}\n  {finding.hint}" if finding.hint else head


def standing_text(findings: Sequence[Finding]) -> str:
    """That errors and warnings stand, in a sentence; empty if none of them does."""
    faults = [one for one in findings if one.level != "note"]
    if not faults:
        return ""
    names = list(dict.fromkeys(f"{one.code} {one.name}" for one in faults))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} {'stands' if len(names) == 1 else 'stand'}"


def finding_object(finding: Finding) -> dict[str, object]:
    """A finding as `elbo-tui check --json` prints it."""
    return {
        "code": finding.code,
        "name": finding.name,
        "level": finding.level,
        "subject": {"kind": finding.subject.kind, "name": finding.subject.name},
        "message": finding.message,
        "hint": finding.hint,
        "evidence": finding.evidence,
        "step": finding.step,
        "since": finding.since,
        "line": finding.line,
    }
