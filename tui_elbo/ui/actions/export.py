"""What leaves the program: to the clipboard, or into files. Nothing is overwritten."""

from __future__ import annotations

import asyncio
import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tui_elbo.client.run_state import Run
from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch
from tui_elbo.protocol import PosteriorDrawn
from tui_elbo.ui.plot.run_curves import status_summary
from tui_elbo.ui.widgets.table import Table

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer

SAVED = "saved "

MOST_COPIED = 50_000
"""Bytes: terminals drop a longer sequence."""

MOST_TRIES = 1000


def copy(explorer: Explorer) -> None:
    """Copy the table that has the focus; else the numbers of the step that is shown."""
    focused, run = explorer.focused, explorer.session.run
    if isinstance(focused, Table):
        what, text = "the table", table_text(focused)
    else:
        what, text = "the step's numbers", step_text(run, explorer.cursor.step(run.step))
    if len(text.encode()) > MOST_COPIED:
        explorer.answer(f"{what} is too long to copy: / narrows it, x writes it all to a file")
        return
    explorer.app.copy_to_clipboard(text)
    # The terminal never answers, so nothing more is known.
    explorer.answer(f"{what} copied, if this terminal lets programs copy (OSC 52)")


def save_screen(explorer: Explorer) -> None:
    """Save the screen as SVG."""
    picture = explorer.app.export_screenshot()
    run = explorer.session.run
    explorer.answer(saved(run, ".svg", lambda path: path.write_text(picture, "utf-8")))


def export(explorer: Explorer) -> None:
    """Write all numbers as CSV; and draws from the guide, where there is ArviZ."""
    run = explorer.session.run
    answer = saved(run, ".csv", lambda path: write_csv(run.history, path))
    explorer.answer(answer)
    if not answer.startswith(SAVED):
        return
    explorer.exported = run.step
    if has_arviz() and not run.dead:
        explorer.session.draw(partial(_keep_draws, explorer))


def _keep_draws(explorer: Explorer, drawn: PosteriorDrawn) -> None:
    """Draws have come: write them beside the numbers, while the screen goes on."""
    if not drawn.sites:
        explorer.answer(f"no draws: {drawn.note}")
        return

    async def write() -> None:
        run = explorer.session.run
        save = partial(saved, run, ".nc", lambda path: write_draws(drawn, path))
        explorer.answer(await asyncio.to_thread(save))

    explorer.run_worker(write(), exit_on_error=False)


def saved(run: Run, suffix: str, write: Callable[[Path], object]) -> str:
    """Make a file in the working folder; returns its name in a sentence, or why there is none."""
    name = stem(run.loaded.name if run.loaded else "run", run.step)
    try:
        path = written(fresh(Path.cwd(), name, suffix), write)
    except (OSError, ValueError, ImportError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        return f"{name}{suffix} cannot be written: {why}"
    return f"{SAVED}{path.name}"


def step_text(run: Run, step: int) -> str:
    """The numbers of a step in one line."""
    shown = status_summary(run, step, running=False, count="")
    numbers = [f"{name} {value!r}" for name, value in shown.terms]
    return "\t".join([f"step {shown.step}", *numbers])


def table_text(table: Table) -> str:
    """A table as lines of text, all of its rows."""
    lines = [table.header()]
    for row in range(table.count()):
        lines += table.lines_of(row, True)
    return "\n".join("".join(text for text, _ in line).strip() for line in lines) + "\n"


def stem(name: str, step: int) -> str:
    """What a file of this run and step is called, without its suffix."""
    name = re.sub(r"[^\w.-]+", "-", name.removesuffix(".py")).strip("-.") or "run"
    return f"{name}-{step}"


def fresh(folder: Path, name: str, suffix: str) -> Path:
    """A path in the folder at which there is nothing yet.

    Raises:
        OSError: if there is none.
    """
    for number in range(1, MOST_TRIES):
        path = folder / (name + (f"-{number}" if number > 1 else "") + suffix)
        if not path.exists():
            return path
    raise OSError(f"there are {MOST_TRIES} files {name}{suffix}")


def written(path: Path, write: Callable[[Path], object]) -> Path:
    """The path, after `write` has made a whole file there; half of one is removed.

    Raises:
        OSError: as `write` does.
    """
    try:
        write(path)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return path


def write_csv(history: History, path: Path) -> None:
    """Write every number of a run.

    Raises:
        OSError: if that cannot be.
    """
    with path.open("x", encoding="utf-8", newline="") as out:
        table = CsvTable(out, 1)
        for first, last, layout in history.stretches():
            rows = [history.values(column)[first - 1 : last] for column in layout.columns]
            table.take([Batch(layout, first, np.array(rows))], last=False)
        table.close()


def has_arviz() -> bool:
    """Whether draws can be written; nothing is imported."""
    return importlib.util.find_spec("arviz") is not None


def write_draws(drawn: PosteriorDrawn, path: Path) -> None:
    """Write draws from the guide as ArviZ InferenceData: one chain, in constrained space.

    Raises:
        OSError: if that cannot be.
    """
    import arviz  # noqa: PLC0415 - it takes seconds, and may not be there

    posterior = {site.name: site.values[np.newaxis] for site in drawn.sites}
    _inference_data(arviz, posterior).to_netcdf(str(path))


def _inference_data(arviz: Any, posterior: dict[str, Any]) -> Any:
    try:
        return arviz.from_dict(posterior=posterior)
    except TypeError:
        # From version 1 on the groups are one argument.
        return arviz.from_dict({"posterior": posterior})
