"""Many runs as rows: what differs between them, which bound the same evidence, and the gaps."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tui_elbo.model.comparison import (
    Evaluation,
    compare_settings,
    difference,
    why_not_comparable,
)
from tui_elbo.model.findings import Finding
from tui_elbo.model.modes import modes, modes_text
from tui_elbo.model.text import safe
from tui_elbo.model.verdict import WORDS, Estimate

Setting = float | int | str

GOOD = {WORDS["improving"], WORDS["stationary"]}
"""Verdicts that nothing is said of where an error or a warning stands."""


@dataclass(frozen=True, eq=False)
class Row:
    """A run of the table."""

    run: Mapping[str, Setting]
    """What it was run with, the seed among it."""
    step: int
    loss: float
    evaluation: Evaluation
    verdict: str
    """In two words; empty where there is none."""
    seconds: float
    """Of its steps."""
    ended: str
    """`steps`, `converged`, `dropped`, `by hand`, `not finite` or `failed`; empty if not known."""
    note: str
    """What a person has to know of it; empty when nothing is."""
    file: str
    """Empty if there is none."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with it, the gravest first; none where it was not looked for."""

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The errors and warnings that stand."""
        return tuple(one for one in self.findings if one.level != "note")

    @property
    def findings_text(self) -> str:
        """The code of the gravest error or warning, and how many more there are."""
        codes = [one.code for one in self.standing]
        return "" if not codes else f"{codes[0]} +{len(codes) - 1}" if len(codes) > 1 else codes[0]

    @property
    def state(self) -> str:
        """How it ended or its verdict, in two words; none that says good beside a fault."""
        if self.ended == "by hand":
            return "ended by hand"
        if self.ended in {"not finite", "failed", "dropped"}:
            return self.ended
        return "" if self.standing and self.verdict in GOOD else self.verdict


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of the settings that differ, the seed last."""
    names = dict.fromkeys(name for row in rows for name in (*row.run, "seed"))
    names["seed"] = names.pop("seed", None)
    return [n for n in names if len({str(row.run.get(n)) for row in rows}) > 1]


def models(rows: Sequence[Row]) -> tuple[list[list[int]], list[str]]:
    """The runs by model, as indices; and why those of the first are not compared with the others.

    Runs without an ELBO are in none.
    """
    groups: list[list[int]] = []
    reasons: list[str] = []
    for index, row in enumerate(rows):
        if not math.isfinite(row.evaluation.elbo.value):
            continue
        for group in groups:
            why = why_not_comparable(rows[group[0]].evaluation, row.evaluation)
            if not why:
                group.append(index)
                break
            if group is groups[0]:
                reasons.append(why)
        else:
            groups.append([index])
    return groups, list(dict.fromkeys(reasons))


def gaps(rows: Sequence[Row], groups: Iterable[Sequence[int]]) -> dict[int, Estimate]:
    """By how many nats each run is below the best of its model, where there is another."""
    found = {}
    for group in groups:
        best = max(group, key=lambda index: rows[index].evaluation.elbo.value)
        for index in group if len(group) > 1 else ():
            found[index] = difference(rows[best].evaluation, rows[index].evaluation)
    return found


@dataclass(frozen=True, eq=False)
class SettingRow:
    """The runs with the same settings, the seed left out."""

    label: str
    """The settings that differ, in words."""
    run: Mapping[str, Setting]
    """What its first run was run with."""
    rows: tuple[Row, ...]
    evaluations: Mapping[int | None, Evaluation]
    """Of the runs with an ELBO, by seed."""

    @property
    def elbos(self) -> list[float]:
        """Of the runs that have one, from low to high: nats."""
        return sorted(one.elbo.value for one in self.evaluations.values())

    @property
    def median(self) -> float:
        """Of the ELBOs: nats; NaN where there is none."""
        return statistics.median(self.elbos) if self.elbos else math.nan

    @property
    def states(self) -> dict[str, int]:
        """How many runs have ended how, or with which verdict; the most frequent first."""
        counts = Counter(row.state or "none" for row in self.rows)
        return dict(counts.most_common())

    @property
    def faulty(self) -> int:
        """How many runs have an error or a warning that stands."""
        return sum(bool(row.standing) for row in self.rows)


