"""Which cells of the terminal a frame changes, and the ANSI text that changes them.

Textual has no cell diff: of a line that needs drawing it sends everything from the left edge of its
widget to the end of the change. Here, as in curses, what the terminal shows is kept cell by cell, a
frame is compared with it, and only the runs of cells that differ are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip


class Rendition(NamedTuple):
    """How a cell is drawn: the parameters of SGR (Select Graphic Rendition), and a hyperlink."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    link: str = ""
    """What an OSC 8 sequence opens a hyperlink with."""


PLAIN = Rendition()

_CANCEL = {"1": "22", "2": "22", "3": "23", "4": "24", "21": "24", "5": "25", "6": "25"}
_CANCEL |= {"7": "27", "8": "28", "9": "29", "51": "54", "52": "54", "53": "55"}
"""The parameter that ends an attribute."""

_NOT_ON_BLANK = frozenset({"1", "2", "3", "5", "6", "8"})
"""Attributes that a space looks the same with."""

_UNKNOWN = "\0"
"""In place of the character of a cell of which it is not known what the terminal shows."""

_TAIL = ""
"""The character of each cell of a wide character but the first."""

_NARROW = frozenset(
    chr(code)
    for first, last in [
        (0x20, 0x7E),
        (0xA1, 0xAC),
        (0xAE, 0x2FF),
        (0x391, 0x3C9),
        (0x2500, 0x25FF),
        (0x2800, 0x28FF),
    ]
    for code in range(first, last + 1)
)
"""Of these characters every terminal agrees that each takes one cell."""

_MAX_GAP = 4
"""Cells that are the same are written again, not skipped, if there are at most so many and that
takes fewer bytes."""


@dataclass
class _Row:
    characters: list[str]
    renditions: list[Rendition]

    def copy(self) -> _Row:
        return _Row(self.characters[:], self.renditions[:])


class Piece(NamedTuple):
    """A part of a line of the screen."""

    y: int
    x: int
    end: int
    """The column after the last; what the strip has beyond it is cut off."""
    strip: Strip


@dataclass(frozen=True)
class Changes:
    """What brings the terminal up to date."""

    text: str
    """ANSI text; empty if nothing differs. It begins and ends with attributes reset."""
    size: tuple[int, int]
    rows: dict[int, _Row]


