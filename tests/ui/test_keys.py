"""One table of keys: what it promises is there."""

from __future__ import annotations

import pytest

from tui_elbo.ui.app import ElboApp
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.keys import KEYS, key_line
from tui_elbo.ui.style.glyphs import UNICODE
from tui_elbo.ui.views.views import help_lines


@pytest.mark.parametrize("key", [key for key in KEYS if key.action])
def test_every_key_has_its_action(key):
    place = ElboApp if key.action == "interrupt" else Explorer
    assert callable(getattr(place, f"action_{key.action}"))
    bound = {binding.key for binding in place.BINDINGS}
    assert set(key.key.split(",")) <= bound


def test_no_key_does_two_things():
    keys = [one for key in KEYS for one in key.key.split(",")]
    assert len(keys) == len(set(keys))


def test_help_has_every_key():
    text = ["".join(part for part, _ in line) for line in help_lines(UNICODE)]
    for key in KEYS:
        assert any(line.strip() == f"{key.show}  {key.help}" for line in text)


def test_help_fits_80_columns():
    for line in help_lines(UNICODE):
        assert sum(len(part) for part, _ in line) <= 74


@pytest.mark.parametrize("width", range(0, 140, 7))
def test_the_key_line_fits_and_drops_the_least_first(width):
    shown = key_line(width)
    assert sum(len(f"{key.show} {key.label}  ") for key in shown) - 2 <= max(width, -2)
    assert [key for key in KEYS if key in shown] == shown
    if width >= 40:
        assert {"n", "space", "?", "q"} <= {key.show for key in shown}
