"""What the terminal and the engine say to each other, and how it is framed.

Commands go to the engine, events come from it. Each message is a tagged `msgspec` struct in
MessagePack, behind its length as four little-endian bytes; numbers travel as raw little-endian
float64. A message that does not decode is a `ProtocolError`, never a guess.

The engine says `Hello` first. Every command carries a number that grows; every `Level` repeats the
number of the last command that the engine has carried out, so the terminal knows which of its
wishes are already part of what it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import numpy as np

from tui_elbo.errors import ProtocolError
from tui_elbo.records import Batch, Layout

VERSION = 3
"""Grows whenever a message changes its shape or its meaning."""

MAX_FRAME = 64 * 2**20
"""A longer message is refused before it is read."""

_FLOATS = np.dtype("<f8")


class Command(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """From the terminal to the engine."""

    seq: int = 0
    """Grows by one with each command of a connection."""


class Load(Command, frozen=True, kw_only=True):
    """Load a scenario and stand at step 0."""

    target: str
    """A gallery name, a path or a module name."""
    seed: int | None = None
    """None: the scenario's own `seed`, else 0."""
    threads: int = 1
    device: str | None = None
    """None: torch's own default device is left alone."""


class Step(Command, frozen=True, kw_only=True):
    """Take `count` more steps, then stand still; added to those still to be taken."""

    count: int = 1


class Run(Command, frozen=True, kw_only=True):
    """Run until told otherwise, or until the step `until` has been taken, or a condition holds."""

    until: int | None = None
    condition: str | None = None
    """In the language of `tui_elbo.conditions`; the run stops on the first step that meets it."""


class Pause(Command, frozen=True, kw_only=True):
    """Stand still after the present step; steps asked for and not yet taken are dropped."""


class Restart(Command, frozen=True, kw_only=True):
    """Execute the scenario's file afresh and stand at step 0, in the same process."""


class GoTo(Command, frozen=True, kw_only=True):
    """Take the run itself back to an earlier step; what came after is dropped."""

    step: int


class Back(Command, frozen=True, kw_only=True):
    """Take the run back by `count` steps, from where it will stand once it has no more to take."""

    count: int = 1


class Tuning(msgspec.Struct, frozen=True):
    """Settings to change; None leaves one as it is."""

    lr: float | None = None
    particles: int | None = None
    estimator: str | None = None
    """The name of one of Pyro's, such as `TraceMeanField_ELBO`."""

    def __str__(self) -> str:
        lr = "" if self.lr is None else f"lr {self.lr:g}"
        particles = "" if self.particles is None else f"{self.particles} particles"
        return ", ".join(part for part in (lr, particles, self.estimator) if part)


class Tune(Command, frozen=True, kw_only=True):
    """Change settings from the next step on. Refused, with the reason, if they do not fit."""

    tuning: Tuning


class Event(msgspec.Struct, frozen=True, tag=True):
    """From the engine to the terminal."""


class Hello(Event, frozen=True):
    """The first message of a connection."""

    version: int
    pid: int


class Phase(Event, frozen=True):
    """What the engine is busy with while it cannot step: a few words, replaced by the next."""

    text: str


class Loaded(Event, frozen=True):
    """A scenario stands at step 0; what came before is history of another run."""

    name: str
    path: str
    title: str
    notes: str
    """Markdown: the file's docstring without its first line."""
    seed: int
    steps: int
    """What "finish" runs to."""
    estimator: str
    """Such as `Trace_ELBO, 4 particles`."""
    optimizer: str
    """Such as `Adam, lr 0.02`."""
    reference: dict[str, Any]
    """As the scenario gives it: `log_evidence`, `elbo`,
    `params` {name: value} and `posterior` {site: (mean, sd)}, each of them optional."""


class Rewound(Event, frozen=True):
    """The run stands at an earlier step; the steps after it are no longer part of it."""

    step: int


