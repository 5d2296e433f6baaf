"""A grid of runs: seeds × settings × guides, as typed, and the name of each run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TypeAlias

import msgspec

from tui_elbo.model.errors import UsageError
from tui_elbo.model.own_settings import TAKEN, Given, as_shown, parse_given
from tui_elbo.model.scenarios import MAX_SEED
from tui_elbo.model.tuning import SETTINGS, Tuning, parse_tuning

Choice: TypeAlias = Tuning | tuple[str, str]
"""A setting with one value: of the run, or the scenario's own."""

MOST_RUNS = 10_000
"""Larger grids are taken for typing errors."""


class RunSpec(msgspec.Struct, frozen=True):
    """One run of a grid."""

    name: str
    """Of its file, without the ending: what it is, such as `lr-0.03_seed-1`."""
    seed: int | None
    """None: the scenario's own."""
    tuning: Tuning | None
    """The settings that it begins with; None: the scenario's own."""
    guide: str | None
    """A stock guide in place of the scenario's own; None: its own."""
    given: Given = ()
    """Values of the scenario's own settings, in place of those that it declares."""

    @property
    def settings(self) -> dict[str, float | int | str]:
        """What it is run with besides the seed, by name; what is the scenario's own is left out."""
        found = {} if self.tuning is None else given_settings(self.tuning)
        found |= {name: as_shown(text) for name, text in self.given}
        return found if self.guide is None else found | {"guide": self.guide}

    @property
    def record(self) -> dict[str, float | int | str]:
        """The same with the seed."""
        return ({} if self.seed is None else {"seed": self.seed}) | self.settings


def given_settings(tuning: Tuning) -> dict[str, float | int | str]:
    """Those of the settings that are given, by name."""
    values = ((name, getattr(tuning, name)) for name in SETTINGS)
    return {name: value for name, value in values if value is not None}


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that `0:8`, `3` or `1,5,9` name; `0:8` are eight, from 0 to 7.

    Raises:
        UsageError: if it is none of these.
    """
    hint = "as in --seeds 0:8 (from 0 to 7) or --seeds 1,5,9"
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*:\s*(\d+))?\s*", part)
        if match is None:
            raise UsageError(f"{part.strip()!r} is no seed and no range of seeds", hint=hint)
        first = int(match[1])
        end = first + 1 if match[2] is None else int(match[2])
        if not first < end <= MAX_SEED + 1:
            why = "is empty" if end <= first else f"goes beyond {MAX_SEED}"
            raise UsageError(f"the range of seeds {part.strip()} {why}", hint=hint)
        if end - first > MOST_RUNS:
            raise UsageError(f"{end - first:,} seeds are more than {MOST_RUNS:,}", hint=hint)
        found.extend(range(first, end))
    if len(set(found)) < len(found):
        raise UsageError("a seed is given twice", hint=hint)
    return tuple(found)


def parse_choice(text: str) -> tuple[str, tuple[Choice, ...]]:
    """The setting and its values, of `lr=0.01,0.03`; of a scenario's own setting as they are typed.

    Raises:
        UsageError: if there is no such setting, or one of its values is not valid.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    if not equals or not values.strip():
        raise UsageError(f"--set {text} gives no values", hint="as in --set lr=0.01,0.03")
    found: tuple[Choice, ...]
    if name in TAKEN:
        found = tuple(parse_tuning(f"{name} {one.strip()}") for one in values.split(","))
    else:
        found = tuple(parse_given(f"{name}={one}") for one in values.split(","))
    if len(set(found)) < len(found):
        raise UsageError(f"--set {text} gives a value twice", hint="give it once")
    return name, found


def grid(
    seeds: Sequence[int], choices: Sequence[tuple[str, Sequence[Choice]]], guides: Sequence[str]
) -> tuple[RunSpec, ...]:
    """Every run: each guide with each combination of settings, and each of these with each seed.

    Args:
        seeds: none: that of the scenario.
        choices: of each setting, its name and values.
        guides: stock guides; none: the scenario's own.

    Raises:
        UsageError: if a setting is given twice, or there are too many runs.
    """
    names = [name for name, _ in choices]
    for name in names:
        if names.count(name) > 1:
            what = f"--set {name} is given twice"
            raise UsageError(what, hint=f"put its values into one: --set {name}=…,…")
    if len(set(guides)) < len(guides):
        raise UsageError("--guide names a guide twice", hint="name it once")
    count = max(len(seeds), 1) * max(len(guides), 1)
    for _, values in choices:
        count *= len(values)
    if count > MOST_RUNS:
        what = f"this grid has {count:,} runs, and {MOST_RUNS:,} are the most"
        raise UsageError(what, hint="give fewer values")
    runs = []
    of_guide: tuple[str | None, ...] = tuple(guides) or (None,)
    for guide, values in product(of_guide, product(*(some for _, some in choices))):
        merged: dict[str, float | int | str] = {}
        given = tuple(one for one in values if isinstance(one, tuple))
        for one in values:
            merged |= {} if isinstance(one, tuple) else given_settings(one)
        tuning = Tuning(**merged) if merged else None  # type: ignore[arg-type]
        for seed in seeds or (None,):
            spec = RunSpec("", seed, tuning, guide, given)
            runs.append(msgspec.structs.replace(spec, name=_name(spec)))
    return tuple(runs)


def parse_runs(text: str) -> tuple[RunSpec, ...]:
    """The runs that a line names: `lr=0.01,0.03 seeds=8:12 guide=AutoNormal`.

    Raises:
        UsageError: if it is no such line.
    """
    seeds: tuple[int, ...] = ()
    guides: list[str] = []
    choices = []
    for word in re.sub(r"\bseeds?\s+(?=\d)", "seeds=", text).split():
        name, equals, values = word.partition("=")
        if equals and name in {"seed", "seeds"}:
            seeds = parse_seeds(values)
        elif equals and name == "guide":
            guides = [one for one in values.split(",") if one]
        elif not equals:
            raise UsageError(f"{word!r} is no setting", hint="as in lr=0.01,0.03 seeds=8:12")
        else:
            choices.append(parse_choice(word))
    return grid(seeds, choices, guides)


def line_of(run: Mapping[str, float | int | str]) -> str:
    """The line that names a run, from what it is run with."""
    return " ".join(
        f"{'seeds' if name == 'seed' else name}={value}"
        for name, value in sorted(run.items(), key=lambda item: item[0] == "seed")
        if name not in {"run", "scenario"}
    )


def _name(spec: RunSpec) -> str:
    parts = [f"{name}-{value}" for name, value in spec.settings.items()]
    if spec.seed is not None:
        parts.append(f"seed-{spec.seed}")
    return re.sub(r"[^\w.+-]", "-", "_".join(parts)) or "run"


def differing(runs: Sequence[RunSpec]) -> tuple[str, ...]:
    """The names of what differs between the runs, the seed last."""
    names = dict.fromkeys(name for run in runs for name in (*run.settings, "seed"))
    names["seed"] = names.pop("seed", None)
    return tuple(n for n in names if len({str(run.record.get(n)) for run in runs}) > 1)
