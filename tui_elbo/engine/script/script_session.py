"""A script's own loop as a live run: seen, held and let go on, never changed.

The script's thread takes the steps; commands are carried out by the server's thread, at once: so a
script that does something else between two steps still answers. It is held only by a person who
asked for it, and let go when that person goes away.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from pyro.infer import SVI

from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.record.inspection import inspected
from tui_elbo.engine.record.nonfinite import NonFiniteFinder
from tui_elbo.engine.script.run_control import RunControl
from tui_elbo.engine.script.script_lens import ScriptLens
from tui_elbo.engine.script.step_arguments import ScriptSubject
from tui_elbo.engine.script.step_recorder import StepRecorder
from tui_elbo.engine.server.event_emitter import EventEmitter
from tui_elbo.engine.server.server import Server, ServerOptions
from tui_elbo.engine.tracebacks import said
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.findings import finding_line
from tui_elbo.model.text import safe
from tui_elbo.protocol import (
    AnyCommand,
    Capabilities,
    ComputeGradients,
    ComputeImportanceBound,
    ConditionMet,
    DismissFinding,
    DrawPosterior,
    ErrorReported,
    Event,
    FindingsChanged,
    InspectParam,
    JudgeRun,
    Loaded,
    Pause,
    RunStatus,
    RunUntil,
    SetBreakpoints,
    Step,
    WatchParams,
)

BURST_SECONDS, ALONE_SECONDS, BURST_STEPS = 0.05, 1.0, 2000
"""What has been seen is sent after so many seconds, with and without a terminal, or steps."""

LAST_WORD = 0.5
"""Seconds for which the end of a script waits at most."""

NOTES = """\
This is a script's own loop, which calls `svi.step` itself.

- `space`, `n`, `u`: hold it, step it, let it run until something happens.
- What moved log p is seen where each step is called with the same data: the lens looks between two
  steps, and only while a terminal is there.
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
REFUSES_END = "the run belongs to a script, which ends by itself or where it was started"


