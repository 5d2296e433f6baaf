"""The keys that carry something out of the program: to the clipboard, or into a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tui_elbo.protocol import PosteriorDrawn
from tui_elbo.ui.actions import files
from tui_elbo.ui.actions.quit_and_detach import Leaving
from tui_elbo.ui.plot.run_curves import standing
from tui_elbo.ui.widgets.table import Table

SAVED = "saved "

MOST_COPIED = 50_000
"""Bytes: terminals drop a longer sequence."""


class Showing(Leaving):
    """Copy, save the screen, export."""

    def action_copy(self) -> None:
        """Copy the table that has the focus; else the numbers of the step that is shown."""
        focused = self.focused
        if isinstance(focused, Table):
            what, text = "the table", table_text(focused)
        else:
            what, text = "the step's numbers", self._numbers()
        if len(text.encode()) > MOST_COPIED:
            self._answer(f"{what} is too long to copy: / narrows it, x writes it all to a file")
            return
        self.app.copy_to_clipboard(text)
        # The terminal never answers, so no more can be said.
        self._answer(f"{what} copied, if this terminal lets programs copy (OSC 52)")

    def action_save_screen(self) -> None:
        """Save the screen as SVG."""
        picture = self.app.export_screenshot()
        self._answer(self._saved(".svg", lambda path: path.write_text(picture, "utf-8")))

    def action_export(self) -> None:
        """Write all numbers as CSV; and draws from the guide, where there is ArviZ."""
        run = self.session.run
        if not run.step:
            self._answer("there is no step to export yet: n takes one")
            return
        said = self._saved(".csv", lambda path: files.write_csv(run.history, path))
        self._answer(said)
        if not said.startswith(SAVED):
            return
        self.exported = run.step
        if files.has_arviz() and not run.dead:
            self.session.draw(self._keep_draws)

    def _keep_draws(self, drawn: PosteriorDrawn) -> None:
        """Draws have come: write them beside the numbers, while the screen goes on."""
        if not drawn.sites:
            self._answer(f"no draws: {drawn.note}")
            return

        async def write() -> None:
            save = partial(self._saved, ".nc", lambda path: files.write_draws(drawn, path))
            self._answer(await asyncio.to_thread(save))

        self.run_worker(write(), exit_on_error=False)

    def _saved(self, suffix: str, write: Callable[[Path], object]) -> str:
        """Make a file in the working folder; returns a word about it, or why there is none."""
        run = self.session.run
        name = files.stem(run.loaded.name if run.loaded else "run", run.step)
        try:
            path = files.written(files.fresh(Path.cwd(), name, suffix), write)
        except (OSError, ValueError, ImportError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            return f"{name}{suffix} cannot be written: {why}"
        return f"{SAVED}{path.name}"

    def _numbers(self) -> str:
        run = self.session.run
        shown = standing(run, self.looking.step(run.step), running=False, count="")
        numbers = [f"{name} {value!r}" for name, value in shown.terms]
        return "\t".join([f"step {shown.step}", *numbers])


def table_text(table: Table) -> str:
    """A table as lines of text, all of its rows."""
    lines = [table.header()]
    for row in range(table.count()):
        lines += table.lines_of(row, True)
    return "\n".join("".join(text for text, _ in line).strip() for line in lines) + "\n"
