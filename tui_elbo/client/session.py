"""A scenario, the engine that runs it, and what is known of the run; no widget in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tui_elbo.client.breakpoints import Breakpoints
from tui_elbo.client.commands import RunCommands
from tui_elbo.client.connection import EngineConnection
from tui_elbo.client.preferences import PreferenceStore
from tui_elbo.client.process import Engine, spawn
from tui_elbo.client.run_state import Run
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.model.verdict import NATS, Tolerance
from tui_elbo.protocol import (
    AnyEvent,
    Command,
    DrawPosterior,
    Load,
    Loaded,
    PosteriorDrawn,
    RunIdAssigned,
    RunSaved,
    RunStatus,
    SubscriptionsChanged,
)


@dataclass(frozen=True)
class Options:
    """What the program was started with."""

    argv: Sequence[str]
    """The program and arguments that start an engine; numbers of descriptors come last."""
    seed: int | None = None
    """None: the scenario's own."""
    given: Sequence[tuple[str, str]] = ()
    """Values of the scenario's own settings."""
    threads: int = 1
    device: str | None = None
    checkpoint_memory: int = CHECKPOINT_MEMORY
    """Bytes for the states that a run can be taken back to."""
    draws: int | None = None
    """Of the lens; None: its own default; 0: there is none."""
    lens_in_process: bool = False
    """As in `Load`."""
    tolerance: Tolerance = NATS
    """Of the verdict: what does not matter."""
    ascii: bool = False
    """Draw with ASCII characters alone."""
    others: str = ""
    """Which other runs are alive, in words."""
    farewells: list[str] = field(default_factory=list)
    """What to say when the screen has closed: of each run that was left, how to come back to it."""
    memory: PreferenceStore = field(default_factory=PreferenceStore)
    """What is remembered from one start to the next."""


NOT_YET = "the script has not imported Pyro yet; ctrl+q ends it"
"""Why a script cannot be left going."""

NO_RECORD = "o shows the output, q quits"
"""What can be done where there is no history."""


