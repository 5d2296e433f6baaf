"""What the keys do to the run: step, run, rewind, change settings, stop, begin anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.actions import questions
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.breakpoints import BreakpointsView
from tui_elbo.ui.views.choices import Choices, ChoicesView, noise_choices, scan_choices
from tui_elbo.ui.views.views import Confirm

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer

SCRIPT_ENDED = "the script has ended: there is nothing to step; x exports its numbers, q quits"

# Why an action is not available just now; empty when it is.


def stuck(explorer: Explorer) -> str:
    """The engine has ended, or no scenario could be loaded."""
    run = explorer.session.run
    if run.dead:
        return SCRIPT_ENDED if explorer.session.watched else "R starts a fresh engine"
    failed = run.level is not None and run.level.state == "failed"
    return "R loads the file again" if failed else ""


def finished(explorer: Explorer) -> str:
    """The scenario's last step has been taken."""
    loaded, step = explorer.session.run.loaded, explorer.session.run.step
    if loaded and step >= loaded.steps:
        past = f"step {step} is past the {loaded.steps} that the file asks for"
        at = f"already at step {step} of {loaded.steps}"
        return f"{past if step > loaded.steps else at}; space runs on"
    return stuck(explorer)


def follows_newest(explorer: Explorer) -> str:
    """No earlier step is looked at, or the source of the run cannot rewind."""
    loaded = explorer.session.run.loaded
    if loaded and loaded.capabilities.rewind:
        return loaded.capabilities.rewind
    if explorer.cursor.at is None:
        return "look at an earlier step first: , and . move the look"
    return stuck(explorer)


def no_branch(explorer: Explorer) -> str:
    """No branch has been left behind."""
    if not explorer.session.run.branches:
        return "there is no branch: N or enter leaves one behind"
    return ""


# The actions.


def drive(explorer: Explorer, act: Callable[[], object]) -> None:
    """Have the engine do something, and look at what comes of it."""
    why = stuck(explorer)
    if not why:
        act()
        explorer.cursor.follow()
        explorer.touch()
    explorer.answer(why)


def digit(explorer: Explorer, key: str) -> None:
    """A digit of a count."""
    explorer.session.commands.digit(key)
    explorer.answer()


def step(explorer: Explorer) -> None:
    """Take as many steps as were typed."""
    drive(explorer, explorer.session.commands.step)


def back(explorer: Explorer) -> None:
    """Rewind by as many steps as were typed."""
    drive(explorer, explorer.session.commands.back)


def rewind(explorer: Explorer) -> None:
    """Rewind to the step that is looked at."""
    at = explorer.cursor.at
    if at is not None:
        drive(explorer, lambda: explorer.session.commands.go_to(at))


def run_or_pause(explorer: Explorer) -> None:
    """Run, or pause."""
    drive(explorer, explorer.session.commands.run_pause)


def finish(explorer: Explorer) -> None:
    """Run to the scenario's last step."""
    drive(explorer, explorer.session.commands.finish)


def until(explorer: Explorer) -> None:
    """Ask for a step or a condition, and run to it."""
    commands = explorer.session.commands

    def go(step: int | None, condition: str) -> None:
        act = (lambda: commands.until(condition)) if step is None else lambda: commands.run_to(step)
        drive(explorer, act)

    explorer.ask(questions.until(explorer.session.run, go))


def step_into(explorer: Explorer) -> None:
    """Take one step, and page through what happened in it."""
    drive(explorer, explorer.session.commands.step_into)


def tune(explorer: Explorer) -> None:
    """Ask for other settings, and go on with them."""
    session = explorer.session
    scan = lambda: explorer.call_later(show_scan, explorer)  # noqa: E731

    def go(tuning: Tuning) -> None:
        explorer.answer(tunes(explorer)(tuning))

    explorer.ask(questions.tune(session.run, go, scan))


def runs_on(explorer: Explorer) -> str:
    """The run does not stand still, so there is no state to measure."""
    level = explorer.session.run.level
    if level is not None and level.state == "running":
        return "space pauses the run first: it is measured where it stands"
    return stuck(explorer)