class ScreenCells:
    """The cells that a terminal shows."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._rows: list[_Row] = []

    def forget(self) -> None:
        """It is not known any more what the terminal shows: all cells differ from any other."""
        self._size, self._rows = (0, 0), []

    def compare(
        self, size: tuple[int, int], pieces: Iterable[Piece], colors: ColorSystem
    ) -> Changes:
        """Compare parts of the screen with what the terminal shows.

        Args:
            size: columns and rows of the terminal. After another size all cells are unknown.
            pieces: what the terminal shall show; of pieces that overlap the last one counts.
            colors: the colours that the terminal can show.
        """
        width, height = size
        rows = self._rows if size == self._size else [_unknown(width) for _ in range(height)]
        new: dict[int, _Row] = {}
        for y, x, end, strip in pieces:
            if not 0 <= y < height:
                continue
            characters, renditions = _cells(strip, min(end, width) - x, colors)
            row, part = new.get(y, rows[y]), slice(x, x + len(characters))
            if row.characters[part] != characters or row.renditions[part] != renditions:
                if y not in new:
                    row = new[y] = row.copy()
                row.characters[part], row.renditions[part] = characters, renditions
        writer = _Writer(width)
        for y in sorted(new):
            _mend(new[y], rows[y])
            writer.write_row(y, rows[y], new[y])
        if size != self._size:
            new = dict(enumerate(rows)) | new
        return Changes(writer.finish(), size, new)

    def apply(self, changes: Changes) -> None:
        """The changes, found by the last comparison, have been sent to the terminal."""
        if changes.size != self._size:
            self._size, self._rows = changes.size, [row for _, row in sorted(changes.rows.items())]
        else:
            for y, row in changes.rows.items():
                self._rows[y] = row


def _unknown(width: int) -> _Row:
    return _Row([_UNKNOWN] * width, [PLAIN] * width)


def _cells(strip: Strip, width: int, colors: ColorSystem) -> tuple[list[str], list[Rendition]]:
    """The first `width` cells of a strip."""
    characters: list[str] = []
    renditions: list[Rendition] = []
    for text, style, _ in strip:
        rendition = rendition_of(style, colors) if style is not None else PLAIN
        blank = on_blank(rendition)
        part: Sequence[str] = text if _NARROW.issuperset(text) else _split(text)
        characters += part
        if blank is rendition or " " not in part:
            renditions += [rendition] * len(part)
        else:
            renditions += [blank if character == " " else rendition for character in part]
    if len(characters) > width:
        del characters[max(0, width) :], renditions[max(0, width) :]
    return characters, renditions


@lru_cache(maxsize=1024)
def _split(text: str) -> tuple[str, ...]:
    """The text cell by cell: combining characters go with what they combine with.

    Control characters, and combining ones that combine with nothing, are left out.
    """
    clusters: list[str] = []
    for character in text:
        if character < " " or "\x7f" <= character < "\xa0":
            continue
        if clusters and (clusters[-1].endswith("\u200d") or not cell_len(character)):
            clusters[-1] += character
        elif cell_len(character):
            clusters.append(character)
    found: list[str] = []
    for cluster in clusters:
        found += [cluster, *[_TAIL] * (cell_len(cluster) - 1)]
    return tuple(found)


def _mend(new: _Row, old: _Row) -> None:
    """Leave no part of a wide character whose other part lies below something else."""
    if _TAIL not in new.characters and _TAIL not in old.characters:
        return
    tails = 0
    for x, character in enumerate(new.characters):
        if character == _TAIL:
            if tails:
                tails -= 1
                continue
            new.characters[x], new.renditions[x] = " ", on_blank(new.renditions[x])
        elif character not in _NARROW and character != _UNKNOWN:
            tails = cell_len(character) - 1
            if new.characters[x + 1 : x + 1 + tails] == [_TAIL] * tails:
                continue
            new.characters[x], new.renditions[x] = " ", on_blank(new.renditions[x])
            tails = 0
        else:
            tails = 0


class _Writer:
    """Writes cells, with the fewest cursor moves and changes of attributes."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._at: tuple[int, int] | None = None
        """Row and column of the cursor; None: not known."""
        self._likely: tuple[int, int] | None = None
        """Where it is if the terminal gives the last character as many cells as we do."""
        self._pen = PLAIN

    def write_row(self, y: int, old: _Row, new: _Row) -> None:
        """Write the cells of a row that differ."""
        cells = zip(old.characters, new.characters, old.renditions, new.renditions, strict=True)
        written = 0
        for x, (was, now, before, after) in enumerate(cells):
            if x < written or (was == now and (before is after or before == after)):
                continue
            start = x
            while new.characters[start] == _TAIL:
                start -= 1  # A wide character is written whole.
            self._go(y, start, new)
            written = self._put(y, start, new)

    def finish(self) -> str:
        """All that is written, with attributes reset at the end."""
        self._out.append(transition(self._pen, PLAIN))
        self._pen = PLAIN
        return "".join(self._out)

    def _go(self, y: int, x: int, row: _Row) -> None:
        """Bring the cursor there."""
        if self._at == (y, x) or (self._likely == (y, x) and row.characters[x] not in _NARROW):
            return
        move = _move(self._at, y, x)
        if self._at is not None and self._at[0] == y and 0 < x - self._at[1] <= _MAX_GAP:
            gap = slice(self._at[1], x)
            text = "".join(row.characters[gap])
            same = all(
                (on_blank(self._pen) if character == " " else self._pen) == rendition
                for character, rendition in zip(
                    row.characters[gap], row.renditions[gap], strict=True
                )
            )
            if same and _NARROW.issuperset(text) and len(text.encode()) <= len(move):
                move = text
        self._out.append(move)

    def _put(self, y: int, x: int, row: _Row) -> int:
        """Write the character of a cell where the cursor is; returns the column behind it."""
        character, rendition = row.characters[x], row.renditions[x]
        if not (character == " " and on_blank(self._pen) == rendition):
            self._out.append(transition(self._pen, rendition))
            self._pen = rendition
        self._out.append(character)
        sure = character in _NARROW
        behind = x + (1 if sure else cell_len(character))
        # At the right edge, terminals differ in where the cursor is then.
        self._at = (y, behind) if sure and behind < self._width else None
        self._likely = (y, behind)
        return behind


