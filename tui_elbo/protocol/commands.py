"""The commands that a terminal sends to the engine."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tui_elbo.model.findings import Subject
from tui_elbo.model.noise import SECONDS
from tui_elbo.model.own_settings import Given
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.model.tuning import Tuning
from tui_elbo.model.verdict import NATS, Tolerance


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
    given: Given = ()
    """Values of the scenario's own settings, in place of those that it declares."""
    threads: int = 1
    device: str | None = None
    """None: torch's own default device is left alone."""
    draws: int | None = None
    """Fixed draws of the lens; None: the default; 0: no lens."""
    tolerance: Tolerance = NATS
    """Of the verdict: what does not matter."""
    lens_in_process: bool = False
    """Where the process cannot be forked, look inside it: state of the model's own may change."""
    checkpoint_memory: int = CHECKPOINT_MEMORY
    """Bytes for checkpoints; 0: every rewind is a replay."""


class Step(Command, frozen=True, kw_only=True):
    """Take `count` more steps, added to those still to be taken, then pause."""

    count: int = 1


class RunUntil(Command, frozen=True, kw_only=True):
    """Run until paused, until the step `until` has been taken, or until a condition holds."""

    until: int | None = None
    condition: str | None = None
    """A condition of `model.conditions`; the run stops on the first step that meets it."""


class Pause(Command, frozen=True, kw_only=True):
    """Pause after the present step; steps still to be taken are dropped."""


class Restart(Command, frozen=True, kw_only=True):
    """Execute the scenario's file again and stand at step 0, in the same process."""


class RewindTo(Command, frozen=True, kw_only=True):
    """Rewind the run to an earlier step; the path that it leaves becomes a branch."""

    step: int


class StepBack(Command, frozen=True, kw_only=True):
    """Rewind by `count` steps, from where the run will stand once it has no more to take."""

    count: int = 1


class Tune(Command, frozen=True, kw_only=True):
    """Change settings from the next step on. Refused, with the reason, if they do not fit."""

    tuning: Tuning


class WatchParams(Command, frozen=True, kw_only=True):
    """Give these parameters columns of their own, and no others beyond the budget of columns."""

    names: tuple[str, ...]


class InspectParam(Command, frozen=True, kw_only=True):
    """Send everything about one parameter, now and after each burst of steps."""

    name: str
    """Empty: stop sending."""


class ComputeImportanceBound(Command, frozen=True, kw_only=True):
    """Compute the importance-weighted bound and k̂ at the present state."""

    draws: int = 2000


class ComputeGradients(Command, frozen=True, kw_only=True):
    """Compute each parameter's change since a state, and its gradients at the present one."""

    since: int = 0
    """The state that the changes are counted from."""


class Breakpoint(msgspec.Struct, frozen=True):
    """A breakpoint, in the language of `tui_elbo.model.breakpoints`."""

    text: str
    held: bool = False
    """Whether it holds at the present step: it then stops the next time that it comes to hold."""
    on: bool = True
    """Whether it stops the run; else it is only kept, for terminals that attach later."""


class SetBreakpoints(Command, frozen=True, kw_only=True):
    """Stop, from now on, on steps at which one of these comes to hold, and for no others."""

    points: tuple[Breakpoint, ...]


class DismissFinding(Command, frozen=True, kw_only=True):
    """Put a finding aside for this run, or take it back."""

    code: str
    subject: Subject
    dismissed: bool = True


class ReportStatus(Command, frozen=True, kw_only=True):
    """Send the state of the run, also to a client that is not its terminal."""


class Attach(Command, frozen=True, kw_only=True):
    """Become the run's terminal: the engine sends its whole history, then new events. The terminal
    before gets `TakenOver` and is disconnected."""


class EndRun(Command, frozen=True, kw_only=True):
    """End the engine at once, and the run with it."""


class Interrupt(Command, frozen=True, kw_only=True):
    """Interrupt the model, as SIGINT does; never answered."""


class JudgeRun(Command, frozen=True, kw_only=True):
    """Reach a verdict on the run where it stands: is it done, and what would help."""


class MeasureNoise(Command, frozen=True, kw_only=True):
    """Measure the noise of the gradient with each estimator, where the run stands."""

    seconds: float = SECONDS
    """How long it may take, about."""


class ScanRates(Command, frozen=True, kw_only=True):
    """Take short runs at other learning rates, from where the run stands."""

    seconds: float = SECONDS
    """How long they may take, about."""


class DrawPosterior(Command, frozen=True, kw_only=True):
    """Draw so many times from the guide at the present state; the training is not changed."""

    count: int = 1000


class ShowTraining(Command, frozen=True, kw_only=True):
    """Show this training of the process from now on."""

    number: int = 0
    """As in `TrainingInfo`; 0: whichever takes steps."""


class SwitchBranch(Command, frozen=True, kw_only=True):
    """Go over to the end of a branch; the present path is left behind in its turn."""

    number: int = 0
    """As in `BranchInfo`; 0: the branch that was left last."""


class RemoveBranch(Command, frozen=True, kw_only=True):
    """Keep a branch no longer."""

    number: int
    """As in `BranchInfo`."""


class StepInto(Command, frozen=True, kw_only=True):
    """Take one step, and send all that happened in it."""


class UndoStep(Command, frozen=True, kw_only=True):
    """Undo the step that was stepped into, as if it had not been taken."""


class Save(Command, frozen=True, kw_only=True):
    """Save the run to a file, from which it can continue."""

    path: str
    """Absolute; a saved run that is there is replaced."""
    branch: int = 0
    """The number of a branch to be saved; 0: the run."""


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
    | DismissFinding
    | ReportStatus
    | Attach
    | EndRun
    | DrawPosterior
    | JudgeRun
    | MeasureNoise
    | ScanRates
    | Interrupt
    | ShowTraining
    | SwitchBranch
    | RemoveBranch
    | StepInto
    | UndoStep
    | Save
)
