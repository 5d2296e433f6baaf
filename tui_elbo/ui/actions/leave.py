"""The two ways to leave a run: to end it, and to leave it going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import App

from tui_elbo.client.session import Session
from tui_elbo.model.records import Column
from tui_elbo.ui.views.views import Confirm

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer

LONG = 600.0
"""Seconds of stepping that nobody wants to lose by a slip of the finger."""


def cannot_be_left(explorer: Explorer) -> str:
    """Why the run cannot be left going; empty if it can."""
    way_back = explorer.session.way_back
    return "" if way_back.id else f"it cannot be left going: {way_back.why}"


def detach(explorer: Explorer) -> None:
    """Leave the run going, and give the shell back."""
    message = Text(farewell(explorer.session))
    explorer.session.detach()
    explorer.app.exit(0, message=message)


def quit_run(explorer: Explorer) -> None:
    """Quit; asks when there is something to lose."""
    lost = _lost(explorer)
    if not lost:
        _quit(explorer)
        return

    def answered(yes: bool | None) -> None:
        if yes:
            _quit(explorer)
        else:
            explorer.answer()

    other = "; d would leave it going" if explorer.session.way_back.id else ""
    explorer.app.push_screen(Confirm(f"quit? {lost}{other}"), answered)


def _quit(explorer: Explorer) -> None:
    """Have the engine end while the screen closes; a script is never ended."""
    why = cannot_be_left(explorer)
    if not explorer.session.watched:
        explorer.session.leave()
        explorer.app.exit(0)
    elif why:
        explorer.answer(why)
    else:
        detach(explorer)


def _lost(explorer: Explorer) -> str:
    """What would be lost by quitting, in words."""
    run = explorer.session.run
    if run.dead or explorer.session.watched or not run.step:
        return ""
    if explorer.session.commands.running:
        return "it is running"
    seconds = float(run.history.values(Column("step", "", "seconds")).sum())
    if seconds > LONG and explorer.exported < run.step:
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
    sessions = (getattr(screen, "session", None) for screen in app.screen_stack)
    texts = [farewell(session) for session in sessions if isinstance(session, Session)]
    return Text("\n".join(text for text in texts if text)) if any(texts) else None
