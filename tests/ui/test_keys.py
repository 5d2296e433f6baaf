"""One table of keys: what it promises is there."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven
from tui_elbo.protocol import Capabilities
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.keys import KEYS, NAMED
from tui_elbo.ui.style.glyphs import UNICODE
from tui_elbo.ui.views.views import help_lines
from tui_elbo.ui.widgets.status import fitting


def test_every_key_is_bound():
    bound = {binding.key for binding in Explorer.BINDINGS}
    assert bound == {one for key in KEYS if key.do for one in key.keys}


@pytest.mark.parametrize("key", [key for key in (*KEYS, *NAMED) if key.needs])
def test_what_a_key_needs_is_a_capability(key):
    assert key.needs in Capabilities.__struct_fields__


def test_no_key_does_two_things():
    keys = [one for key in KEYS for one in key.key.split(",")]
    assert len(keys) == len(set(keys))


def test_help_has_every_key():
    text = ["".join(part for part, _ in line) for line in help_lines(KEYS, UNICODE)]
    for key in KEYS:
        assert any(line.strip() == f"{key.show}  {key.help}" for line in text)


def test_help_fits_80_columns():
    for line in help_lines(KEYS, UNICODE):
        assert sum(len(part) for part, _ in line) <= 74


@pytest.mark.parametrize("width", range(0, 140, 7))
def test_the_key_line_fits_and_drops_the_least_first(width):
    shown = fitting(KEYS, width)
    assert sum(len(f"{key.show} {key.label}  ") for key in shown) - 2 <= max(width, -2)
    assert [key for key in KEYS if key in shown] == shown
    if width >= 40:
        assert {"n", "space", "?", "q"} <= {key.show for key in shown}


def test_80_columns_have_room_for_tune():
    shown = {key.show for key in fitting([key for key in KEYS if not key.hides], 79)}
    assert {"n", "space", "u", "t", "i", "?", "q"} <= shown


async def test_a_key_without_a_use_says_so():
    async with driven("normal") as d:
        await d.ready()
        await d.press("h")
        await d.shows("h has no use here: ? lists the keys")
        await d.press("n")
        await d.until(lambda: "no use here" not in d.text())