def _move(at: tuple[int, int] | None, y: int, x: int) -> str:
    """The shortest move of the cursor to there."""
    column = f"{x + 1}" if x else ""
    absolute = f"\x1b[{y + 1};{column}H" if column else f"\x1b[{y + 1}H"
    if at is None or y < at[0]:
        return absolute
    down, across = y - at[0], x - at[1]
    relative = _relative(down, "B") + (
        "\b" * -across if -3 <= across <= 0 else _relative(abs(across), "C" if across > 0 else "D")
    )
    return min(relative, absolute, key=len)


def _relative(count: int, letter: str) -> str:
    return f"\x1b[{count if count > 1 else ''}{letter}" if count else ""


@lru_cache(maxsize=4096)
def rendition_of(style: Style, colors: ColorSystem) -> Rendition:
    """What Textual would draw a segment of this style with."""
    attributes, foreground, background = set[str](), "", ""
    codes = Strip.render_ansi(style, colors)
    numbers = iter(codes.split(";") if codes else ())
    for number in numbers:
        code = int(number)
        if code in (38, 48):
            kind = next(numbers)
            color = ";".join([number, kind, *(next(numbers) for _ in range(_PARTS[kind]))])
        else:
            color = "" if code in (39, 49) else number  # As it is after a reset.
        if 30 <= code <= 39 or 90 <= code <= 97:
            foreground = color
        elif 40 <= code <= 49 or 100 <= code <= 107:
            background = color
        else:
            attributes.add(number)
    link = f"id={style.link_id};{style.link}" if style.link else ""
    return Rendition(tuple(sorted(attributes, key=int)), foreground, background, link)


_PARTS = {"2": 3, "5": 1}
"""How many numbers a colour has: red, green and blue, or one of a palette."""


@lru_cache(maxsize=4096)
def on_blank(rendition: Rendition) -> Rendition:
    """The part of it that can be seen on a space."""
    if rendition.link or not _NOT_ON_BLANK.issuperset(rendition.attributes):
        return rendition
    if not rendition.attributes and not rendition.foreground:
        return rendition
    return Rendition(background=rendition.background)


@lru_cache(maxsize=4096)
def transition(old: Rendition, new: Rendition) -> str:
    """The shortest sequence that changes one rendition into another."""
    link = f"\x1b]8;{new.link or ';'}\x1b\\" if old.link != new.link else ""
    if old[:3] == new[:3]:
        return link
    colors = [color for color in (new.foreground, new.background) if color]
    reset = ";".join(["0", *new.attributes, *colors]) if new.attributes or colors else ""
    ended = set(old.attributes) - set(new.attributes)
    cancelled = sorted({_CANCEL[attribute] for attribute in ended})
    kept = {attribute for attribute in old.attributes if _CANCEL[attribute] not in cancelled}
    parts = [*cancelled, *(attribute for attribute in new.attributes if attribute not in kept)]
    if old.foreground != new.foreground:
        parts.append(new.foreground or "39")
    if old.background != new.background:
        parts.append(new.background or "49")
    return f"{link}\x1b[{min(reset, ';'.join(parts), key=len)}m"
