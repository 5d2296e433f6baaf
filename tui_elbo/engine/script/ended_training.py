"""A training that is watched no more: its history can be looked at, and nothing of it is held."""

from __future__ import annotations

from tui_elbo.engine.server.server import Server
from tui_elbo.protocol import (
    AnyCommand,
    ErrorReported,
    RunFlagged,
    RunStatus,
    RunUntil,
    Step,
    TrainingInfo,
)
from tui_elbo.protocol.run_state import RunState

UNWATCHED = "the script has dropped this training, or has too many: it is watched no more"


class EndedTraining:
    """Stands for a `ScriptSource` that is closed.

    Args:
        info: its line in the list of all trainings.
        state: what is known of it.
        server: where it is sent.
    """

    closed = True
    held = stands = False
    last_step = 0.0

    def __init__(self, info: TrainingInfo, state: RunState, server: Server) -> None:
        self.number, self.state = info.number, state
        self._info, self._server, self._seq = info, server, 0
        server.send(RunFlagged("unwatched", UNWATCHED), state)
        self._send_status()

    def described(self) -> TrainingInfo:
        """Its line in the list of all trainings."""
        return self._info

    def shown(self, seq: int) -> None:
        """It is shown from now on, to a terminal whose newest command has this number."""
        self._seq = seq
        self._send_status()

    def deliver(self, command: AnyCommand) -> None:
        """Refuse what only a training that goes on can do."""
        self._seq = command.seq
        if isinstance(command, Step | RunUntil):
            self.refuse(UNWATCHED)
        self._send_status()

    def refuse(self, what: str) -> None:
        """A command cannot be carried out."""
        error = ErrorReported(what, "", "", "", self._info.step, "refused")
        self._server.send(error, self.state)
        self._send_status()

    def let_go(self) -> None:
        """Nothing is held."""

    def _send_status(self) -> None:
        status = RunStatus("paused", self._info.step, None, 0.0, self._seq)
        self._server.send(status, self.state)
