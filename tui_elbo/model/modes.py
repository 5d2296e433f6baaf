"""Whether several runs of one model have ended in the same mode.

Two runs are at different places if the means of their posteriors are far apart in units of their
standard deviations, whatever the order of labels that the model does not tell apart. They are in
different modes if the ELBO falls between them as well: a guide that is narrower than the posterior
is far away soon.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from tui_elbo.model.estimate import one_digit, significant
from tui_elbo.model.records import Floats
from tui_elbo.model.verdict import Estimate

FAR = 3.0
"""Posterior standard deviations, in any one number, from which on two runs are apart."""


class SitePosterior(msgspec.Struct, frozen=True, eq=False):
    """What a guide says of one site, over draws: real numbers, without the support's bounds."""

    mean: Floats
    """The site's shape."""
    sd: Floats
    """The same shape."""


class ExchangeableLabels(msgspec.Struct, frozen=True):
    """Labels, such as those of a mixture's components, that can be permuted without any effect."""

    plate: str
    """That they come from."""
    axes: dict[str, tuple[int, ...]]
    """Of each site that goes with them, the axes to be permuted, from the right: -1 is the last."""


class Posterior(msgspec.Struct, frozen=True, eq=False):
    """What a guide says of the latents that all its draws have."""

    sites: dict[str, SitePosterior]
    labels: tuple[ExchangeableLabels, ...] = ()


def distance(one: Posterior, other: Posterior) -> float:
    """How far two posteriors are apart: the largest distance of two means, in posterior sd.

    Labels are permuted so that the sum of the squares is as small as can be. A number without a
    standard deviation (a point) does not count; NaN if none is left, or the sites differ.
    """
    if one.sites.keys() != other.sites.keys():
        return math.nan
    moved = other
    for labels in one.labels:
        if labels in other.labels:
            moved = _matched(one, moved, labels)
    largest = [_square(one.sites[name], moved.sites[name]) for name in one.sites]
    known = [float(np.nanmax(part)) for part in largest if not np.isnan(part).all()]
    return math.sqrt(max(known)) if known else math.nan


def _square(one: SitePosterior, other: SitePosterior) -> Floats:
    if one.mean.shape != other.mean.shape:
        return np.full(1, np.nan)
    return _squares(one.mean, one.sd, other.mean, other.sd)


def _squares(mean: Floats, sd: Floats, other_mean: Floats, other_sd: Floats) -> Floats:
    variance = (sd**2 + other_sd**2) / 2
    known = (sd > 0) & (other_sd > 0) & np.isfinite(variance)
    with np.errstate(all="ignore"):
        return np.where(known, (mean - other_mean) ** 2 / variance, np.nan)


def _matched(one: Posterior, other: Posterior, labels: ExchangeableLabels) -> Posterior:
    """The other, with its labels in the order that fits the first best.

    Found by an assignment of labels to labels over the sites in which each label has numbers of
    its own; a site that has two axes of labels is permuted in both, and has no say.
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - slow to import

    cost: Floats | None = None
    for name, axes in labels.axes.items():
        ours, theirs = one.sites.get(name), other.sites.get(name)
        if ours is None or theirs is None or ours.mean.shape != theirs.mean.shape:
            return other
        if len(axes) > 1:
            continue
        rows = [_rows(part, axes[0]) for part in (ours.mean, ours.sd, theirs.mean, theirs.sd)]
        pairs = _squares(rows[0][:, None], rows[1][:, None], rows[2][None], rows[3][None])
        own = np.nansum(pairs, axis=-1)
        cost = own if cost is None else cost + own
    if cost is None:
        return other
    order = linear_sum_assignment(cost)[1]
    sites = dict(other.sites)
    for name, axes in labels.axes.items():
        mean, sd = sites[name].mean, sites[name].sd
        for axis in axes:
            mean, sd = np.take(mean, order, axis), np.take(sd, order, axis)
        sites[name] = SitePosterior(mean, sd)
    return Posterior(sites, other.labels)


def _rows(values: Floats, axis: int) -> Floats:
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def modes(posteriors: Mapping[int, Posterior]) -> list[list[int]]:
    """Which runs stand at the same place: the keys, the largest group first.

    Runs are at one place if a chain of runs leads from one to the other, each nearer than `FAR` to
    the next. Those whose distances are not known are left out.
    """
    found: list[list[int]] = []
    for key, posterior in posteriors.items():
        if math.isnan(distance(posterior, posterior)):
            continue
        near = [
            group
            for group in found
            if any(distance(posteriors[member], posterior) < FAR for member in group)
        ]
        found = [group for group in found if group not in near]
        found.append(sorted([key, *(member for group in near for member in group)]))
    return sorted(found, key=lambda group: (-len(group), group))


def modes_text(
    groups: Sequence[Sequence[int]],
    gap: Callable[[int, int], Estimate],
    what: str,
    *,
    left_out: int = 0,
    sure: bool = True,
) -> str:
    """The sentence on them; empty where there are fewer than two runs.

    Args:
        groups: as `modes` returns them, each with its best run first.
        gap: nats by which the first of two runs is better.
        what: the runs are, such as `seeds`.
        left_out: how many more runs there are, which have not come to rest.
        sure: whether they are known to have come to rest, each group in another mode.
    """
    count = sum(map(len, groups))
    if count < 2:
        return ""
    mode, end, where = ("mode", "end", "in") if sure else ("place", "stand", "at")
    rest = f" ({left_out} not at rest left out)" if left_out else ""
    if len(groups) == 1:
        all_ = "Both" if count == 2 else f"All {count}"
        return f"{all_} {what} {end} {where} one {mode}{rest}."
    others = ", ".join(
        f"{len(group)} {where} another, {_below(gap(groups[0][0], group[0]))}"
        for group in groups[1:]
    )
    text = f"{len(groups[0])} of {count} {what} {end} {where} one {mode}, {others}{rest}."
    return text if sure else f"{text} Whether these are other modes is not known."


def _below(gap: Estimate) -> str:
    if not abs(gap.value) > 2 * gap.mcse:
        return "at the same ELBO within its error"
    ends = "lower" if gap.value > 0 else "higher"
    return f"{significant(abs(gap.value))} ± {one_digit(gap.mcse)} nats {ends}"
