"""Messages as they come over a line: cut anywhere, or no messages at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.client import ClosedError, engine
from tests.engine.sources import SMALL, write
from tui_elbo import protocol
from tui_elbo.protocol import EngineBusy, Pause, RunStatus, Step

DEEP = b"\x82\xa4type\xa5Pause\xa1x" + b"\x91" * 200_000 + b"\xc0"

FRAMES = {
    "huge": (2**31).to_bytes(4, "little"),
    "empty": bytes(4),
    "no-msgpack": b"\x01\x00\x00\x00\xc1",
    "unknown": protocol.frame(Pause()).replace(b"Pause", b"Reset"),
    "an-event": protocol.frame(EngineBusy("x")),
    "wrong-type": protocol.frame(Step(count=1)).replace(b"count\x01", b"count\xc0"),
    "deep": len(DEEP).to_bytes(4, "little") + DEEP,
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_message_that_does_not_decode_ends_the_engine(name: str) -> None:
    with engine() as client:
        client.send_bytes(FRAMES[name])
        with pytest.raises(ClosedError):
            client.until(RunStatus)
        assert client.end() == 0
        assert b"elbo-tui: a message" in client.output()
        assert b"Traceback" not in client.output()


def test_commands_may_come_in_pieces(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, SMALL))
        data = protocol.frame(Step(seq=10**6, count=2)) + protocol.frame(Step(seq=10**6 + 1))
        for byte in data:
            client.send_bytes(bytes([byte]))
        assert client.still(10**6 + 1).step == 3
