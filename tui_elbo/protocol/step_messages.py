"""What is told of a step that was stepped into."""

from __future__ import annotations

import msgspec

from tui_elbo.protocol.event import Event


class Stage(msgspec.Struct, frozen=True):
    """One thing that happened in a step."""

    kind: str
    """`guide` and `model` for a site; `loss`, `gradient`, `update`."""
    name: str
    """The site's or the parameter's."""
    lines: tuple[str, ...]
    """What is to be known of it, in words and numbers."""
    line: int
    """The line of the scenario's file that it is on; 0 if it is on none."""
    first: int
    """The number of the first line of `code`."""
    code: tuple[str, ...]
    """The lines around it."""


class SteppedInto(Event, frozen=True):
    """A step was taken, and this is what happened in it, in its order."""

    step: int
    stages: tuple[Stage, ...]
