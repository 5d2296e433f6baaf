"""What a person wants of a run beyond its going on, kept for whoever comes later."""

from __future__ import annotations

from collections.abc import Callable

from tui_elbo.engine.stop_conditions import Stops
from tui_elbo.protocol import Event, SetBreakpoints, SubscriptionsChanged, WatchParams


class Subscriptions:
    """Where to stop, and which parameters to record whole.

    Args:
        send: takes the events.
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self.stops = Stops()
        self._watched: tuple[str, ...] = ()
        self._send = send

    @property
    def params(self) -> frozenset[str]:
        """The parameters to record whole, those that are read to know where to stop among them."""
        return frozenset(self._watched) | self.stops.params

    def take(self, command: WatchParams | SetBreakpoints) -> None:
        """Take in what is asked for.

        Raises:
            UsageError: if a breakpoint is none.
        """
        if isinstance(command, SetBreakpoints):
            self.stops.put(command.points)
        else:
            self._watched = command.names
        self._send(SubscriptionsChanged(self.stops.points, self._watched))

    def forget_names(self) -> None:
        """Another scenario is loaded, with parameters of its own."""
        if self._watched:
            self.take(WatchParams(names=()))
