"""Which of several runs, and which of several settings, is better, and how sure that is.

All runs of one model are evaluated with the same draws, so the difference of two runs has the error
of the paired draws. Between settings the seeds are the unit: the settings are paired by seed.

References:
    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from tui_elbo.model.estimate import significant
from tui_elbo.model.modes import Posterior
from tui_elbo.model.records import Floats
from tui_elbo.model.verdict import TOLERANCE, Estimate

ROUNDING = 1e-5
"""By so much of its size a log probability may differ between two processors."""

LEVEL = 0.05
"""The chance that any of the compared intervals misses."""


class SiteFingerprint(msgspec.Struct, frozen=True):
    """What a site of the model is, as one run of the model with a fixed seed shows it."""

    observed: bool
    dist: str
    """The class of its distribution."""
    shape: tuple[int, ...]
    """Of its value."""
    plates: tuple[str, ...]
    data: str
    """Of an observed value, its checksum; empty for a latent."""
    log_prob: float
    """Nats, scaled and summed."""


class ModelFingerprint(msgspec.Struct, frozen=True):
    """What two runs must have in common for their ELBOs to bound the same evidence."""

    sites: dict[str, SiteFingerprint]
    theta: dict[str, str]
    """The model's own parameters (θ), each with a checksum of its values."""
    problem: str = ""
    """Why it is not known, in words; empty when it is."""


class Evaluation(msgspec.Struct, frozen=True, eq=False):
    """A run at its last step, seen through the lens."""

    model: ModelFingerprint
    guide: str
    """What guide it is; equal for runs whose draws are paired."""
    units: Floats
    """The ELBO of each independent unit of draws, shape (units,): nats."""
    khat: float
    """The shape of the importance weights' upper tail; NaN where there is none."""
    points: tuple[str, ...] = ()
    """The latents whose guide is a point, without a density."""
    problem: str = ""
    """Why there is no ELBO, in words; empty when there is."""
    posterior: Posterior | None = None
    """What the guide says; None where it is not known."""

    @property
    def elbo(self) -> Estimate:
        """With the standard error of its draws."""
        if len(self.units) == 0:
            return Estimate(math.nan, math.nan)
        return estimate(self.units)


def unevaluated(problem: str) -> Evaluation:
    """Nothing is known, for this reason."""
    model = ModelFingerprint({}, {}, problem)
    return Evaluation(model, "", np.empty(0), math.nan, problem=problem)


