"""The trainings of a process: one a line, enter shows the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.model.text import safe
from tui_elbo.protocol import TrainingInfo, TrainingsListed
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.plot.sparkline import sparkline
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, number
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

KEYS = "enter shows it, f follows the one that steps, esc closes"

NUMBER, STEP, LOSS, COURSE, GUIDE = 4, 9, 11, 14, 24
"""Cells of a column, the gap before it included."""


class TrainingsView(Live):
    """The trainings under a cursor.

    Args:
        run: what is known of the one shown, and of the others.
        glyphs: of the terminal.
        show: shows the training with this number; 0: whichever takes steps.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("T", "close", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "choose", show=False),
        Binding("f", "follow", show=False),
    ]

    def __init__(self, run: RunState, glyphs: Glyphs, show: Callable[[int], object]) -> None:
        super().__init__()
        self._run, self._glyphs, self._choose = run, glyphs, show
        self._number = run.trainings.shown if run.trainings is not None else 0
        """Of the one under the cursor."""
        self._drawn: TrainingsListed | None = None

    def compose(self) -> ComposeResult:
        """The lines."""
        lines = Lines([], id="frame")
        lines.can_focus = False  # The arrows move the cursor.
        frame = self.framed(lines, "trainings of this process")
        frame.border_subtitle = Content(KEYS)
        yield frame

    def on_mount(self) -> None:
        """Look at once."""
        self.call_after_refresh(self.update)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._drawn = None
        self.call_after_refresh(self.update)

    def update(self) -> None:
        """Show what has come since."""
        if self._drawn is not self._run.trainings:
            self._drawn = self._run.trainings
            self._show()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        known = self._known()
        if known:
            at = self._at(known)
            self._number = known[max(0, min(at + by, len(known) - 1))].number
            self._show()

    def action_choose(self) -> None:
        """Show the training under the cursor."""
        known = self._known()
        if known:
            self._choose(known[self._at(known)].number)
        self.dismiss(None)

    def action_follow(self) -> None:
        """Show whichever takes steps."""
        self._choose(0)
        self.dismiss(None)

    def _known(self) -> tuple[TrainingInfo, ...]:
        return self._run.trainings.trainings if self._run.trainings is not None else ()

    def _at(self, known: tuple[TrainingInfo, ...]) -> int:
        """The row under the cursor; where its training has gone, one beside it."""
        return next((i for i, one in enumerate(known) if one.number >= self._number), 0)

    def _show(self) -> None:
        for lines in self.query(Lines):
            top = lines.scroll_offset.y
            lines.put(self._lines(lines.scrollable_content_region.width))
            # Below the line of headings.
            row = 1 + self._at(self._known())
            height = max(1, lines.scrollable_content_region.height)
            top = 0 if row < height else min(max(top, row - height + 1), row)
            lines.scroll_to(y=top, animate=False)

    def _lines(self, width: int) -> list[Line]:
        listed, known = self._run.trainings, self._known()
        head = f"{'#':>{NUMBER}}{'step':>{STEP}}{'loss':>{LOSS}}  "
        head += f"{'so far':<{COURSE}}{'guide':<{GUIDE}}estimator"
        lines: list[Line] = [[(head, DIM), ("", ""), ("", "")]]
        at = self._at(known)
        for place, one in enumerate(known):
            shown = listed is not None and one.number == listed.shown
            word = "  watched no more" if one.ended else ""
            word = word or ("  shown" if shown else "")
            text = left(self._row(one), max(1, width - cell_len(word)), self._glyphs.more)
            style = "reverse" if place == at else KEY if shown else ""
            lines.append([(text, style), (word, DIM), ("", "")])
        if listed is not None:
            kept = "the one shown stays shown; f follows the one that steps"
            follows = "another one is shown once the one shown steps no more"
            text = self._glyphs.plain(kept if listed.chosen else follows)
            lines += [[("", "")], [(text, DIM)]]
        return lines

    def _row(self, one: TrainingInfo) -> str:
        loss = number(one.loss, LOSS - 2, none=self._glyphs.none)
        guide = left(safe(one.name), GUIDE - 2, self._glyphs.more)
        about = ", ".join(filter(None, (safe(one.estimator), safe(one.optimizer))))
        course = sparkline(np.array(one.course), COURSE - 2, self._glyphs.bars)
        text = f"{one.number:>{NUMBER}}{one.step:>{STEP}}  {loss:>{LOSS - 2}}  "
        text += f"{course:<{COURSE}}{guide:<{GUIDE}}"
        return self._glyphs.plain(text + about)
