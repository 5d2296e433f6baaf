"""Settings that were measured: their figures, an advice, and enter to go on with one of them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.model.noise import UNIT, NoiseTable, head, param_lines, row_line
from tui_elbo.model.rate_scan import scan_foot, scan_head, scan_line
from tui_elbo.model.text import safe
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

KEYS = "enter: tune to this row, esc closes"


@dataclass(frozen=True, eq=False)
class Choices:
    """What is shown."""

    title: str
    advice: str
    heads: Sequence[str] = ()
    """The lines above the rows."""
    rows: Sequence[str] = ()
    tunings: Sequence[Tuning | None] = ()
    """What each row changes; None where it changes nothing."""
    details: Callable[[int], Sequence[str]] = lambda _: ()
    """More about the row under the cursor."""
    feet: Sequence[str] = ()
    """The lines below the rows."""


def noise_choices(run: RunState) -> Choices | str:
    """The noise table; or what is being done for it."""
    table = run.noise
    if table is None:
        return run.phase or "measuring the noise of the gradient"
    rows = table.rows
    return Choices(
        title=f"gradient noise at step {table.step}",
        advice=table.advice,
        heads=[*([f"standard deviation, {UNIT}"] if rows else []), *(head(table) if rows else [])],
        rows=[row_line(table, row) for row in rows],
        tunings=[table.tuning(row) for row in rows],
        details=lambda place: _params(table, place),
        feet=table.remarks,
    )


def _params(table: NoiseTable, place: int) -> Sequence[str]:
    present, row = table.present, table.rows[place]
    shown = [one for one in (present, row) if one is not None and not one.problem]
    return list(param_lines(table, list(dict.fromkeys(shown))))


def scan_choices(run: RunState) -> Choices | str:
    """The learning rates; or what is being done for it."""
    scan = run.scan
    if scan is None:
        return run.phase or "scanning learning rates"
    return Choices(
        title=f"learning rates from step {scan.step}",
        advice=scan.advice,
        heads=scan_head(scan) if scan.rows else (),
        rows=[scan_line(row) for row in scan.rows],
        tunings=[scan.tuning(row) for row in scan.rows],
        feet=[scan_foot(scan)] if scan.rows else (),
    )


class ChoicesView(Live):
    """Rows of settings under a cursor.

    Args:
        run: what is known of it.
        choices: what to show of it.
        glyphs: of the terminal.
        tune: changes settings, and says what comes of it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "tune", show=False),
        Binding("E", "close", show=False),
    ]

    def __init__(
        self,
        run: RunState,
        choices: Callable[[RunState], Choices | str],
        glyphs: Glyphs,
        *,
        tune: Callable[[Tuning], str],
    ) -> None:
        super().__init__()
        self._run, self._choices, self._glyphs, self._tune = run, choices, glyphs, tune
        self._at: int | None = None
        self.answer = ""
        """What has come of a choice, for the line of the keys."""
        self._shown: object = None
        self._line = 0
        """The line of the row under the cursor."""

    def compose(self) -> ComposeResult:
        """The lines."""
        lines = Lines(self._lines(), id="frame")
        lines.can_focus = False  # The arrows move the cursor.
        frame = self.framed(lines, "settings")
        frame.border_subtitle = Content(KEYS)
        yield frame

    def on_mount(self) -> None:
        """Look at once."""
        self.call_after_refresh(self.update)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._shown = None
        self.call_after_refresh(self.update)

    def update(self) -> None:
        """Show what has come since."""
        run = self._run
        if self._shown != (run.phase, run.noise, run.scan):
            self._show()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        found = self._choices(self._run)
        if not isinstance(found, str) and found.rows:
            self._at = max(0, min((self._at or 0) + by, len(found.rows) - 1))
            self._show()

    def action_tune(self) -> None:
        """Go on with the setting under the cursor."""
        found = self._choices(self._run)
        if isinstance(found, str) or not found.rows:
            return
        tuning = found.tunings[self._at or 0]
        if tuning is None:
            for frame in self.query(Lines):
                frame.border_subtitle = Content(f"this row changes nothing: {KEYS}")
            return
        self.answer = self._tune(tuning)
        self.dismiss(None)

    def _show(self) -> None:
        self._shown = self._run.phase, self._run.noise, self._run.scan
        for lines in self.query(Lines):
            top = lines.scroll_offset.y
            lines.put(self._lines())
            height = max(1, lines.scrollable_content_region.height)
            if self._line < height:
                top = 0
            top = min(max(top, self._line - height + 1), self._line)
            lines.scroll_to(y=top, animate=False)

    def _lines(self) -> list[Line]:
        found = self._choices(self._run)
        if isinstance(found, str):
            return [[(self._text(f"{found}{self._glyphs.more}"), DIM)]]
        if self._at is None and found.rows:
            self._at = next((i for i, one in enumerate(found.tunings) if one is None), 0)
        lines: list[Line] = [[(self._text(found.title), KEY)]]
        lines += [[(text, "bold")] for text in self._wrapped(found.advice)]
        lines += [[("", "")], *(_cut(self._text(text), DIM) for text in found.heads)]
        for place, text in enumerate(found.rows):
            if place == self._at:
                self._line = len(lines)
            lines.append(_cut(self._text(text), "reverse" if place == self._at else ""))
        details = found.details(self._at or 0) if found.rows else ()
        if details:
            lines += [[("", "")], *(_cut(self._text(text), "") for text in details)]
        lines.append([("", "")])
        lines += [[(text, DIM)] for foot in found.feet for text in self._wrapped(foot)]
        return lines

    def _wrapped(self, text: str) -> list[str]:
        width = max(20, *(lines.scrollable_content_region.width for lines in self.query(Lines)), 20)
        return textwrap.wrap(self._text(text), width)

    def _text(self, text: str) -> str:
        return self._glyphs.plain(safe(text))


def _cut(text: str, style: str) -> Line:
    """A line that is cut where it is too long, not wrapped."""
    return [(text, style), ("", "")]
