"""What the keys change of what is seen: the step looked at, spans, panes, views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_elbo.client.run_state import WEIGHING
from tui_elbo.model.findings import Finding
from tui_elbo.model.records import Column
from tui_elbo.ui.actions import questions
from tui_elbo.ui.actions.branches import keep_branches
from tui_elbo.ui.actions.run import confirm, stuck
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.breakdown import BreakdownView
from tui_elbo.ui.views.findings import FindingsView
from tui_elbo.ui.views.timing import TimingView
from tui_elbo.ui.views.trainings import TrainingsView
from tui_elbo.ui.views.views import ErrorView, NotesView, OutputView

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer

STEPS = {
    "comma": -1,
    "left": -1,
    "full_stop": 1,
    "right": 1,
    "less_than_sign": -10,
    "greater_than_sign": 10,
}
"""How far each key moves the look cursor; home and end apart."""

SPANS = {
    "start": "what moved it since step 0",
    "mark": "what moved it since the mark; m clears it",
    "look": "what moved it from the step looked at to the newest",
    "record": "what moved it from the record before to the last one",
    "update": "what the newest update did",
}


# Why an action is not available just now; empty when it is.


def no_step(explorer: Explorer) -> str:
    """No step has been taken."""
    return "" if explorer.session.run.step else "there is no step yet: n takes one"


def one_training(explorer: Explorer) -> str:
    """The process has one training, or none."""
    listed = explorer.session.run.trainings
    others = listed is not None and any(one.number != listed.shown for one in listed.trainings)
    return stuck(explorer) if others else "no other training is known in this process"


def one_training_of_a_script(explorer: Explorer) -> str:
    """The same, of a script alone: a scenario has branches."""
    return one_training(explorer) if explorer.session.watched else stuck(explorer)


def no_evaluation(explorer: Explorer) -> str:
    """Nothing has been evaluated without an update."""
    known = Column("step", "", "eval_loss") in explorer.session.run.history.columns
    return "" if known else "no loss has been evaluated without an update"


def not_loaded(explorer: Explorer) -> str:
    """There are no notes."""
    loaded = explorer.session.run.loaded
    return "no notes yet: no scenario is loaded" if loaded is None else ""


def no_error(explorer: Explorer) -> str:
    """Nothing has gone wrong."""
    return "no error so far" if explorer.session.run.last_error is None else ""


def no_weights(explorer: Explorer) -> str:
    """There is nothing to draw importance weights of."""
    return no_step(explorer) or stuck(explorer)


# The step looked at.


def look(explorer: Explorer, key: str) -> None:
    """Look at another step; the run stays where it is."""
    last, count = explorer.session.run.step, explorer.session.commands.taken_count()
    if key in STEPS:
        explorer.cursor.move(STEPS[key] * count, last)
    elif key == "home":
        explorer.cursor.to(1, last)
    else:
        explorer.cursor.follow()
    explorer.answer()
    explorer.redraw()


def cancel(explorer: Explorer) -> None:
    """Leave a question, a count, the past, a pane alone, a filter; else go back."""
    commands = explorer.session.commands
    if explorer.leave_question():
        return
    if commands.count or explorer.notice:
        commands.count = ""
    elif explorer.cursor.at is not None:
        explorer.cursor.follow()
        explorer.redraw()
    elif explorer.panes.alone:
        explorer.panes.zoom()
    elif explorer.panes.table.filter:
        explorer.panes.table.filter = ""
    elif explorer.back:
        confirm(explorer, f"back to {explorer.back}", explorer.go_back)
        return
    explorer.answer()


# The lens.


def next_span(explorer: Explorer) -> None:
    """Attribute the next kind of span."""
    kind = explorer.panes.span_choice.next(explorer.cursor.at)
    span = explorer.span()
    late = kind == "start" and span is not None and span.start.state
    explorer.answer(f"what moved it {span.words}" if span and late else SPANS[kind])
    explorer.redraw()


def mark(explorer: Explorer) -> None:
    """Mark the step shown, or clear the mark."""
    step = explorer.cursor.step(explorer.session.run.step)
    marked = explorer.panes.span_choice.toggle(step)
    explorer.answer(f"step {step} is marked: what has moved since" if marked else "no mark")
    explorer.redraw()


def break_down(explorer: Explorer) -> None:
    """Break the change down by parameter and site."""
    session, span = explorer.session, explorer.span()
    if span is not None and not session.run.dead:
        session.commands.compute_gradients(span.start.state)
    explorer.app.push_screen(BreakdownView(session.run, explorer.span, ascii=session.options.ascii))


def compute_bound(explorer: Explorer) -> None:
    """Take importance weights now."""
    explorer.answer()
    explorer.session.run.notice = WEIGHING
    explorer.compute_bound()
    explorer.draw_bottom()


# The panes.


def next_page(explorer: Explorer) -> None:
    """Show the next of the tables that take turns."""
    explorer.panes.next_page()
    explorer.answer()


def zoom(explorer: Explorer) -> None:
    """Show one pane alone, or all of them."""
    explorer.panes.zoom()
    explorer.answer("z shows all panes again" if explorer.panes.alone else "")


def toggle_evaluations(explorer: Explorer) -> None:
    """Show the losses without an update, or hide them."""
    panes = explorer.panes
    panes.shows_evaluations = not panes.shows_evaluations
    explorer.answer(
        "" if panes.shows_evaluations else "losses without update are hidden: V shows them"
    )
    explorer.redraw()


def next_range(explorer: Explorer) -> None:
    """Show the next y range."""
    mode = explorer.panes.next_mode()
    explorer.answer(f"y range of this run: {mode}; y changes it")


def filter_table(explorer: Explorer) -> None:
    """Ask for a part of a name, and show only rows that have it."""
    explorer.ask(questions.filtered(explorer.panes.table, explorer.redraw))


def watch(explorer: Explorer) -> None:
    """Watch the parameter under the cursor, or watch it no more."""
    params = explorer.panes.params
    if not params.has_focus:
        explorer.answer("tab to the parameters first, and move to one of them")
        return
    explorer.session.watch(params.toggle_watched())
    explorer.answer()


def next_order(explorer: Explorer) -> None:
    """Sort the parameters by how far they move, or as the store has them."""
    order = explorer.panes.params.next_order()
    explorer.keep(order=order)
    explorer.answer(f"parameters: {order}")


# Views.


def show_notes(explorer: Explorer) -> None:
    """The scenario's notes."""
    loaded = explorer.session.run.loaded
    if loaded is not None:
        explorer.app.push_screen(NotesView(loaded))


