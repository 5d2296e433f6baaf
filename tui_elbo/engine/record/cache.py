"""Keeping what was worked out, so that a long run whose shape never settles fills no memory."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

MOST = 256
"""So many things are remembered; a run that alternates among fewer works each out once."""


def remember(known: dict[K, V], key: K, value: V) -> None:
    """Add what is known; everything is forgotten first when it is too much."""
    if len(known) >= MOST:
        known.clear()
    known[key] = value
