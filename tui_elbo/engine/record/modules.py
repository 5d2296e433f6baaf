"""Which parameters are recorded whole, and which are summed up together, under a budget of columns.

Within the budget each parameter has columns of its own. Beyond it they are summed up by module: by
what their names begin with, `encoder.fc1`, `net$$$layer` or `AutoNormal.locs`, as deep as fits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from tui_elbo.model.records import MAX_ELEMENTS, NORMS, SUMMARY, ModuleInfo, ParamInfo, Role

BUDGET = 512
"""Columns of a step, those of its sites included."""

LEAST = 48
"""Parameters have so many even where the sites take all others."""

SUMMED = (*SUMMARY, *NORMS)
"""The columns of a large parameter, and those of a module."""

SHARE = 0.75
"""Of the columns for parameters, what modules may take."""

_CUT = re.compile(r"(?:\$\$\$|\.|_)?\d+$|\$\$\$|\.")


@dataclass(frozen=True)
class Division:
    """What is recorded of the parameters of a store."""

    whole: frozenset[str]
    """The names of those with columns of their own, those that are watched apart."""
    modules: tuple[ModuleInfo, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()
    """For each module, the places of its parameters in the store."""


@dataclass
class _Part:
    """Parameters whose names begin alike."""

    places: list[int] = field(default_factory=list)
    cost: int = 0
    """How many columns they have one by one."""


def divided(infos: Sequence[ParamInfo], room: int) -> Division:
    """Divide the parameters of a store into those recorded whole and modules.

    A part of the room is left for what a person chooses to watch, so that the modules do not depend
    on it. What begins like no other is recorded whole where that fits.

    Args:
        infos: every parameter, in the order of the store.
        room: how many columns there are for them.
    """
    if sum(map(columns_of, infos)) <= room:
        return Division(frozenset(info.name for info in infos))
    cuts = [[cut.start() for cut in _CUT.finditer(info.name)] for info in infos]
    for depth in range(max(map(len, cuts)), 0, -1):
        parts = _parts(infos, cuts, depth)
        for loose in (True, False):
            alone = {name for name, part in parts.items() if _is_alone(name, part, loose=loose)}
            cost = sum(part.cost if n in alone else len(SUMMED) for n, part in parts.items())
            if cost <= room * SHARE:
                return _division(infos, parts, alone)
    return _division(infos, {"": _Part(list(range(len(infos))))}, set())


def columns_of(info: ParamInfo) -> int:
    """How many columns a parameter has at most."""
    size = prod(info.shape)
    return size + 2 if size <= MAX_ELEMENTS else len(SUMMED)


def _parts(infos: Sequence[ParamInfo], cuts: list[list[int]], depth: int) -> dict[str, _Part]:
    parts: dict[str, _Part] = {}
    for place, (info, own) in enumerate(zip(infos, cuts, strict=True)):
        end = own[min(depth, len(own)) - 1] if own else 0
        part = parts.setdefault(info.name[:end], _Part())
        part.places.append(place)
        part.cost += columns_of(info)
    return parts


def _is_alone(name: str, part: _Part, *, loose: bool) -> bool:
    """Whether its parameters are recorded one by one, since nothing is like them."""
    return part.cost <= len(SUMMED) or len(part.places) == 1 or (loose and not name)


def _division(
    infos: Sequence[ParamInfo], parts: dict[str, _Part], alone: Collection[str]
) -> Division:
    whole = frozenset(infos[i].name for name in alone for i in parts[name].places)
    summed = {name: part.places for name, part in parts.items() if name not in alone}
    modules = [_module(name, [infos[i] for i in places]) for name, places in summed.items()]
    return Division(whole, tuple(modules), tuple(map(tuple, summed.values())))


def _module(name: str, members: Sequence[ParamInfo]) -> ModuleInfo:
    size = sum(prod(info.shape) for info in members)
    return ModuleInfo(name, _common_role(info.role for info in members), len(members), size)


def _common_role(roles: Iterable[Role]) -> Role:
    """That of its parameters that are read; `both` where model and guide read different ones."""
    read = set(roles) - {"none"}
    if len(read) > 1:
        return "unknown" if "unknown" in read else "both"
    return read.pop() if read else "none"
