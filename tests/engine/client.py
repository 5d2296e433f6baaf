"""The engine's process, spoken to from a test: commands go in, events come out, in order.

Nothing here sleeps: each wait is for an event, for the end of the connection or for that of the
process, and fails after `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.warm_start import Program
from tui_elbo import protocol
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, Layout, StepRecord
from tui_elbo.protocol import (
    AnyEvent,
    BranchRestored,
    Command,
    ErrorReported,
    Event,
    Hello,
    LayoutAdded,
    Loaded,
    Rewound,
    RunStatus,
    StepsRecorded,
)

E = TypeVar("E", bound=Event)

PATIENCE = 30.0
"""Seconds after which an event is not expected to come any more. No test waits for it."""


class ClosedError(Exception):
    """The engine has closed the connection."""


class Speaker:
    """The terminal's side of the protocol.

    Args:
        line: a connected socket.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.settimeout(PATIENCE)
        self._decoder: protocol.Decoder[AnyEvent] = protocol.Decoder(AnyEvent)
        self._coming: deque[AnyEvent] = deque()
        self._seq = 0
        self.layouts: dict[int, Layout] = {}
        self.batches: list[Batch] = []
        """Every batch of steps since the newest `Load` or `Restart`."""
        self.seen: list[AnyEvent] = []
        """Every event since then."""

    def send(self, command: Command) -> int:
        """Send the command under the next number; returns the number."""
        self._seq += 1
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        if isinstance(command, (protocol.Load, protocol.Restart)):
            self.layouts, self.batches, self.seen = {}, [], []
        self.send_bytes(protocol.frame(type(command)(**{**fields, "seq": self._seq})))
        return self._seq

    def send_bytes(self, data: bytes) -> None:
        self._line.sendall(data)

    def patience(self, seconds: float) -> None:
        """Wait so long for an event from now on; then `TimeoutError` is raised."""
        self._line.settimeout(seconds)

    def finish(self) -> None:
        """Say nothing more, and still listen."""
        self._line.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        self._line.close()

    def next(self) -> AnyEvent:
        """The next event.

        Raises:
            ClosedError: when there will be none.
        """
        while not self._coming:
            data = self._line.recv(1 << 20)
            if not data:
                raise ClosedError
            self._coming += self._decoder.feed(data)
        event = self._coming.popleft()
        self.seen.append(event)
        if isinstance(event, LayoutAdded):
            self.layouts[event.layout.id] = event.layout
        if isinstance(event, StepsRecorded):
            self.batches.append(event.batch(self.layouts))
        return event

    def until(self, kind: type[E], matches: Callable[[E], bool] | None = None) -> E:
        """The next event of this kind that matches; those before it are in `seen`."""
        while True:
            event = self.next()
            if isinstance(event, kind) and (matches is None or matches(event)):
                return event

    def still(self, seq: int) -> RunStatus:
        """The level at which the engine stands still and has carried out command `seq`."""
        return self.until(RunStatus, lambda x: x.seq >= seq and x.state in ("paused", "failed"))

    def ask(self, command: Command) -> RunStatus:
        """Send the command and wait until the engine stands still."""
        return self.still(self.send(command))

    def load(self, path: Path | str, **options: object) -> RunStatus:
        return self.ask(protocol.Load(target=str(path), **options))  # type: ignore[arg-type]

    def faults(self) -> list[ErrorReported]:
        return [event for event in self.seen if isinstance(event, ErrorReported)]

    def records(self) -> list[StepRecord]:
        """Every step so far, after a check that none is missing."""
        step = 1
        for batch in self.batches:
            assert batch.first == step
            step += batch.steps
        return [record for batch in self.batches for record in batch.records()]


class Client(Speaker):
    """A terminal with an engine of its own.

    Args:
        folder: the engine's working folder; None: the test's own.
        apart: the engine reads its own output, and goes on without us.
        options: of the engine.
    """

    def __init__(self, folder: Path | None = None, *options: str, apart: bool = False) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the client
        read, write = os.pipe() if apart else (-1, -1)
        last = [theirs.fileno(), read] if apart else [theirs.fileno()]
        self.process = Program(
            "tui_elbo.engine",
            *options,
            *map(str, last),
            pass_fds=tuple(last),
            stdout=write if apart else self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
        )
        theirs.close()
        for end in (read, write) if apart else ():
            os.close(end)

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        """Wait until the engine has ended of itself; returns its exit code."""
        return self.process.wait(PATIENCE)

    def output(self) -> bytes:
        """What the engine's process has printed so far."""
        self._output.seek(0)
        return self._output.read()

    def close(self) -> None:
        self._line.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._output.close()


@contextmanager
def engine(folder: Path | None = None, *options: str, apart: bool = False) -> Iterator[Client]:
    """An engine that has said hello."""
    client = Client(folder, *options, apart=apart)
    try:
        assert client.until(Hello).version == protocol.VERSION
        yield client
    finally:
        client.close()


@contextmanager
def visitor(path: Path) -> Iterator[Speaker]:
    """One who has come in at this socket, and has been said hello to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(PATIENCE)
        line.connect(str(path))
        speaker = Speaker(line)
        assert speaker.until(Hello).version == protocol.VERSION
        try:
            yield speaker
        finally:
            # A copy of this process, forked for a look, may still hold the socket.
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def history(events: Iterable[AnyEvent]) -> History:
    """What these events, from a `Loaded` on, tell of the run."""
    layouts: dict[int, Layout] = {}
    reported = History()
    for event in events:
        match event:
            case Loaded() | BranchRestored():
                reported = History()
            case LayoutAdded():
                layouts[event.layout.id] = event.layout
            case StepsRecorded():
                reported.append(event.batch(layouts))
            case Rewound():
                reported.forget_after(event.step)
            case _:
                pass
    return reported


def untimed(records: Sequence[StepRecord | None]) -> list[bytes]:
    """As they are printed, but for what the clock says."""
    timeless = [msgspec.structs.replace(record, seconds=0.0) for record in records if record]
    return [msgspec.json.encode(record) for record in timeless]


def steps(reported: History) -> list[bytes]:
    """Every step of a history, but for what the clock says."""
    return untimed([reported.record(step) for step in range(1, reported.last + 1)])
