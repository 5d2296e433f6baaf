"""Messages are framed, decoded whole, and refused by name when they do not decode."""

from __future__ import annotations

import contextlib
import math
import typing
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_elbo import protocol
from tui_elbo.model.attribution import AttributionPath, LensPoint, no_samples
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.findings import Finding, Subject
from tui_elbo.model.noise import NoiseRow, NoiseTable
from tui_elbo.model.rate_scan import RateRow, RateScan
from tui_elbo.model.records import Batch, Column, Layout, ParamInfo, SiteInfo
from tui_elbo.model.tuning import Mean
from tui_elbo.model.verdict import Estimate, Verdict
from tui_elbo.protocol import (
    AnyCommand,
    AnyEvent,
    Decoder,
    ErrorReported,
    FindingsChanged,
    GradientsComputed,
    LayoutAdded,
    LensPointAdded,
    Step,
    StepsRecorded,
    VerdictReached,
    codec,
)

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
    Subject: Subject("site", "z\n[red]"),
    Mean: Mean(3, 7, {"θ": b"\0\xff"}),
    AverageTaken: AverageTaken(7, 3, 7, Estimate(0.5, 0.1), "θ\n[red]"),
    NoiseTable: NoiseTable(
        7,
        (NoiseRow("θ\n[red]", 10, True, noise=0.5),),
        params=("θ\n[red]",),
        by_param=np.array([[0.5]]),
    ),
    RateScan: RateScan(7, 20, 6, (RateRow(0.1, 0.5, problem="θ\n[red]"),)),
    LensPoint: AttributionPath().extend(3, no_samples(), (), note="why"),
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


ARRAYS: dict[type[msgspec.Struct], msgspec.Struct] = {
    StepsRecorded: StepsRecorded(3, 11, np.array([[1.5, math.nan], [-math.inf, 0.0]])),
    FindingsChanged: FindingsChanged(
        (Finding("SVI001", "missing", "error", Subject("site", "z"), "what", "do"),), (), ("why",)
    ),
    VerdictReached: VerdictReached(
        Verdict(
            "stationary",
            step=800,
            tolerance=0.1,
            since=412,
            reached=398,
            left_high=0.08,
            rate_gain=Estimate(0.2, 0.01),
            trend=Estimate(-0.01, 0.02),
        )
    ),
    GradientsComputed: GradientsComputed(9, 4, ("loc",), ("",), np.arange(7.0).reshape(1, 7)),
}


@pytest.mark.parametrize("kind", typing.get_args(AnyEvent), ids=lambda kind: kind.__name__)
def test_every_event_comes_back(kind: type[msgspec.Struct]) -> None:
    message = ARRAYS.get(kind) or example(kind)
    (back,) = decoded(protocol.frame(message))  # type: ignore[arg-type]
    assert type(back) is kind
    assert protocol.frame(back) == protocol.frame(message)  # type: ignore[arg-type]


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


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    framed = len(data).to_bytes(4, "little") + data
    for raw in (data, framed):
        with contextlib.suppress(ProtocolError):
            decoded(raw, AnyCommand)


def test_letters_that_utf8_lacks_are_spelled_out() -> None:
    fault = ErrorReported("\ud800", "a\udcff.py", "", "\udcff", 0, "step")
    (told,) = decoded(protocol.frame(fault))
    assert (told.what, told.where, told.traceback) == ("\\ud800", "a\\udcff.py", "\\udcff")
    column = Column("param", "\ud800", "value[0]")
    (told,) = decoded(protocol.frame(LayoutAdded(Layout(0, (), (), (column,)))))
    assert told.layout.columns == (Column("param", "\\ud800", "value[0]"),)


NUMBERS = [0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2**53 + 1.0]


