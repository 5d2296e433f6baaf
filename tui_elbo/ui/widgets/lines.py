"""Long texts: lines wrapped to the width, of which only those on the screen are built."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, chop_cells
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_elbo.ui.widgets.text_lines import Line, base_style, strip


class Lines(ScrollView, can_focus=True):
    """A text of styled lines to scroll in.

    Args:
        lines: each a line of pieces; a line of one piece is wrapped; of two, the second
            is wrapped beneath itself; others are cut.
        id: the widget's id.
    """

    DEFAULT_CSS = """
    Lines {
        height: 1fr; overflow-x: hidden;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable;
    }
    """

    def __init__(self, lines: Iterable[Line], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = list(lines)
        self._wrapped: list[Line] = []

    def put(self, lines: Iterable[Line], *, follow: bool = False) -> None:
        """Show these lines instead.

        Args:
            lines: as for the class.
            follow: whether one who looks at the end goes on looking at it.
        """
        at_end = follow and self.scroll_offset.y >= self.max_scroll_y
        self._lines = list(lines)
        self._wrap()
        if at_end:
            self.scroll_end(animate=False)

    def on_resize(self, _event: Resize) -> None:
        """Wrap anew."""
        self._wrap()

    def _wrap(self) -> None:
        width = max(1, self.scrollable_content_region.width)
        self._wrapped = [part for line in self._lines for part in wrapped(line, width)]
        self.virtual_size = Size(width, len(self._wrapped))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A line of the window."""
        width, base = self.size.width, base_style(self)
        at = self.scroll_offset.y + y
        if at >= len(self._wrapped):
            return Strip.blank(width, base)
        return strip(self._wrapped[at], width).apply_style(base)


def wrapped(line: Line, width: int) -> Iterable[Line]:
    """The line as lines of at most `width` cells."""
    if len(line) not in (1, 2) or sum(cell_len(text) for text, _ in line) <= width:
        return [line]
    indent = cell_len(line[0][0]) if len(line) == 2 else 0
    if indent:
        if 2 * indent > width:
            return [line]
        first, *others = wrapped(line[1:], width - indent)
        return [[line[0], *first], *([(" " * indent, ""), *other] for other in others)]
    text, style = line[0]
    parts = list[Line]()
    while cell_len(text) > width:
        part = chop_cells(text, width)[0]
        # Between two words, if there is a place for it in the second half.
        at = part.rfind(" ", len(part) // 2) + 1
        if text[len(part) : len(part) + 1] == " " or not at:
            at = len(part)
        parts.append([(text[:at].rstrip() or text[:at], style)])
        text = text[at:].lstrip(" ")
    return [*parts, [(text, style)]] if text else parts
