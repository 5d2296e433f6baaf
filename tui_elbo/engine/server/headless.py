"""The engine without a terminal of its own: for a batch job, say. Terminals may come and go."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tui_elbo.engine.server.process import Connection, name_of, work
from tui_elbo.engine.server.server import ServerOptions
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import (
    AnyCommand,
    ErrorReported,
    Event,
    Interrupt,
    Load,
    Loaded,
    RunStatus,
    RunUntil,
    WarningIssued,
)

Narrate = Callable[[str], object]


def serve_alone(load: Load, steps: int | None, idle_timeout: float, narrate: Narrate) -> None:
    """Take a scenario as far as was asked, and wait for a terminal; does not return.

    Args:
        load: the scenario.
        steps: how far; None: as far as the scenario says.
        idle_timeout: seconds for which the run then waits.
        narrate: takes what nobody else may hear of.

    Raises:
        UsageError: if the run cannot be found by any terminal.
    """
    alone = HeadlessConnection(steps, idle_timeout, narrate)
    why = alone.server.open(name_of(load.target))
    if why:
        alone.server.close()
        raise UsageError(why, hint="elbo-tui run takes a scenario to its end without a terminal")
    narrate(f"`elbo-tui attach {alone.server.id}` shows the run")
    alone.server.start()
    alone.commands.put(load)
    work(alone)


class HeadlessConnection(Connection):
    """A connection with nobody at the other end, at first; the arguments are as above."""

    def __init__(self, steps: int | None, idle_timeout: float, narrate: Narrate) -> None:
        super().__init__(ServerOptions(stays=True, idle_timeout=idle_timeout))
        self._steps, self._narrate = steps, narrate
        self._begun = self._ran = self._interrupting = False

    def send(self, event: Event) -> None:
        """Tell it, and say what matters."""
        super().send(event)
        match event:
            case Loaded() if not self._begun:
                self._begun = True
                self.commands.put(RunUntil(until=self._steps or event.steps))
            case RunStatus():
                if self._ran and event.state == "paused":
                    self._narrate(f"the run stands at step {event.step}")
                self._ran = event.state == "running"
            case ErrorReported():
                self._narrate(f"{event.where}: {event.what}" if event.where else event.what)
                if event.kind == "load" and not self._begun:
                    self.server.end(1)
            case WarningIssued():
                self._narrate(event.text)
            case _:
                pass

    def not_within_a_message(self, act: Callable[[], None]) -> Callable[..., None]:
        """SIGINT breaks off the model if a terminal has asked for it; ctrl+c here ends all."""
        break_off = super().not_within_a_message(act)

        def handler(*_: object) -> None:
            if not self._interrupting:
                self.server.end(128 + signal.SIGINT)
            self._interrupting = False
            break_off()

        return handler

    def _deliver(self, command: AnyCommand) -> None:
        self._interrupting |= isinstance(command, Interrupt)
        super()._deliver(command)
