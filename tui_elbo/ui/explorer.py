"""The explorer: one screen over one run.

A session stores what the engine tells; the panes are drawn from what is stored, at most ten times a
second. Nothing ticks when nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from tui_elbo.ui import layout
from tui_elbo.ui.figures import curves, standing, why
from tui_elbo.ui.keys import KEYS
from tui_elbo.ui.pace import Pace
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.panes.sites import SitesPane
from tui_elbo.ui.process import EngineProcess
from tui_elbo.ui.said import TooSmall, Why
from tui_elbo.ui.session import Options, Session
from tui_elbo.ui.status import FaultLine, KeyLine, StatusLine
from tui_elbo.ui.views import Confirm, ErrorView, HelpView, NotesView, OutputView


class Explorer(Screen[None]):
    """Steps a scenario and shows what moves.

    Args:
        target: the scenario, as a person names it.
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
        back: whether escape leads back to where one came from.
    """

    class Left(Message):
        """The person goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"digit('{key}')" if row.action == "digit" else row.action, show=False)
        for row in KEYS
        if row.action and row.action != "interrupt"
        for key in row.key.split(",")
    ]
    AUTO_FOCUS = ""

    def __init__(
        self,
        target: str,
        options: Options,
        engine: EngineProcess | None = None,
        *,
        back: bool = False,
    ) -> None:
        super().__init__()
        self.session = Session(target, options, post=self.call_later, changed=self.touch)
        self.notice = ""
        """A word in answer to the last key."""
        self._engine, self._back = engine, back
        self._opening = ExitStack()
        self._seen_output = self._tabled = self._sites_rows = 0
        self._timer: Timer | None = None
        self._pace = Pace()
        self._due = 0.0

    def compose(self) -> ComposeResult:
        """The panes as they are at 80 columns and 24 rows."""
        plain = self.session.options.ascii
        with Horizontal(id="panes"):
            with Vertical(id="curves"):
                yield Why()
                yield CurvePane("log p(x, z)", id="log_p", ascii=plain)
                yield CurvePane("log q(z)", id="log_q", ascii=plain)
                elbo = CurvePane("ELBO", id="elbo", ascii=plain, axis=True)
                yield elbo.add_class("-last")
            with Vertical(id="tables"):
                yield ParamsPane(ascii=plain)
                yield SitesPane(ascii=plain).add_class("-last")
        yield FaultLine(ascii=plain)
        yield StatusLine(ascii=plain)
        yield KeyLine(ascii=plain)
        yield TooSmall(layout.SMALLEST)

    def on_mount(self) -> None:
        """Connect at once: the panes fill in when the engine tells."""
        self.session.open(self._engine)
        self._opening.enter_context(self.app.batch_update())
        self.touch()

    def on_unmount(self) -> None:
        """Leave no engine behind."""
        self.session.end()

    def touch(self) -> None:
        """Something changed: draw it as soon as a frame is due."""
        self._draw_at(self._pace.due(monotonic()))

    def _draw_at(self, when: float) -> None:
        if self._timer is not None:
            if self._due <= when:
                return
            self._timer.stop()
        self._due = when
        self._timer = self.set_timer(max(0.001, when - monotonic()), self._frame)

    def _frame(self) -> None:
        self._timer = None
        self._pace.drawn(monotonic())
        for screen in self.app.screen_stack:
            if isinstance(screen, OutputView):
                screen.update()
        if self.is_current:  # Under a view, what is drawn would be sent for nothing.
            self._draw()
        self._opening.close()

    def _draw(self) -> None:
        now, run = monotonic(), self.session.run
        reason = why(run)
        self.set_class(bool(reason), "-silent")
        self.query_one(Why).show(reason)
        running = run.level is not None and run.level.state == "running"
        tables = not (running and now < self._pace.tables and self._tabled)
        for curve in curves(run):
            pane = self.query_one(f"#{curve.id}", CurvePane)
            if tables and pane.title != curve.title:  # A title costs a drawing of the whole pane.
                pane.title = curve.title
            pane.show(curve.values, 1, run.step, curve.references, live=running)
        if tables:
            self._pace.tabled(now)
            self._tabled = run.step
            self._draw_tables()
        else:
            self._draw_at(self._pace.tables)
        self._draw_bottom()

    def _draw_tables(self) -> None:
        run, params, sites = self.session.run, self.query_one(ParamsPane), self.query_one(SitesPane)
        params.show(run.history, run.step)
        sites.show(run.history, run.step)
        room = self.query_one("#tables").size.height
        rows = layout.share(room, params.wish() + 1, max(3, sites.wish()) + 2)
        if rows != self._sites_rows:
            self._sites_rows = rows
            sites.styles.height = rows

    def on_screen_resume(self) -> None:
        """Back from a view: catch up."""
        self.touch()

    def _draw_bottom(self) -> None:
        run, control = self.session.run, self.session.control
        self.query_one(StatusLine).show(standing(run, running=control.running, count=control.count))
        self.query_one(FaultLine).show(run.fault, run.dead)
        self.query_one(KeyLine).show(
            notice=self.notice,
            running=control.running,
            fault=run.fault is not None,
            news=run.output.version > self._seen_output,
        )

    def on_resize(self, event: Resize) -> None:
        """Below the smallest size there is one sentence instead of the panes."""
        width, height = event.size
        columns, rows = layout.SMALLEST
        self.set_class(width < columns or height < rows, "-small")
        self.touch()

    # The keys.

    def _answer(self, notice: str = "") -> None:
        self.notice = notice
        self._draw_bottom()

    def _moves(self) -> bool:
        """Whether the engine can step or will be able to; says why not."""
        run = self.session.run
        failed = run.level is not None and run.level.state == "failed"
        if run.dead or failed:
            self._answer("R starts a fresh engine" if run.dead else "R loads the file again")
        return not (run.dead or failed)

    def action_digit(self, digit: str) -> None:
        """A digit of a count."""
        self.session.control.digit(digit)
        self._answer()

    def action_cancel(self) -> None:
        """Forget the count; if there is none, go back to where one came from."""
        if self._back and not (self.session.control.count or self.notice):
            self._ask("back to the gallery", lambda: self.post_message(self.Left()))
            return
        self.session.control.count = ""
        self._answer()

    def action_step(self) -> None:
        """Step."""
        if self._moves():
            self.session.control.step()
            self._answer()

    def action_back(self) -> None:
        """Take the run back."""
        if self._moves():
            self.session.control.back()
            self._answer()

    def action_run_pause(self) -> None:
        """Run, or pause."""
        if self._moves():
            self.session.control.run_pause()
            self._answer()

    def action_finish(self) -> None:
        """Run to the scenario's last step."""
        if not self._moves():
            return
        loaded, step = self.session.run.loaded, self.session.run.step
        if loaded and step >= loaded.steps:
            self._answer(f"already at step {step} of {loaded.steps}; space runs on")
        else:
            self.session.control.finish()
            self._answer()

    def action_restart(self) -> None:
        """Begin anew; asks when there are steps to lose."""
        if self._moves():
            self._ask("restart from step 0", self.session.control.restart)

    def action_reload(self) -> None:
        """Load the file again in a fresh engine; asks when there are steps to lose."""
        self._ask("reload in a fresh engine", self.session.reload)

    def _ask(self, what: str, do: Callable[[], object]) -> None:
        step = self.session.run.step
        if not step:
            do()
            self._answer()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                do()
            self._answer()

        lost = f"{what}? {step} step{'s' if step > 1 else ''} will be lost"
        self.app.push_screen(Confirm(lost), answered)

    def action_interrupt(self) -> None:
        """Pause, and interrupt a model that does not let go."""
        if self.session.run.dead:
            self._answer("R starts a fresh engine, q quits")
        else:
            self.session.interrupt()
            self._answer()

    def action_show_notes(self) -> None:
        """The scenario's notes."""
        loaded = self.session.run.loaded
        if loaded is None:
            self._answer("no notes yet: no scenario is loaded")
        else:
            self.app.push_screen(NotesView(loaded))

    def action_show_output(self) -> None:
        """What was printed, and warnings."""
        output = self.session.run.output

        def seen(_result: None) -> None:
            self._seen_output = output.version
            self._answer()

        self.app.push_screen(OutputView(output), seen)

    def action_show_error(self) -> None:
        """The last error with its traceback."""
        fault = self.session.run.fault
        if fault is None:
            self._answer("no error so far")
        else:
            self.app.push_screen(ErrorView(fault))

    def action_show_help(self) -> None:
        """All the keys."""
        self.app.push_screen(HelpView(ascii=self.session.options.ascii))

    def action_quit(self) -> None:
        """Quit at once; the engine is told first, so that it ends meanwhile."""
        self.session.leave()
        self.app.exit(0)
