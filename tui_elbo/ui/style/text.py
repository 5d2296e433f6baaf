"""Text of the user's world, made safe to draw; and text fitted to a number of cells.

Names, prints and errors are data. No control character and no escape sequence of theirs may reach
the terminal: each goes through `safe` first, and is drawn without markup.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, get_character_cell_size, set_cell_size

TAB = 4

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC and other strings, up to their end
    r"|\x9b[0-?]*[ -/]*[@-~]?"  # CSI as one character
    r"|\x1b[ -/]*[0-~]?",  # all other escapes
    re.DOTALL,
)
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible; writing direction
    "\ud800-\udfff]"
)
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def safe(text: str, lines: bool = False) -> str:
    """The text without a character that a terminal would act on.

    Args:
        text: anything.
        lines: keep newlines, widen tabs and drop escape sequences, as for output and tracebacks.
            Otherwise the result is one line in which every such character is spelled out (`\\n`).
    """
    if lines:
        text = _SEQUENCE.sub("", text.replace("\r\n", "\n")).expandtabs(TAB)
    return (_UNSAFE_BUT_LINES if lines else _UNSAFE).sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def left(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells: padded at the right, or its right part replaced by `more`."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, max(0, width - len(more))) + more, width)


def right(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells: padded at the left, or cut at the right like `left`."""
    size = cell_len(text)
    return " " * (width - size) + text if size <= width else left(text, width, more)


def tail(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells: padded at the right, or its left part replaced by `more`.

    The last part of a dotted name (`AutoNormal.scales.theta`) tells the most.
    """
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    room = width - len(more)
    start = len(text)
    while start and room >= (size := get_character_cell_size(text[start - 1])):
        room -= size
        start -= 1
    return set_cell_size(more + text[start:], width)


def number(value: float | None, width: int, digits: int = 6, none: str = "·") -> str:
    """A number in exactly `width` cells, with as many significant digits as fit, at the right.

    What is missing is `none`; what is not finite is spelled `nan`, `inf`, `-inf`.
    """
    if value is None:
        return right(none, width)
    for precision in range(digits, 0, -1):
        text = f"{value:#.{precision}g}"
        if len(text) <= width:
            return text.rjust(width)
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return right(f"{mantissa}e{int(exponent)}" if exponent else mantissa, width)


def signed(value: float | None, width: int, digits: int = 6, none: str = "·") -> str:
    """Like `number`, with a plus before what is positive."""
    if value is None or not value > 0:
        return number(value, width, digits, none)
    return ("+" + number(value, width - 1, digits).lstrip()).rjust(width)


def nats(value: float, width: int) -> str:
    """A signed number of nats in exactly `width` cells: three decimals as long as they fit."""
    for decimals in (3, 2, 1, 0):
        text = f"{value + 0.0:+.{decimals}f}"
        if len(text) <= width:
            return text.rjust(width)
    return signed(value, width)