class Tuned(Event, frozen=True):
    """Settings have changed from the step after `step` on."""

    step: int
    text: str
    """What has changed, such as `lr 0.1`."""
    estimator: str
    """As in `Loaded`."""
    optimizer: str
    """As in `Loaded`."""


class Met(Event, frozen=True):
    """The run has stopped on a step because it meets the condition that was given."""

    step: int
    text: str
    """The condition with the step's numbers, such as `elbo = -1.19 > -1.2`."""


class Level(Event, frozen=True):
    """How things stand. A newer one replaces an older one."""

    state: str
    """`loading`, `paused`, `running` or `failed` (no scenario stands: only Load helps)."""
    step: int
    target: int | None
    """The step at which it will stop by itself; None if it will not."""
    rate: float
    """Steps a second over the last stretch of running; 0 when paused."""
    seq: int
    """The last command that has been carried out."""


class Fault(Event, frozen=True):
    """Something went wrong; the run stands at `step`, nothing is lost."""

    what: str
    where: str
    todo: str
    trace: str
    """The traceback in the person's own code; may be empty."""
    step: int
    kind: str
    """`load`, `step`, `interrupted`, `nonfinite`; `refused` for a command that cannot be done."""


class Remark(Event, frozen=True):
    """A warning, Pyro's or ours: for the output pane, and for stderr without a screen."""

    text: str
    source: str
    """Such as `UserWarning` or `elbo-tui`."""


class NewLayout(Event, frozen=True):
    """Comes before the first rows that use it."""

    layout: Layout


class Rows(Event, frozen=True):
    """The numbers of consecutive steps. Never dropped, never merged."""

    layout: int
    """The id of a `NewLayout` that came before."""
    first: int
    count: int
    data: bytes
    """Little-endian float64 of shape (columns, count)."""


AnyCommand: TypeAlias = Load | Step | Run | Pause | Restart | GoTo | Back | Tune
AnyEvent: TypeAlias = (
    Hello | Phase | Loaded | Rewound | Tuned | Met | Level | Fault | Remark | NewLayout | Rows
)

T = TypeVar("T")


def frame(message: Command | Event) -> bytes:
    """The message with its length before it."""
    try:
        body = msgspec.msgpack.encode(message)
    except UnicodeEncodeError:
        body = msgspec.msgpack.encode(encodable(message))
    return len(body).to_bytes(4, "little") + body


def encodable(value: Any) -> Any:
    """The same in plain containers, with those characters spelled out that UTF-8 does not have."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return encodable(msgspec.to_builtins(value, builtin_types=(bytes,)))
    return value


def rows(batch: Batch) -> Rows:
    """The event that carries the batch's numbers."""
    data = np.ascontiguousarray(batch.values, dtype=_FLOATS).tobytes()
    return Rows(batch.layout.id, batch.first, batch.steps, data)


def batch(event: Rows, layouts: dict[int, Layout]) -> Batch:
    """The batch that the event carries.

    Raises:
        ProtocolError: if its layout is unknown or its size is not what the layout says.
    """
    layout = layouts.get(event.layout)
    if layout is None:
        raise ProtocolError(f"rows of layout {event.layout}, which was never described")
    shape = (len(layout.columns), event.count)
    if len(event.data) != shape[0] * shape[1] * _FLOATS.itemsize:
        raise ProtocolError(f"{len(event.data)} bytes of rows where {shape} float64 belong")
    values = np.frombuffer(event.data, dtype=_FLOATS).reshape(shape).astype(np.float64)
    return Batch(layout, event.first, values)


class Decoder(Generic[T]):
    """Takes bytes as they come and gives whole messages.

    Args:
        kind: the union of the messages that may come: `AnyCommand` or `AnyEvent`.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """Each message that `data` completes.

        Raises:
            ProtocolError: on a frame that is too long or does not decode.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "little")
            if size > MAX_FRAME:
                raise ProtocolError(f"a message of {size} bytes, longer than {MAX_FRAME}")
            if len(self._buffer) < 4 + size:
                return
            body = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            try:
                yield self._decoder.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ProtocolError(f"a message that does not decode: {error}") from error
