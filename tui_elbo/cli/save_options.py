"""`elbo-tui run --save FILE` and `--from FILE`: a run put away, and gone on with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui_elbo.cli.script import Press
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import read

if TYPE_CHECKING:
    from tui_elbo.cli.printers import Printer
    from tui_elbo.engine.session import Session


def add_saving_options(options: argparse.ArgumentParser) -> None:
    """Add what `target` and `keeping` read."""
    options.add_argument(
        "--save", metavar="FILE", help="save the run when it ends, however it ends"
    )
    options.add_argument(
        "--from", dest="saved", metavar="FILE", help="go on with a saved run, exactly"
    )


def target(chosen: argparse.Namespace, pressed: list[Press]) -> str:
    """What to run: a scenario, or a saved run.

    Raises:
        UsageError: if there is no such thing, or the options do not go together.
    """
    if (chosen.saved is None) == (chosen.scenario is None):
        what = "a scenario and --from both say what to run" if chosen.saved else "nothing to run"
        raise UsageError(what, hint="name a scenario, or --from and a saved run")
    if chosen.save is not None and any(press.key == "G" for press in pressed):
        what = "--save keeps one way that the run went, and G goes over to another"
        raise UsageError(what, hint="leave out one of them")
    name: str = chosen.scenario if chosen.saved is None else chosen.saved
    if chosen.saved is None and not is_run_file(name):
        find_scenario(name)
        return name
    if chosen.seed is not None or chosen.device is not None:
        what = "a saved run has its seed and its device"
        raise UsageError(what, hint="leave out --seed and --device")
    if chosen.lens is not None:
        raise UsageError("--lens follows a run from its beginning", hint="leave out --lens")
    read(Path(name))
    return name


class Keeping:
    """Keeps the steps that a printer is given, and saves the run in the end.

    Args:
        printer: takes the steps as well.
        session: what is run.
        path: where to save it.
    """

    def __init__(self, printer: Printer, session: Session, path: str) -> None:
        self._printer, self._session, self._path = printer, session, Path(path)
        self._history = History()
        self._keep(list(session.restored))

    def take(self, batches: list[Batch], last: bool) -> None:
        """Take the next steps."""
        self._keep(batches)
        self._printer.take(batches, last)

    def close(self) -> None:
        """Print what is left, and save the run."""
        self._printer.close()
        self._history.forget_after(self._session.steps_taken)
        self._session.save(self._path, self._history.batches())

    def _keep(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._history.forget_after(batch.first - 1)
            self._history.append(batch)
