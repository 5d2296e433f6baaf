"""The same picture in fewer bytes: what a frame tells a terminal twice is left out.

Textual goes to each changed stretch of cells by row and column, sets its colours and resets them,
and ends the row. Of neighbouring stretches nearly all of that is already so.
"""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|\x1b\[(?P<ink>[\d;:]*)m"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|(?P<line>\r?\n)"
    r"|(?P<other>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|.)",
    re.DOTALL,
)

_NARROW = re.compile(r"[ -~\u00a1-\u02ff\u0391-\u03c9\u2500-\u25ff\u2800-\u28ff]*")
"""Of these every terminal agrees that each takes one cell."""


def thrifty(frame: str) -> str:
    """The frame without moves to where the cursor is, and without resets of what is set again.

    Args:
        frame: what would be written to a terminal whose attributes are reset. It may move the
            cursor and set attributes; anything else is left as it is. What it writes stays within
            the screen: nothing wraps or scrolls.
    """
    writer = _Writer()
    for piece in _PIECE.finditer(frame):
        match piece.lastgroup:
            case "column":
                writer.goal, writer.lines = (int(piece["row"]), int(piece["column"])), ""
            case "ink":
                writer.dip(piece["ink"])
            case "line":
                writer.end_line(piece["line"])
            case "text":
                writer.put(piece["text"])
            case _:
                writer.settle()
                writer.out.append(piece["other"])
                writer.at = None
    writer.settle()
    return "".join(writer.out)


class _Writer:
    """Holds back moves and attributes until something is written with them."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.at: tuple[int, int] | None = None
        """Where the cursor is, row and column; None: not known."""
        self.goal: tuple[int, int] | None = None
        """Where it shall be; None: where it is."""
        self.lines = ""
        """Ends of lines that come before the next text."""
        self._ink = self._dipped = ""
        """The attributes wanted and those that the terminal has; empty: reset."""

    def dip(self, ink: str) -> None:
        """Change the attributes wanted."""
        if ink in ("", "0"):
            self._ink = ""
        else:
            self._ink = f"{self._ink};{ink}" if self._ink else ink

    def end_line(self, line: str) -> None:
        """Begin the next line, unless a move comes first."""
        if self.goal is not None:
            self._move()
        self.lines += line

    def put(self, text: str) -> None:
        """Write text where the cursor shall be."""
        self.settle()
        self.out.append(text)
        if self.at is not None:
            known = _NARROW.fullmatch(text)
            self.at = (self.at[0], self.at[1] + len(text)) if known else None

    def settle(self) -> None:
        """Bring the terminal to where and how it shall be."""
        if self.lines:
            self.out.append(self.lines)
            self.lines, self.at = "", None
        if self.goal is not None:
            self._move()
        if self._ink != self._dipped:
            self._set()

    def _move(self) -> None:
        row, column = goal = self.goal or (1, 1)
        if self.at is None or self.at[0] != row or column < self.at[1]:
            self.out.append(f"\x1b[{row};{column}H")
        elif column > self.at[1]:
            ahead = column - self.at[1]
            self.out.append(f"\x1b[{ahead}C" if ahead > 1 else "\x1b[C")
        self.at, self.goal = goal, None

    def _set(self) -> None:
        ink, had = self._ink, self._dipped
        if not had or ink.startswith(f"{had};"):
            self.out.append(f"\x1b[{ink[len(had) :].lstrip(';')}m")
        else:
            self.out.append(f"\x1b[0;{ink}m" if ink else "\x1b[0m")
        self._dipped = ink
