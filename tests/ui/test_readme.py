"""The README's table of keys is the one that the program dispatches by."""

from __future__ import annotations

from pathlib import Path

from tui_elbo.ui.keys import KEYS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def table() -> str:
    """The keys as the README has them."""
    rows = [f"| `{key.show}` | {key.help} |" for key in KEYS]
    return "\n".join(["| key | does |", "|---|---|", *rows])


def test_the_readme_has_every_key() -> None:
    assert table() in README
