"""The two ways to leave a run: to end it, and to leave it going."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.app import App

from tui_elbo.client.session import Session
from tui_elbo.model.records import Column
from tui_elbo.ui.actions.actions import Actions
from tui_elbo.ui.views.views import Confirm

LONG = 600.0
"""Seconds of stepping that nobody wants to lose by a slip of the finger."""


class Leaving(Actions):
    """The keys that lead out of the program."""

    exported = 0
    """The newest step of which the numbers have been exported."""

    def action_restart(self) -> None:
        """Begin anew; a script's own loop does not."""
        self._unless_script(super().action_restart)

    def action_reload(self) -> None:
        """Load the file again; a script is no scenario."""
        self._unless_script(super().action_reload)

    def action_finish(self) -> None:
        """Run to the end; a script knows by itself where that is."""
        self._unless_script(super().action_finish)

    def action_back(self) -> None:
        """Take the run back; a script's own loop cannot go back."""
        self._unless_script(super().action_back)

    def action_tune(self) -> None:
        """Change settings; those of a script are its own."""
        self._unless_script(super().action_tune)

    def _unless_script(self, act: Callable[[], None]) -> None:
        if self.session.watched:
            self._answer("a script's own loop: space holds it, n steps it; it cannot go back")
        else:
            act()

    def action_detach(self) -> None:
        """Leave the run going, and give the shell back."""
        way_back = self.session.way_back
        if not way_back.id:
            self._answer(f"it cannot be left going: {way_back.why}")
            return
        message = Text(farewell(self.session))
        self.session.detach()
        self.app.exit(0, message=message)

    def action_quit(self) -> None:
        """Quit; asks when there is something to lose."""
        lost = self._lost()
        if not lost:
            self._quit()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._quit()
            else:
                self._answer()

        other = "; d would leave it going" if self.session.way_back.id else ""
        self.app.push_screen(Confirm(f"quit? {lost}{other}"), answered)

    def _quit(self) -> None:
        """The engine is told first, so that it ends meanwhile; a script is never ended."""
        if self.session.watched:
            self.action_detach()
            return
        self.session.leave()
        self.app.exit(0)

    def _lost(self) -> str:
        """What would be lost by quitting, in words."""
        run = self.session.run
        if run.dead or self.session.watched or not run.step:
            return ""
        if self.session.control.running:
            return "it is running"
        seconds = float(run.history.values(Column("step", "", "seconds")).sum())
        if seconds > LONG and self.exported < run.step:
            return f"{seconds / 60:.0f} minutes of stepping are not exported (x)"
        return ""


def farewell(session: Session) -> str:
    """How to come back to a run that goes on; empty if there is no way."""
    way_back, loaded = session.way_back, session.run.loaded
    if not way_back.id:
        return ""
    name = loaded.name if loaded else "the run"
    return f"elbo-tui: {name} goes on; `elbo-tui attach {way_back.id}` shows it again"


def farewells(app: App[int]) -> Text | None:
    """The same for every run that an app shows."""
    shown = (screen for screen in app.screen_stack if isinstance(screen, Leaving))
    told = [text for screen in shown if (text := farewell(screen.session))]
    return Text("\n".join(told)) if told else None
