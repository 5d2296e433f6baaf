"""A scenario source in the test's own process: what it does with commands, without a socket."""

from __future__ import annotations

from pathlib import Path

from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.model.records import Batch, Layout
from tui_elbo.protocol import Command, ErrorReported, Event, LayoutAdded, Load, StepsRecorded


class Local:
    """A scenario source, and everything that it has reported."""

    def __init__(self, path: Path | str) -> None:
        self.events: list[Event] = []
        self.layouts: dict[int, Layout] = {}
        self.batches: list[Batch] = []
        self.source = ScenarioSource(self._told)
        self.ask(Load(target=str(path), draws=0))

    def ask(self, command: Command) -> list[Event]:
        """Carry the command out, and all steps that it asks for; what is reported meanwhile."""
        before = len(self.events)
        self.source.handle(command)
        while self.source.busy:
            self.source.work()
        return self.events[before:]

    def faults(self) -> list[ErrorReported]:
        return [event for event in self.events if isinstance(event, ErrorReported)]

    def _told(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, LayoutAdded):
            self.layouts[event.layout.id] = event.layout
        if isinstance(event, StepsRecorded):
            self.batches.append(event.batch(self.layouts))
