"""The explorer: one screen over one run.

The engine's events are stored by one handler, and the panes are drawn from what is stored, at most
ten times a second. Nothing ticks when nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen

from tui_elbo.errors import ProtocolError
from tui_elbo.protocol import AnyEvent, Command, Level, Load, Loaded
from tui_elbo.ui.control import Control
from tui_elbo.ui.figures import curves, standing
from tui_elbo.ui.keys import KEYS
from tui_elbo.ui.link import Link
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.panes.sites import SitesPane
from tui_elbo.ui.process import EngineProcess, spawn
from tui_elbo.ui.small import TooSmall
from tui_elbo.ui.state import Run
from tui_elbo.ui.status import FaultLine, KeyLine, StatusLine
from tui_elbo.ui.views import Confirm, ErrorView, HelpView, NotesView, OutputView

FRAME = 0.1
"""Seconds from one frame to the next at least, while the engine keeps telling."""

TABLES = 0.25
"""The same for numbers in tables while running: nobody reads them faster."""

SMALLEST = (60, 18)


@dataclass(frozen=True)
class Options:
    """What the explorer is started with."""

    argv: Sequence[str]
    """The program and arguments that start an engine; the descriptor's number comes last."""
    seed: int | None = None
    threads: int = 1
    device: str | None = None
    ascii: bool = False