class Session:
    """One scenario from its loading to its end, through as many engines as that takes.

    Args:
        target: the scenario, as a person names it; empty for a run that is there already.
        options: what the program was started with.
        post: calls what it is given, with the arguments that follow, soon and in order.
        changed: called when there is something new to draw.
    """

    def __init__(
        self,
        target: str,
        options: Options,
        *,
        post: Callable[..., Any],
        changed: Callable[[], None],
    ) -> None:
        self.target, self.options = target, options
        self.run = Run()
        self.commands = RunCommands(self._send)
        self.breakpoints = Breakpoints()
        """The breakpoints; they outlive an engine."""
        self.connection: EngineConnection | None = None
        self._has_subscribed = False
        self._post, self._changed = post, changed
        self._on_drawn: Callable[[PosteriorDrawn], object] = id
        self._on_saved: Callable[[RunSaved], object] = id

    def open(self, engine: Engine | None = None) -> None:
        """Connect to the engine, or to one started now, and have it load the scenario."""
        try:
            engine = engine or spawn(self.options.argv)
        except OSError as error:
            self.run.lost(f"the engine could not be started: {error}")
            return
        self.connection = EngineConnection(
            engine, on_events=self._received, on_output=self._printed, on_end=self._ended
        )
        self.commands, watched = RunCommands(self._send), self.commands.watched
        self.commands.watched = watched
        if engine.script:
            self.run.phase = f"starting {self.target}"
            self.connection.named = RunIdAssigned("", NOT_YET)
        elif engine.attached:
            self.run.phase = "attaching"
            self.connection.attach()
        else:
            self.run.phase = "starting the engine"
            self._load()

    def _load(self) -> None:
        options = self.options
        self.commands.sent(
            self._send(
                Load(
                    target=self.target,
                    seed=options.seed,
                    given=tuple(options.given),
                    threads=options.threads,
                    device=options.device,
                    checkpoint_memory=options.checkpoint_memory,
                    draws=options.draws,
                    lens_in_process=options.lens_in_process,
                    tolerance=options.tolerance,
                )
            )
        )

    def send_breakpoints(self) -> None:
        """Tell the engine which breakpoints there are."""
        self._has_subscribed = True
        self.commands.break_at(self.breakpoints.sent(self.run))

    def watch(self, names: Sequence[str]) -> None:
        """Have these parameters recorded whole."""
        self._has_subscribed = True
        self.commands.watch(names)

    def _resubscribe(self, earlier: SubscriptionsChanged) -> None:
        """What terminals before this one have asked for; its own it knows."""
        if not self._has_subscribed:
            self.run.notice = self.breakpoints.taken_over(earlier.points)
            self.commands.watched = earlier.watched

    def reload(self) -> None:
        """Load the scenario in a fresh engine; the history stays on the screen until it stands."""
        self.end()
        if not self.target and self.run.loaded:
            self.target = self.run.loaded.path
        self.run.reconnected()
        self.open()
        self._changed()

    def interrupt(self) -> None:
        """Pause, and interrupt a model that does not let go."""
        if self.connection is not None:
            self.commands.interrupted(self.connection.interrupt())

    @property
    def watched(self) -> bool:
        """Whether the run is a script's own loop."""
        own = self.connection is not None and self.connection.engine.script
        return own or (self.run.loaded is not None and self.run.loaded.watched)

    @property
    def way_back(self) -> RunIdAssigned:
        """Under which name the run goes on without a terminal, or why it cannot."""
        if self.connection is None or not self.connection.open:
            return RunIdAssigned("", "the engine has ended")
        return self.connection.named

    @property
    def nothing_to_keep(self) -> bool:
        """Whether the engine has nothing that it would go on for without a terminal."""
        return not (self.watched or self.run.step or self.run.branches or self.commands.running)

    @property
    def farewell(self) -> str:
        """What goes on without this terminal, how to return, how to end it; empty for nothing."""
        id, loaded, level = self.way_back.id, self.run.loaded, self.run.level
        if not id or self.nothing_to_keep or not (loaded or self.watched):
            return ""
        does = f"waits at step {self.run.step}"
        if self.watched or self.commands.running:
            target = level.target if level is not None else None
            does = "goes on" if self.watched or target is None else f"goes on to step {target}"
        end = "" if self.watched else f", `elbo-tui end {id}` ends it"
        name = loaded.name if loaded else self.target
        return f"elbo-tui: {name} {does}; `elbo-tui attach {id}` shows it again{end}"

    def detach(self) -> None:
        """Leave the run going; how to come back is said when the screen has closed."""
        if self.connection is not None and self.connection.open:
            if text := self.farewell:
                self.options.farewells.append(text)
            self.connection.detach()

    def draw(self, then: Callable[[PosteriorDrawn], object]) -> None:
        """Have the engine draw from the guide, and hand on what comes."""
        self._on_drawn = then
        self.commands.sent(self._send(DrawPosterior()))

    def on_saved(self, then: Callable[[RunSaved], object]) -> None:
        """Hand on what is saved from now on."""
        self._on_saved = then

    def close(self) -> None:
        """Leave the run going if it can be found again; else end the engine."""
        if self.way_back.id:
            self.detach()
        else:
            self.end()

    def leave(self) -> None:
        """Tell the engine to end, listen to it no more, and wait for nothing."""
        if self.connection is not None:
            self.connection.leave()

    def end(self) -> None:
        """End the engine; blocks for a small part of a second."""
        if self.connection is not None:
            self.connection.end()

    def _send(self, command: Command) -> int:
        return self.connection.send(command) if self.connection else 0

    # The connection calls from the event loop itself; the rest happens where errors are handled.

    def _received(self, events: list[AnyEvent]) -> None:
        self._post(partial(self._apply, self.connection, events))

    def _printed(self, data: bytes) -> None:
        self.run.output.feed(data)
        self._changed()

    def _ended(self, text: str) -> None:
        self._post(partial(self._lost, self.connection, text))

    def _apply(self, connection: EngineConnection | None, events: list[AnyEvent]) -> None:
        """Apply the events of the engine."""
        if connection is None or connection is not self.connection:
            return
        try:
            for event in events:
                self.run.apply(event)
                if isinstance(event, Loaded):
                    self.commands.loaded(event)
                    if self.breakpoints.all:
                        self.send_breakpoints()
                elif isinstance(event, RunStatus):
                    self.commands.level(event)
                elif isinstance(event, SubscriptionsChanged):
                    self._resubscribe(event)
                elif isinstance(event, PosteriorDrawn):
                    self._on_drawn(event)
                elif isinstance(event, RunSaved):
                    self._on_saved(event)
        except ProtocolError as error:
            connection.end()
            self._lost(connection, f"the engine sent {error.what}")
        self._changed()

    def _lost(self, connection: EngineConnection | None, text: str) -> None:
        if connection is self.connection:
            if connection is not None and connection.engine.script and self.run.loaded is None:
                text = f"{text}: no ELBO was evaluated\n{NO_RECORD}"
            self.run.lost(text)
            self.commands.stopped()
            self._changed()
