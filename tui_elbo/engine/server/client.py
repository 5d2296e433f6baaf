"""The connection of a terminal, or of one who has not yet said what it wants."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import msgspec

from tui_elbo.engine.forked import detach_descriptor
from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol import (
    AnyCommand,
    Decoder,
    ErrorReported,
    Event,
    RunStatus,
    frame,
    runtime_dir,
)

LONGEST_COMMAND = 2**20
LARGEST_SEQ = 2**53

SEND_BUFFER = 16 * 2**20
"""Bytes that wait for a terminal that does not read; beyond them it is sent everything anew, once
it reads again."""


class Client(asyncio.Protocol):
    """One connection: commands come in, events go out in order and are never waited for.

    Args:
        connected: called with this connection once it is there; False turns it away.
        commanded: called with each command.
        left: called when the connection is over.
        caught_up: called when all that was left out, if `behind`, can be sent anew.
    """

    def __init__(
        self,
        connected: Callable[[Client], bool],
        commanded: Callable[[Client, AnyCommand], object],
        left: Callable[[Client, ProtocolError | None], object],
        caught_up: Callable[[Client], object],
    ) -> None:
        self._connected, self._commanded = connected, commanded
        self._left, self._caught_up = left, caught_up
        self._decoder: Decoder[AnyCommand] = Decoder(AnyCommand, LONGEST_COMMAND)
        self._coming: deque[bytes | Iterator[Event]] = deque()
        self._error: ProtocolError | None = None
        self.base = 0
        """The run's commands are numbered on: this terminal's first comes after so many."""
        self.buffered = 0
        """Bytes that wait; what is made only when there is room for it does not count."""
        self.behind = False
        """Whether events have been left out, because it does not read."""

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, unless the process at the other end belongs to somebody else."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(0)
        same = runtime_dir.is_the_same_persons(transport.get_extra_info("socket"))
        if not (same and self._connected(self)):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand on the commands in it; a frame that is none ends the connection."""
        try:
            for command in self._commands(data):
                if not self.transport.is_closing():
                    self._commanded(self, command)
        except ProtocolError as error:
            self._error = error
            self.refuse(error.what)
            self.transport.close()

    def eof_received(self) -> None:
        """The other end has left; nothing more is sent."""
        self.transport.abort()

    def resume_writing(self) -> None:
        """There is room again."""
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over; if because nothing could be sent, the other end's last words are heard."""
        self._forget_waiting()
        if error is not None and self._error is None:
            with suppress(OSError, ProtocolError):
                for command in self._commands(self._unread()):
                    self._commanded(self, command)
        self._left(self, self._error)

    # Called by the server.

    @property
    def waiting(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._coming or self.transport.get_write_buffer_size())

    def put(self, event: Event) -> None:
        """Send it after all that was put before; too much of it is left out until later."""
        if self.behind:
            return
        data = frame(self._numbered(event))
        self._coming.append(data)
        self.buffered += len(data)
        self._flush()
        if self.buffered > SEND_BUFFER:
            self._forget_waiting()
            self.behind = True

    def put_all(self, events: Iterable[Event]) -> None:
        """Send these after all that was put before; each is made when there is room for it."""
        self._coming.append(map(self._numbered, events))
        self._flush()

    def refuse(self, what: str) -> None:
        """Say that something cannot be done."""
        self.put(ErrorReported(what, "", "", "", 0, "refused"))

    def close(self, last: Event) -> None:
        """Forget what waits, say a last word and be done with it."""
        self._forget_waiting()
        self.transport.write(frame(last))
        self.transport.close()

    def detach_in_child(self) -> None:
        """A process just forked does not hold this connection."""
        detach_descriptor(self.transport.get_extra_info("socket").fileno())

    def _commands(self, data: bytes) -> Iterator[AnyCommand]:
        for command in self._decoder.feed(data):
            if not 0 <= command.seq <= LARGEST_SEQ:
                raise ProtocolError(f"a command of number {command.seq}")
            yield command

    def _unread(self) -> bytes:
        """What the other end had sent before it left."""
        descriptor, found = self.transport.get_extra_info("socket").fileno(), b""
        with suppress(BlockingIOError, ConnectionError):
            while data := os.read(descriptor, LONGEST_COMMAND):
                found += data
        return found

    def _flush(self) -> None:
        while not self.transport.get_write_buffer_size() and not self.transport.is_closing():
            data = self._next()
            if data is not None:
                self.transport.write(data)
            elif self.behind:
                self.behind = False
                self._caught_up(self)
                return
            else:
                return

    def _next(self) -> bytes | None:
        """Take up the next message; None if there is none."""
        while self._coming:
            first = self._coming[0]
            if isinstance(first, bytes):
                self._coming.popleft()
                self.buffered -= len(first)
                return first
            event = next(first, None)
            if event is not None:
                return frame(event)
            self._coming.popleft()
        return None

    def _forget_waiting(self) -> None:
        self._coming.clear()
        self.buffered = 0

    def _numbered(self, event: Event) -> Event:
        """A level repeats numbers that its terminal knows."""
        if isinstance(event, RunStatus):
            return msgspec.structs.replace(event, seq=max(0, event.seq - self.base))
        return event
