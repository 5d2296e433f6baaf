"""All trainings of a process behind one server: a terminal is shown the one that steps."""

from __future__ import annotations

import atexit
import socket
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from pyro.infer import CSIS, ELBO, SVI
from torch.optim import Optimizer

from tui_elbo.engine.script import elbo_hook, svi_hook
from tui_elbo.engine.script.elbo_hook import Take
from tui_elbo.engine.script.ended_training import EndedTraining
from tui_elbo.engine.script.loop_source import Call, LoopSource, anchor
from tui_elbo.engine.script.script_source import LAST_WORD, ScriptSource
from tui_elbo.engine.script.step_arguments import FullBatch
from tui_elbo.engine.server.server import Server, ServerOptions
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import (
    AnyCommand,
    EngineBusy,
    Pause,
    RunStatus,
    RunUntil,
    ShowTraining,
    Step,
    TrainingsListed,
    runtime_dir,
)
from tui_elbo.protocol.runtime_dir import EndedRun

_Wanted: TypeAlias = tuple[str, bool | str, bool, FullBatch | None]
"""The name, and the arguments `lens`, `findings` and `full_batch` of `watch`."""

REFUSES_END = "the run belongs to a script, which ends by itself or where it was started"

MOST = 64
"""Trainings that are watched at a time; of more, the one that has not stepped for longest is let
go. If it steps again it is watched anew."""

KEPT = 8
"""Trainings that are over and can still be looked at."""

CHECKED = 8
"""Of a process, the trainings that are looked at for faults before their first step, in a fork."""

OTHERS, OTHERS_SECONDS = 10, 2.0
"""Another training is shown once the shown one has not stepped for so many steps of others and so
many seconds: trainings that alternate do not change places on the screen."""

LIST_SECONDS = 1.0
"""The list of several trainings is sent after so many seconds, if a step has been taken."""

MOST_SAID = 200
"""Characters of what a script has raised at its end."""

PATIENCE = 5.0
"""Seconds after which it is said that nothing has been seen yet."""

