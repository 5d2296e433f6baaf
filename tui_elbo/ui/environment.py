"""What Textual reads from the environment when it is imported."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from tui_elbo.ui.style.theme import THEME

OVER_SSH = {"TEXTUAL_FPS": "15", "TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}
"""Fewer frames, and nothing that is sent only to look smooth."""


def prepare(environ: MutableMapping[str, str], theme: str = "") -> None:
    """The theme, and settings for a line that may be slow; what a person has set is left alone.

    To be called before Textual is imported.

    Args:
        environ: the environment, which is changed.
        theme: the theme that a person chose last; empty for none.
    """
    if environ.get("NO_COLOR") and not theme.startswith("ansi-"):
        theme = ""  # Any other theme is left with its greys.
    environ.setdefault("TEXTUAL_THEME", theme or THEME)
    # A size that a shell has exported would stand for good, however the window is dragged.
    environ.pop("COLUMNS", None)
    environ.pop("LINES", None)
    if environ.get("SSH_CONNECTION"):
        for name, value in OVER_SSH.items():
            environ.setdefault(name, value)


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether the terminal can only print lines."""
    return environ.get("TERM", "") in ("", "dumb", "unknown")


def has_little_unicode(environ: Mapping[str, str]) -> bool:
    """Whether the terminal's font lacks most of what the screen would draw with."""
    return environ.get("TERM", "") in ("linux", "vt100", "vt220", "cons25")
