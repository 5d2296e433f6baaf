"""The two ways to leave a run: to end it, and to leave it going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_elbo.model.records import Column
from tui_elbo.ui.views.views import Confirm

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer

LONG, MANY = 60.0, 100
"""Seconds of stepping, or steps, that nobody wants to lose by a slip of the finger."""


def cannot_be_left(explorer: Explorer) -> str:
    """Why the run cannot be left going; empty if it can."""
    if explorer.session.watched and explorer.session.run.dead:
        return "there is nothing to leave going: the script has ended"
    way_back = explorer.session.way_back
    if not way_back.id:
        return f"it cannot be left going: {way_back.why}"
    if explorer.session.nothing_to_keep:
        return "there is nothing to leave going: it has not taken a step"
    return ""


def detach(explorer: Explorer) -> None:
    """Leave the run going, and give the shell back."""
    explorer.session.detach()
    explorer.app.exit(0)


def quit_run(explorer: Explorer) -> None:
    """Quit; asks when there is something to lose."""
    lost = _lost(explorer)
    if not lost:
        _quit(explorer)
        return

    def answered(key: str | None) -> None:
        if key == "y":
            _quit(explorer)
        elif key == "d":
            detach(explorer)
        else:
            explorer.answer()

    choices = {"y": "yes", "n": "no"}
    if not cannot_be_left(explorer):
        choices["d"] = "leave it going"
    explorer.app.push_screen(Confirm(f"quit? {lost}", choices), answered)


def _quit(explorer: Explorer) -> None:
    """Have the engine end while the screen closes; a script is never ended."""
    why = cannot_be_left(explorer)
    if explorer.session.run.dead or not explorer.session.watched:
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
        return "" if explorer.again_in_seconds else "it is running"
    lost = 0 if explorer.exported >= run.step else run.unsaved
    if not lost:
        return ""
    seconds = float(run.history.values(Column("step", "", "seconds"))[run.step - lost :].sum())
    if seconds > LONG:
        return f"{seconds / 60:.0f} minutes of stepping are not exported (x)"
    few = lost < MANY or explorer.again_in_seconds
    return "" if few else f"{lost} steps are not exported (x)"
