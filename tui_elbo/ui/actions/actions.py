"""What each key of the explorer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.screen import Screen

from tui_elbo.ui.actions import questions
from tui_elbo.ui.actions.prompt import Question
from tui_elbo.ui.views.views import Confirm, ErrorView, HelpView, NotesView, OutputView

if TYPE_CHECKING:
    from tui_elbo.client.session import Session
    from tui_elbo.ui.look_cursor import Looking
    from tui_elbo.ui.pane_grid import Desk

LOOK = {
    "comma": -1,
    "left": -1,
    "full_stop": 1,
    "right": 1,
    "less_than_sign": -10,
    "greater_than_sign": 10,
}
"""How far each key moves the look cursor; home and end apart."""


class Actions(Screen[None]):
    """The keys' methods; who draws is the subclass."""

    session: Session
    looking: Looking
    back: bool
    """Whether there is something that escape leads back to."""

    def __init__(self) -> None:
        super().__init__()
        self.notice = ""
        """A word in answer to the last key."""
        self.seen_output = 0
        """How much of the output the person has seen."""

    @property
    def desk(self) -> Desk:
        """The panes."""
        raise NotImplementedError

    def touch(self) -> None:
        """Something changed: draw it as soon as a frame is due."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw everything with the next frame."""
        raise NotImplementedError

    def draw_bottom(self) -> None:
        """Draw the lines at the bottom."""
        raise NotImplementedError

    def ask(self, question: Question) -> None:
        """Ask for a line."""
        raise NotImplementedError

    def leave_question(self) -> bool:
        """Ask no more; whether there was a question."""
        raise NotImplementedError

    def go_back(self) -> None:
        """Leave this screen."""
        raise NotImplementedError

    def _answer(self, notice: str = "") -> None:
        self.notice = notice
        self.session.run.met, self.session.run.word = None, ""
        self.draw_bottom()

    def _moves(self) -> bool:
        """Whether the engine can step or will be able to; says why not."""
        run = self.session.run
        failed = run.level is not None and run.level.state == "failed"
        if run.dead or failed:
            self._answer("R starts a fresh engine" if run.dead else "R loads the file again")
        return not (run.dead or failed)

    def _drive(self, act: Callable[[], object]) -> None:
        """Have the engine do something, and look at what comes of it."""
        if self._moves():
            act()
            self.looking.follow()
            self._answer()
            self.touch()

    # Going on.

    def action_digit(self, digit: str) -> None:
        """A digit of a count."""
        self.session.control.digit(digit)
        self._answer()

    def action_step(self) -> None:
        """Step."""
        self._drive(self.session.control.step)

    def action_back(self) -> None:
        """Take the run back."""
        self._drive(self.session.control.back)

    def action_run_pause(self) -> None:
        """Run, or pause."""
        self._drive(self.session.control.run_pause)

    def action_finish(self) -> None:
        """Run to the scenario's last step."""
        loaded, step = self.session.run.loaded, self.session.run.step
        if loaded and step >= loaded.steps:
            self._answer(f"already at step {step} of {loaded.steps}; space runs on")
        else:
            self._drive(self.session.control.finish)

    def action_until(self) -> None:
        """Ask for a step or a condition, and run to it."""
        control, run = self.session.control, self.session.run

        def go(step: int | None, condition: str) -> None:
            self._drive(lambda: control.until(condition) if step is None else control.run_to(step))

        if self._moves():
            self.ask(questions.until(run, go))

    def action_tune(self) -> None:
        """Ask for other settings, and go on with them."""
        if self._moves():
            self.ask(questions.tune(self.session.run, self.session.control.tune))

    def action_restart(self) -> None:
        """Begin anew; asks when there are steps to lose."""
        if self._moves():
            self._sure("restart from step 0", self.session.control.restart)

    def action_reload(self) -> None:
        """Load the file again in a fresh engine; asks when there are steps to lose."""
        self._sure("reload in a fresh engine", self.session.reload)

    def _sure(self, what: str, do: Callable[[], object]) -> None:
        step = self.session.run.step
        if not step:
            do()
            self._answer()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                do()
                self.looking.follow()
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

    # Looking.

    def action_look(self, key: str) -> None:
        """Look at another step; the run stays where it is."""
        last, count = self.session.run.step, self.session.control.taken_count()
        if last == 0:
            self._answer("there is no step to look at yet: n takes one")
            return
        if key in LOOK:
            self.looking.move(LOOK[key] * count, last)
        elif key == "home":
            self.looking.to(1, last)
        else:
            self.looking.follow()
        self._answer()
        self.redraw()

    def action_enter(self) -> None:
        """Take the run to where one looks."""
        if self.looking.at is None:
            self._answer("look at an earlier step first: , and . move the look")
        else:
            step = self.looking.at
            self._drive(lambda: self.session.control.go_to(step))

    def action_view(self) -> None:
        """Show the next of the tables that take turns."""
        self.desk.next_page()
        self._keep(table=self.desk.turned)
        self._answer()

    def action_zoom(self) -> None:
        """Show one pane alone, or all of them."""
        self.desk.zoom()
        self._answer("z shows all panes again" if self.desk.alone else "")

    def action_range(self) -> None:
        """Show the next y range."""
        mode = self.desk.next_mode()
        self._keep(range=mode)
        self._answer(f"y range: {mode}")

    def _keep(self, **changes: object) -> None:
        self.session.options.memory.keep(**changes)

    def action_filter(self) -> None:
        """Ask for a part of a name, and show only rows that have it."""
        self.ask(questions.filtered(self.desk.table, self.redraw))

    def action_watch(self) -> None:
        """Watch the parameter under the cursor, or watch it no more."""
        params = self.desk.params
        if not params.has_focus:
            self._answer("tab to the parameters first, and move to one of them")
            return
        self.session.watch(params.toggle_watched())
        self._answer()

    def action_largest(self) -> None:
        """Sort the parameters by how far they move, or as the store has them."""
        order = self.desk.params.next_order()
        self._keep(order=order)
        self._answer(f"parameters: {order}")

    # Views, and leaving.

    def action_cancel(self) -> None:
        """Leave a question, a count, the past, a pane alone, a filter; else go back."""
        control = self.session.control
        if self.leave_question():
            return
        if control.count or self.notice:
            control.count = ""
        elif self.looking.at is not None:
            self.looking.follow()
            self.redraw()
        elif self.desk.alone:
            self.desk.zoom()
        elif self.desk.table.filter:
            self.desk.table.filter = ""
        elif self.back:
            self._sure("back to the gallery", self.go_back)
            return
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
            self.seen_output = output.version
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

    def action_palette(self) -> None:
        """Everything by name."""
        self.app.action_command_palette()
