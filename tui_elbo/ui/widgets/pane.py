"""What the panes at the right have in common, so that the pane grid needs to know none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import Span


@dataclass(frozen=True, eq=False)
class Shown:
    """What there is to show: a run at a step."""

    run: Run
    step: int
    """The step whose numbers are shown."""
    cursor: int | None
    """The same, where it is not the newest."""
    span: Span | None
    """The span that is attributed; None if the lens has not looked."""
    live: bool
    """More is to come very soon."""


class SidePane(Protocol):
    """A pane at the right: a widget that the grid creates, places and keeps up to date."""

    NAME: ClassVar[str]
    """The widget's id."""
    FROM_LENS: ClassVar[bool]
    """Whether it shows what the lens sees, which changes less often and costs more to draw."""

    def __init__(self, *, ascii: bool) -> None: ...

    def wanted_height(self) -> int:
        """How many rows it would like to have, its frame not included."""
        ...

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        ...
