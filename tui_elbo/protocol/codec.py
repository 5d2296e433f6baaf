"""Messages as bytes, and bytes as messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.records import Batch, Layout
from tui_elbo.protocol.commands import Command
from tui_elbo.protocol.event import Event
from tui_elbo.protocol.events import Rows

MAX_FRAME = 64 * 2**20
"""A longer message is refused before it is read."""

_FLOATS = np.dtype("<f8")

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
        longest: bytes; a longer message is refused before it is read.
    """

    def __init__(self, kind: Any, longest: int = MAX_FRAME) -> None:
        self._longest = longest
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
            if size > self._longest:
                raise ProtocolError(f"a message of {size} bytes, longer than {self._longest}")
            if len(self._buffer) < 4 + size:
                return
            body = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            try:
                yield self._decoder.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ProtocolError(f"a message that does not decode: {error}") from error
