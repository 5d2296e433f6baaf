"""Lines of text in tiles, of which only those that changed are sent to the terminal.

Textual sends a line that needs drawing from the left edge of its widget on. So a canvas is cut into
child widgets, and each compares its piece of a line with what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Piece = tuple[str, str]
"""Text that is safe to draw, and its style as rich writes it: colours by their ANSI names, so that
it looks right in the terminal's own palette and in any theme."""

Line = Sequence[Piece]


class Tile(Widget, can_focus=False):
    """A piece of a canvas: some columns of all of its lines."""

    DEFAULT_CSS = "Tile { height: 1fr; width: 0; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Strip] = []

    def put(self, lines: list[Strip]) -> None:
        """Show these lines; only rows that differ from what is shown are drawn."""
        old, self._lines = self._lines, lines
        width = self.size.width
        for y in range(max(len(old), len(lines))):
            if y >= len(old) or y >= len(lines) or old[y] != lines[y]:
                self.refresh(Region(0, y, width, 1))

    def render_line(self, y: int) -> Strip:
        """The row `y` in the widget's own colours."""
        width, base = self.size.width, base_style(self)
        if y >= len(self._lines):
            return Strip.blank(width, base)
        return self._lines[y].adjust_cell_length(width).apply_style(base)


class Canvas(Widget, can_focus=False):
    """Lines of styled text.

    Args:
        id: the widget's id.
    """

    TILES = 1
    """How many tiles to begin with: one that comes later costs a layout."""

    DEFAULT_CSS = "Canvas { layout: horizontal; overflow: hidden hidden; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._widths: tuple[int, ...] = ()

    def compose(self) -> ComposeResult:
        """The tiles, without a width as yet."""
        yield from (Tile() for _ in range(self.TILES))

    def cut(self, widths: Iterable[int]) -> None:
        """Cut the canvas into tiles of these widths."""
        new = tuple(width for width in widths if width > 0)
        if new == self._widths:
            return
        self._widths = new
        tiles = list(self.query(Tile))
        if len(tiles) < len(new):
            more = [Tile() for _ in range(len(new) - len(tiles))]
            self.mount(*more)
            tiles += more
        for tile, width in zip(tiles, new + (0,) * len(tiles), strict=False):
            tile.styles.width = width

    def put(self, lines: Iterable[Line]) -> None:
        """Show these lines, each cut or padded to the width."""
        width = sum(self._widths)
        ends = [sum(self._widths[: i + 1]) for i in range(len(self._widths))]
        pieces = [strip(line, width).divide(ends) for line in lines]
        for i, tile in enumerate(list(self.query(Tile))[: len(ends)]):
            tile.put([piece[i] for piece in pieces])


def strip(line: Line, width: int) -> Strip:
    """The line in exactly `width` cells."""
    segments = [Segment(text, style_of(style)) for text, style in line if text]
    return Strip(segments).adjust_cell_length(width)


_styles: dict[str, Style | None] = {"": None}


def style_of(name: str) -> Style | None:
    """The style that rich writes so; None for the plain one."""
    if name not in _styles:
        _styles[name] = Style.parse(name)
    return _styles[name]


def base_style(widget: Widget) -> Style:
    """What a line of the widget begins with: nothing where the terminal's own colours are used."""
    # What takes the colours out for NO_COLOR looks at a style in every piece.
    plain = widget.app.native_ansi_color and not widget.app.no_color
    return Style.null() if plain else widget.rich_style
