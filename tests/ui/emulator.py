"""An independent terminal emulator that shows what was sent to it."""

from __future__ import annotations

import pyte


class Emulator:
    """A terminal that shows what was drawn."""

    def __init__(self, width: int, height: int) -> None:
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.Stream(self.screen)
        self.bytes = 0
        """How many bytes were drawn."""
        self.draw("\x1b[?7l")

    def draw(self, text: str) -> None:
        self.bytes += len(text.encode())
        self._stream.feed(text)

    def looks(self) -> list[list[object]]:
        """What can be seen of every cell; a space shows neither colour nor weight of its text."""
        return [
            [_look(self.screen.buffer[y][x]) for x in range(self.screen.columns)]
            for y in range(self.screen.lines)
        ]

    def lines(self) -> list[str]:
        """What every line shows."""
        return [line.rstrip() for line in self.screen.display]


def _look(cell: pyte.screens.Char) -> object:
    plain = not (cell.underscore or cell.reverse or cell.strikethrough)
    return (" ", cell.bg) if cell.data == " " and plain else cell