def test_numbers_travel_bit_for_bit() -> None:
    values = np.array([NUMBERS, NUMBERS[::-1]])
    (rows,) = decoded(protocol.frame(StepsRecorded.of(Batch(LAYOUT, 11, values))))
    assert (rows.layout, rows.first, rows.count) == (3, 11, len(NUMBERS))
    got = rows.batch({3: LAYOUT})
    assert (got.layout, got.first) == (LAYOUT, 11)
    assert got.values.tobytes() == values.tobytes()


def test_arrays_that_are_not_contiguous_travel_as_they_stand() -> None:
    values = np.arange(24.0).reshape(4, 6)[::2, ::3]
    (rows,) = decoded(protocol.frame(StepsRecorded(3, 1, values)))
    assert rows.values.tolist() == values.tolist()


def test_a_foreign_byte_order_is_swapped() -> None:
    (rows,) = decoded(protocol.frame(StepsRecorded(3, 1, np.array([[1.0, -2.5]], dtype=">f8"))))
    assert rows.values.tolist() == [[1.0, -2.5]]


def damaged(*packed: object) -> bytes:
    """A frame of `StepsRecorded` whose array is this."""
    body = {"type": "StepsRecorded", "layout": 3, "first": 1, "values": packed}
    data = msgspec.msgpack.encode(body)
    return len(data).to_bytes(4, "little") + data


def test_an_array_that_is_whole_decodes() -> None:
    (rows,) = decoded(damaged("<f8", [2, 1], bytes(16)))
    assert rows.values.tolist() == [[0.0], [0.0]]


DAMAGED = {
    "other-type": ("<f4", [2, 2], bytes(16)),
    "no-type": ("banana", [2, 1], bytes(16)),
    "pickled-objects": ("|O", [2, 1], bytes(16)),
    "short": ("<f8", [2, 1], bytes(15)),
    "long": ("<f8", [2, 1], bytes(24)),
    "negative": ("<f8", [-2, -1], bytes(16)),
    "huge": ("<f8", [2**62, 4, 0], b""),
    "flat": ("<f8", [2], bytes(16)),
    "deep": ("<f8", [1] * 100 + [2, 1], bytes(16)),
    "no-bytes": ("<f8", [2, 1], "text"),
    "too-few": ("<f8", [2, 1]),
    "empty": (),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_array_is_a_protocol_error(name: str) -> None:
    with pytest.raises(ProtocolError, match="does not decode"):
        decoded(damaged(*DAMAGED[name]))


LEAVES = st.none() | st.integers() | st.binary(max_size=17) | st.sampled_from(["<f8", 2, 1])


@given(st.recursive(LEAVES, lambda one: st.lists(one, max_size=4), max_leaves=8))
@settings(max_examples=300, deadline=None)
def test_no_array_does_anything_else(packed: object) -> None:
    body = {"type": "StepsRecorded", "layout": 3, "first": 1, "values": packed}
    with contextlib.suppress(OverflowError):
        data = msgspec.msgpack.encode(body)
        with contextlib.suppress(ProtocolError):
            decoded(len(data).to_bytes(4, "little") + data)


@pytest.mark.parametrize(
    "rows", [StepsRecorded(4, 1, np.zeros((2, 1))), StepsRecorded(3, 1, np.zeros((1, 2)))]
)
def test_rows_that_do_not_fit_their_layout_are_refused(rows: StepsRecorded) -> None:
    with pytest.raises(ProtocolError):
        rows.batch({3: LAYOUT})


def test_a_lens_point_whose_parts_do_not_fit_is_refused() -> None:
    point = AttributionPath().extend(0, no_samples(), ())
    for name in ("value", "error", "spread", "share", "share_error", "total", "blocks"):
        odd = replace(point, **{name: np.zeros((2, 1))})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="do not fit together"):
            LensPointAdded(odd)
    packed = msgspec.to_builtins(LensPointAdded(point), enc_hook=codec._pack)
    packed["point"]["terms"] = packed["point"]["terms"][:-1]
    data = msgspec.msgpack.encode(packed)
    with pytest.raises(ProtocolError, match="do not fit together"):
        decoded(len(data).to_bytes(4, "little") + data)
