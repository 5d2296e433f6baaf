"""Text of the user's world: nothing that a terminal would act on; text of an exact width."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_elbo.model.text import safe
from tui_elbo.ui.style.text import left, number, reflowed, right, signed, tail

NASTY = st.text(st.characters() | st.sampled_from("\x1b\x07\x9b[]m;0123456789\n\r\t漢é\u202e"))


@given(NASTY, st.booleans())
def test_nothing_that_a_terminal_would_act_on_is_left(text, lines):
    kept = set(safe(text, lines=lines)) - ({"\n"} if lines else set())
    assert not {c for c in kept if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}}
    assert not kept & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")


@given(NASTY, st.booleans())
def test_what_is_safe_stays_as_it_is(text, lines):
    once = safe(text, lines=lines)
    assert safe(once, lines=lines) == once


@pytest.mark.parametrize(
    ("text", "one_line", "block"),
    [
        ("plain é 漢", "plain é 漢", "plain é 漢"),
        ("a\nb", "a\\nb", "a\nb"),
        ("a\r\nb", "a\\r\\nb", "a\nb"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "\\x1b]0;title\\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", None, "link"),
        ("\x9b2Jx", "\\x9b2Jx", "x"),
        ("\x1bcx\x1b(0y", None, "xy"),
        ("a\tb", "a\\tb", "a   b"),
        ("[red]a[/]", "[red]a[/]", "[red]a[/]"),
        ("a\x00\x7f", "a\\x00\\x7f", "a\\x00\\x7f"),
    ],
)
def test_spelled_out_in_a_line_and_dropped_in_a_block(text, one_line, block):
    assert one_line is None or safe(text) == one_line
    assert safe(text, lines=True) == block


@given(st.text(st.characters(categories=["L", "N", "P", "S"])), st.integers(1, 30))
def test_cuts_have_the_width_asked_for(text, width):
    for cut in (left, right, tail):
        assert cell_len(cut(text, width)) == width


def test_which_part_is_cut():
    assert left("AutoNormal.scales", 8) == "AutoNor…"
    assert tail("AutoNormal.scales", 8) == "….scales"
    assert tail("漢字の名前", 6) == "…名前 "
    assert right("ab", 4) == "  ab"
    assert (left("ab", 4), tail("ab", 4)) == ("ab  ", "ab  ")


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (-0.512341, 10, " -0.512341"),
        (-1.4189385, 10, "  -1.41894"),
        (123456.0, 10, "   123456."),
        (-1.23456e8, 10, "-1.235e+08"),
        (-1.23456e-300, 8, "-1.e-300"),
        (float("nan"), 6, "   nan"),
        (float("-inf"), 6, "  -inf"),
        (None, 3, "  ·"),
        (0.0, 8, " 0.00000"),
    ],
)
def test_numbers_keep_their_width(value, width, text):
    assert number(value, width) == text


@given(st.floats(allow_nan=True), st.integers(6, 14))
def test_no_number_is_wider_than_asked(value, width):
    assert len(number(value, width)) == len(signed(value, width)) == width


def test_signs():
    assert signed(0.002, 10) == "+0.0020000"
    assert signed(-0.002, 10) == "-0.0020000"
    assert signed(None, 3) == "  ·"


def test_notes_are_reflowed_without_marks():
    notes = "**Press** `50n`\nthen *f*.\n\n- one\n  goes on\n- two * 3\n\n    code *x*\n\n## Head"
    assert list(reflowed(notes)) == [
        "Press 50n then f.",
        "",
        "- one goes on",
        "- two * 3",
        "",
        "    code *x*",
        "",
        "Head",
    ]
