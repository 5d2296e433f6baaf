"""What is told about the terminals of a run, which come and go, and to those who visit it."""

from __future__ import annotations

import msgspec

from tui_elbo.protocol.commands import Breakpoint
from tui_elbo.protocol.event import Event


class Named(Event, frozen=True):
    """Under which name the run can be attached to once its terminal has gone."""

    id: str
    """Empty if it cannot."""
    why: str = ""
    """Why it cannot, in words."""


class Printed(Event, frozen=True):
    """What the engine's process and the model have printed, a piece of it as it came."""

    data: bytes


class TakenOver(Event, frozen=True):
    """The last word of a connection: the run has another terminal now."""


class Wished(Event, frozen=True):
    """What the run's terminals have asked for and a later one has to know."""

    points: tuple[Breakpoint, ...]
    """The breakpoints, off and on."""
    watched: tuple[str, ...]
    """The parameters that are recorded whole."""


class Surveyed(Event, frozen=True):
    """How a run stands, in answer to `Survey`."""

    id: str
    scenario: str
    """Its name; empty before it is loaded."""
    path: str
    step: int
    state: str
    """As in `Level`."""
    target: int | None
    since: float
    """When the engine began, in seconds since 1970."""
    pid: int
    attached: bool
    """Whether it has a terminal."""
    watched: bool
    """As in `Loaded`."""


class SiteDraws(msgspec.Struct, frozen=True):
    """Draws of one latent site."""

    name: str
    shape: tuple[int, ...]
    """Of one draw."""
    data: bytes
    """All of them: little-endian float64 of shape (count, *shape)."""


class Drawn(Event, frozen=True):
    """Draws from the guide, in answer to `Draw`."""

    step: int
    """The state after this step."""
    count: int
    sites: tuple[SiteDraws, ...]
    note: str = ""
    """Why something is missing, in words."""
