"""What the terminal asks of the engine."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.model.tuning import Tuning


class Command(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """From the terminal to the engine."""

    seq: int = 0
    """Grows by one with each command of a connection."""


class Load(Command, frozen=True, kw_only=True):
    """Load a scenario and stand at step 0."""

    target: str
    """A gallery name, a path or a module name."""
    seed: int | None = None
    """None: the scenario's own `seed`, else 0."""
    threads: int = 1
    device: str | None = None
    """None: torch's own default device is left alone."""
    draws: int | None = None
    """Of the lens; None: its own default; 0: the run is not looked at through a lens."""
    checkpoint_memory: int = CHECKPOINT_MEMORY
    """Bytes for the states that the run can be taken back to; 0: every step back is a replay."""


class Step(Command, frozen=True, kw_only=True):
    """Take `count` more steps, then stand still; added to those still to be taken."""

    count: int = 1


class RunUntil(Command, frozen=True, kw_only=True):
    """Run until told otherwise, or until the step `until` has been taken, or a condition holds."""

    until: int | None = None
    condition: str | None = None
    """A condition of `model.conditions`; the run stops on the first step that meets it."""


class Pause(Command, frozen=True, kw_only=True):
    """Stand still after the present step; steps asked for and not yet taken are dropped."""


class Restart(Command, frozen=True, kw_only=True):
    """Execute the scenario's file afresh and stand at step 0, in the same process."""


class RewindTo(Command, frozen=True, kw_only=True):
    """Take the run itself back to an earlier step; what came after is dropped."""

    step: int


class StepBack(Command, frozen=True, kw_only=True):
    """Take the run back by `count` steps, from where it will stand once it has no more to take."""

    count: int = 1


class Tune(Command, frozen=True, kw_only=True):
    """Change settings from the next step on. Refused, with the reason, if they do not fit."""

    tuning: Tuning


class WatchParams(Command, frozen=True, kw_only=True):
    """Record these parameters by themselves, and no others beyond the budget of columns."""

    names: tuple[str, ...]


class InspectParam(Command, frozen=True, kw_only=True):
    """Tell everything about one parameter, now and after each burst of steps."""

    name: str
    """Empty: tell of none any more."""


class ComputeImportanceBound(Command, frozen=True, kw_only=True):
    """Take the importance-weighted bound and k̂ at the present state."""

    draws: int = 2000


class ComputeGradients(Command, frozen=True, kw_only=True):
    """Tell how far each parameter has come, and what pulls at it at the present state."""

    since: int = 0
    """The state from which on the changes are counted."""


class Breakpoint(msgspec.Struct, frozen=True):
    """Where runs are to stop, in the language of `tui_elbo.model.breakpoints`."""

    text: str
    held: bool = False
    """Whether it holds at the step at which the run stands: it then stops where it does anew."""
    on: bool = True
    """Whether runs stop there; else it is only kept for whoever comes later."""


class SetBreakpoints(Command, frozen=True, kw_only=True):
    """Stop, from now on, on steps at which one of these comes to hold, and for no others."""

    points: tuple[Breakpoint, ...]


class ReportStatus(Command, frozen=True, kw_only=True):
    """Tell how the run stands, whoever is its terminal."""


class Attach(Command, frozen=True, kw_only=True):
    """Be the run's terminal from now on: all of it is told, then what happens; another one that
    was is told so and left."""


class EndRun(Command, frozen=True, kw_only=True):
    """End the engine at once, and the run with it."""


class Interrupt(Command, frozen=True, kw_only=True):
    """Break off what the model is doing, as SIGINT does; never answered."""


class DrawPosterior(Command, frozen=True, kw_only=True):
    """Draw so many times from the guide at the present state; training does not notice."""

    count: int = 1000


class SwitchBranch(Command, frozen=True, kw_only=True):
    """Take the run over to the end of the future that was left behind last."""


class StepInto(Command, frozen=True, kw_only=True):
    """Take one step, and tell all that happened in it."""


class UndoStep(Command, frozen=True, kw_only=True):
    """Take back the step that was stepped into, as if it had not been taken."""


class Save(Command, frozen=True, kw_only=True):
    """Write the run into a file, from which it can be gone on with."""

    path: str
    """Absolute; a saved run that is there is replaced."""


AnyCommand: TypeAlias = (
    Load
    | Step
    | RunUntil
    | Pause
    | Restart
    | RewindTo
    | StepBack
    | Tune
    | WatchParams
    | InspectParam
    | ComputeImportanceBound
    | ComputeGradients
    | SetBreakpoints
    | ReportStatus
    | Attach
    | EndRun
    | DrawPosterior
    | Interrupt
    | SwitchBranch
    | StepInto
    | UndoStep
    | Save
)
