"""Messages are framed, decoded whole, and refused by name when they do not decode."""

from __future__ import annotations

import contextlib
import math
import typing

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_elbo import protocol
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.records import Batch, Column, Layout, ParamInfo, SiteInfo
from tui_elbo.protocol import AnyCommand, AnyEvent, Decoder, Fault, NewLayout, Rows, Step

LAYOUT = Layout(
    id=3,
    sites=(SiteInfo("z", False, "Normal", (2,), ()),),
    params=(ParamInfo("loc", "guide", (2,), "real"),),
    columns=(Column("step", "", "loss"), Column("param", "loc", "value[0]")),
)


def decoded(data: bytes, kind: typing.Any = AnyEvent) -> list[typing.Any]:
    return list(Decoder(kind).feed(data))


VALUES: dict[object, object] = {
    int: 7,
    str: "θ\n[red]",
    bytes: b"\0\xff",
    float: -0.5,
    bool: True,
    dict: {"a": [1.5, None]},
    Layout: LAYOUT,
}


def example(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """A message of this kind, with something in each field; the default where we know nothing."""
    hints = typing.get_type_hints(kind)
    given = {}
    for name in kind.__struct_fields__:
        wanted = hints[name]
        candidates = (wanted, typing.get_origin(wanted), *typing.get_args(wanted))
        found = [VALUES[one] for one in candidates if one in VALUES]
        if found and typing.get_origin(wanted) not in (tuple, list):
            given[name] = found[0]
        elif typing.get_origin(wanted) in (tuple, list):
            given[name] = typing.get_origin(wanted)()
        else:
            structs = [one for one in candidates if isinstance(one, type)]
            structs = [one for one in structs if issubclass(one, msgspec.Struct)]
            given.update((name, example(one)) for one in structs[:1])
    return kind(**given)


@pytest.mark.parametrize("kind", typing.get_args(AnyCommand), ids=lambda kind: kind.__name__)
def test_every_command_comes_back(kind: type[msgspec.Struct]) -> None:
    message = example(kind)
    assert decoded(protocol.frame(message), AnyCommand) == [message]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", typing.get_args(AnyEvent), ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind: type[msgspec.Struct]) -> None:
    message = example(kind)
    assert decoded(protocol.frame(message)) == [message]  # type: ignore[arg-type]


def test_messages_come_in_any_pieces() -> None:
    messages = [Step(seq=n, count=n) for n in range(1, 4)]
    data = b"".join(protocol.frame(message) for message in messages)
    for size in range(1, len(data) + 1):
        decoder: Decoder[AnyCommand] = Decoder(AnyCommand)
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert [message for piece in pieces for message in decoder.feed(piece)] == messages


BODY = protocol.frame(Step())[4:]
DEEP = b"\x82\xa4type\xa4Step\xa1x" + b"\x91" * 100_000 + b"\xc0"

BAD = {
    "empty": b"",
    "cut": BODY[:-1],
    "more": BODY + b"\0",
    "unknown": BODY.replace(b"Step", b"Jump"),
    "no-tag": b"\x80",
    "no-map": b"\x01",
    "wrong-type": BODY.replace(b"count\x01", b"count\xa0"),
    "no-utf8": BODY.replace(b"Step", b"\xff\xfe\xff\xfe"),
    "deep": DEEP,
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_decode_is_a_protocol_error(name: str) -> None:
    body = BAD[name]
    with pytest.raises(ProtocolError, match="does not decode"):
        decoded(len(body).to_bytes(4, "little") + body, AnyCommand)


def test_a_message_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="longer than"):
        decoded((protocol.MAX_FRAME + 1).to_bytes(4, "little"))
    assert decoded(protocol.MAX_FRAME.to_bytes(4, "little")) == []


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    framed = len(data).to_bytes(4, "little") + data
    for raw in (data, framed):
        with contextlib.suppress(ProtocolError):
            decoded(raw, AnyCommand)


def test_letters_that_utf8_lacks_are_spelled_out() -> None:
    fault = Fault("\ud800", "a\udcff.py", "", "\udcff", 0, "step")
    (told,) = decoded(protocol.frame(fault))
    assert (told.what, told.where, told.trace) == ("\\ud800", "a\\udcff.py", "\\udcff")
    column = Column("param", "\ud800", "value[0]")
    (told,) = decoded(protocol.frame(NewLayout(Layout(0, (), (), (column,)))))
    assert told.layout.columns == (Column("param", "\\ud800", "value[0]"),)


NUMBERS = [0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2**53 + 1.0]


def test_numbers_travel_bit_for_bit() -> None:
    values = np.array([NUMBERS, NUMBERS[::-1]])
    sent = Batch(LAYOUT, 11, values)
    (rows,) = decoded(protocol.frame(protocol.rows(sent)))
    assert (rows.layout, rows.first, rows.count) == (3, 11, len(NUMBERS))
    got = protocol.batch(rows, {3: LAYOUT})
    assert got.first == 11
    assert got.values.tobytes() == values.tobytes()
    assert rows.data == values.astype("<f8").tobytes()


def test_a_slice_of_columns_travels_as_it_stands() -> None:
    """What is not contiguous, or of another type, is put in order first."""
    values = np.arange(24.0).reshape(4, 6)[::2, ::3]
    assert protocol.batch(protocol.rows(Batch(LAYOUT, 1, values)), {3: LAYOUT}).values.tolist() == (
        values.tolist()
    )


@pytest.mark.parametrize(
    "rows",
    [Rows(4, 1, 1, bytes(16)), Rows(3, 1, 1, bytes(15)), Rows(3, 1, 2, bytes(16)),
     Rows(3, 1, -1, bytes(16)), Rows(3, 1, 0, bytes(16))],
)  # fmt: skip
def test_rows_that_do_not_fit_their_layout_are_refused(rows: Rows) -> None:
    with pytest.raises(ProtocolError):
        protocol.batch(rows, {3: LAYOUT})
