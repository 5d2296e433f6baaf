"""Files that the explorer writes: numbers, draws, pictures. Nothing is overwritten."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch
from tui_elbo.protocol import PosteriorDrawn

MOST_TRIES = 1000


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