class ScriptSession:
    """Stands between a script's `svi.step` and the terminals.

    Args:
        svi: what the script's loop drives.
        script: the script's file.
        lens: whether it may be looked at through the lens; "in-process": without a fork where
            none can be used, which may disturb the training.

    Raises:
        UsageError: if no terminal can find the run.
    """

    def __init__(self, svi: SVI, script: Path, *, lens: bool | str = True) -> None:
        self._take: Callable[..., Any] = svi.step
        self._seq, self._closed = 0, False
        self._inside = threading.Lock()
        self._flushed = time.perf_counter()
        self._pending = 0
        self._suspects = NonFiniteFinder()
        self._rate, self._told_failure = 0.0, False
        self._step_seconds = 0.0
        options = ServerOptions(stays=True, refuses_end=REFUSES_END)
        self.server = Server(self._obey, options, self._let_go)
        self._emitter = EventEmitter(self.server.send)
        self._reader = StepRecorder(svi)
        self._gate = RunControl(self.server.send, self._reader.wanted)
        self._subject = ScriptSubject(svi, self._reader, lens=bool(lens))
        self._checker, self._unchecked = Checker(self._found), True
        self._printed: set[object] = set()
        self._lens = ScriptLens(
            self._subject,
            self._reader,
            self.server.send,
            attached=lambda: self.server.attached and not self._closed,
            wake=self._gate.wake,
            in_process=lens == "in-process",
        )
        why = self.server.open(script.stem)
        if why:
            self.server.close()
            raise UsageError(why)
        about = (self._reader.estimator, self._reader.optimizer)
        title = "a script's own loop"
        allowed = CAPABILITIES if lens else replace(CAPABILITIES, lens=NO_LENS)
        self.server.send(
            Loaded(
                *(script.name, str(script), title, NOTES, 0, 0, *about, {}),
                watched=True,
                capabilities=allowed,
            )
        )
        self._level()
        self.server.start()

    # The script's thread.

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the SVI's own `step`."""
        if not self.server.is_ours:
            return self._take(*args, **kwargs)  # in a worker that was forked: not this run's
        if not self._inside.acquire(blocking=False):
            return self._take(*args, **kwargs)  # by a second thread: not this run's
        try:
            if self._unchecked:
                self._guarded(self._check, args, kwargs)
            alone = self._gate.running and not (self.server.attached or self._lens.seen)
            if not alone:
                self._attend(args, kwargs)
            step = self._reader.taken + 1
            due = self._gate.due.at(step)
            result, seen = self._reader.step(self._take, args, kwargs, due=due)
            if not self.server.is_ours:
                return result  # in a child that the model has forked: not this run's
            if seen is not None:
                self._step_seconds = seen.seconds
                self._gate.due.took(seen.watching if due else 0.0, seen.seconds)
                self._reader.collector.add(seen)
                self._pending += 1
            self._guarded(self._went_on if alone else self._took, step)
            return result
        finally:
            if self._closed and self.server.is_ours:
                self._lens.close()
            self._inside.release()

    def close(self) -> None:
        """The loop is over, or shall be watched no more."""
        if self.server.is_ours:
            self._closed = True
            self._let_go()
            # A thread that steps for long is not waited for.
            self._checker.wait(LAST_WORD)
            if self._inside.acquire(timeout=LAST_WORD):
                self._guarded(self._flush)
                self._lens.close()
                self._inside.release()
            self.server.close(patience=LAST_WORD)

    def _check(self, args: Any, kwargs: Any) -> None:
        """Look for faults before the first step, in a forked copy."""
        self._unchecked = False
        subject = self._subject.checked(args, kwargs)
        if subject is not None:
            self._checker.follow(subject)

    def _found(self, event: Event) -> None:
        """Send what was found; where nobody is there to see it, say it on stderr."""
        self.server.send(event)
        findings = event.findings if isinstance(event, FindingsChanged) else ()
        for finding in findings:
            if finding.level != "note" and finding.key not in self._printed:
                self._printed.add(finding.key)
                if not self.server.attached:
                    text = safe(finding_line(finding), lines=True)
                    print(f"elbo-tui: {text}", file=sys.stderr, flush=True)

    def _attend(self, args: Any, kwargs: Any) -> None:
        """Somebody is there, or was: see what is wanted before the next step."""
        if self.server.attached:
            self._gate.attend()
        self._lens.called(args, kwargs)
        self._hold()
        self._lens.keep_state(self._step_seconds)

    def _went_on(self, _step: int) -> None:
        """A step was taken with nobody there: most of a script's steps are, so this is short."""
        since = time.perf_counter() - self._flushed
        if since > ALONE_SECONDS or self._pending >= BURST_STEPS:
            self._rate = self._pending / since
            self._flush()

    def _hold(self) -> None:
        """Look, if that is due, and stand still for as long as a person wants it."""
        self._look()
        if self._gate.running:
            return
        self._guarded(self._flush)
        self._lens.stands()
        while not self._gate.running:
            self._look()
            self._gate.wait(lambda: self._lens.owed)
        self._flushed = time.perf_counter()

    def _look(self) -> None:
        """Look through the lens, if that is due: what has been seen before is sent before."""
        if self._lens.owed:
            self._guarded(self._flush)
            self._lens.look()

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        """Whatever goes wrong, the training goes on."""
        try:
            act(*args)
        except Exception as error:
            self._give_up(error)

    def _took(self, step: int) -> None:
        with self._gate.state:
            self._gate.took(step)
            if self._pending and self._is_met():
                self._gate.shut()
        patience = BURST_SECONDS if self.server.attached else ALONE_SECONDS
        since = time.perf_counter() - self._flushed
        due = since > patience or self._pending >= BURST_STEPS or not self._gate.running
        if due:
            self._rate = self._pending / since
            self._flush()
        if due or self._gate.by_hand:
            self._lens.stepped(since, by_hand=self._gate.by_hand)

    def _is_met(self) -> bool:
        """Whether the newest step is one that the person wants to stop on; tells why."""
        meets = self._gate.stops.meets if self._gate.awake else None
        if meets is None or not self._reader.collector.newest_meets(meets):
            return False
        self._flush()
        self.server.send(ConditionMet(self._reader.taken, self._gate.stops.found))
        return True

    def _give_up(self, error: Exception) -> None:
        """Something is wrong with the watching itself."""
        self._let_go()
        self._reader.failed = f"elbo-tui can read this run no further: {said(error)}"
        self._fault(self._reader.failed, "step")

    def _flush(self) -> None:
        """Tell what has been seen."""
        batches = self._reader.collector.flush()
        self._pending, self._flushed = 0, time.perf_counter()
        self._emitter.rows(batches)
        self._lens.learn(batches)
        sound = not self._suspects.first
        for batch in batches:
            self._suspects.look(batch)
        if sound and self._suspects.first:
            self._fault(self._suspects.first, "nonfinite")
        if self._reader.failed and not self._told_failure:
            self._told_failure = True
            self._fault(self._reader.failed, "step")
        if self._reader.wanted.inspected:
            name, params = self._reader.wanted.inspected, self._reader.params
            self.server.send(inspected(name, self._reader.taken, params))
        self._level()

    # The server's thread.

    def _obey(self, command: AnyCommand) -> None:
        self._seq = command.seq
        with self._gate.state:
            try:
                self._act(command)
            except ElboError as error:
                self._refuse(error)
            self._gate.state.notify_all()
        self._level()

    def _act(self, command: AnyCommand) -> None:
        taken = self._reader.taken
        match command:
            case Pause():
                self._gate.shut()
            case RunUntil():
                self._gate.run(taken, command, self._emitter.layout)
            case Step():
                self._gate.step(taken, command.count)
                self._lens.by_hand()
            case DismissFinding():
                self._checker.dismiss(command)
            case SetBreakpoints() | WatchParams():
                self._gate.subscribe(command)
            case InspectParam():
                self._reader.wanted.inspected = command.name
            case ComputeImportanceBound() | ComputeGradients() | DrawPosterior() | JudgeRun():
                self._lens.ask(command)
            case _:
                raise UsageError(ITS_OWN)

    def _let_go(self) -> None:
        """The person has gone: nobody would let the script go on."""
        with self._gate.state:
            self._gate.let_go()
            self._gate.state.notify_all()
        self._level()

    def _refuse(self, error: ElboError) -> None:
        self._fault(error.what, "refused", error.hint)

    def _fault(self, what: str, kind: str, hint: str = "") -> None:
        self.server.send(ErrorReported(what, "", hint, "", self._reader.taken, kind))

    def _level(self) -> None:
        running = self._gate.running
        state, target = ("running", self._gate.target) if running else ("paused", None)
        rate = self._rate if running else 0.0
        self.server.send(RunStatus(state, self._emitter.step, target, rate, self._seq))
