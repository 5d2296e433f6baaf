"""All trainings of a process behind one server: a terminal is shown the one that steps."""

from __future__ import annotations

import atexit
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pyro.infer import ELBO, SVI
from torch.optim import Optimizer

from tui_elbo.engine.script import elbo_hook, svi_hook
from tui_elbo.engine.script.elbo_hook import Take
from tui_elbo.engine.script.loop_source import Call, LoopSource, anchor
from tui_elbo.engine.script.script_source import LAST_WORD, ScriptSource
from tui_elbo.engine.server.server import Server, ServerOptions
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import AnyCommand, EngineBusy, Pause, RunStatus, RunUntil, Step

REFUSES_END = "the run belongs to a script, which ends by itself or where it was started"

MOST = 64
"""Trainings that are watched at a time; of more, the one that has not stepped for longest is let
go. If it steps again it is watched anew."""

CHECKED = 8
"""Of a process, the trainings that are looked at for faults before their first step, in a fork."""

OTHERS, OTHERS_SECONDS = 10, 2.0
"""Another training is shown once the shown one has not stepped for so many steps of others and so
many seconds: trainings that alternate do not change places on the screen."""

PATIENCE = 5.0
"""Seconds after which it is said that nothing has been seen yet."""

WAITING = "the script has imported Pyro: waiting for its first step"
NOTHING_YET = "no ELBO has been evaluated yet"
NO_STEP_YET = "an ELBO has been evaluated, and no step has been taken yet"


