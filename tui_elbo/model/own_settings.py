"""Settings that a scenario declares, as `settings = {"width": 0.1}`, and values given to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeAlias

from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import AVERAGE, SETTINGS

Value: TypeAlias = bool | int | float | str

Given: TypeAlias = tuple[tuple[str, str], ...]
"""Names with their values, as typed."""

TAKEN = frozenset({*SETTINGS, AVERAGE, "seed", "guide", "scenario", "run", "step"})
"""Names that mean something else where runs are compared."""

_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


def parse_given(text: str) -> tuple[str, str]:
    """The name and the value of `width=0.1`.

    Raises:
        UsageError: if it is neither, or a setting of the run.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise UsageError(f"--set {text} gives no value", hint="as in --set width=0.1")
    if name in TAKEN:
        hint = "the key t changes it, and elbo-tui sweep --set gives each run its own"
        hint = "use --seed" if name == "seed" else hint
        raise UsageError(f"{name} is no setting of the scenario's own", hint=hint)
    return name, value


def fitted(declared: Mapping[str, Value], given: Given) -> dict[str, Value]:
    """The settings with the values that are given; the others as they are declared.

    Raises:
        UsageError: if one is not declared, or its value is of another kind.
    """
    found = dict(declared)
    for name, text in given:
        if name not in declared:
            raise UsageError(f"the scenario has no setting {name!r}", hint=_hint(name, declared))
        found[name] = _read(name, text, declared[name])
    return found


def _hint(name: str, declared: Mapping[str, Value]) -> str:
    near = get_close_matches(name, [*declared, *SETTINGS], 1)
    if near:
        return f"did you mean {near[0]}?"
    if declared:
        return f"it declares {', '.join(declared)}"
    return f'it declares none; in the file, settings = {{"{name}": …}} would'


def _read(name: str, text: str, declared: Value) -> Value:
    if isinstance(declared, bool):
        if text.lower() not in _TRUTH:
            raise UsageError(f"{name} is yes or no, and this is {text!r}", hint=f"{name}=yes")
        return _TRUTH[text.lower()]
    if isinstance(declared, str):
        return text
    whole = isinstance(declared, int)
    try:
        value = int(text) if whole else float(text)
        if not math.isfinite(value):
            raise ValueError("not finite")
    except (ValueError, OverflowError):
        kind = "a whole number" if whole else "a number"
        hint = f"as in {name}={declared}"
        raise UsageError(f"{name} is {kind}, and this is {text!r}", hint=hint) from None
    return value


def as_shown(text: str) -> Value:
    """A given value as the number that it looks like, else as typed."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text
