"""What the explorer asks for in a line, and how the answers are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tui_elbo.client.run_state import Run
from tui_elbo.model import breakpoints
from tui_elbo.model.conditions import parse
from tui_elbo.model.errors import UsageError
from tui_elbo.model.rate_scan import SCAN
from tui_elbo.model.records import Layout
from tui_elbo.model.scenarios import expanded
from tui_elbo.model.tuning import AVERAGE, SETTINGS, Tuning, parse_tuning
from tui_elbo.model.verdict import CONVERGED
from tui_elbo.ui.actions.prompt import Question
from tui_elbo.ui.widgets.table import Table

EXAMPLES = 'elbo > -1.2, grad_norm > 100, params["phi"] > 1'

MOST_WORDS = 2000
"""So many names are offered to complete a word with."""


def until(run: Run, go: Callable[[int | None, str], None]) -> Question:
    """Asks for a step or a condition, and hands on the step, or None and the condition."""
    hint = f"a step (500), {CONVERGED}, or a condition: {EXAMPLES}"
    words = [CONVERGED, *_words(run.history.layout)]
    return Question("run until", hint, lambda text: go(*goal(text, run)), words)


def breakpoint_at(run: Run, add: Callable[[str], None]) -> Question:
    """Asks for a breakpoint, and hands it on."""
    words = [*breakpoints.WORDS, *_words(run.history.layout)]
    return Question("break at", f"such as {breakpoints.EXAMPLES}", add, words)


def file_name(run: Run, save: Callable[[str], None]) -> Question:
    """Asks for the name of a file to save the run in, and hands on where it is."""

    def take(text: str) -> None:
        if not text:
            raise UsageError("a file needs a name", hint="such as my.run")
        save(str(expanded(text).absolute()))

    name = Path(run.loaded.name).stem if run.loaded else "my"
    hint = "a file, from which elbo-tui FILE and run --from FILE go on"
    return Question("save as", hint, take, text=f"{name}.run")


def tune(run: Run, go: Callable[[Tuning], None], scan: Callable[[], object]) -> Question:
    """Asks for settings, and hands them on, or has the learning rates scanned."""

    def take(text: str) -> None:
        if text == SCAN:
            scan()
        else:
            go(parse_tuning(text))

    now = ", ".join(part for part in run.settings if part)
    hint = (
        "lr 0.02, particles 4, estimator or optimizer NAME; average goes to the mean of the "
        f"iterates, scan tries other rates; now: {now or 'not loaded yet'}"
    )
    names = (*run.loaded.estimators, *run.loaded.optimizers) if run.loaded else ()
    return Question("tune", hint, take, (*SETTINGS, AVERAGE, SCAN, *names))


def filtered(table: Table, redraw: Callable[[], object]) -> Question:
    """Asks for a part of a name, and narrows the table while it is typed."""

    def typed(text: str) -> None:
        table.filter = text.strip()
        redraw()  # Other rows may want another room.

    hint = f"a part of the names of the {table.id} to show; nothing shows all"
    return Question("filter", hint, typed, text=table.filter, typed=typed)


def goal(text: str, run: Run) -> tuple[int | None, str]:
    """The step to run to, or None and the condition.

    Raises:
        UsageError: if it is neither, names what the run has not, or lies in the past.
    """
    if not text:
        raise UsageError("nothing to run to", hint="give a step, or a condition")
    if text.strip() == CONVERGED:
        return None, CONVERGED
    condition = parse(text)
    layouts = [layout for _, _, layout in run.history.stretches()]
    condition.check(*layouts)
    if condition.step is None:
        return None, text
    if condition.step <= run.step:
        what = f"step {condition.step} has been taken: the run stands at {run.step}"
        raise UsageError(what, hint="give a later one; , and . look at the past")
    return condition.step, text


def _words(layout: Layout | None) -> list[str]:
    """What a word of a condition may be."""
    found = [
        "elbo",
        "loss",
        "log_p",
        "log_q",
        "step",
        "grad_norm",
        "update_norm",
        "finite(",
    ]
    if layout is not None:
        found += [f'params["{info.name}"]' for info in layout.params]
        found += [f'sites["{site.name}"].log_p' for site in layout.sites]
    return found[:MOST_WORDS]