class ScriptSession:
    """The trainings of this process.

    Args:
        script: names the run.
        watches_all: whether each SVI that steps is watched, or only those that are added.
        hold: whether the first training waits before its first step.
        stream: a terminal that is there from the beginning.
        output: the descriptor that output is read from, if any.

    Raises:
        UsageError: if no terminal can find it, and none is there.
    """

    def __init__(
        self,
        script: Path,
        *,
        watches_all: bool = False,
        hold: bool = False,
        stream: socket.socket | None = None,
        output: int = -1,
    ) -> None:
        self.script, self.watches_all = script, watches_all
        self._hold, self._seq, self._others, self._count = hold, 0, 0, 0
        self._lock = threading.RLock()
        self._sources: dict[int, tuple[weakref.ref[Any], ScriptSource]] = {}
        self._shown: ScriptSource | None = None
        self._closed = self._evaluated = False
        self.launched = stream is not None
        """Whether it was begun with the process, by `elbo-tui watch`, and ends with it."""
        options = ServerOptions(stays=True, refuses_end=REFUSES_END, sends_output=output >= 0)
        self.server = Server(self._deliver, options, self._left)
        why = self.server.open(script.stem)
        if why and stream is None:
            self.server.close()
            raise UsageError(why)
        if watches_all:
            self.server.send(EngineBusy(WAITING))
        self.server.start_within(stream, output)
        if watches_all:
            self.server.call_later(PATIENCE, self._say_nothing_yet)
        atexit.register(self.close)

    @property
    def id(self) -> str:
        """What `elbo-tui attach` finds it by."""
        return self.server.id

    @property
    def count(self) -> int:
        """How many trainings are watched."""
        return len(self._sources)

    def attends(self, source: ScriptSource) -> bool:
        """Whether a terminal is there that is shown this one."""
        return self._shown is source and self.server.attached

    def known(self, svi: SVI) -> ScriptSource | None:
        """What watches this SVI, if anything does."""
        entry = self._sources.get(id(svi))
        return entry[1] if entry is not None else None

    # As an `Observer`: in the script's thread.

    def evaluate(self, elbo: ELBO, entry: str, take: Take, args: Any, kwargs: Any) -> Any:
        """An estimator is evaluated outside of `SVI.step`."""
        trains = entry != "loss" and torch.is_grad_enabled()
        source: ScriptSource | None = None
        # The script goes on, whatever is wrong with the watching.
        with suppress(Exception):
            call = Call(*args, **kwargs)
            source = self._loop(elbo, call.guide, trains=trains)
        if source is None:
            return take()
        if trains and isinstance(source, LoopSource):
            return source.evaluate(elbo, take, call)
        value = take()
        with suppress(Exception):
            source.evaluated(value)
        return value

    def updating(self, optimizer: Optimizer) -> None:
        """An optimiser's step begins."""
        for source in self._loops():
            source.updating(optimizer)

    def updated(self, optimizer: Optimizer) -> None:
        """An optimiser's step has ended."""
        for source in self._loops():
            source.updated(optimizer)

    def _loops(self) -> list[LoopSource]:
        return [one for _, one in list(self._sources.values()) if isinstance(one, LoopSource)]

    def _loop(self, elbo: ELBO, guide: Any, *, trains: bool) -> ScriptSource | None:
        """The training that an evaluation with this guide belongs to, if any."""
        if self._closed or not self.server.is_ours:
            return None
        self._evaluated = True
        owner = anchor(guide)
        known = self._sources.get(id(owner))
        if known is not None:
            return known[1]
        if not trains:
            svis = [(ref(), source) for ref, source in list(self._sources.values())]
            same = (one for svi, one in svis if anchor(getattr(svi, "guide", None)) is owner)
            return next(same, None)
        if not self.watches_all:
            return None
        make = partial(LoopSource, guide, elbo)
        return self._add(owner, make)

    def source(self, svi: SVI) -> ScriptSource | None:
        """What watches this SVI as it is about to step; None: nothing does."""
        source = self.known(svi)
        if source is None and self.watches_all and not self._closed and self.server.is_ours:
            source = self.add(svi)
        return source

    def add(
        self, svi: SVI, name: str = "", *, lens: bool | str = True, findings: bool = True
    ) -> ScriptSource:
        """Watch this SVI from now on."""
        with self._lock:
            known = self.known(svi)
            if known is not None:
                return known
            make = partial(ScriptSource, svi, lens=lens, findings=findings)
            return self._add(svi, make, name)

    def _add(self, owner: Any, make: Callable[..., ScriptSource], name: str = "") -> ScriptSource:
        """Watch a training for as long as its owner lives."""
        with self._lock:
            if len(self._sources) >= MOST:
                self._drop_oldest()
            self._count += 1
            script = Path(name) if name else self.script
            if not name and self._count > 1:
                script = script.with_name(f"{script.name} #{self._count}")
            source = make(
                script=script,
                trainings=self,
                checks=self._count <= CHECKED,
                held=self._hold and self._shown is None,
            )
            ref = weakref.ref(owner, partial(self._collected, id(owner)))
            self._sources[id(owner)] = ref, source
            if self._shown is None:
                self._show(source)
            return source

    def stepping(self, source: ScriptSource) -> None:
        """This one is about to take a step: show it if the one that is shown does so no more."""
        shown = self._shown
        if shown is source:
            self._others = 0
            return
        self._others += 1
        if shown is not None and not shown.closed and shown.last_step:
            idle = time.perf_counter() - shown.last_step
            if shown.held or self._others < OTHERS or idle < OTHERS_SECONDS:
                return
        with self._lock:
            self._show(source)

    def remove(self, source: ScriptSource) -> None:
        """Watch it no more; with the last one the session ends, unless all are watched."""
        with self._lock:
            for key, (_, one) in list(self._sources.items()):
                if one is source:
                    del self._sources[key]
        source.close()
        if not self._sources and not self.watches_all:
            self.close()
        elif self._shown is source and self._sources:
            with self._lock:
                self._show(next(iter(self._sources.values()))[1])

    def close(self) -> None:
        """The process ends, or nothing is watched any more."""
        if self._closed or not self.server.is_ours:
            return
        self._closed = True
        atexit.unregister(self.close)
        for _, source in list(self._sources.values()):
            source.close(LAST_WORD if source is self._shown else 0.0)
        self._sources.clear()
        svi_hook.restore(self.source)
        if elbo_hook.observed_by(self):
            elbo_hook.restore()
        self.server.close(patience=LAST_WORD)

    @property
    def closed(self) -> bool:
        """Whether nothing can be watched in it any more."""
        return self._closed

    def _show(self, source: ScriptSource) -> None:
        before, self._shown, self._others = self._shown, source, 0
        if before is not None and not before.closed:
            before.let_go()
        self.server.show(source.state)
        source.shown(self._seq)

    def _drop_oldest(self) -> None:
        key = min(self._sources, key=lambda one: self._sources[one][1].last_step)
        _, source = self._sources.pop(key)
        self.server.call(partial(source.close, 0.0))

    def _collected(self, key: int, ref: weakref.ref[Any]) -> None:
        """Nobody holds what it belongs to any more; called wherever the last reference goes."""
        entry = self._sources.get(key)
        if entry is not None and entry[0] is ref:
            del self._sources[key]
            self.server.call(partial(entry[1].close, 0.0))

    # The server's thread.

    def _deliver(self, command: AnyCommand) -> None:
        with self._lock:
            self._seq, shown = command.seq, self._shown
            if shown is None:
                if isinstance(command, Pause | Step):
                    self._hold = True
                elif isinstance(command, RunUntil):
                    self._hold = False
                state = "paused" if self._hold else "running"
                self.server.send(RunStatus(state, 0, None, 0.0, self._seq))
        if shown is not None:
            shown.deliver(command)

    def _left(self) -> None:
        """The terminal has gone."""
        self._hold = False
        if self._shown is not None and not self._shown.closed:
            self._shown.let_go()

    def _say_nothing_yet(self) -> None:
        if self._shown is None:
            self.server.send(EngineBusy(NO_STEP_YET if self._evaluated else NOTHING_YET))


_current: ScriptSession | None = None
_lock = threading.Lock()


def current() -> ScriptSession | None:
    """The session of this process, or of the one that it was forked from; None without one."""
    return _current if _current is not None and not _current.closed else None


def begin(
    script: Path,
    *,
    watches_all: bool = False,
    hold: bool = False,
    stream: socket.socket | None = None,
    output: int = -1,
) -> ScriptSession:
    """Begin the session of this process, if it has none; the arguments are those of a session.

    Raises:
        UsageError: if no terminal can find it.
    """
    global _current  # noqa: PLW0603 - a process has one
    with _lock:
        session = current()
        if session is None or not session.server.is_ours:
            session = _current = ScriptSession(
                script, watches_all=watches_all, hold=hold, stream=stream, output=output
            )
        session.watches_all |= watches_all
        svi_hook.patch(SVI, session.source)
        if session.watches_all and not elbo_hook.observed_by(session):
            elbo_hook.patch(session)
        return session


def let_all_go() -> None:
    """End the session of this process, if it has one."""
    with suppress(Exception):
        if (session := current()) is not None:
            session.close()
