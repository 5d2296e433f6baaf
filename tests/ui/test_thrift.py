"""Fewer bytes and the same picture: an independent terminal draws both."""

from __future__ import annotations

import pyte
from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.ui.ansi_diff import thrifty

WIDTH, HEIGHT = 20, 6
"""Of the part in which the frames begin: there is room around it, as frames stay on the screen."""

INKS = ["", "0", "1", "2;36", "38;2;1;20;0", "48;5;7", "1;38;5;0"]
TEXTS = ["x", "⠒⠤", "  ", "   log p", "θ φ", "界", "e\u0301", "🙂", "·", "\t"]
OTHERS = ["\r\n", "\n", "\x1b[K", "\x1b[2J", "\x1b[?25l", "\x1b]8;;x\x1b\\", "\x1b[?2026h", "\r"]

moves = st.builds(
    lambda row, column: f"\x1b[{row};{column}H", st.integers(1, HEIGHT), st.integers(1, WIDTH)
)
inks = st.sampled_from(INKS).map(lambda ink: f"\x1b[{ink}m")
# What Rich makes of a segment: attributes, text, reset; and loose pieces of all kinds.
segments = st.builds("\x1b[{}m{}\x1b[0m".format, st.sampled_from(INKS[2:]), st.sampled_from(TEXTS))
pieces = st.one_of(moves, segments, inks, st.sampled_from(TEXTS), st.sampled_from(OTHERS))
frames = st.lists(pieces, max_size=40).map("".join)


def drawn(*frames: str) -> tuple[object, ...]:
    """Every cell with its attributes, and where the cursor is."""
    screen = pyte.Screen(10 * WIDTH, 10 * HEIGHT)
    stream = pyte.Stream(screen)
    for frame in frames:
        stream.feed(frame)
    cells = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    return cells, screen.cursor.x, screen.cursor.y, screen.cursor.attrs


@given(frames)
def test_any_frame_draws_the_same(frame: str) -> None:
    assert drawn(thrifty(frame)) == drawn(frame)


@given(st.lists(frames, min_size=2, max_size=4))
def test_frames_one_after_the_other_draw_the_same(several: list[str]) -> None:
    """Each ends with its attributes reset, as Textual's do."""
    several = [frame + "\x1b[0m" for frame in several]
    assert drawn(*map(thrifty, several)) == drawn(*several)


@given(frames)
def test_it_never_grows(frame: str) -> None:
    assert len(thrifty(frame)) <= len(frame)


def test_neighbours_are_written_in_one_go() -> None:
    frame = "\x1b[3;1H\x1b[2;36m⢀\x1b[0m\x1b[3;2H\x1b[2;36m⠤⠤\x1b[0m\r\n\x1b[5;9H12"
    assert thrifty(frame) == "\x1b[3;1H\x1b[2;36m⢀⠤⠤\x1b[5;9H\x1b[0m12"


def test_a_gap_is_skipped() -> None:
    assert thrifty("\x1b[3;1Hab\x1b[3;9Hc") == "\x1b[3;1Hab\x1b[6Cc"