def estimate(units: Floats) -> Estimate:
    """The mean over independent units, with its standard error: NaN for a single one."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = float(units.std(ddof=1)) / math.sqrt(len(units)) if len(units) > 1 else math.nan
        return Estimate(float(units.mean()), error)


def why_not_comparable(one: Evaluation, other: Evaluation) -> str:
    """Why the ELBOs of two runs do not bound the same evidence; empty if they do.

    In words that go after "not compared: ".
    """
    return next(_reasons(one, other), "")


def _reasons(one: Evaluation, other: Evaluation) -> Iterator[str]:
    yield from (why for side in (one, other) if (why := side.problem or side.model.problem))
    if one.points != other.points:
        point = sorted({*one.points} ^ {*other.points})[0]
        yield f"the guide of site {point} is a point in one of them, whose ELBO is then no bound"
    ours, theirs = one.model, other.model
    if ours.sites.keys() != theirs.sites.keys():
        names = sorted(ours.sites.keys() ^ theirs.sites.keys())
        yield f"the models have other sites: {', '.join(names)}"
    both = [
        (name, site, theirs.sites[name])
        for name, site in ours.sites.items()
        if name in theirs.sites
    ]
    for name, site, their_site in both:
        yield from _site_reasons(name, site, their_site)
    if ours.theta.keys() != theirs.theta.keys():
        names = sorted(ours.theta.keys() ^ theirs.theta.keys())
        yield f"the models have other parameters (θ): {', '.join(names)}"
    moved = [name for name, digest in ours.theta.items() if theirs.theta.get(name) != digest]
    if moved:
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        yield f"each run has a model of its own: its parameter {moved[0]}{more} (θ) differs"
    for name, site, their_site in both:
        a, b = site.log_prob, their_site.log_prob
        if not (a == b or abs(a - b) <= ROUNDING * (1 + abs(a))):
            yield f"the models differ: log p of site {name} at the same seed is another"


def _site_reasons(name: str, ours: SiteFingerprint, theirs: SiteFingerprint) -> Iterator[str]:
    if ours.observed != theirs.observed:
        yield f"site {name} is observed in one model and latent in the other"
    if ours.shape != theirs.shape:
        yield f"site {name} has shape {ours.shape} in one model and {theirs.shape} in the other"
    if ours.plates != theirs.plates:
        yield f"site {name} is in other plates"
    if ours.data != theirs.data:
        yield f"the data of site {name} differ"
    if ours.dist != theirs.dist:
        yield f"site {name} is {ours.dist} in one model and {theirs.dist} in the other"


def paired(one: Evaluation, other: Evaluation) -> bool:
    """Whether the same unit of both saw the same noise."""
    return one.guide == other.guide and len(one.units) == len(other.units)


def difference(one: Evaluation, other: Evaluation) -> Estimate:
    """How much better the first is than the second: nats, with the error of the draws.

    Of paired differences where the guides are the same, else of independent draws.
    """
    if paired(one, other):
        return estimate(one.units - other.units)
    ours, theirs = one.elbo, other.elbo
    return Estimate(ours.value - theirs.value, math.hypot(ours.mcse, theirs.mcse))


def falls_between(units: Sequence[Floats]) -> bool | None:
    """Whether the ELBO falls on the way between two runs, by more than what does not matter.

    Args:
        units: the ELBO of each unit of draws: at both ends, and then between them.

    Returns:
        None where the draws leave it open.
    """
    open_, ends = False, units[:2]
    lower = min(ends, key=lambda end: float(end.mean()))
    for part in units[2:]:
        dip = estimate(lower - part)
        if dip.low > TOLERANCE or math.isnan(dip.value):
            return True
        open_ = open_ or not dip.high < TOLERANCE
    return None if open_ else False


@dataclass(frozen=True)
class SettingComparison:
    """Two settings over the seeds that both have been run with."""

    better: str
    worse: str
    seeds: int
    difference: float
    """Nats by which the first is better, mean over the seeds; at least 0."""
    low: float
    high: float
    """The interval at 95 %, Holm-corrected for all comparisons that are made together."""
    p_value: float
    """Two-sided, uncorrected."""

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0

    def __str__(self) -> str:
        low, high, nats = (significant(x, 4) for x in (self.low, self.high, self.difference))
        interval = f"95 % interval {low} to {high}, {self.seeds} seeds"
        if self.certain:
            return f"{self.better} is {nats} nats better than {self.worse} ({interval})"
        return f"{self.better} and {self.worse} are not told apart: {nats} nats ({interval})"


@dataclass(frozen=True)
class _Paired:
    one: str
    other: str
    seeds: int
    value: float
    error: float
    freedom: float
    p_value: float


def compare_settings(
    groups: Mapping[str, Mapping[int | None, Evaluation]],
) -> tuple[list[SettingComparison], list[str]]:
    """Compare each two settings, paired by seed.

    The error is that of the seeds' scatter, together with that of the draws, which all seeds share;
    Student's t has the degrees of freedom of Welch and Satterthwaite.

    Args:
        groups: of each setting, in words, the runs by seed.

    Returns:
        The comparisons; and of those that cannot be made, why.
    """
    from scipy.stats import t as student  # noqa: PLC0415 - slow to import; with arviz-stats

    found: list[_Paired] = []
    left_out: list[str] = []
    names = list(groups)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            made = _seed_differences(groups[one], groups[other])
            if isinstance(made, str):
                left_out.append(f"{one} and {other} are not compared: {made}")
                continue
            values, draws, units = made
            value, scatter = float(values.mean()), estimate(values).mcse
            error = math.hypot(scatter, draws)
            free = len(values) - 1.0
            if draws > 0:
                parts = scatter**4 / free + draws**4 / max(units - 1, 1)
                free = error**4 / parts
            ratio = abs(value) / error if error > 0 else (math.inf if value else 0.0)
            p_value = float(2 * student.sf(ratio, free))
            found.append(_Paired(one, other, len(values), value, error, free, p_value))
    levels = holm_levels([one.p_value for one in found])
    return [_interval(one, level) for one, level in zip(found, levels, strict=True)], left_out


def holm_levels(p_values: Sequence[float], level: float = LEVEL) -> list[float]:
    """At which level the interval of each comparison is to be taken.

    Those that Holm's procedure rejects are taken at the level at which it rejects them, the others
    at that of the first that it does not: so an interval leaves out 0 only if it is rejected.
    """
    levels = [0.0] * len(p_values)
    kept = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        own = level / (len(p_values) - place)
        if not kept and p_values[index] > own:
            kept = own
        levels[index] = kept or own
    return levels


def _seed_differences(
    one: Mapping[int | None, Evaluation], other: Mapping[int | None, Evaluation]
) -> tuple[Floats, float, int] | str:
    """The differences by seed; the error that the draws add to all of them alike; of how many."""
    shared = [seed for seed in one if seed in other]
    if len(shared) < 2:
        return "it takes at least two seeds that both have finished"
    values, units = [], []
    for seed in shared:
        if why := why_not_comparable(one[seed], other[seed]):
            return why
        values.append(difference(one[seed], other[seed]).value)
        if paired(one[seed], other[seed]):
            units.append(one[seed].units - other[seed].units)
    if not np.isfinite(values).all():
        return "an ELBO is not finite"
    if len(units) == len(shared) and len({len(row) for row in units}) == 1:
        draws = estimate(np.mean(units, axis=0)).mcse
    else:
        draws = max(difference(one[seed], other[seed]).mcse for seed in shared)
    count = min(len(side[seed].units) for seed in shared for side in (one, other))
    return np.array(values), 0.0 if math.isnan(draws) else draws, count


def _interval(one: _Paired, level: float) -> SettingComparison:
    from scipy.stats import t as student  # noqa: PLC0415 - slow to import; with arviz-stats

    half = float(student.isf(level / 2, one.freedom)) * one.error
    turned = one.value < 0
    value = abs(one.value)
    return SettingComparison(
        better=one.other if turned else one.one,
        worse=one.one if turned else one.other,
        seeds=one.seeds,
        difference=value,
        low=value - half,
        high=value + half,
        p_value=one.p_value,
    )
