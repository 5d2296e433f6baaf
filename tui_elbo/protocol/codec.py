"""Messages as bytes, and bytes as messages."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, get_origin

import msgspec
import numpy as np

from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol.commands import Command
from tui_elbo.protocol.events import Event

MAX_FRAME = 64 * 2**20
"""A longer message is refused before it is read."""

_FLOATS = np.dtype("<f8")

T = TypeVar("T")


def _pack(value: Any) -> Any:
    """An array of float64 as its type, shape and little-endian bytes."""
    if isinstance(value, np.ndarray) and value.dtype.newbyteorder("<") == _FLOATS:
        return _FLOATS.str, value.shape, value.astype(_FLOATS, copy=False).tobytes()
    raise TypeError(f"{type(value).__name__} does not travel")


def _unpack(kind: Any, packed: Any) -> Any:
    """The array, native and not to be written; `msgspec` makes the errors its own."""
    if get_origin(kind) is not np.ndarray:
        raise TypeError(f"{kind} does not travel")
    dtype, shape, data = msgspec.convert(packed, tuple[str, tuple[int, ...], bytes])
    if dtype != _FLOATS.str:
        raise ValueError(f"an array of {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * _FLOATS.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes of an array of shape {shape}")
    return np.frombuffer(data, dtype=_FLOATS).reshape(shape).astype(np.float64, copy=False)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_pack)


def encode(value: Any) -> bytes:
    """Plain data, arrays of float64 among it, as MessagePack."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: Any) -> Any:
    """Data of this type, as `encode` made it."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_unpack)


def frame(message: Command | Event) -> bytes:
    """The message with its length before it."""
    try:
        body = _ENCODER.encode(message)
    except UnicodeEncodeError:
        body = _ENCODER.encode(encodable(message))
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
        return encodable(msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=_pack))
    return value


class Decoder(Generic[T]):
    """Takes bytes as they come and gives whole messages.

    Args:
        kind: the union of the messages that may come: `AnyCommand` or `AnyEvent`.
        longest: bytes; a longer message is refused before it is read.
    """

    def __init__(self, kind: Any, longest: int = MAX_FRAME) -> None:
        self._longest = longest
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind, dec_hook=_unpack)
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
