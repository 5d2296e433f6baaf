"""From keys to commands: counts, and a toggle that depends on the last request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_elbo.model.findings import Finding
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    Breakpoint,
    Command,
    ComputeGradients,
    ComputeImportanceBound,
    DismissFinding,
    InspectParam,
    Loaded,
    MeasureNoise,
    Pause,
    RemoveBranch,
    Restart,
    RewindTo,
    RunStatus,
    RunUntil,
    Save,
    ScanRates,
    SetBreakpoints,
    ShowTraining,
    Step,
    StepBack,
    StepInto,
    SwitchBranch,
    Tune,
    UndoStep,
    WatchParams,
)

MAX_COUNT = 999_999_999


class RunCommands:
    """What was asked of the engine and may not have been carried out yet.

    Keys are quicker than the engine, so `space` cannot go by what is on the screen: it reverses
    the last request, and the engine's state counts only once everything sent is carried out.

    Args:
        send: sends a command and returns its number.
    """

    def __init__(self, send: Callable[[Command], int]) -> None:
        self._send = send
        self.count = ""
        """The digits typed so far."""
        self.running = False
        """Whether the engine runs or is to run, once all that was sent is carried out."""
        self.running_to = ""
        """What it runs to, in words; empty when it stands, or runs on and on."""
        self.watched: tuple[str, ...] = ()
        """The parameters that are recorded whole."""
        self._inspected = ""
        self._seq = 0
        self._steps = 0
        self._finish_later = self._single_step = False

    def digit(self, digit: str) -> None:
        """Take in a digit of a count; a leading zero is none."""
        count = (self.count + digit).lstrip("0")
        if len(count) <= len(str(MAX_COUNT)):
            self.count = count

    def step(self) -> None:
        """As many steps as were typed, else one, and then stand still."""
        self._finish_later = False
        count = self.taken_count()
        self._tell(Step(count=count), running=False)
        # It stands still after it anyway: `space` while it is taken asks to run on.
        self._single_step = count == 1

    def back(self) -> None:
        """Take the run back by as many steps as were typed, else by one."""
        self._finish_later = False
        self._tell(StepBack(count=self.taken_count()), running=False)

    def go_to(self, step: int) -> None:
        """Take the run to an earlier step."""
        self.count = ""
        self._finish_later = False
        self._tell(RewindTo(step=step), running=False)

    def switch(self, number: int) -> None:
        """Go over to the end of this branch."""
        self.count = ""
        self._finish_later = False
        self._tell(SwitchBranch(number=number), running=False)

    def remove_branch(self, number: int) -> None:
        """Keep this branch no longer."""
        self.sent(self._send(RemoveBranch(number=number)))

    def step_into(self) -> None:
        """Take one step, and have all that happened in it reported."""
        self.count = ""
        self._finish_later = False
        self._tell(StepInto(), running=False)

    def undo(self) -> None:
        """Take back the step that was stepped into."""
        self._tell(UndoStep(), running=False)

    def save(self, path: str, branch: int = 0) -> None:
        """Have the run, or the branch of this number, written into a file."""
        self.sent(self._send(Save(path=path, branch=branch)))

    def until(self, condition: str) -> None:
        """Run to the first step that meets a condition."""
        self.count = ""
        self._finish_later = False
        self._tell(RunUntil(condition=condition), running=True, to=condition)

    def run_to(self, step: int) -> None:
        """Run to a step."""
        self.count = ""
        self._finish_later = False
        self._tell(RunUntil(until=step), running=True, to=str(step))

    def watch(self, names: Sequence[str]) -> None:
        """Have these parameters recorded whole."""
        self.watched = tuple(names)
        self.sent(self._send(WatchParams(names=self.watched)))

    def inspect(self, name: str) -> None:
        """Have everything about this parameter reported; empty for none any more."""
        self._inspected = name
        self.sent(self._send(InspectParam(name=name)))

    def break_at(self, points: tuple[Breakpoint, ...]) -> None:
        """Stop at these breakpoints from now on."""
        self.sent(self._send(SetBreakpoints(points=points)))

    def dismiss(self, finding: Finding, *, dismissed: bool) -> None:
        """Put a finding aside for this run, or take it back."""
        command = DismissFinding(code=finding.code, subject=finding.subject, dismissed=dismissed)
        self.sent(self._send(command))

    def tune(self, tuning: Tuning) -> None:
        """Change settings from the next step on; a run goes on with them."""
        self.sent(self._send(Tune(tuning=tuning)))

    def show_training(self, number: int) -> None:
        """Show this training of the process; 0: whichever takes steps."""
        self.count = ""
        self.sent(self._send(ShowTraining(number=number)))

    def compute_bound(self) -> None:
        """Compute the bound of importance weights at the present step."""
        self.sent(self._send(ComputeImportanceBound()))

    def compute_gradients(self, since: int) -> None:
        """Compute the terms' gradients, and how far parameters have moved since a state."""
        self.sent(self._send(ComputeGradients(since=since)))

    def measure_noise(self) -> None:
        """Measure the noise of the gradient at the present step."""
        self.sent(self._send(MeasureNoise()))

    def scan_rates(self) -> None:
        """Take short runs at other learning rates from the present step."""
        self.sent(self._send(ScanRates()))

    def taken_count(self) -> int:
        """The count that was typed, else one; it is used up."""
        count, self.count = int(self.count or 1), ""
        return count

    def run_pause(self) -> None:
        """Run, or stand still."""
        self.count = ""
        if self.running and not self._single_step:
            self._finish_later = False
            self._tell(Pause(), running=False)
        else:
            self._tell(RunUntil(), running=True)

    def finish(self) -> None:
        """Run to the scenario's last step; kept until it is known which that is."""
        self.count = ""
        if self._steps:
            self._tell(RunUntil(until=self._steps), running=True, to=str(self._steps))
        else:
            self._finish_later = self.running = True

    def restart(self) -> None:
        """Begin anew in the same engine."""
        self.count = ""
        self._finish_later = False
        self._tell(Restart(), running=False)

    def loaded(self, loaded: Loaded) -> None:
        """The scenario is known now."""
        self._steps = loaded.steps
        if self.watched:
            self.watch(self.watched)
        if self._inspected:
            self.inspect(self._inspected)
        if self._finish_later:
            self._finish_later = False
            self.finish()

    def level(self, level: RunStatus) -> None:
        """How the engine stands, used if it has carried out everything."""
        if level.seq >= self._seq and not self._finish_later:
            self.running = level.state == "running"

    def sent(self, seq: int) -> None:
        """Something that neither runs nor pauses was sent from elsewhere, as command `seq`."""
        self._seq = seq

    def interrupted(self, seq: int) -> None:
        """A pause was sent from elsewhere, as command `seq`."""
        self.count, self.running, self._seq = "", False, seq
        self._finish_later = False

    def stopped(self) -> None:
        """The engine is gone, and every request with it."""
        self.count, self.running, self._finish_later = "", False, False

    def _tell(self, command: Command, *, running: bool, to: str = "") -> None:
        self._seq = self._send(command)
        self.running, self.running_to, self._single_step = running, to, False