def tunes(explorer: Explorer) -> Callable[[Tuning], str]:
    """What changes settings from the next step on, and says so; or says why not."""

    def tune(tuning: Tuning) -> str:
        run = explorer.session.run
        why = run.loaded.capabilities.tune if run.loaded else "no scenario is loaded"
        if not why:
            explorer.session.commands.tune(tuning)
        return why or f"from the next step on: {tuning}"

    return tune


def show_noise(explorer: Explorer) -> None:
    """The noise of the gradient with each estimator; measured if it is not known of this step."""
    session, run = explorer.session, explorer.session.run
    if run.noise is None or run.noise.why_none or run.noise.step != run.step:
        run.noise = None
        session.commands.measure_noise()
    _show_choices(explorer, noise_choices)


def show_scan(explorer: Explorer) -> None:
    """What other learning rates would gain from the present step."""
    session, run = explorer.session, explorer.session.run
    loaded = run.loaded
    why = runs_on(explorer) or (loaded.capabilities.lens if loaded else "")
    if why:
        explorer.answer(why)
        return
    run.scan = None
    session.commands.scan_rates()
    _show_choices(explorer, scan_choices)


def _show_choices(explorer: Explorer, choices: Callable[[RunState], Choices | str]) -> None:
    session = explorer.session
    glyphs = ASCII if session.options.ascii else UNICODE
    view = ChoicesView(session.run, choices, glyphs, tune=tunes(explorer))
    explorer.app.push_screen(view, lambda _: explorer.answer(view.answer))


def add_breakpoint(explorer: Explorer) -> None:
    """Ask for a breakpoint, and add it."""
    session = explorer.session

    def add(text: str) -> None:
        explorer.answer(session.breakpoints.add(text, session.run))
        session.send_breakpoints()

    explorer.ask(questions.breakpoint_at(session.run, add))


def list_breakpoints(explorer: Explorer) -> None:
    """List the breakpoints."""
    view = BreakpointsView(explorer.session.breakpoints, explorer.session.send_breakpoints)
    explorer.app.push_screen(view, lambda _: explorer.answer())


def back_to_breakpoint(explorer: Explorer) -> None:
    """Rewind to the last step at which a breakpoint held."""
    session = explorer.session
    try:
        step, why = session.breakpoints.before(session.run)
    except UsageError as error:
        explorer.answer(f"{error.what}: {error.hint}")
        return
    drive(explorer, lambda: session.commands.go_to(step))
    explorer.answer(f"back at {step}: {why}")


def toggle_branches(explorer: Explorer) -> None:
    """Show the curves of the branches, or hide them."""
    panes = explorer.panes
    panes.shows_branches = not panes.shows_branches
    explorer.answer("" if panes.shows_branches else "branches are hidden: g shows them")
    explorer.redraw()


def save(explorer: Explorer) -> None:
    """Ask for the name of a file, and save the run in it."""
    explorer.ask(questions.file_name(explorer.session.run, explorer.session.commands.save))


def restart(explorer: Explorer) -> None:
    """Begin anew; asks when there are steps to lose."""
    confirm(explorer, "restart from step 0", explorer.session.commands.restart)


def reload(explorer: Explorer) -> None:
    """Load the file again in a fresh engine; asks when there are steps to lose."""
    confirm(explorer, "reload in a fresh engine", explorer.session.reload)


def confirm(explorer: Explorer, what: str, do: Callable[[], object]) -> None:
    """Do it; asks when there are steps to lose."""
    lost, running = explorer.session.run.unsaved, explorer.session.commands.running
    if not (lost or running):
        do()
        explorer.answer()
        return

    def answered(key: str | None) -> None:
        if key == "y":
            do()
            explorer.cursor.follow()
        explorer.answer()

    why = f"{lost} step{'s' if lost > 1 else ''} will be lost" if lost else "it is running"
    explorer.app.push_screen(Confirm(f"{what}? {why}"), answered)


def interrupt(explorer: Explorer) -> None:
    """Pause, and interrupt a model that does not let go."""
    if explorer.session.run.dead:
        script = explorer.session.watched
        explorer.answer(SCRIPT_ENDED if script else "R starts a fresh engine, q quits")
    else:
        explorer.session.interrupt()
        explorer.answer()
