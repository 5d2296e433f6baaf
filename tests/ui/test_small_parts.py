"""Parts that need no screen: environment, pace, the status line, sparklines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_elbo.model.records import SiteInfo
from tui_elbo.ui.environment import prepare
from tui_elbo.ui.frame_timer import FRAME, GATHER, FrameTimer
from tui_elbo.ui.panes.sites import shape_text
from tui_elbo.ui.plot.sparkline import sparkline, stride
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.widgets.lines import wrapped
from tui_elbo.ui.widgets.status import StatusSummary, status_line


def test_over_ssh_nothing_is_sent_only_to_look_smooth():
    environ = {"SSH_CONNECTION": "a b c d", "TEXTUAL_FPS": "30"}
    prepare(environ)
    assert environ["TEXTUAL_FPS"] == "30"
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert environ["TEXTUAL_SMOOTH_SCROLL"] == "0"


def test_at_home_only_the_theme_is_chosen():
    environ: dict[str, str] = {}
    prepare(environ)
    assert environ == {"TEXTUAL_THEME": "ansi-dark"}
    environ["TEXTUAL_THEME"] = "nord"
    prepare(environ)
    assert environ == {"TEXTUAL_THEME": "nord"}


@given(st.lists(st.floats(0, 0.3), max_size=50))
def test_never_more_than_two_frames_in_twice_the_time(waits):
    pace, now, drawn = FrameTimer(), 100.0, []
    for wait in waits:
        now = max(now + wait, pace.due(now + wait))
        pace.drawn(now)
        drawn.append(now)
    assert all(c - a >= 2 * FRAME - 1e-9 for a, c in zip(drawn, drawn[2:], strict=False))


def test_the_first_change_after_a_rest_is_drawn_soon():
    assert FrameTimer().due(100.0) == 100.0 + GATHER


NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True))


@given(
    st.builds(
        StatusSummary,
        step=st.integers(0, 10**9),
        terms=st.sampled_from([("elbo", "log q", "log p"), ("loss",), ()]).flatmap(
            lambda names: st.tuples(*(st.tuples(st.just(n), NUMBERS) for n in names))
        ),
        hints=st.sampled_from([(), ("a long hint of what to do", "a hint")]),
        phase=st.sampled_from(["", "importing torch and Pyro"]),
        state=st.sampled_from(["", "paused", "failed", "loading"]),
        running=st.booleans(),
        newest=st.integers(0, 10**9),
        until=st.sampled_from(["", "elbo > -1.2", "500"]),
        changed=st.sampled_from(["", "lr 0.1"]),
        rate=st.floats(0, 1e6),
        count=st.sampled_from(["", "50", "999999999"]),
        dead=st.booleans(),
        about=st.sampled_from([(), ("name", "Trace_ELBO", "Adam, lr 0.02")]),
    ),
    st.integers(60, 200),
    st.sampled_from([UNICODE, ASCII]),
)
def test_the_status_line_has_exactly_its_width(standing, width, glyphs):
    line = status_line(standing, width, glyphs)
    assert sum(cell_len(text) for text, _ in line) == width
    if glyphs is ASCII:
        assert all(text.isascii() for text, _ in line)


def test_the_status_line_keeps_its_places_while_numbers_change():
    def ends(step, *values):
        terms = tuple(zip(("elbo", "log q", "log p"), values, strict=True))
        line = status_line(StatusSummary(step=step, terms=terms), 80, UNICODE)
        return [cell_len(text) for text, _ in line]

    assert ends(9, -0.5, -1.4, -1.9) == ends(99999, -123456.7, 1e-9, float("nan"))


def test_what_cannot_wait_takes_the_room_of_terms():
    terms = (("elbo", -0.5), ("log q", -1.4), ("log p", -1.9))
    text = "".join(
        part
        for part, _ in status_line(StatusSummary(9, terms, phase="importing torch"), 80, UNICODE)
    )
    assert "importing torch…" in text
    assert "log q" not in text
    assert "log p" in text


@pytest.mark.parametrize("verdict", ["improving", "stationary", "cannot tell"])
@pytest.mark.parametrize("mark", [(), (("1 warning", "1 warn"),), (("2 errors", "2 err"),)])
def test_at_80_columns_the_state_is_never_left_out(verdict, mark):
    terms = (("elbo", -1234.5678), ("log q", -1.4), ("log p", -1.9))
    judged = (verdict, verdict.split()[0], "")
    status = StatusSummary(901, terms, state="paused", marks=mark, verdict=judged)
    text = "".join(part for part, _ in status_line(status, 80, UNICODE))
    assert len(text) == 80
    assert "paused" in text
    assert all(short in text for _, short in mark)
    assert "log p" in text


@pytest.mark.parametrize("width", range(40, 90, 5))
@pytest.mark.parametrize("step", [7, 123456])
def test_whether_it_runs_is_seen_in_any_width(width, step):
    terms = (("elbo", -1234.5678), ("log q", -1.4), ("log p", -1.9))
    paused = StatusSummary(step, terms, newest=step, state="paused")
    texts = [
        "".join(part for part, _ in status_line(one, width, UNICODE))
        for one in (paused, replace(paused, running=True, rate=423.0))
    ]
    assert [mark in text for mark, text in zip(("paused", "▶"), texts, strict=True)] == [True, True]
    # The terms stay where they are.
    where = [[text.find(name) for name, _ in terms] for text in texts]
    assert where[0] == where[1]
    assert where[0][2] >= 0 or width < 60


@given(st.lists(st.floats(), max_size=300), st.integers(1, 20))
@example([1.7e308, -1.7e308, 5e-324, 0.0], 4)
def test_a_sparkline_takes_any_numbers(values, width):
    sample = np.array(values)[:: stride(len(values), width)]
    assert len(sample) <= 17 * width
    assert len(sparkline(sample, width, UNICODE.bars)) == width


def test_a_sparkline_goes_from_low_to_high():
    assert sparkline(np.arange(8.0), 8, UNICODE.bars) == UNICODE.bars
    assert sparkline(np.array([1.0, np.nan, 2.0]), 4, ASCII.bars) == "_ @ "
    assert sparkline(np.array([5.0, 5.0]), 3, ASCII.bars) == "__ "
    assert sparkline(np.array([np.nan, np.inf]), 3, ASCII.bars) == "   "


@pytest.mark.parametrize(
    ("batch", "event", "text"),
    [((), (), "()"), ((8, 3), (), "8 3"), ((), (2,), "|2"), ((8,), (2, 2), "8|2 2")],
)
def test_shapes(batch, event, text):
    assert shape_text(SiteInfo("z", False, "Normal", batch, event)) == text


def test_of_a_name_and_a_text_the_text_is_wrapped_beneath_itself():
    line = [("  why  ", "b"), ("one two three", "")]
    lines = ["".join(text for text, _ in part) for part in wrapped(line, 15)]
    assert lines == ["  why  one two", "       three"]
    assert list(wrapped(line, 40)) == [line]


@pytest.mark.parametrize("width", [80, 120])
def test_a_look_leaves_the_terms_and_the_state_where_they_are(width):
    terms = (("elbo", -0.5), ("log q", -1.4), ("log p", -1.9))
    status = StatusSummary(9, terms, phase="the lens looks: draw 3 of 40", looks=True)
    text = "".join(part for part, _ in status_line(status, width, UNICODE))
    assert "log p" in text
    assert "looks" in text
    assert text.rstrip().endswith("paused")
