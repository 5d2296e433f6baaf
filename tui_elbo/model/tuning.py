"""Settings that a running run can change, as typed: `lr 0.02, particles 4`."""

from __future__ import annotations

import re

import msgspec

from tui_elbo.model.errors import UsageError

AVERAGE = "average"
"""What a person types to go on from the mean of the iterates."""

SETTINGS = ("lr", "particles", "estimator", "optimizer", "vectorize")

LARGEST = {"lr": 1000, "particles": 1_000_000}
"""Larger values are taken for typing errors."""


class Mean(msgspec.Struct, frozen=True):
    """The mean of iterates."""

    first: int
    """Of the iterates after the steps from this one on,"""
    last: int
    """up to this one."""
    values: dict[str, bytes]
    """Each unconstrained parameter that takes part, by name: its elements as they lie in memory, so
    that going there again is exact."""


class Tuning(msgspec.Struct, frozen=True):
    """Settings to change; None leaves one as it is."""

    lr: float | None = None
    particles: int | None = None
    estimator: str | None = None
    """The name of one of Pyro's, such as `TraceMeanField_ELBO`."""
    optimizer: str | None = None
    """The name of one of Pyro's, such as `SGD`; it begins afresh, at the learning rate so far."""
    average: bool = False
    """Go on from the mean of the newest iterates, with the optimiser's state as it is."""
    mean: Mean | None = None
    """That mean; the engine fills it in."""
    vectorize: bool | None = None
    """Whether several particles are drawn at once, in a plate around the model."""

    def __str__(self) -> str:
        lr = "" if self.lr is None else f"lr {self.lr:g}"
        particles = "" if self.particles is None else f"{self.particles} particles"
        words = {None: "", True: "vectorised", False: "not vectorised"}[self.vectorize]
        mean = "mean of the iterates" if self.average else ""
        if self.mean is not None:
            mean = f"mean of steps {self.mean.first} to {self.mean.last}"
        parts = (mean, self.optimizer, lr, particles, words, self.estimator)
        return ", ".join(part for part in parts if part)


def parse_tuning(text: str) -> Tuning:
    """Parse the settings to change: `lr 0.02, particles 4, estimator TraceMeanField_ELBO`.

    `average` is one without a value: go on from the mean of the newest iterates.

    Raises:
        UsageError: if a setting is unknown, or its value is not valid.
    """
    found: dict[str, float | int | str | bool] = {}
    parts = [part for part in re.split(r"[,;]", text) if part.strip()]
    for part in parts:
        name, value = (AVERAGE, "") if part.strip() == AVERAGE else _pair(part)
        if name in found:
            raise UsageError(f"{name} is given twice", hint="give it once")
        found[name] = _read(name, value)
    if not found:
        hint = "give lr 0.02, particles 4, estimator NAME, optimizer NAME or average"
        raise UsageError("nothing to change", hint=hint)
    return Tuning(**found)  # type: ignore[arg-type]


def _pair(part: str) -> tuple[str, str]:
    pair = re.split(r"\s*=\s*|\s+", part.strip(), maxsplit=1)
    if len(pair) == 2 and pair[0] in SETTINGS and pair[1]:
        return pair[0], pair[1]
    if pair[0] in SETTINGS:
        raise UsageError(f"{pair[0]} has no value", hint=f"give one: {pair[0]} 0.02")
    near = [one for one in SETTINGS if one[:1] == pair[0][:1]]
    hint = f"did you mean {near[0]}?" if near else f"give {' or '.join(SETTINGS)} and its value"
    raise UsageError(f"{part.strip()!r} is no setting", hint=hint)


def _read(name: str, value: str) -> float | int | str | bool:
    if name == AVERAGE:
        return True
    if name in {"estimator", "optimizer"}:
        return value
    if name == "vectorize":
        if value not in {"yes", "no"}:
            raise UsageError(f"vectorize is yes or no, and this is {value!r}", hint="vectorize yes")
        return value == "yes"
    try:
        number = int(value) if name == "particles" else float(value)
    except ValueError:
        kind, one = ("a whole number", "4") if name == "particles" else ("a number", "0.01")
        raise UsageError(
            f"{name} is {kind}, and this is {value!r}", hint=f"as in {name} {one}"
        ) from None
    if not 0 < number <= LARGEST[name]:
        what = f"{name} is to be above 0 and at most {LARGEST[name]:,}, and this is {value}"
        raise UsageError(what, hint=f"give another {name}")
    return number
