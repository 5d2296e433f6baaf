"""A script's own loop as the source of a run: seen, held and let go on, never changed.

The script's thread takes the steps; commands are carried out by the server's thread, at once: so a
script that does something else between two steps still answers. It is held only by a person who
asked for it, and let go when that person goes away.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from msgspec.structs import replace
from pyro.infer import SVI

from tui_elbo.engine import describe
from tui_elbo.engine.checks.running import Failure
from tui_elbo.engine.record.inspection import inspected
from tui_elbo.engine.record.nonfinite import NonFiniteFinder
from tui_elbo.engine.record.options import Budget, Turns
from tui_elbo.engine.record.roles import Roles
from tui_elbo.engine.record.step_recorder import Collector
from tui_elbo.engine.runner import BURST_SECONDS, BURST_STEPS, Runner
from tui_elbo.engine.script.script_stepper import ScriptStepper
from tui_elbo.engine.script.step_arguments import FullBatch, ScriptSubject, Stepper, why_never
from tui_elbo.engine.server.server import Server
from tui_elbo.engine.tracebacks import error_text, trimmed
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.findings import finding_line
from tui_elbo.model.history import window
from tui_elbo.model.records import Batch, Column, Floats
from tui_elbo.model.text import safe
from tui_elbo.protocol import (
    AnyCommand,
    Capabilities,
    Event,
    FindingsChanged,
    Loaded,
    ParamInspected,
    RunFlagged,
    TrainingInfo,
)
from tui_elbo.protocol.run_state import RunState

ALONE_SECONDS = 1.0
"""What has been seen is sent after so many seconds without a terminal."""

ALONE_SHARE = 0.003
"""Of the time of a step, what sums of large parameters may take without a terminal."""

READ_SHARE = 0.005
"""Of the running time, what reading steps may take without a terminal."""

COURSE = 12
"""Numbers of a training's course in the list of all."""

CATCH_UP = 0.25
"""Seconds after which steps are sent that wait for others to come, while a terminal is there."""

SETTLING = 1.0
"""Seconds for which a step waits at most while the server's thread reads what is over."""

LAST_WORD = 0.5
"""Seconds for which the end of a script waits at most."""

WAKE = 1.0
"""Seconds after which a held script looks around, should a signal have come as it went to sleep."""

NOTES = """\
This is a script's own loop, which calls `svi.step` itself.

- `space`, `n`, `u`: hold it, step it, let it run until something happens.
- What moved log p is seen by the lens, which looks between two steps, and only while a terminal is
  there. Where each step is called with other data, it looks at those of some steps, or at
  `watch(svi, full_batch=…)`.
- It cannot go back, and its settings are its own.
- `d` and `q` leave it going; so does a lost line. A script that was held goes on then.
"""

NO_LENS = "the script watches this SVI without a lens"
"""Why the lens of a script is off, if it is."""

CAPABILITIES = Capabilities(
    rewind="a script's own loop cannot go back; , and . look at earlier steps",
    tune="the settings of a script are its own",
    step_into="a script's own loop is stepped as a whole: n takes a step",
    finish="a script knows by itself where it ends; space lets it run",
    restart="a script cannot be restarted from here: start it anew where it runs",
    reload="a script cannot be reloaded from here: start it anew where it runs",
    save="the run of a script cannot be saved; x exports its numbers",
)

ITS_OWN = "this is a script's own loop: it can be held, stepped and let go on, and nothing else"


class Trainings(Protocol):
    """All trainings of a process, one of which is shown."""

    server: Server

    def attends(self, source: ScriptSource) -> bool:
        """Whether a terminal is there that is shown this one."""

    def stepping(self, source: ScriptSource) -> bool:
        """This one is about to take a step; whether a terminal is there that is shown it."""

    def others(self, source: ScriptSource) -> Sequence[ScriptSource]:
        """Those that are watched besides this one."""


