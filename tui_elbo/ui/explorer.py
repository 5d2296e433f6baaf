"""The explorer: one screen over one run.

A session stores the engine's events; the panes are drawn from what is stored, at most ten times a
second. Nothing ticks when nothing changes.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key, Resize
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui_elbo.client.process import Engine
from tui_elbo.client.session import Options, Session
from tui_elbo.client.spans import Span
from tui_elbo.protocol import ErrorReported
from tui_elbo.ui import pane_frames
from tui_elbo.ui.actions.prompt import Prompt, Question
from tui_elbo.ui.compat.textual import output_is_waiting
from tui_elbo.ui.frame_timer import FRAME, FrameTimer
from tui_elbo.ui.keys import BY_KEY, offered
from tui_elbo.ui.look_cursor import LookCursor
from tui_elbo.ui.pane_grid import PaneGrid
from tui_elbo.ui.panes.attribution import AttributionPane
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.panes.sentence import (
    SentenceLine,
    sentence_text,
    shown_finding,
    verdict_texts,
)
from tui_elbo.ui.plot.run_curves import status_summary
from tui_elbo.ui.views.detail import ParamView
from tui_elbo.ui.views.step import StepView
from tui_elbo.ui.views.views import ErrorView, Live, View
from tui_elbo.ui.widgets.placeholder import TooSmall
from tui_elbo.ui.widgets.status import FaultLine, KeyLine, StatusLine

MOMENT = 0.3
"""Seconds that a single step has to last before it is called running."""

IDLE = 2.0
"""Seconds that a run stands still before importance weights are taken unasked."""


class Explorer(Screen[None]):
    """Steps a scenario and shows what moves.

    Args:
        target: the scenario, as a person names it.
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
        back: where escape leads back to, such as `the gallery`; empty for nowhere.
    """

    class Left(Message):
        """The person goes back."""

    class SideBySide(Message):
        """The runs of this folder are to be shown."""

        def __init__(self, folder: Path) -> None:
            self.folder = folder
            super().__init__()

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"press('{key}')", show=False) for key, row in BY_KEY.items() if row.do
    ]
    AUTO_FOCUS = ""
    again_in_seconds = False
    """Whether some steps are soon taken again, so that nobody is asked about losing them."""

    def __init__(
        self,
        target: str,
        options: Options,
        engine: Engine | None = None,
        *,
        back: str = "",
    ) -> None:
        self._drawn = False
        super().__init__()
        self.session = Session(target, options, post=self.call_later, changed=self.touch)
        self.cursor = LookCursor()
        self.back = back
        """Where escape leads back to; empty for nowhere."""
        self.notice = ""
        """A word in answer to the last key."""
        self.seen_output = 0
        """How much of the output the person has seen."""
        self.seen_warnings = 0
        """How many of the warnings."""
        self.exported = 0
        """The newest step of which the numbers have been exported."""
        self._engine = engine
        self._opening = ExitStack()
        self._tabled = 0
        self._timer: Timer | None = None
        self._pace = FrameTimer()
        self._idle_timer: Timer | None = None
        self._bound_step = 0
        self._asked_from: Widget | None = None
        self._due = self._begun = 0.0
        self._answered_early = False
        self._seen_fault: ErrorReported | None = None

    def compose(self) -> ComposeResult:
        """The panes, and the lines at the bottom."""
        plain = self.session.options.ascii
        yield PaneGrid(ascii=plain, rearranged=self.redraw)
        yield SentenceLine(ascii=plain)
        yield FaultLine(ascii=plain)
        yield TooSmall(pane_frames.SMALLEST, "q quits.")
        # In a container: what is shown and hidden in it has nothing else drawn again.
        with Vertical(id="bottom"):
            yield StatusLine(ascii=plain)
            yield KeyLine(ascii=plain)
            yield Prompt(ascii=plain, done=self._answered)

    @property
    def panes(self) -> PaneGrid:
        """The panes."""
        return self.query_one(PaneGrid)

    def on_mount(self) -> None:
        """Connect at once: the panes fill in as events come."""
        memory = self.session.options.memory
        self.panes.remember(memory.settings)
        self.notice = memory.complaint or self.session.options.others
        self.session.open(self._engine)
        self._opening.enter_context(self.app.batch_update())
        self.touch()

    def on_unmount(self) -> None:
        """Leave no engine behind that nobody would find again."""
        self.session.close()

    # Frames.

    def touch(self) -> None:
        """Something changed: draw it as soon as a frame is due."""
        self._draw_at(self._pace.due(monotonic()))

    def redraw(self) -> None:
        """Draw everything with the next frame."""
        self._tabled = 0
        self.touch()

    def _draw_at(self, when: float) -> None:
        if self._timer is not None:
            if self._due <= when:
                return
            self._timer.stop()
        self._due = when
        self._timer = self.set_timer(max(0.001, when - monotonic()), self._frame)

    def _frame(self) -> None:
        self._timer = None
        if output_is_waiting(self.app):
            # What is drawn now would be old when it comes: draw what holds then.
            self._draw_at(monotonic() + FRAME)
            return
        self._pace.drawn(monotonic())
        self._show_step()
        for screen in self.app.screen_stack:
            if isinstance(screen, Live) and screen.is_mounted:
                screen.update()
        covered = isinstance(self.app.screen, View)
        if not covered and self in self.app.screen_stack:
            self._draw()
        self._opening.close()
        if not self._drawn:
            self._drawn = True
            # While the engine imports torch there is time for what the notes will take.
            Thread(target=import_module, args=("textual.widgets.markdown",), daemon=True).start()

    def _draw(self) -> None:
        now, run = monotonic(), self.session.run
        running = run.level is not None and run.level.state == "running"
        self.cursor.taken_back(run.step)
        self.panes.span_choice.taken_back(run.step)
        self.panes.params.show_watched(self.session.commands.watched)
        self.panes.mark(run.findings)
        tables = not (running and now < self._pace.tables and self._tabled)
        self.panes.draw(run, self.cursor.step(run.step), tables=tables, live=running)
        if tables:
            text = sentence_text(self.session, self.span(), self.cursor.step(run.step))
            verdict = verdict_texts(run, self.cursor.step(run.step))
            sentence = self.query_one(SentenceLine)
            sentence.show(text, now, live=running, verdict=verdict)
            sentence.show_finding(shown_finding(run))
            self._compute_bound_when_idle(live=running)
            self._pace.tabled(now)
            self._tabled = run.step
            self.draw_bottom()
        else:
            self._draw_at(self._pace.tables)

    def _runs(self) -> bool:
        """Whether it runs, for the lines at the bottom: one step is over before a word of it is
        read, so it has to last a moment.
        """
        if not self.session.commands.running:
            self._begun = 0.0
            return False
        level, now = self.session.run.level, monotonic()
        one = level is not None and level.target is not None and level.target - level.step <= 1
        if one and not self._begun:
            self._begun = now
            self.set_timer(MOMENT, self.draw_bottom)
        return not one or now - self._begun >= MOMENT

    def draw_bottom(self) -> None:
        """Draw the lines at the bottom."""
        run, commands, running = self.session.run, self.session.commands, self._runs()
        step = self.cursor.step(run.step)
        self.query_one(StatusLine).show(
            status_summary(
                run, step, running=running, count=commands.count, until=commands.running_to
            )
        )
        if self._answered_early and run.loaded is not None:
            self._answered_early, self.notice = False, ""
        fault = self.query_one(FaultLine)
        fault.show(run.fault, run.dead, watched=self.session.watched)
        self._open_long_fault(cut=fault.is_cut())
        met = f"stopped at {run.met.step}: {run.met.text}" if run.met is not None else ""
        unseen = run.output.warnings > self.seen_warnings
        self.query_one(KeyLine).show(
            [
                replace(key, rank=0) if key.show == "o" and unseen else key
                for key in offered(self)
                if not (key.hides and key.refuses(self))
            ],
            notice=self.notice or run.notice or met,
            running=running,
            news=run.output.version > self.seen_output,
        )

    def _open_long_fault(self, *, cut: bool) -> None:
        """What there is no room for is shown whole, once, unless the person does something else."""
        fault = self.session.run.fault
        if fault is None or fault is self._seen_fault:
            return
        self._seen_fault = fault
        if cut and self.is_current and not self.query_one(Prompt).asking:
            self.app.push_screen(ErrorView(fault))

    def on_screen_resume(self) -> None:
        """Back from a view: catch up."""
        self.touch()

    def on_resize(self, event: Resize) -> None:
        """Below the smallest size there is one sentence instead of the panes."""
        width, height = event.size
        columns, rows = pane_frames.SMALLEST
        self.set_class(width < columns or height < rows, "-small")
        self.touch()

    def on_params_pane_opened(self, event: ParamsPane.Opened) -> None:
        """All about one parameter, over the panes."""
        self.open_param(event.name)

    def open_param(self, name: str) -> None:
        """Show all about one parameter, over the panes."""
        session = self.session

        def closed(_result: None) -> None:
            session.commands.inspect("")

        session.commands.inspect(name)
        view = ParamView(
            session.run,
            self.cursor,
            name,
            self.action_press,
            ascii=session.options.ascii,
        )
        self.app.push_screen(view, closed)

    def on_attribution_pane_opened(self, _event: AttributionPane.Opened) -> None:
        """Break the change down, as `p` does."""
        self.action_press("p")

    # What the actions work with.

    def action_press(self, key: str) -> None:
        """Do what a key does, or say why not."""
        BY_KEY[key].press(self, key)

    def answer(self, notice: str = "") -> None:
        """Show a line in answer to a key, in place of the keys."""
        self.notice = notice
        self._answered_early = self.session.run.loaded is None
        self.session.run.met, self.session.run.notice = None, ""
        self.draw_bottom()

    def keep(self, **changes: object) -> None:
        """Remember how the person likes the screen."""
        self.session.options.memory.keep(**changes)

    def span(self) -> Span | None:
        """The span that is attributed."""
        run = self.session.run
        step = self.cursor.step(run.step)
        return self.panes.span_choice.span(run, step if step < run.step else None)

    def compute_bound(self) -> None:
        """Take importance weights at the newest step."""
        self._bound_step = self.session.run.step
        self.session.commands.compute_bound()

    def _compute_bound_when_idle(self, *, live: bool) -> None:
        """Where no evidence is known, take importance weights once the run has stood still."""
        run = self.session.run
        if self._idle_timer is not None:
            self._idle_timer.stop()
            self._idle_timer = None
        if live or run.dead or run.loaded is None or self._bound_step == run.step or not run.step:
            return
        if not run.loaded.capabilities.lens and "log_evidence" not in run.loaded.reference:
            self._idle_timer = self.set_timer(IDLE, self.compute_bound)

    def _show_step(self) -> None:
        """Open the step that was stepped into, once it has come."""
        run = self.session.run
        stepped, run.stepped = run.stepped, None
        if stepped is not None:
            plain = self.session.options.ascii
            view = StepView(stepped, self.session.commands.undo, ascii=plain)
            self.app.push_screen(view, lambda _: self.answer())

    # Questions.

    def ask(self, question: Question) -> None:
        """Ask for a line, where the status and the keys are."""
        self._asked_from = self.focused
        self._make_room(asking=True)
        self.query_one(Prompt).ask(question)

    def _make_room(self, *, asking: bool) -> None:
        for line in (self.query_one(StatusLine), self.query_one(KeyLine)):
            line.set_class(asking, "-aside")
        self.query_one(Prompt).set_class(asking, "-asking")

    def _answered(self) -> None:
        self._make_room(asking=False)
        self.set_focus(self._asked_from)
        self.draw_bottom()

    async def on_key(self, event: Key) -> None:
        """Act on a key before the next one is looked at; it may belong to a question that this one
        opens, and what was typed before its line has the focus belongs to it all the same.
        """
        prompt = self.query_one(Prompt)
        bound = self.active_bindings.get(event.key)
        if prompt.asking:
            if event.is_printable and event.character:
                prompt.insert(event.character)
                event.stop()
        elif bound is not None and bound.node is self:
            event.stop()
            await self.run_action(bound.binding.action)
        elif bound is None and event.is_printable:
            self.notice = f"{event.character} has no use here: ? lists the keys"
            self.touch()  # With the next frame: a paste is many such keys.

    def leave_question(self) -> bool:
        """Ask no more; whether there was a question."""
        prompt = self.query_one(Prompt)
        if not prompt.asking:
            return False
        prompt.leave()
        return True

    def go_back(self) -> None:
        """Leave this screen; its run ends, as was asked for."""
        if not self.session.watched:
            self.session.leave()
        self.post_message(self.Left())
