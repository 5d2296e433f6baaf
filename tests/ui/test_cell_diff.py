"""Only the cells that changed are sent, and the terminal shows the same: an emulator compares."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tests.ui.emulator import Emulator
from tui_elbo.ui.cell_diff import (
    PLAIN,
    Piece,
    Rendition,
    ScreenCells,
    on_blank,
    rendition_of,
    transition,
)

WIDTH, HEIGHT = 14, 4
SIZE = (WIDTH, HEIGHT)
COLORS = ColorSystem.TRUECOLOR
CONSOLE = Console(color_system="truecolor", force_terminal=True)
STYLES = ["", "bold", "dim", "bold dim", "cyan", "dim cyan", "#010203", "on #010203", "red on blue"]
STYLES += ["reverse", "underline magenta", "default on default", "strike", "italic bright_black"]
TEXTS = ["x", "abc", "⠒⠤", " ", "   ", "a b", "θφ", "界", "世界", "e\u0301", "🙂", "·", "界x界"]

styles = st.sampled_from(STYLES).map(Style.parse)
segments = st.builds(Segment, st.sampled_from(TEXTS), styles, st.none())
lines = st.lists(segments, max_size=6).map(lambda line: Strip(line).adjust_cell_length(WIDTH))
screens = st.lists(lines, min_size=HEIGHT, max_size=HEIGHT)
cuts = st.lists(st.integers(1, WIDTH - 1), unique=True).map(sorted)


def terminal() -> Emulator:
    return Emulator(WIDTH, HEIGHT)


def pieces(screen: list[Strip], columns: list[int]) -> list[Piece]:
    """The screen cut at some columns, as widgets cut it."""
    ends = [*columns, WIDTH]
    starts = [0, *columns]
    return [
        Piece(y, x, end, part)
        for y, line in enumerate(screen)
        for x, end, part in zip(starts, ends, line.divide(ends), strict=True)
    ]


def drawn_by_textual(cut: list[Piece]) -> Emulator:
    emulator = terminal()
    for y, x, _, strip in cut:
        emulator.draw(f"\x1b[{y + 1};{x + 1}H" + strip.render(CONSOLE))
    return emulator


def sent(cells: ScreenCells, cut: list[Piece], size: tuple[int, int] = SIZE) -> str:
    changes = cells.compare(size, cut, COLORS)
    cells.apply(changes)
    return changes.text


@given(st.lists(st.tuples(screens, cuts), min_size=1, max_size=4))
def test_frames_one_after_the_other_show_what_textual_draws(frames) -> None:
    cells, emulator = ScreenCells(), terminal()
    for screen, columns in frames:
        cut = pieces(screen, columns)
        emulator.draw(sent(cells, cut))
        assert emulator.looks() == drawn_by_textual(cut).looks()
        assert emulator.screen.cursor.attrs == pyte.Screen(1, 1).cursor.attrs
        assert not sent(cells, cut)


@given(screens, st.lists(st.tuples(st.integers(0, HEIGHT - 1), lines), max_size=6))
def test_some_lines_alone(screen, later) -> None:
    cells, emulator = ScreenCells(), terminal()
    emulator.draw(sent(cells, pieces(screen, [])))
    for y, line in later:
        screen[y] = line
        emulator.draw(sent(cells, [Piece(y, 0, WIDTH, line)]))
    assert emulator.looks() == drawn_by_textual(pieces(screen, [])).looks()


@given(screens, screens, cuts)
def test_it_takes_no_more_than_textual_does(before, after, columns) -> None:
    cells = ScreenCells()
    sent(cells, pieces(before, columns))
    cut = pieces(after, columns)
    whole = "".join(f"\x1b[{p.y + 1};{p.x + 1}H" + p.strip.render(CONSOLE) for p in cut)
    assert len(sent(cells, cut).encode()) <= len(whole.encode())


def strip(text: str, style: str = "") -> Strip:
    return Strip([Segment(text, Style.parse(style))])


def line(text: str, style: str = "") -> list[Piece]:
    return [Piece(1, 0, WIDTH, strip(text, style).adjust_cell_length(WIDTH))]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("step 41", "step 42", "\x1b[2;7H2"),
        ("log p -12.5 x", "log p -13.6 x", "\x1b[2;9H3.6"),
        ("a        b", "x        y", "\x1b[2Hx\x1b[8Cy"),
        ("a界b", "a世b", "\x1b[2;2H世"),
        ("a界b", "abcb", "\x1b[2;2Hbc"),
        ("abcb", "a界b", "\x1b[2;2H界"),
        ("界界", " 界 ", "\x1b[2H 界\x1b[2;4H "),
        ("same", "same", ""),
    ],
)
def test_only_what_differs_is_written(before: str, after: str, text: str) -> None:
    cells = ScreenCells()
    sent(cells, line(before))
    assert sent(cells, line(after)) == text


def test_cells_below_one_another_are_reached_without_an_address() -> None:
    cells = ScreenCells()
    column = [Piece(y, 5, 6, strip(" ")) for y in range(HEIGHT)]
    sent(cells, [Piece(y, 0, WIDTH, strip(" " * WIDTH)) for y in range(HEIGHT)])
    assert sent(cells, column) == ""
    column = [Piece(y, 5, 6, strip("⠤", "cyan")) for y in range(HEIGHT)]
    assert sent(cells, column) == "\x1b[1;6H\x1b[36m⠤" + "\x1b[B\b⠤" * 3 + "\x1b[m"


def test_a_wide_character_half_below_something_else_is_drawn_whole_again() -> None:
    cells, emulator = ScreenCells(), terminal()
    emulator.draw(sent(cells, line("a界b")))
    emulator.draw(sent(cells, [Piece(1, 2, 3, strip("|"))]))
    assert emulator.lines()[1] == "a |b"
    emulator.draw(sent(cells, line("a界b")))
    assert emulator.lines()[1] == "a界b"


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f680",
        "\u2764\ufe0f",
        "\U0001f1e9\U0001f1ea",
        "\u0301",
        "e\u0301\u0301",
        "\uff76\uff9e",
        "\u200d",
    ],
)
def test_what_comes_after_an_uncertain_width_is_placed_by_its_address(text: str) -> None:
    cells, emulator = ScreenCells(), terminal()
    width = cell_len(text)
    emulator.draw(sent(cells, line(f"{text}|")))
    assert emulator.screen.buffer[1][width].data == "|"


def test_control_characters_never_reach_the_terminal() -> None:
    written = sent(ScreenCells(), line("a\x1b]0;x\x07\x9b\x85\tb"))
    assert not {"\x07", "\x9b", "\x85", "\t"} & set(written)
    assert "\x1b]" not in written


def test_after_another_size_or_if_forgotten_all_is_sent() -> None:
    cells = ScreenCells()
    screen = [Piece(0, 0, 3, strip("abc"))]
    assert "abc" in sent(cells, screen)
    assert not sent(cells, screen)
    assert "abc" in sent(cells, screen, (WIDTH, HEIGHT + 1))
    cells.forget()
    assert "abc" in sent(cells, screen, (WIDTH, HEIGHT + 1))


def test_what_was_not_sent_is_not_remembered() -> None:
    cells = ScreenCells()
    sent(cells, line("before"))
    assert cells.compare(SIZE, line("after"), COLORS).text
    assert cells.compare(SIZE, line("after"), COLORS).text


def test_a_hyperlink_is_kept() -> None:
    style = Style(link="https://pyro.ai")
    written = sent(ScreenCells(), [Piece(0, 0, 2, Strip([Segment("a b", style)]))])
    assert ";https://pyro.ai\x1b\\a " in written
    assert written.count("\x1b]8;;\x1b\\") == 1


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("", "dim cyan", "\x1b[2;36m"),
        ("dim cyan", "", "\x1b[m"),
        ("dim cyan", "cyan", "\x1b[22m"),
        ("bold cyan", "bold red", "\x1b[31m"),
        ("bold dim", "dim", "\x1b[0;2m"),
        ("bold #010203", "dim #010203", "\x1b[22;2m"),
        ("red on blue", "red", "\x1b[49m"),
    ],
)
def test_attributes_change_by_the_shortest_sequence(old: str, new: str, text: str) -> None:
    before, after = (rendition_of(Style.parse(style), COLORS) for style in (old, new))
    assert transition(before, after) == text


def test_a_space_has_only_what_can_be_seen_of_it() -> None:
    assert on_blank(Rendition(("1",), "31", "")) == PLAIN
    assert on_blank(Rendition((), "31", "44")) == Rendition(background="44")
    for seen in (Rendition(("7",), "31", ""), Rendition(("4",), "31", "")):
        assert on_blank(seen) == seen
