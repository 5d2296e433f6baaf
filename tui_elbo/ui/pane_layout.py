"""Where the panes are: rectangles for a size, a page and a pane that is shown alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CURVES = ("log_p", "log_q", "elbo")
"""The curves, from top to bottom; `why` stands in for the first two where there are none."""

TABLES = ("params", "accounts", "sites", "posterior", "totals", "output", "notes")
"""What is at the right, as far as there is room: the first always, the others in turn."""

LEAST = 5
"""Rows of a pane at the least: its frame's, a header and three more."""

EACH = 9
"""Rows for each of the panes that take turns, before one more of them is shown."""

SECOND = 180
"""Columns from which there is a second column of tables."""

WHY = 5
"""Rows for why there are no curves of log p and log q."""


@dataclass(frozen=True)
class Place:
    """A pane's rectangle, its frame included, in the region for all panes."""

    x: int
    y: int
    width: int
    height: int
    last: bool
    """Whether it is at the bottom: only there a frame has a bottom edge of its own."""


def arrange(
    size: tuple[int, int],
    wishes: Mapping[str, int],
    *,
    page: int = 0,
    alone: str = "",
    silent: bool = False,
) -> dict[str, Place]:
    """The place of each pane that is shown.

    Args:
        size: columns and rows for all panes together.
        wishes: how many rows a table would like to have, its frame not included.
        page: which of the tables that take turns comes first.
        alone: the pane that is shown alone; empty for none.
        silent: there are no curves of log p and log q, and a sentence says why.
    """
    width, height = size
    if alone:
        return {alone: Place(0, 0, width, height, last=True)}
    right = min(68, width * 3 // 5)
    others = _turned(page)
    columns = [["params", *others[: _fitting(height)]]]
    if width >= SECOND:
        right = min(68, width * 3 // 10)
        columns = [["params", others[0]], others[1 : 1 + _fitting(height + EACH)]]
    places = _curves(width - right * len(columns), height, silent=silent)
    for index, column in enumerate(columns):
        x = width - right * (len(columns) - index)
        heights = stack(height - 1, [wishes.get(name, EACH) + 1 for name in column])
        places |= _column(column, x, right, heights)
    return places


def pages() -> int:
    """How many pages there are."""
    return len(TABLES) - 1


def _turned(page: int) -> list[str]:
    others = list(TABLES[1:])
    page %= len(others)
    return others[page:] + others[:page]


def _fitting(height: int) -> int:
    return max(1, min(len(TABLES) - 1, (height - 8) // EACH))


def _curves(width: int, height: int, *, silent: bool) -> dict[str, Place]:
    if silent:
        return _column(["why", "elbo"], 0, width, [WHY, height - 1 - WHY])
    each = (height - 1) // 3
    return _column(list(CURVES), 0, width, [each, each, height - 1 - 2 * each])


def _column(names: Sequence[str], x: int, width: int, heights: Sequence[int]) -> dict[str, Place]:
    """Panes one above the other; the last is a row higher, for the bottom edge of its frame."""
    places, y = {}, 0
    for name, height in zip(names, heights, strict=True):
        last = name == names[-1]
        places[name] = Place(x, y, width, height + last, last)
        y += height
    return places


def stack(room: int, wishes: Sequence[int]) -> list[int]:
    """How many of `room` rows each of several panes gets; they add up to it.

    Nobody gets more than an equal share at another's cost. What is left over is the first one's.
    """
    heights = [0] * len(wishes)
    order = sorted(range(len(wishes)), key=lambda i: wishes[i])
    for place, index in enumerate(order):
        share = room // (len(order) - place)
        heights[index] = min(share, max(wishes[index], min(LEAST, share)))
        room -= heights[index]
    if heights:
        heights[0] += room
    return heights