WAITING = "the script has imported Pyro: waiting for its first step"
ENDED = "this training is not kept any more: T lists those that are"
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
        self._shown: ScriptSource | EndedTraining | None = None
        self._stands: ScriptSource | None = None
        """Another one than is shown, before whose step the script stands still."""
        self._over: deque[EndedTraining] = deque(maxlen=KEPT)
        self._chosen = self._lists = False
        self._listed: TrainingsListed | None = None
        self._wanted: dict[int, tuple[weakref.ref[SVI], _Wanted]] = {}
        """The SVIs that the script has asked to be watched, whether or not they are just now."""
        self._closed = self._evaluated = False
        self.launched = stream is not None
        """Whether it was begun with the process, by `elbo-tui watch`, and ends with it."""
        options = ServerOptions(stays=True, refuses_end=REFUSES_END, sends_output=output >= 0)
        self.server = Server(self._deliver, options, self._left)
        self.server.on_attach = self._attached
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

    def others(self, source: ScriptSource) -> Sequence[ScriptSource]:
        """Those that are watched besides this one."""
        if len(self._sources) < 2:
            return ()
        return [one for _, one in list(self._sources.values()) if one is not source]

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
        if source is None and not self._closed and self.server.is_ours:
            wanted = self._wanted.get(id(svi))
            if wanted is not None:
                name, lens, findings, full_batch = wanted[1]
                source = self.add(svi, name, lens=lens, findings=findings, full_batch=full_batch)
            elif self.watches_all:
                source = self.add(svi)
        return source

    def add(
        self,
        svi: SVI,
        name: str = "",
        *,
        lens: bool | str = True,
        findings: bool = True,
        full_batch: FullBatch | None = None,
    ) -> ScriptSource:
        """Watch this SVI from now on."""
        with self._lock:
            known = self.known(svi)
            if known is not None:
                return known
            make = partial(ScriptSource, svi, lens=lens, findings=findings, full_batch=full_batch)
            source = self._add(svi, make, name)
            key = id(svi)
            ref = weakref.ref(svi, lambda _: self._wanted.pop(key, None))
            self._wanted[key] = ref, (name, lens, findings, full_batch)
            return source

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
            source.number = self._count
            ref = weakref.ref(owner, partial(self._collected, id(owner)))
            self._sources[id(owner)], source.owner = (ref, source), ref
            if self._shown is None:
                self._show(source)
            self._list_soon()
            return source

    def stepping(self, source: ScriptSource) -> bool:
        """This one is about to take a step: show it if the one that is shown does so no more.

        Returns:
            Whether a terminal is there that is shown it.
        """
        if len(self._sources) > 1 and not self._lists:
            self._list_soon()
        if self._shown is source:
            self._others = 0
        else:
            self._follow(source)
        return self.attends(source)

    def _follow(self, source: ScriptSource) -> None:
        shown = self._shown
        if self._chosen and shown is not None:
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
            owner = source.owner()
            entry = self._sources.get(id(owner))
            if owner is not None and entry is not None and entry[0]() is owner:
                # It may have been let go, and be watched anew.
                del self._sources[id(owner)]
                entry[1].close()
            self._wanted.pop(id(owner), None)
        source.close()
        if not self._sources and not self.watches_all:
            self.close()
        elif self._shown is source and self._sources:
            with self._lock:
                self._show(next(iter(self._sources.values()))[1])
        self._list_soon()

    def close(self) -> None:
        """The process ends, or nothing is watched any more."""
        if self._closed or not self.server.is_ours:
            return
        self._closed = True
        atexit.unregister(self.close)
        unseen = bool(self.id) and not self.server.attached
        for _, source in list(self._sources.values()):
            source.close(LAST_WORD if source is self._shown else 0.0)
        if unseen:
            self._note_end()
        self._sources.clear()
        self._over.clear()
        svi_hook.restore(self.source)
        if elbo_hook.observed_by(self):
            elbo_hook.restore()
        self.server.close(patience=LAST_WORD)

    def _note_end(self) -> None:
        """Say to whoever comes later that it has ended."""
        error = getattr(sys, "last_value", None)
        raised = error_text(error)[:MOST_SAID] if isinstance(error, Exception) else ""
        step = 0 if self._shown is None else self._shown.state.step
        runtime_dir.note_end(EndedRun(self.id, step, time.time(), raised))

    @property
    def closed(self) -> bool:
        """Whether nothing can be watched in it any more."""
        return self._closed

    def _show(self, source: ScriptSource | EndedTraining) -> None:
        before, self._shown, self._others = self._shown, source, 0
        if before is not None and before is not source and not before.closed:
            if before.held and isinstance(source, ScriptSource):
                source.hold()
            if isinstance(before, ScriptSource) and before.stands and self._stands is None:
                self._stands = before  # It goes on with the next command that lets the script.
            elif before is not self._stands:
                before.let_go()
        if source is self._stands:
            self._stands = None
        if isinstance(source, ScriptSource):
            source.catch_up()
        self.server.show(source.state)
        source.shown(self._seq)
        self._list_soon()

    def _let_go(self) -> None:
        """Let the training go on before whose step the script stands, if it is not shown."""
        stands, self._stands = self._stands, None
        if stands is not None and not stands.closed:
            stands.let_go()

    def _drop_oldest(self) -> None:
        key = min(self._sources, key=lambda one: self._sources[one][1].last_step)
        self._end(self._sources.pop(key)[1])

    def _end(self, source: ScriptSource) -> None:
        """Watch it no more; its history can still be looked at."""
        self.server.call(partial(self._put_away, source))

    def _put_away(self, source: ScriptSource) -> None:
        source.close(0.0)
        self.server.call(partial(self._keep, source))

    def _keep(self, source: ScriptSource) -> None:
        """Keep what is known of one that is closed, now that all of it has come in."""
        with self._lock:
            ended = EndedTraining(source.described(), source.state, self.server)
            if source.steps_taken:
                self._over.append(ended)
            if self._shown is source:
                self._shown = ended
        self._list_soon()

    # The list of them.

    def _list_soon(self) -> None:
        """Send the list after a while, if a terminal is there."""
        if self.server.attached and not self._lists:
            self._lists = True
            self.server.call_later(LIST_SECONDS, self._list)

    def _list(self) -> None:
        """Send the list, if it is another than that sent last; on the server's thread."""
        self._lists = False
        for event in self._latest_list():
            if event != self._listed:
                self._listed = event
                self.server.send(event)

    def _attached(self) -> Sequence[TrainingsListed]:
        """A terminal comes: it is shown what has been seen, and which others there are."""
        if isinstance(self._shown, ScriptSource) and not self._shown.closed:
            self._shown.catch_up()
        return self._latest_list()

    def _latest_list(self) -> Sequence[TrainingsListed]:
        """The list of all trainings, and of the one shown; none where there has been one only."""
        shown = self._shown
        if shown is None or self._count < 2:
            return ()
        sources = {source.number: source for source in self._known()}
        sources[shown.number] = shown
        infos = tuple(sources[number].described() for number in sorted(sources))
        return (TrainingsListed(infos, shown.number, self._chosen),)

    def _known(self) -> list[ScriptSource | EndedTraining]:
        """Those that can be shown."""
        return [*self._over, *(source for _, source in list(self._sources.values()))]

    def _choose(self, number: int) -> None:
        """Show this training and no other; 0: whichever steps."""
        shown = self._shown
        if shown is None:
            return
        found = [one for one in self._known() if one.number == number]
        if number and not found and number != shown.number:
            shown.refuse(ENDED)
            return
        self._chosen = bool(number)
        if found and found[0] is not shown:
            self._show(found[0])
        else:
            shown.shown(self._seq)
        self._list()

    def _collected(self, key: int, ref: weakref.ref[Any]) -> None:
        """Nobody holds what it belongs to any more; called wherever the last reference goes."""
        entry = self._sources.get(key)
        if entry is not None and entry[0] is ref:
            del self._sources[key]
            self._end(entry[1])

    # The server's thread.

    def _deliver(self, command: AnyCommand) -> None:
        with self._lock:
            self._seq, shown = command.seq, self._shown
            if isinstance(command, ShowTraining):
                self._choose(command.number)
                return
            if isinstance(command, Step | RunUntil):
                self._let_go()
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
        self._hold = self._chosen = False
        self._let_go()
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
        if session.watches_all:
            svi_hook.patch(CSIS, session.source)
        if session.watches_all and not elbo_hook.observed_by(session):
            elbo_hook.patch(session)
        return session


def let_all_go() -> None:
    """End the session of this process, if it has one."""
    with suppress(Exception):
        if (session := current()) is not None:
            session.close()
