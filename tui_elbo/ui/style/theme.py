"""Styles by what they mean. ANSI names: the terminal's own palette decides, light or dark."""

from __future__ import annotations

DIM = "dim"
"""What names a number rather than being one."""

BAD = "bold red"
"""What is not finite, and what went wrong."""

WARN = "yellow"
GOOD = "green"
KEY = "bold cyan"
"""A key to press."""

ROLE = {"model": "magenta", "guide": "cyan", "both": "yellow", "none": DIM, "unknown": DIM}
"""θ, φ, both, and what neither reads."""

OBSERVED = "green"
LATENT = "cyan"

THEME = "ansi-dark"
"""Draws with the terminal's own colours, which also costs the fewest bytes."""
