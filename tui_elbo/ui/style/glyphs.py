"""The few characters beyond ASCII that the screen uses, and what stands for them without."""

from __future__ import annotations

from dataclasses import dataclass

from tui_elbo.model.records import Role


@dataclass(frozen=True)
class Glyphs:
    """One set of characters; `UNICODE` or `ASCII`."""

    dot: str
    """Between two parts of a line."""
    more: str
    """Where text was cut."""
    none: str
    """Where a number is missing."""
    theta: str
    phi: str
    delta: str
    grad: str
    """The norm of the gradient."""
    run: str
    observed: str
    latent: str
    warn: str
    watched: str
    """Before the name of a parameter that is watched."""
    up: str
    down: str
    bars: str
    """From low to high."""
    error: str
    """Before a standard error."""

    def plain(self, text: str) -> str:
        """A text of ours with the characters that are at hand."""
        if self.dot == "·":
            return text
        for character, spelled in SPELLED:
            text = text.replace(character, spelled)
        return text

    def role(self, role: Role) -> str:
        """The letter of a parameter's role; blank for one that neither reads."""
        both = self.theta + self.phi
        letters = {"model": self.theta, "guide": self.phi, "both": both, "unknown": "?"}
        return letters.get(role, "")


SPELLED = (
    ("θ", "th"),
    ("φ", "ph"),
    ("−", "-"),
    ("–", "-"),
    ("±", "+-"),
    ("‖", "||"),
    ("k̂", "khat"),
    ("·", "-"),
    ("×", "x"),
    ("²", "^2"),
)
"""What stands for the letters in our own sentences."""

UNICODE = Glyphs(
    "·", "…", "·", "θ", "φ", "Δ", "|∇|", "▶", "●", "○", "⚠", "◆", "↑", "↓", "▁▂▃▄▅▆▇█", "±"
)
ASCII = Glyphs(
    "-", "~", ".", "th", "ph", "d", "|g|", ">", "*", "o", "!", "+", "^", "v", "_.-=+*#@", "+-"
)
