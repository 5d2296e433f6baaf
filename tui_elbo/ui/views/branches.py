"""The branches of a run: one a line, enter goes over to the one under the cursor."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.model.attribution import SUM_TERMS, LensPoint
from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.model.text import safe
from tui_elbo.protocol.run_state import RunState, changes_in_words
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, number
from tui_elbo.ui.style.theme import DIM
from tui_elbo.ui.views.views import Confirm, Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

KEYS = "enter goes over to it, s saves, d removes it, esc closes"

FOOT = "estimate: of the last step; ELBO: where the lens has looked at it last"

NUMBER, STEP, NATS = 4, 8, 11
"""Cells of a column, the gap before it included."""

ELBO = SUM_TERMS[2]


class BranchesView(Live):
    """The run and the branches that it has left behind, the newest first, under a cursor.

    Args:
        run: what is known of it.
        glyphs: of the terminal.
        switch: goes over to the branch of a number.
        save: keeps it as a file, and says so.
        remove: keeps it no longer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("G", "close", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "choose", show=False),
        Binding("s", "save", show=False),
        Binding("d,delete", "remove", show=False),
    ]

    def __init__(
        self,
        run: RunState,
        glyphs: Glyphs,
        *,
        switch: Callable[[int], object],
        save: Callable[[int], str],
        remove: Callable[[int], object],
    ) -> None:
        super().__init__()
        self._run, self._glyphs = run, glyphs
        self._switch, self._save, self._remove = switch, save, remove
        self._at = 0
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """The lines."""
        lines = Lines([], id="frame")
        lines.can_focus = False  # The arrows move the cursor.
        frame = self.framed(lines, "the run and its branches")
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
        run = self._run
        known = tuple((n, one.since, one.saved) for n, one in run.branches.items())
        basis = known, run.step, len(run.tunings), len(run.lens_history)
        if self._drawn != basis:
            self._drawn = basis
            self._show()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._at = max(0, min(self._at + by, len(self._run.branches) - 1))
        self._show()

    def action_choose(self) -> None:
        """Go over to the branch under the cursor."""
        chosen = self._chosen()
        self.dismiss(None)
        if chosen:
            self._switch(chosen)

    def action_save(self) -> None:
        """Keep the branch under the cursor as a file."""
        chosen = self._chosen()
        if chosen:
            self._answer(self._save(chosen))

    def action_remove(self) -> None:
        """Keep the branch under the cursor no longer; asks where steps are lost."""
        chosen = self._chosen()
        if not chosen:
            return
        branch = self._run.branches[chosen]
        lost = branch.history.last - max(branch.since, branch.saved)
        if lost <= 0:
            self._remove(chosen)
            return

        def answered(key: str | None) -> None:
            if key == "y":
                self._remove(chosen)

        why = f"{lost} step{'s' if lost > 1 else ''} will be lost"
        self.app.push_screen(Confirm(f"remove branch {chosen}? {why}"), answered)

    def _answer(self, text: str) -> None:
        for frame in self.query(Lines):
            frame.border_subtitle = Content(safe(text))

    def _numbers(self) -> list[int]:
        return list(reversed(self._run.branches))

    def _chosen(self) -> int:
        """The number of the branch under the cursor; 0 if there is none."""
        numbers = self._numbers()
        return numbers[min(self._at, len(numbers) - 1)] if numbers else 0

    def _show(self) -> None:
        for lines in self.query(Lines):
            self._at = max(0, min(self._at, len(self._run.branches) - 1))
            top = lines.scroll_offset.y
            lines.put(self._lines(lines.scrollable_content_region.width))
            # Below the headings and the run.
            row = 2 + self._at
            height = max(1, lines.scrollable_content_region.height)
            top = 0 if row < height else min(max(top, row - height + 1), row)
            lines.scroll_to(y=top, animate=False)

    def _lines(self, width: int) -> list[Line]:
        run = self._run
        head = f"{'':>{NUMBER}}{'forks at':>{STEP + 1}}{'ends at':>{STEP}}"
        head += f"{'estimate':>{NATS}}{'ELBO':>{NATS}}  changed"
        seen = run.lens_history.latest_usable(run.step)
        changed = changes_in_words(run.loaded, run.tunings, run.step)
        own = self._row("run", "", run.history, seen, changed)
        lines: list[Line] = [_cut(head, DIM), _cut(self._fit(own, width), "")]
        for place, chosen in enumerate(self._numbers()):
            branch = run.branches[chosen]
            seen = branch.seen
            if seen is not None and seen.state <= branch.since:
                seen = None
            word = "  in a file" if branch.saved >= branch.history.last else ""
            row = self._row(
                str(chosen), str(branch.since), branch.history, seen, safe(branch.changes)
            )
            text = self._fit(row, width - cell_len(word))
            style = "reverse" if place == self._at else ""
            lines.append([(text, style), (word, DIM), ("", "")])
        if not run.branches:
            lines.append(_cut("no branch: N or enter leaves one behind", DIM))
        lines.append([("", "")])
        chosen = self._chosen()
        if chosen:
            whole = f"{chosen}: {safe(run.branches[chosen].changes)}"
            lines += [[(text, "")] for text in textwrap.wrap(self._glyphs.plain(whole), width)]
        return [*lines, [(FOOT, DIM)]]

    def _row(
        self, name: str, since: str, history: History, seen: LensPoint | None, changes: str
    ) -> str:
        none = self._glyphs.none
        elbo = None if seen is None else float(seen.value[seen.terms.index(ELBO)])
        figures = "".join(
            f"{number(one, NATS - 2, none=none):>{NATS}}" for one in (_last(history), elbo)
        )
        return f"{name:>{NUMBER}}{since:>{STEP + 1}}{history.last:>{STEP}}{figures}  {changes}"

    def _fit(self, text: str, width: int) -> str:
        return left(self._glyphs.plain(text), max(1, width), self._glyphs.more)


def _last(history: History) -> float | None:
    """What the last step estimated the ELBO at; -loss where there is no estimate of it."""
    layout = history.layout
    for field, sign in (("elbo", 1), ("loss", -1)):
        column = Column("step", "", field)
        if layout is not None and column in layout.index:
            return sign * float(history.values(column)[-1])
    return None


def _cut(text: str, style: str) -> Line:
    """A line that is cut where it is too long, not wrapped."""
    return [(text, style), ("", "")]