class ScriptSource:
    """Stands between a script's `svi.step` and the terminals.

    Args:
        svi: what the script's loop drives; it is held weakly.
        script: the script's file.
        trainings: all those of the process.
        lens: whether it may be looked at through the lens; "in-process": without a fork where
            none can be used, which may disturb the training.
        findings: whether faults are printed on stderr while no terminal is attached.
        checks: whether to look for faults before the first step.
        held: whether to wait before the first step until a person lets it go on.
        full_batch: all the data, where the steps are called with minibatches.
    """

    notes = NOTES
    """What the notes of the run say."""

    def __init__(
        self,
        svi: SVI | None,
        script: Path,
        trainings: Trainings,
        *,
        lens: bool | str = True,
        findings: bool = True,
        checks: bool = True,
        held: bool = False,
        full_batch: FullBatch | None = None,
    ) -> None:
        self._full_batch = full_batch
        self._trainings, self.server = trainings, trainings.server
        self.state = RunState()
        """What is known of this training; the server's thread writes it."""
        self.number = 0
        """Its number among the trainings of the process."""
        self.owner: Callable[[], Any] = lambda: None
        """What it lives as long as; None once that is gone."""
        self._closed = self._standing = False
        self.last_step = 0.0
        """When its last step ended, by `time.perf_counter`."""
        self._settling = False
        """Whether the server's thread reads what is over."""
        self._catches_up = False
        """Whether the server's thread is going to send what waits."""
        self._left = 0.0
        """When the script has gone on, after a step before one that is timed."""
        self._inside = threading.Lock()
        self._flushed = time.perf_counter()
        self._suspects = NonFiniteFinder()
        self._step_seconds = 0.0
        self._reported_failure = False
        self._attended = False
        """Whether a terminal's breakpoints and pauses count."""
        self._visited = False
        """Whether a terminal is there, or was, and what it left behind has not been put away."""
        self._following = False
        self._assumed = ""
        """What the lens assumes of the data, in words."""
        self._newest: Sequence[Batch] = ()
        self._unchecked = checks
        self._prints, self._printed = findings, set[object]()
        self._runner = Runner(self, self._send, self._wake)
        self._collector = Collector()
        self._collector.observe = self._runner.monitor.observe
        self._stepper, self._subject = self._make(svi, lens=bool(lens))
        stepper: Stepper = self._stepper
        self._elsewhere: tuple[object, frozenset[str]] = (), frozenset()
        stepper.params.roles.read_elsewhere = self._read_elsewhere
        self._runner.due = self._alone_due = Budget(ALONE_SHARE)
        self._turns = Turns(READ_SHARE)
        self._runner.monitor.follow(lambda: stepper.optim, 0)
        self._in_process = lens == "in-process"
        self._script, self._lens = script, bool(lens)
        self._guide_name = self._name_guide(svi)
        self._introduce()
        self._runner.running = not held
        self._runner.send_status()

    def _make(self, training: Any, *, lens: bool) -> tuple[Stepper, ScriptSubject]:
        """What reads the steps, and what the lens follows."""
        self._svi_stepper = stepper = ScriptStepper(training, self._runner.options)
        never = why_never(training, stepper.elbo) if lens else "It is watched without a lens"
        return stepper, ScriptSubject(training, stepper, never, self._full_batch)

    def _read_elsewhere(self) -> frozenset[str]:
        """The parameters that other trainings of the process read."""
        others = self._trainings.others(self)
        if not others:
            return frozenset()
        key = [(one.number, *one.roles.known) for one in others]
        if key != self._elsewhere[0]:
            self._elsewhere = key, frozenset().union(*(one.roles.names for one in others))
        return self._elsewhere[1]

    @property
    def roles(self) -> Roles:
        """Who reads which parameter."""
        return self._stepper.params.roles

    def _name_guide(self, training: Any) -> str:
        return describe.callable_name(training.guide)

    def _introduce(self) -> None:
        """Send what this run is; its steps begin."""
        script, about = self._script, (self._stepper.estimator, self._stepper.optimizer)
        title = "a script's own loop"
        allowed = CAPABILITIES if self._lens else replace(CAPABILITIES, lens=NO_LENS)
        self._send(
            Loaded(
                *(script.name, str(script), title, self.notes, 0, 0, *about, {}),
                watched=True,
                capabilities=allowed,
            )
        )

    # The script's thread.

    def step(self, take: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """In place of the SVI's own `step`, which is `take`."""
        if self._closed or not self.server.is_ours:
            return take(*args, **kwargs)  # in a worker that was forked: not this run's
        if not self._enter():
            return take(*args, **kwargs)  # by a second thread: not this run's
        try:
            attended = self._trainings.stepping(self)
            alone = not (attended or self._visited) and self._runner.running
            if alone and self._skims():
                return self._skim(take, args, kwargs)
            return self._step_whole(take, args, kwargs, alone=alone)
        finally:
            if self._closed and self.server.is_ours:
                self._close_lens()
            self._inside.release()

    def _step_whole(self, take: Callable[..., Any], args: Any, kwargs: Any, *, alone: bool) -> Any:
        """Take a step that is read whole."""
        entered, runner, timer = time.perf_counter(), self._runner, self._runner.options.timer
        between = entered - self._left if timer.on and self._left else None
        if self._unchecked:
            self._guarded(self._check, args, kwargs)
        if not alone:
            self._attend(args, kwargs)
        due = runner.due.at(self._stepper.taken + 1)
        try:
            result, seen = self._svi_stepper.step(take, args, kwargs, due=due, between=between)
        except Exception as error:
            if self.server.is_ours:
                self._guarded(self._raised, error)
            raise
        if not self.server.is_ours:
            return result  # in a child that the model has forked: not this run's
        self.last_step = time.perf_counter()
        if seen is not None:
            self._step_seconds = seen.seconds
            runner.due.took(seen.watching if due else 0.0, seen.seconds)
            self._collector.add(seen)
        self._guarded(self._after_step, alone)
        # The first step also pays for what is only set up once.
        if alone and seen is not None and self._stepper.taken > 1:
            plain = seen.seconds - seen.reading
            self._turns.read(time.perf_counter() - entered - plain, plain)
        if timer.on:
            self._left = time.perf_counter()
        return result

    def _skims(self) -> bool:
        """Whether no more than the loss is read of the next step."""
        collector, stepper = self._collector, self._svi_stepper
        if not (collector.may_skim and stepper.may_skim):
            return False
        return not self._turns.whole(stepper.taken + 1)

    def _skim(self, take: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Take a step of which no more is read than its loss, in few operations."""
        began = time.perf_counter()
        try:
            result = take(*args, **kwargs)
        except Exception as error:
            if self.server.is_ours:
                self._guarded(self._raised, error)
            raise
        self.last_step = ended = time.perf_counter()
        if self.server.is_ours:
            try:
                stepper, collector, seconds = self._svi_stepper, self._collector, ended - began
                loss = stepper.skimmed(result)
                collector.skim(stepper.taken, loss, seconds)
                self._turns.took(0.0, seconds)
                if not math.isfinite(loss):
                    self._turns.begin()
                if ended - self._flushed > ALONE_SECONDS or collector.pending >= BURST_STEPS:
                    self._after_step(alone=True)
            except Exception as error:
                self._give_up(error)
        return result

    def _enter(self) -> bool:
        """Begin to read a step; the server's thread may be about to leave, another does not."""
        free = self._inside.acquire(False)
        return free or (self._settling and self._inside.acquire(timeout=SETTLING))

    def evaluated(self, value: Any) -> None:
        """The loss has been evaluated without a step."""
        if not self._closed and self.server.is_ours:
            self._svi_stepper.unused.took(value)

    def _raised(self, error: Exception) -> None:
        """A step has failed: say why, as far as that can be told."""
        self._flush()
        text = f"{trimmed(error)}\n{error_text(error)}"
        failure = Failure(self._stepper.taken + 1, text)
        skimmed = bool(self._newest) and self._newest[-1].layout.skimmed
        self._runner.monitor.failed(failure, self._present() if skimmed else None)

    def _present(self) -> dict[Column, float]:
        """The elements of the small parameters as they are now."""
        found = {}
        for name, record in self._stepper.params.present().items():
            for element, value in enumerate(np.ravel(record.value).tolist()):
                found[Column("param", name, f"value[{element}]")] = float(value)
        return found

    def close(self, patience: float = LAST_WORD) -> None:
        """The loop is over, or shall be watched no more.

        Args:
            patience: seconds for which a look for faults that is under way is waited for.
        """
        if self.server.is_ours and not self._closed:
            self._closed = True
            self.let_go()
            self._runner.checker.wait(patience)
            # A thread that steps for long is not waited for.
            if self._inside.acquire(timeout=patience):
                self._guarded(self._finish)
                self._guarded(self._flush)
                self._guarded(self._runner.monitor.judge)
                self._close_lens()
                self._inside.release()

    def _finish(self) -> None:
        """Read what is over and has not been read yet."""

    @property
    def closed(self) -> bool:
        """Whether it is watched no more."""
        return self._closed

    @property
    def held(self) -> bool:
        """Whether a person has it stand still."""
        return not self._runner.running

    @property
    def stands(self) -> bool:
        """Whether the script stands still before its next step."""
        return self._standing

    @property
    def _attached(self) -> bool:
        return self._trainings.attends(self)

    def _check(self, args: Any, kwargs: Any) -> None:
        """Look for faults before the first step, in a forked copy."""
        self._unchecked = False
        subject = self._subject.checked(args, kwargs)
        if subject is not None:
            self._runner.checker.follow(subject)

    def _attend(self, args: Any, kwargs: Any) -> None:
        """Somebody is there, or was: see what is wanted before the next step."""
        runner = self._runner
        if self._attached and not self._attended:
            with runner.changed:
                self._attended = True
                if runner.due is self._alone_due:
                    runner.due = Budget()
                runner.update_recording()
        self._follow(args, kwargs)
        self._look()
        if not runner.running:
            self._hold()
        if self._following:
            self._subject.keep_state(self._step_seconds)

    def _follow(self, args: Any, kwargs: Any) -> None:
        """Have the lens follow the script, once it is known what its steps are called with."""
        runner, subject = self._runner, self._subject
        if not self._wants_lens:
            if self._visited:
                self._visited = False
                runner.lens.rest()
                subject.rest()
            return
        self._visited = True
        try:
            subject.called(args, kwargs)
            if subject.unseen:
                self._refuse()
            elif subject.waiting:
                self._following = False
                runner.lens.refuse(subject, subject.waiting)
            elif subject.known and not self._following:
                self._say_data(subject.note)
                initial = self._stepper.initial_params
                runner.lens.follow(subject, None, initial, in_process=self._in_process)
                runner.lens.learn(self._newest)
                self._following = True
                runner.lens.stands()
        except Exception as error:
            self._lens_failed(error)

    def _say_data(self, note: str) -> None:
        """Say what the lens assumes of the data."""
        if note != self._assumed:
            self._assumed = note
            self._send(RunFlagged("minibatches", note))

    def _look(self) -> None:
        """Look through the lens, if that is due: what has been seen before is sent before."""
        if self._owes_look():
            if not self._subject.check_data():
                self._following = False
                self._runner.lens.refuse(self._subject, self._subject.waiting)
                return
            self._guarded(self._flush)
            try:
                self._runner.lens.start()
            except Exception as error:
                self._lens_failed(error)

    @property
    def _wants_lens(self) -> bool:
        return self._attached and not self._closed

    def _owes_look(self) -> bool:
        return self._wants_lens and not self._stepper.failed and self._runner.lens.owed

    def _refuse(self) -> None:
        self._following = False
        self._runner.lens.refuse(self._subject, self._subject.unseen)

    def _lens_failed(self, error: Exception) -> None:
        self._subject.refuse(f"The lens cannot look: {error_text(error)}")
        self._refuse()

    def _close_lens(self) -> None:
        """Look no more, and keep nothing of the script's."""
        self._following = False
        self._runner.lens.leave()
        self._subject.forget()

    def _hold(self) -> None:
        """Stand still for as long as a person wants it."""
        runner = self._runner
        self._guarded(self._flush)
        if self._wants_lens and (why := self._subject.waiting_held):
            runner.lens.refuse(self._subject, why)
        runner.lens.stands()
        self._standing = True
        try:
            while not runner.running:
                self._look()
                with runner.changed:
                    if not runner.running and not self._owes_look():
                        runner.changed.wait(WAKE)
        finally:
            self._standing = False
        self._flushed = time.perf_counter()

    def _guarded(self, act: Callable[..., object], *args: Any) -> None:
        """Whatever goes wrong, the training goes on."""
        try:
            act(*args)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Something is wrong with the watching itself."""
        self.let_go()
        self._stepper.failed = f"elbo-tui can read this run no further: {error_text(error)}"
        self._send_error(self._stepper.failed, "step")

    def _after_step(self, alone: bool) -> None:
        """Send what has been seen, where that is due: after most of a script's steps it is not."""
        runner, pending = self._runner, self._collector.pending
        since = time.perf_counter() - self._flushed
        patience = ALONE_SECONDS if alone or not self._attached else BURST_SECONDS
        due = since > patience or pending >= BURST_STEPS
        if alone:
            if due:
                self._flush(seconds=since)
                self._turns.took(time.perf_counter() - self._flushed, 0.0)
            return
        test = runner.stops.test if self._attended else None
        met = bool(test and pending and self._collector.newest_meets(test))
        ends = met or not runner.running or runner.reached(self._stepper.taken)
        if due or ends or (runner.by_hand and runner.lens.each):
            runner.stepped(self._flush(seconds=since), since, met=met)
            runner.send_status()
        elif not self._catches_up:
            self._catches_up = True
            self.server.call_later(CATCH_UP, self._catch_up)

    def _flush(self, seconds: float = 0.0) -> int:
        """Send the steps that have been seen; returns how many."""
        batches = self._collector.flush()
        self._flushed = time.perf_counter()
        self._newest = batches[-1:] or self._newest
        steps = self._runner.send_steps(batches, seconds)
        sound = not self._suspects.first
        for batch in batches:
            self._suspects.look(batch)
        if sound and self._suspects.first:
            self._send_error(self._suspects.first, "nonfinite")
        if self._stepper.failed and not self._reported_failure:
            self._reported_failure = True
            self._send_error(self._stepper.failed, "step")
        self._runner.monitor.stepped()
        self._runner.send_inspected()
        self._runner.send_status()
        return steps

    # What the runner asks.

    @property
    def steps_taken(self) -> int:
        """How many steps have been taken since the script is watched."""
        return self._stepper.taken

    def status(self) -> tuple[str, int, int]:
        """What state a run that is held is in, and the newest step sent; it has no checkpoints."""
        return "paused", self._runner.newest, 0

    def inspected(self) -> ParamInspected | None:
        """The parameter that is inspected."""
        name = self._runner.options.inspected
        return inspected(name, self._stepper.taken, self._stepper.params)

    def carry_out(self, command: AnyCommand) -> None:  # noqa: ARG002
        """A script's loop can do no more than any."""
        raise UsageError(ITS_OWN)

    # The server's thread.

    def described(self) -> TrainingInfo:
        """Its line in the list of all trainings, as far as its steps have been sent."""
        history, step = self.state.history, self.state.step
        layout = history.layout_at(step) if step else None
        loss = Column("step", "", "loss")
        known = layout is not None and loss in layout.index
        newest = float(history.values(loss)[step - 1]) if known else None
        return TrainingInfo(
            *(self.number, self._guide_name, *self.state.settings, step, newest),
            ended=self._closed,
            course=_course(history.values(loss)) if known else (),
        )

    def refuse(self, what: str) -> None:
        """A command cannot be carried out."""
        self._send_error(what, "refused")
        self._runner.send_status()

    def deliver(self, command: AnyCommand) -> None:
        """Do what the terminal asks."""
        runner = self._runner
        with runner.changed:
            runner.seq = command.seq
            try:
                runner.carry_out(command)
            except ElboError as error:
                self._send_error(error.what, "refused", error.hint)
            runner.changed.notify_all()
        runner.send_status()

    def _catch_up(self) -> None:
        """The script may take no step for long: its last ones are shown nevertheless."""
        self._catches_up = False
        if self._collector.pending and not self._closed:
            self.catch_up()

    def catch_up(self) -> None:
        """Send what has been seen, unless a step is under way, which then does it."""
        self._settling = True
        try:
            if self._inside.acquire(blocking=False):
                try:
                    self._guarded(self._flush)
                finally:
                    self._inside.release()
        finally:
            self._settling = False

    def shown(self, seq: int) -> None:
        """It is shown from now on, to a terminal whose newest command has this number."""
        self._runner.seq = seq
        self._runner.send_status()

    def hold(self) -> None:
        """Stand still before the next step."""
        runner = self._runner
        with runner.changed:
            runner.pause()
        runner.send_status()

    def let_go(self) -> None:
        """The person has gone: nobody would let the script go on. Breakpoints sleep."""
        runner = self._runner
        with runner.changed:
            runner.running, runner.target, runner.by_hand = True, None, False
            runner.due = self._alone_due
            self._attended = False
            runner.stops.rest()
            runner.changed.notify_all()
        runner.send_status()

    def _wake(self) -> None:
        """The lens has an answer."""
        with self._runner.changed:
            self._runner.changed.notify_all()

    def _send(self, event: Event) -> None:
        """Send it; a fault that is found where nobody is there to see it is said on stderr."""
        self.server.send(event, self.state)
        findings = event.findings if isinstance(event, FindingsChanged) else ()
        for finding in findings:
            if finding.level != "note" and finding.key not in self._printed:
                self._printed.add(finding.key)
                if self._prints and not self._attached:
                    text = safe(finding_line(finding), lines=True)
                    print(f"elbo-tui: {text}", file=sys.stderr, flush=True)

    def _send_error(self, what: str, kind: str, hint: str = "") -> None:
        self._runner.send_error(kind, ElboError(what, hint=hint), self._stepper.taken)


def _course(losses: Floats) -> tuple[float, ...]:
    """A few numbers for a curve as wide as a word."""
    sample = losses[:: -(-len(losses) // (8 * COURSE))]
    return tuple(window(sample, 1, len(sample), COURSE).mean.tolist())
