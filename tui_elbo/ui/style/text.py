"""Text fitted to a number of terminal cells."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size, set_cell_size


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


MARKS = re.compile(r"(\*\*|\*|`)(?=\S)(.+?)(?<=\S)\1")


def plain_markdown(text: str) -> str:
    """A paragraph of Markdown without the marks of emphasis and code."""
    while (plain := MARKS.sub(r"\2", text)) != text:
        text = plain
    return text


BULLET = "- "


def reflowed(notes: str) -> Iterator[str]:
    """The lines of Markdown, for a pane of plain text: a line a paragraph, without marks.

    A list item is a line; lines of code stay as they are.
    """
    for number, block in enumerate(re.split(r"\n\s*\n", notes)):
        if number:
            yield ""
        paragraph = ""
        for line in block.splitlines():
            if line.startswith("    "):
                yield from filter(None, (plain_markdown(paragraph),))
                yield line
                paragraph = ""
            elif line.lstrip().startswith((BULLET, "* ")):
                yield from filter(None, (plain_markdown(paragraph),))
                paragraph = BULLET + line.lstrip()[2:]
            else:
                paragraph = f"{paragraph} {line.strip().lstrip('#').lstrip()}".strip()
        yield from filter(None, (plain_markdown(paragraph),))