def by_setting(rows: Sequence[Row]) -> list[SettingRow]:
    """The runs by their settings, in the order of the first of each."""
    names = [name for name in columns(rows) if name not in {"seed", "run"}]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label(row, names), []).append(row)
    found = []
    for words, members in groups.items():
        evaluations: dict[int | None, Evaluation] = {}
        for row in members:
            seed = row.run.get("seed")
            known = math.isfinite(row.evaluation.elbo.value)
            if known and (seed is None or isinstance(seed, int)):
                evaluations[seed] = row.evaluation
        found.append(SettingRow(words, members[0].run, tuple(members), evaluations))
    return found


@dataclass(frozen=True)
class SettingGap:
    """How far a setting lies below the best one, over the seeds that both have."""

    value: float
    """Nats; negative if it lies above the best, at these seeds."""
    low: float
    high: float
    """The interval at 95 %, which holds for all comparisons of settings together (Holm)."""


def setting_gaps(settings: Sequence[SettingRow]) -> tuple[str, dict[str, SettingGap], list[str]]:
    """How far each setting lies below that with the highest median ELBO.

    Returns:
        The best, empty if there is none; of the others that can be compared with it the gap; and
        why others cannot.
    """
    groups = {one.label: one.evaluations for one in settings if one.evaluations}
    best = max(settings, key=lambda one: -math.inf if not one.elbos else one.median).label
    if len(groups) < 2 or best not in groups:
        return "", {}, []
    made, left_out = compare_settings(groups)
    found = {}
    for one in made:
        if one.better == best:
            found[one.worse] = SettingGap(one.difference, one.low, one.high)
        elif one.worse == best:
            found[one.better] = SettingGap(-one.difference, -one.high, -one.low)
    return best, found, list(dict.fromkeys(left_out))


def shown(value: Setting | None) -> str:
    """The value of a setting, safe to draw."""
    if value is None:
        return "own"
    return f"{value:g}" if isinstance(value, float) else safe(str(value))


def label(row: Row, names: Sequence[str]) -> str:
    """The run in words, from the names of the settings that differ."""
    return ", ".join(f"{name} {shown(row.run.get(name))}" for name in names) or "the run"


Apart = Callable[[str, str], bool | None]
"""Whether two runs, by their files, are in different modes; None where that is not known."""

MOST_PLACES = 4
"""Where runs stand at more places, it is not found out which of these are modes."""


def modes_notes(rows: Sequence[Row], apart: Apart = lambda *_: None) -> list[str]:
    """How many runs of each model have ended in which mode, in sentences.

    Runs that have not come to rest are on their way to one, and are left out; where no verdict is
    known, all of them count.

    Args:
        rows: the runs.
        apart: asked of runs that stand at different places.
    """
    groups, _ = models(rows)
    names = columns(rows)
    what = "seeds" if names == ["seed"] else "runs"
    found = []
    for group in groups:
        known = any(rows[index].verdict for index in group)
        rest = [i for i in group if rows[i].verdict == WORDS["stationary"] or not known]
        posteriors = {
            index: seen for index in rest if (seen := rows[index].evaluation.posterior) is not None
        }
        places, sure = [_best_first(rows, one) for one in modes(posteriors)], known
        best: list[list[int]] = []
        for place in places:
            file, few = rows[place[0]].file, len(places) <= MOST_PLACES
            differs = [apart(rows[one[0]].file, file) if few else None for one in best]
            if False in differs:
                same = differs.index(False)
                best[same] = _best_first(rows, best[same] + place)
            else:
                best.append(place)
                sure = sure and None not in differs

        def gap(better: int, worse: int) -> Estimate:
            return difference(rows[better].evaluation, rows[worse].evaluation)

        left_out = len(group) - len(rest)
        text = modes_text(best, gap, what, left_out=left_out, sure=sure)
        found += [text] if text else []
    return found


def _best_first(rows: Sequence[Row], some: Iterable[int]) -> list[int]:
    return sorted(some, key=lambda index: -rows[index].evaluation.elbo.value)
