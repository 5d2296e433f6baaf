"""What the keys of going back and forth do: breakpoints, futures left behind, a step in slow."""

from __future__ import annotations

from tui_elbo.model.errors import UsageError
from tui_elbo.ui.actions import questions
from tui_elbo.ui.actions.actions import Actions
from tui_elbo.ui.views.breakpoints import PointsView
from tui_elbo.ui.views.step import StepView


class TimeActions(Actions):
    """The keys' methods; who draws is the subclass."""

    # Breakpoints.

    def action_break(self) -> None:
        """Ask for a breakpoint, and add it."""

        def add(text: str) -> None:
            self._answer(self.session.points.add(text, self.session.run))
            self.session.tell_points()

        self.ask(questions.breakpoint_at(self.session.run, add))

    def action_breakpoints(self) -> None:
        """List the breakpoints."""
        view = PointsView(self.session.points, self.session.tell_points)
        self.app.push_screen(view, lambda _: self._answer())

    def action_break_back(self) -> None:
        """Take the run back to the last step at which a breakpoint held."""
        run = self.session.run
        try:
            step, why = self.session.points.before(run)
        except UsageError as error:
            self._answer(f"{error.what}: {error.hint}")
            return
        self._drive(lambda: self.session.control.go_to(step))
        self._answer(f"back at {step}: {why}")

    # The future left behind.

    def action_ghost(self) -> None:
        """Show the future left behind, or hide it."""
        if self._has_ghost():
            self.desk.ghosts = not self.desk.ghosts
            hidden = "" if self.desk.ghosts else "the future left behind is hidden: g shows it"
            self._answer(hidden)
            self.redraw()

    def action_swap(self) -> None:
        """Change places with the future left behind."""
        if self._has_ghost():
            self.desk.ghosts = True
            self._drive(self.session.control.swap)

    def _has_ghost(self) -> bool:
        if self.session.run.branch is None:
            self._answer("no future has been left behind: N or enter leaves one")
        return self.session.run.branch is not None

    # A step in slow.

    def action_step_into(self) -> None:
        """Take one step, and page through what happened in it."""
        self._drive(self.session.control.step_into)

    def show_step(self) -> None:
        """Open the step that was stepped into, once it is told."""
        run = self.session.run
        stepped, run.stepped = run.stepped, None
        if stepped is not None:
            plain = self.session.options.ascii
            view = StepView(stepped, self.session.control.undo, ascii=plain)
            self.app.push_screen(view, lambda _: self._answer())

    # A run in a file.

    def action_save(self) -> None:
        """Ask for the name of a file, and save the run in it."""
        if self._moves():
            self.ask(questions.file_name(self.session.run, self.session.control.save))