class Explorer(Screen[None]):
    """Steps a scenario and shows what moves.

    Args:
        target: the scenario, as a person names it.
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"digit('{key}')" if row.action == "digit" else row.action, show=False)
        for row in KEYS
        if row.action and row.action != "interrupt"
        for key in row.key.split(",")
    ]

    DEFAULT_CSS = """
    Explorer {
        overflow: hidden hidden;
        #panes { height: 1fr; }
        #curves { width: 1fr; }
        #tables { width: 60%; max-width: 66; }
        CurvePane { height: 1fr; }
        Table { height: 1fr; border: round $foreground 25%; border-title-color: $foreground; }
        Table:focus { border: round $primary; }
        StatusLine, KeyLine { height: 1; }
        FaultLine { height: 2; }
        TooSmall { display: none; }
        &.-small { #panes, StatusLine, KeyLine, FaultLine { display: none; } }
        &.-small TooSmall { display: block; }
    }
    """

    class Told(Message, bubble=False):
        """The engine told something, over this link."""

        def __init__(self, link: Link, events: list[AnyEvent]) -> None:
            self.link, self.events = link, events
            super().__init__()

    class Ended(Message, bubble=False):
        """The connection over this link is over."""

        def __init__(self, link: Link, text: str) -> None:
            self.link, self.text = link, text
            super().__init__()

    def __init__(self, target: str, options: Options, engine: EngineProcess | None = None) -> None:
        super().__init__()
        self.run_state = Run()
        self.control = Control(self._send)
        self.link: Link | None = None
        self.notice = ""
        """A word in answer to the last key."""
        self._target, self._options, self._engine = target, options, engine
        self._seen_output = 0
        self._drawing = False
        self._next_frame = self._next_tables = 0.0

    def compose(self) -> ComposeResult:
        """The panes as they are at 80 columns and 24 rows."""
        plain = self._options.ascii
        with Horizontal(id="panes"):
            with Vertical(id="curves"):
                yield CurvePane("log p(x, z)", id="log_p", ascii=plain)
                yield CurvePane("log q(z)", id="log_q", ascii=plain)
                yield CurvePane("ELBO", id="elbo", ascii=plain, axis=True)
            with Vertical(id="tables"):
                yield ParamsPane(ascii=plain)
                yield SitesPane(ascii=plain)
        yield FaultLine(ascii=plain)
        yield StatusLine(ascii=plain)
        yield KeyLine(ascii=plain)
        yield TooSmall(SMALLEST)

    # The engine.

    def on_mount(self) -> None:
        """Connect at once: what is in flight is drawn when it comes."""
        self._connect(self._engine)
        self.touch()

    def on_unmount(self) -> None:
        """Leave no engine behind."""
        if self.link is not None:
            self.link.end()

    def _connect(self, engine: EngineProcess | None) -> None:
        try:
            engine = engine or spawn(self._options.argv)
        except OSError as error:
            self.run_state.lost(f"the engine could not be started: {error}")
            return
        run = self.run_state
        self.link = link = Link(
            engine,
            on_events=lambda events: self._post(self.Told(link, events)),
            on_output=self._printed,
            on_end=lambda text: self._post(self.Ended(link, text)),
        )
        run.phase = "starting the engine"
        self.control = Control(self._send)
        load = Load(
            target=self._target,
            seed=self._options.seed,
            threads=self._options.threads,
            device=self._options.device,
        )
        self.control.sent(self._send(load))

    def _post(self, message: Message) -> None:
        self.post_message(message)

    def _send(self, command: Command) -> int:
        return self.link.send(command) if self.link else 0

    def _printed(self, data: bytes) -> None:
        self.run_state.output.feed(data)
        self.touch()

    def on_explorer_told(self, message: Told) -> None:
        """Store what the engine told; the panes follow."""
        if message.link is not self.link:
            return
        try:
            for event in message.events:
                self.run_state.apply(event)
                if isinstance(event, Loaded):
                    self.control.loaded(event)
                elif isinstance(event, Level):
                    self.control.level(event)
        except ProtocolError as error:
            self.link.end()
            self.run_state.lost(f"the engine sent {error.what}")
        self.touch()

    def on_explorer_ended(self, message: Ended) -> None:
        """Say how it ended; the history stays."""
        if message.link is self.link:
            self.run_state.lost(message.text)
            self.touch()

    # Drawing.

    def touch(self) -> None:
        """Something changed: draw as soon as a frame is due."""
        if not self._drawing:
            self._drawing = True
            self.set_timer(max(0.001, self._next_frame - monotonic()), self._frame)

    def _frame(self) -> None:
        self._drawing = False
        now = monotonic()
        self._next_frame = now + FRAME
        run, running = self.run_state, self.control.running
        for curve in curves(run):
            pane = self.query_one(f"#{curve.id}", CurvePane)
            if pane.title != curve.title:
                pane.title = curve.title
            pane.show(curve.values, 1, run.step, curve.references, note=curve.note)
        level = run.level
        if now >= self._next_tables or not (running and level and level.state == "running"):
            self._next_tables = now + TABLES
            self.query_one(ParamsPane).show(run.history, run.step)
            self.query_one(SitesPane).show(run.history, run.step)
        self._draw_bottom()

    def _draw_bottom(self) -> None:
        run = self.run_state
        shown = standing(run, running=self.control.running, count=self.control.count)
        self.query_one(StatusLine).show(shown)
        self.query_one(FaultLine).show(run.fault, run.dead)
        self.query_one(KeyLine).show(
            notice=self.notice,
            running=self.control.running,
            fault=run.fault is not None,
            news=run.output.version > self._seen_output,
        )

    def on_resize(self, event: Resize) -> None:
        """Below the smallest size there is one sentence instead of the panes."""
        width, height = event.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-small")

    # The keys.

    def _answer(self, notice: str = "") -> None:
        self.notice = notice
        self._draw_bottom()

    def action_digit(self, digit: str) -> None:
        """A digit of a count."""
        self.control.digit(digit)
        self._answer()

    def action_cancel(self) -> None:
        """Forget the count and the notice."""
        self.control.count = ""
        self._answer()

    def action_step(self) -> None:
        """Step."""
        self.control.step()
        self._answer(self._no_engine())

    def action_run_pause(self) -> None:
        """Run, or pause."""
        self.control.run_pause()
        self._answer(self._no_engine())

    def action_finish(self) -> None:
        """Run to the scenario's last step."""
        loaded, step = self.run_state.loaded, self.run_state.step
        if loaded and step >= loaded.steps:
            self._answer(f"step {step} of {loaded.steps}: already there; space runs on")
            return
        self.control.finish()
        self._answer(self._no_engine())

    def _no_engine(self) -> str:
        return "the engine has ended: R starts a fresh one" if self.run_state.dead else ""

    def action_restart(self) -> None:
        """Begin anew; asks when there are steps to lose."""
        if self.run_state.dead:
            self._answer(self._no_engine())
            return
        self._ask("restart from step 0", self.control.restart)

    def action_reload(self) -> None:
        """Load the file again in a fresh engine; asks when there are steps to lose."""
        self._ask("reload in a fresh engine", self._reload)

    def _ask(self, what: str, do: object) -> None:
        assert callable(do)
        step = self.run_state.step
        if not step:
            do()
            self._answer()
            return
        question = f"{what}? {step} step{'s' if step > 1 else ''} will be lost"

        def answered(yes: bool | None) -> None:
            if yes:
                do()
            self._answer()

        self.app.push_screen(Confirm(question), answered)

    def _reload(self) -> None:
        if self.link is not None:
            self.link.end()
        self.run_state.reconnected()
        self._connect(None)
        self.touch()

    def action_interrupt(self) -> None:
        """Pause, and interrupt a model that does not let go."""
        if self.link is None or self.run_state.dead:
            self._answer("q quits")
            return
        self.control.interrupted(self.link.interrupt())
        self._answer()

    def action_show_notes(self) -> None:
        """The scenario's notes."""
        loaded = self.run_state.loaded
        if loaded is None:
            self._answer("no notes yet: the scenario is still loading")
        else:
            self.app.push_screen(NotesView(loaded))

    def action_show_output(self) -> None:
        """What was printed, and warnings."""
        self._seen_output = self.run_state.output.version
        self.app.push_screen(OutputView(self.run_state.output), self._output_seen)

    def _output_seen(self, _result: None) -> None:
        self._seen_output = self.run_state.output.version
        self._answer()

    def action_show_error(self) -> None:
        """The last error with its traceback."""
        if self.run_state.fault is None:
            self._answer("no error so far")
        else:
            self.app.push_screen(ErrorView(self.run_state.fault))

    def action_show_help(self) -> None:
        """All the keys."""
        self.app.push_screen(HelpView(ascii=self._options.ascii))

    def action_quit(self) -> None:
        """Quit at once; the engine is told first, so that it ends meanwhile."""
        if self.link is not None:
            self.link.engine.ask_to_end()
        self.app.exit(0)
