"""What a person asks of a sweep while it goes on: to stop, resume, restart or add runs.

Each request is a file of the sweep's folder; whoever holds the folder carries it out and removes
it. Where no sweep goes on, one is started for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec

Act = Literal["stop", "resume", "restart", "add"]


class Request(msgspec.Struct, frozen=True):
    """What is asked."""

    act: Act
    runs: tuple[str, ...] = ()
    """The runs to stop, resume or restart, by name."""
    added: tuple[RunSpec, ...] = ()


def ask(folder: Path, request: Request) -> None:
    """Leave a request in the folder of a sweep.

    Raises:
        UsageError: if it cannot be written.
    """
    requests = folder / ".sweep" / "requests"
    try:
        requests.mkdir(exist_ok=True)
        name = f"{time.time_ns():020}-{os.getpid()}"
        beside = requests / f".{name}.writing"
        beside.write_bytes(msgspec.json.encode(request))
        beside.replace(requests / name)
    except OSError as error:
        what = f"the sweep cannot be asked: {error.strerror or error}"
        raise UsageError(what, where=str(folder)) from error


def waiting(folder: Path) -> bool:
    """Whether there is a request that nobody has carried out."""
    return any(True for _ in _files(folder))


def requests(folder: Path) -> Iterator[Request]:
    """The requests in the folder, the oldest first; each is removed once it is carried out."""
    for file in sorted(_files(folder)):
        try:
            found = msgspec.json.decode(file.read_bytes(), type=Request)
        except (OSError, msgspec.MsgspecError):
            found = None  # Another version's, or damaged: nobody can carry it out.
        if found is not None:
            yield found
        with suppress(OSError):
            file.unlink()


def start_sweep(folder: Path) -> subprocess.Popen[bytes]:
    """Go on with the sweep of a folder in a process that outlives this one.

    Raises:
        UsageError: if it cannot be started.
    """
    command = [sys.executable, "-m", "tui_elbo.cli", "sweep", "--out", str(folder)]
    try:
        with (folder / ".sweep" / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        what = f"no sweep can be started: {error.strerror or error}"
        raise UsageError(what, where=str(folder)) from error


def last_word(folder: Path) -> str:
    """The last line that a sweep that was started so has printed."""
    with suppress(OSError):
        lines = (folder / ".sweep" / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from (
            file
            for file in (folder / ".sweep" / "requests").iterdir()
            if not file.name.startswith(".")
        )
