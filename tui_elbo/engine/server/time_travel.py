"""Going back, over to another future, and into a step: what is done for it, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tui_elbo.engine.server.event_emitter import EventEmitter
from tui_elbo.engine.session import Session
from tui_elbo.engine.tracebacks import trimmed
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.history import History
from tui_elbo.protocol import (
    BranchSwitched,
    Event,
    RewindTo,
    Rewound,
    RunSaved,
    Save,
    StepInto,
    SteppedInto,
    SwitchBranch,
    Tune,
    Tuned,
    UndoStep,
)

Travel = RewindTo | SwitchBranch | StepInto | UndoStep


def travel(
    session: Session, command: Travel, send: Callable[[Event], None], emitter: EventEmitter
) -> None:
    """Do what the command asks, and tell what came of it.

    Raises:
        ElboError: if it cannot be done; the run then stands where it stood.
    """
    try:
        match command:
            case RewindTo():
                session.go_to(command.step)
                send(Rewound(session.steps_taken, session.branch_end))
            case SwitchBranch():
                session.swap()
                send(BranchSwitched(session.steps_taken, session.branch_end))
            case UndoStep():
                session.undo()
                send(Rewound(session.steps_taken, session.branch_end, leaves=False))
            case StepInto():
                batches, stages = session.step_into()
                emitter.rows(batches)
                send(SteppedInto(session.steps_taken, tuple(stages)))
    except KeyboardInterrupt as error:
        what = "going there was interrupted"
        if isinstance(command, RewindTo):
            what = f"going back to step {command.step} was interrupted"
        hint = f"the run stays at step {session.steps_taken}"
        raise InterruptedTravelError(what, hint=hint, traceback=trimmed(error)) from error


def tune(session: Session, command: Tune, send: Callable[[Event], None]) -> None:
    """Change settings, and tell with which ones it goes on.

    Raises:
        UsageError: if they do not fit.
    """
    words = session.tune(command.tuning)
    send(Tuned(session.steps_taken, str(command.tuning), *words))


def store(session: Session, command: Save, send: Callable[[Event], None], history: History) -> None:
    """Write the run into a file, and tell so.

    Raises:
        UsageError: if it cannot be written there.
    """
    if history.last != session.steps_taken:
        raise UsageError("the run's steps are not all known here", hint="run --save keeps them")
    session.save(Path(command.path), history.batches())
    send(RunSaved(command.path, session.steps_taken))


class InterruptedTravelError(ElboError):
    """The person has broken it off."""
