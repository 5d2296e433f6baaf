"""Someone at the other end of a socket, and what holds for all of them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from math import inf

import msgspec

from tui_elbo import protocol
from tui_elbo.engine.server.send_buffer import Line
from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol import AnyCommand, ErrorReported, Event, RunStatus

LONGEST_COMMAND = 2**20
LARGEST_SEQ = 2**53

PIECE = 2**16
"""Bytes read at a time."""


@dataclass(frozen=True)
class Manners:
    """What holds for the terminals of a run.

    Args:
        stays: whether the run goes on without a terminal, once it has a name.
        linger: seconds for which it then waits when it has nothing to do.
        tells_output: whether what is printed is told.
        refuses_end: why no terminal can end the run, in words; empty if it can.
    """

    stays: bool = False
    linger: float = inf
    tells_output: bool = False
    refuses_end: str = ""


class Guest:
    """A terminal, or one who has not yet said what it wants.

    Args:
        stream: a connected socket.
    """

    def __init__(self, stream: socket.socket) -> None:
        self.line = Line(stream)
        self.base = 0
        """The run's commands are numbered on: this terminal's first comes after so many."""
        self._decoder: protocol.Decoder[AnyCommand] = protocol.Decoder(AnyCommand, LONGEST_COMMAND)

    def read(self) -> list[AnyCommand] | None:
        """The commands that have come; None once the other end is closed.

        Raises:
            ProtocolError: if something does not decode; what came before it is lost.
        """
        try:
            data = self.line.stream.recv(PIECE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        commands = list(self._decoder.feed(data))
        for command in commands:
            if not 0 <= command.seq <= LARGEST_SEQ:
                raise ProtocolError(f"a command of number {command.seq}")
        return commands

    def put(self, event: Event) -> None:
        """Tell it."""
        self.line.put(self.numbered(event))

    def numbered(self, event: Event) -> Event:
        """A level repeats numbers that its terminal knows."""
        if isinstance(event, RunStatus):
            return msgspec.structs.replace(event, seq=max(0, event.seq - self.base))
        return event

    def refuse(self, what: str) -> None:
        """Say that something cannot be done."""
        self.line.put(ErrorReported(what, "", "", "", 0, "refused"))