def show_output(explorer: Explorer) -> None:
    """What was printed, and warnings."""
    output = explorer.session.run.output

    def seen(_result: None) -> None:
        explorer.seen_output, explorer.seen_warnings = output.version, output.warnings
        explorer.answer()

    explorer.app.push_screen(OutputView(output), seen)


def show_findings(explorer: Explorer) -> None:
    """What is wrong with the run, with the evidence."""
    session = explorer.session

    def dismiss(finding: Finding, dismissed: bool) -> None:
        session.commands.dismiss(finding, dismissed=dismissed)

    def go(finding: Finding) -> None:
        """To the step since which it holds, and to its row in the tables."""
        step = max(1, min(finding.since, session.run.step))
        if 1 < step < session.run.step:
            explorer.cursor.to(step, session.run.step)
        if finding.subject.kind == "param":
            explorer.open_param(finding.subject.name)
        explorer.redraw()

    glyphs = ASCII if session.options.ascii else UNICODE
    explorer.app.push_screen(FindingsView(session.run, dismiss, go, glyphs))


def show_trainings(explorer: Explorer) -> None:
    """The trainings of the process, to choose the one that is shown; of a scenario its branches."""
    if not explorer.session.watched:
        keep_branches(explorer)
        return
    session = explorer.session
    glyphs = ASCII if session.options.ascii else UNICODE
    view = TrainingsView(session.run, glyphs, lambda number: _show_training(explorer, number))
    explorer.app.push_screen(view)


def next_training(explorer: Explorer) -> None:
    """Show the next training of the process, and after the last the first."""
    listed = explorer.session.run.trainings
    if listed is not None:
        numbers = [one.number for one in listed.trainings]
        later = [one for one in numbers if one > listed.shown]
        _show_training(explorer, (later or numbers)[0])


def _show_training(explorer: Explorer, number: int) -> None:
    explorer.session.commands.show_training(number)
    explorer.cursor.follow()
    listed = explorer.session.run.trainings
    name = (
        next((one.name for one in listed.trainings if one.number == number), "") if listed else ""
    )
    shown = f"training {number} ({name}) stays shown; T lists them all"
    explorer.answer(shown if number else "the training that steps is shown")
    explorer.redraw()


def show_timing(explorer: Explorer) -> None:
    """Where the seconds of a step go."""
    session = explorer.session
    glyphs = ASCII if session.options.ascii else UNICODE
    explorer.app.push_screen(TimingView(session.run, glyphs))


def show_error(explorer: Explorer) -> None:
    """The last error with its traceback."""
    fault = explorer.session.run.last_error
    if fault is not None:
        explorer.app.push_screen(ErrorView(fault))
