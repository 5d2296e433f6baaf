"""A script's own loop as a live run: seen, held and let go on, never changed.

The script's thread takes the steps; commands are obeyed by the lobby's thread, at once: so a script
that does something else between two steps still answers. It is held only by a person who asked for
it, and let go when that person goes away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyro.infer import SVI

from tui_elbo.conditions import parse
from tui_elbo.engine.observer.due import Always, Budget, Due
from tui_elbo.engine.observer.inspection import inspected
from tui_elbo.engine.observer.suspects import Suspects
from tui_elbo.engine.run.blame import said
from tui_elbo.engine.run.stops import Stops
from tui_elbo.engine.serving.guest import Manners
from tui_elbo.engine.serving.lobby import Lobby
from tui_elbo.engine.serving.reader import Reader
from tui_elbo.engine.serving.telling import Teller
from tui_elbo.errors import ElboError, UsageError
from tui_elbo.protocol import (
    AnyCommand,
    Break,
    Fault,
    Inspect,
    Level,
    Loaded,
    Met,
    Pause,
    Run,
    Step,
    Watch,
)

BURST_SECONDS, ALONE_SECONDS, BURST_STEPS = 0.05, 1.0, 2000
"""What has been seen is told after so many seconds, with and without a terminal, or steps."""

WAKE = 1.0
"""Seconds after which a held script looks around, should a signal have come as it went to sleep."""

LAST_WORD = 0.5
"""Seconds for which the end of a script waits at most."""

NOTES = """\
This is a script's own loop, which calls `svi.step` itself.

- `space`, `n`, `u`: hold it, step it, let it run until something happens.
- It cannot go back, and its settings are its own.
- `d` and `q` leave it going; so does a lost line. A script that was held goes on then.
"""

ITS_OWN = "this is a script's own loop: it can be held, stepped and let go on, and nothing else"
REFUSES_END = "the run belongs to a script, which ends by itself or where it was started"


class Watching:
    """Stands between a script's `svi.step` and the terminals.

    Args:
        svi: what the script's loop drives.
        script: the script's file.

    Raises:
        UsageError: if no terminal can find the run.
    """

    def __init__(self, svi: SVI, script: Path) -> None:
        self._state = threading.Condition()
        self._take: Callable[..., Any] = svi.step
        self._running, self._seq = True, 0
        self._target: int | None = None
        self._stops = Stops()
        self._watched: frozenset[str] = frozenset()
        self._due: Due = Budget()
        self._inside = threading.Lock()
        self._flushed = time.perf_counter()
        self._pending = 0
        self._suspects = Suspects()
        self._rate, self._told_failure = 0.0, False
        self.lobby = Lobby(self._obey, Manners(stays=True, refuses_end=REFUSES_END), self._let_go)
        self._teller = Teller(self.lobby.send)
        self._reader = Reader(svi, lambda text: self._teller.remark(text, "elbo-tui"))
        why = self.lobby.open(script.stem)
        if why:
            raise UsageError(why)
        about = (self._reader.estimator, self._reader.optimizer)
        title = "a script's own loop"
        self.lobby.send(
            Loaded(script.name, str(script), title, NOTES, 0, 0, *about, {}, watched=True)
        )
        self._level()
        self.lobby.start()

    # The script's thread.

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the SVI's own `step`."""
        if not self.lobby.is_ours or not self._inside.acquire(blocking=False):
            # A worker that was forked, or a second thread: its steps are not this run's.
            return self._take(*args, **kwargs)
        try:
            self._hold()
            step = self._reader.taken + 1
            due = self._due.at(step)
            result, seen = self._reader.step(self._take, args, kwargs, due=due)
            if seen is not None:
                self._due.took(seen.watching if due else 0.0, seen.seconds)
                self._reader.collector.add(seen)
                self._pending += 1
            try:
                self._took(step)
            except Exception as error:  # whatever it is, the training goes on
                self._give_up(error)
            return result
        finally:
            self._inside.release()

    def close(self) -> None:
        """The loop is over, or shall be watched no more."""
        if self.lobby.is_ours:
            # A thread that is held, or steps for long, is not waited for.
            if self._inside.acquire(timeout=LAST_WORD):
                self._flush()
                self._inside.release()
            self.lobby.close(patience=LAST_WORD)

    def _hold(self) -> None:
        """Stand still for as long as a person wants it."""
        if self._running:
            return
        self._flush()
        with self._state:
            while not self._running:
                self._state.wait(WAKE)
        self._flushed = time.perf_counter()

    def _took(self, step: int) -> None:
        with self._state:
            if self._target is not None and step >= self._target:
                self._running = False
            if self._pending and self._is_met():
                self._running = False
        patience = BURST_SECONDS if self.lobby.attached else ALONE_SECONDS
        since = time.perf_counter() - self._flushed
        if since > patience or self._pending >= BURST_STEPS or not self._running:
            self._rate = self._pending / since
            self._flush()

    def _is_met(self) -> bool:
        """Whether the newest step is one that the person wants to stop on; tells why."""
        meets = self._stops.meets
        if meets is None or not self._reader.collector.newest_meets(meets):
            return False
        self._flush()
        self.lobby.send(Met(self._reader.taken, self._stops.found))
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
        self._teller.rows(batches)
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
            self.lobby.send(inspected(name, self._reader.taken, params))
        self._level()

    # The lobby's thread.

    def _obey(self, command: AnyCommand) -> None:
        self._seq = command.seq
        with self._state:
            try:
                self._act(command)
            except ElboError as error:
                self._refuse(error)
            self._state.notify_all()
        self._level()

    def _act(self, command: AnyCommand) -> None:
        taken = self._reader.taken
        match command:
            case Pause():
                self._running = False
            case Run():
                self._run(command)
            case Step():
                by_hand = self._running and self._target is not None
                begin = self._target if by_hand and self._target is not None else taken
                self._stops.condition, self._due = None, Always()
                self._target, self._running = begin + max(command.count, 1), True
            case Break():
                self._stops.put(command.points)
                self._record_whole()
            case Watch():
                self._watched = frozenset(command.names)
                self._record_whole()
            case Inspect():
                self._reader.wanted.inspected = command.name
            case _:
                raise UsageError(ITS_OWN)

    def _run(self, command: Run) -> None:
        condition = None if command.condition is None else parse(command.condition)
        if condition is not None and self._teller.layout is not None:
            condition.check(self._teller.layout)
        self._stops.condition, self._target, self._due = condition, command.until, Budget()
        self._record_whole()
        self._running = command.until is None or command.until > self._reader.taken

    def _record_whole(self) -> None:
        """Record whole what the person watches, and what is read to know where to stop."""
        self._reader.wanted.watched = self._watched | self._stops.params
        if self._stops.reads_params:
            self._due = Always()

    def _let_go(self) -> None:
        """The person has gone: nobody would let the script go on."""
        with self._state:
            self._running, self._target, self._due = True, None, Budget()
            self._stops = Stops()
            self._state.notify_all()
        self._level()

    def _refuse(self, error: ElboError) -> None:
        self._fault(error.what, "refused", error.todo)

    def _fault(self, what: str, kind: str, todo: str = "") -> None:
        self.lobby.send(Fault(what, "", todo, "", self._reader.taken, kind))

    def _level(self) -> None:
        state = "running" if self._running else "paused"
        target = self._target if self._running else None
        rate = self._rate if self._running else 0.0
        self.lobby.send(Level(state, self._teller.step, target, rate, self._seq))
