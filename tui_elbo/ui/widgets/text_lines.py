"""Lines of styled text, of which only those that changed are drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

Piece = tuple[str, str]
"""Text that is safe to draw, and its style as rich writes it: colours by their ANSI names, so that
it looks right in the terminal's own palette and in any theme."""

Line = Sequence[Piece]


class TextLines(Widget, can_focus=False):
    """Lines of styled text.

    Args:
        id: the widget's id.
    """

    DEFAULT_CSS = "TextLines { overflow: hidden hidden; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []

    def set_lines(self, lines: Iterable[Line]) -> None:
        """Show these lines, each cut or padded to the width."""
        width = self.size.width
        old, self._strips = self._strips, [strip(line, width) for line in lines]
        refresh_rows(self, old, self._strips)

    def render_line(self, y: int) -> Strip:
        """The row `y` in the widget's own colours."""
        width, base = self.size.width, base_style(self)
        if y >= len(self._strips):
            return Strip.blank(width, base)
        return self._strips[y].adjust_cell_length(width).apply_style(base)


class TextLine(TextLines):
    """One line of text."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = [("", "")]

    def show(self, line: Line) -> None:
        """Show this line."""
        self._line = line
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        if self.is_mounted and self.size.width > 0:
            self.set_lines([self._line])

    def on_resize(self, _event: Resize) -> None:
        """Lay the line out anew."""
        self.paint()


def refresh_rows(widget: Widget, old: Sequence[object], new: Sequence[object]) -> None:
    """Let the rows be drawn again that differ."""
    width, common = widget.size.width, min(len(old), len(new))
    rows = [y for y in range(max(len(old), len(new))) if y >= common or old[y] != new[y]]
    if rows:
        widget.refresh(*(Region(0, y, width, 1) for y in rows))


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
