"""What the explorer asks for in a line, and how the answers are read."""

from __future__ import annotations

import re
from collections.abc import Callable

from tui_elbo import breakpoints
from tui_elbo.conditions import parse
from tui_elbo.errors import UsageError
from tui_elbo.protocol import Tuning
from tui_elbo.records import Layout
from tui_elbo.ui.prompt import Question
from tui_elbo.ui.state import Run
from tui_elbo.ui.table import Table

EXAMPLES = 'elbo > -1.2, grad_norm > 100, params["phi"] > 1'

SETTINGS = ("lr", "particles", "estimator")

MOST = {"lr": 1000, "particles": 1_000_000}
"""More is a slip of the finger: it would leave nothing of the run."""

MOST_WORDS = 2000
"""So many names are offered to complete a word with."""


def until(run: Run, go: Callable[[int | None, str], None]) -> Question:
    """Asks for a step or a condition, and hands on the step, or None and the condition."""
    hint = f"a step (500) or a condition: {EXAMPLES}"
    words = _words(run.history.layout)
    return Question("run until", hint, lambda text: go(*goal(text, run)), words)


def breakpoint_at(run: Run, add: Callable[[str], None]) -> Question:
    """Asks for a breakpoint, and hands it on."""
    words = [*breakpoints.WORDS, *_words(run.history.layout)]
    return Question("break at", f"such as {breakpoints.EXAMPLES}", add, words)


def tune(run: Run, go: Callable[[Tuning], None]) -> Question:
    """Asks for settings, and hands them on."""
    now = ", ".join(part for part in run.settings if part)
    hint = f"lr 0.02, particles 4, estimator NAME; now: {now or 'not loaded yet'}"
    estimators = run.loaded.estimators if run.loaded else ()
    return Question("tune", hint, lambda text: go(tuning(text)), (*SETTINGS, *estimators))


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
        raise UsageError("nothing to run to", todo="give a step, or a condition")
    condition = parse(text)
    layouts = [layout for _, _, layout in run.history.stretches()]
    condition.check(*layouts)
    if condition.step is None:
        return None, text
    if condition.step <= run.step:
        what = f"step {condition.step} has been taken: the run stands at {run.step}"
        raise UsageError(what, todo="give a later one; , and . look at the past")
    return condition.step, text


def _words(layout: Layout | None) -> list[str]:
    """What a word of a condition may be."""
    found = ["elbo", "loss", "log_p", "log_q", "step", "grad_norm", "update_norm", "finite("]
    if layout is not None:
        found += [f'params["{info.name}"]' for info in layout.params]
        found += [f'sites["{site.name}"].log_p' for site in layout.sites]
    return found[:MOST_WORDS]


def tuning(text: str) -> Tuning:
    """The settings that are to change: `lr 0.02, particles 4, estimator TraceMeanField_ELBO`.

    Raises:
        UsageError: if it is none of them, or its value is no value of it.
    """
    found: dict[str, float | int | str] = {}
    parts = [part for part in re.split(r"[,;]", text) if part.strip()]
    for part in parts:
        name, value = _pair(part)
        if name in found:
            raise UsageError(f"{name} is given twice", todo="give it once")
        found[name] = _read(name, value)
    if not found:
        raise UsageError("nothing to change", todo="give lr 0.02, particles 4 or estimator NAME")
    return Tuning(**found)  # type: ignore[arg-type]


def _pair(part: str) -> tuple[str, str]:
    pair = re.split(r"\s*=\s*|\s+", part.strip(), maxsplit=1)
    if len(pair) == 2 and pair[0] in SETTINGS and pair[1]:
        return pair[0], pair[1]
    if pair[0] in SETTINGS:
        raise UsageError(f"{pair[0]} has no value", todo=f"give one: {pair[0]} 0.02")
    near = [one for one in SETTINGS if one[:1] == pair[0][:1]]
    todo = f"did you mean {near[0]}?" if near else "give lr, particles or estimator and its value"
    raise UsageError(f"{part.strip()!r} is no setting", todo=todo)


def _read(name: str, value: str) -> float | int | str:
    if name == "estimator":
        return value
    try:
        number = int(value) if name == "particles" else float(value)
    except ValueError:
        kind = "a whole number" if name == "particles" else "a number"
        raise UsageError(
            f"{name} is {kind}, and this is {value!r}", todo=f"as in {name} 4"
        ) from None
    if not 0 < number <= MOST[name]:
        what = f"{name} is to be above 0 and at most {MOST[name]:,}, and this is {value}"
        raise UsageError(what, todo=f"give another {name}")
    return number
