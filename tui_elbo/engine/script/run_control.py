"""How far a script may go: until a person holds it, so many steps, or until something happens."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tui_elbo.engine.record.budget import Always, Budget, Due
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.server.subscriptions import Subscriptions
from tui_elbo.engine.stop_conditions import Stops
from tui_elbo.model.conditions import parse
from tui_elbo.model.records import Layout
from tui_elbo.protocol import Event, RunUntil, SetBreakpoints, WatchParams

WAKE = 1.0
"""Seconds after which a held script looks around, should a signal have come as it went to sleep."""


class RunControl:
    """Open or shut; `state` is to be held by whoever changes it or waits at it.

    While nobody is there to open it again, it stays open: breakpoints sleep.

    Args:
        send: takes the events.
        wanted: what is kept of single parameters.
    """

    def __init__(self, send: Callable[[Event], None], wanted: RecordingOptions) -> None:
        self.state = threading.Condition()
        self.running = True
        self.target: int | None = None
        """The step after which it shuts by itself."""
        self.by_hand = False
        """Whether the steps to take were asked for one by one."""
        self.awake = False
        """Whether it may shut by itself."""
        self._subscriptions = Subscriptions(send)
        self.due: Due = Budget()
        """When the sums of large parameters are taken."""
        self._wanted = wanted

    @property
    def stops(self) -> Stops:
        """What it is to shut for."""
        return self._subscriptions.stops

    def attend(self) -> None:
        """Somebody is there."""
        if not self.awake:
            with self.state:
                self.awake = True
                self._record_whole()

    def wait(self, called: Callable[[], bool]) -> None:
        """Wait at the shut gate until something may have changed.

        Args:
            called: whether there is something else to do.
        """
        with self.state:
            if not self.running and not called():
                self.state.wait(WAKE)

    def wake(self) -> None:
        """Something may have changed."""
        with self.state:
            self.state.notify_all()

    def shut(self) -> None:
        """No further."""
        self.running = False

    def took(self, step: int) -> None:
        """A step has been taken."""
        if self.target is not None and step >= self.target:
            self.shut()

    def step(self, taken: int, count: int) -> None:
        """So many steps more, and those still to be taken."""
        goes_on = self.running and self.target is not None
        begin = self.target if goes_on and self.target is not None else taken
        self.stops.condition, self.due = None, Always()
        self.target, self.running, self.by_hand = begin + max(count, 1), True, True

    def run(self, taken: int, command: RunUntil, layout: Layout | None) -> None:
        """Until something else is asked, or as far as the command says.

        Raises:
            UsageError: if its condition is none, or names what is not there.
        """
        condition = None if command.condition is None else parse(command.condition)
        if condition is not None and layout is not None:
            condition.check(layout)
        self.stops.condition, self.target, self.due = condition, command.until, Budget()
        self.by_hand = False
        self._record_whole()
        self.running = command.until is None or command.until > taken

    def subscribe(self, command: WatchParams | SetBreakpoints) -> None:
        """Stop at these breakpoints, or record these parameters whole."""
        self._subscriptions.take(command)
        self._record_whole()

    def let_go(self) -> None:
        """On and on: nobody is there who would open it again."""
        self.running, self.target, self.due, self.by_hand = True, None, Budget(), False
        self.awake = False
        self.stops.rest()

    def _record_whole(self) -> None:
        """Record whole what the person watches, and what is read to know where to stop."""
        self._wanted.watched = self._subscriptions.params
        if self.stops.reads_params:
            self.due = Always()
