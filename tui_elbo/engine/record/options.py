"""What a person wants to know of single parameters; it outlives restarts and steps back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RecordingOptions:
    """Read by the watch at each step; may be changed between two steps."""

    watched: frozenset[str] = frozenset()
    """Parameters that are recorded whole, however many there are."""
    inspected: str = ""
    """The parameter whose gradient is kept; empty for none."""
