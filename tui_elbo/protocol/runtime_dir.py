"""Where live runs can be found: a folder of Unix sockets that is one person's alone.

A run's socket is named after its scenario, and that name is the run's id. A socket at which nobody
listens any more is swept away by whoever looks next. A script that has ended while no terminal was
there leaves a note of it, for a day or until another run takes its id.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from tui_elbo.model.errors import UsageError

SUFFIX = ".sock"
LONGEST = 24
"""Characters of an id, but for the number that tells it from another."""

NOTE = ".ended"
NOTED = 24 * 3600
"""Seconds for which it is known that a script has ended."""

MOST_RUNS = 1000
LONGEST_PATH = 100
"""Bytes: some systems have room for 103 in a socket's address."""

_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1


class EndedRun(msgspec.Struct, frozen=True):
    """A script that has ended while no terminal was there to see it."""

    id: str
    step: int
    """The last of what was shown."""
    at: float
    """When, by `time.time`."""
    error: str = ""
    """What it raised, as far as that is known."""

    @property
    def text(self) -> str:
        """In words."""
        raised = f", by {self.error}" if self.error else ""
        when = time.strftime("%H:%M", time.localtime(self.at))
        return f"it ended at {when}, after step {self.step}{raised}"


def folder() -> Path:
    """The folder, made if need be.

    Raises:
        UsageError: if it cannot be made, or is not this person's alone.
    """
    path = _places()[0]
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        what = f"no folder for live runs can be had: {error.strerror or error}"
        raise UsageError(what, where=str(path)) from error
    wrong = _wrong_with(found)
    if wrong:
        hint = "remove it, or set XDG_RUNTIME_DIR to a folder of your own"
        raise UsageError(f"the folder for live runs {wrong}", where=str(path), hint=hint)
    return path


def _places() -> list[Path]:
    """Where the folder may be, the best place first.

    The first can be removed while runs live, as systemd does at the last logout; they go on in the
    other one.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    first = [Path(given) / "elbo-tui"] if given and Path(given).is_dir() else []
    return [*first, Path(tempfile.gettempdir()) / f"elbo-tui-{os.geteuid()}"]


def _others() -> list[Path]:
    """The other folders that there are, and that are this person's alone."""
    return [path for path in _places()[1:] if path.is_dir() and not _wrong_with(path.lstat())]


def _wrong_with(found: os.stat_result) -> str:
    if not stat.S_ISDIR(found.st_mode):
        return "is no folder"
    if found.st_uid != os.geteuid():
        return f"belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o077:
        return f"is open to others (mode {stat.S_IMODE(found.st_mode):03o})"
    return ""


def socket_paths() -> list[Path]:
    """The sockets of the live runs, by id; those of dead ones are swept away.

    Raises:
        UsageError: if the folder cannot be had.
    """
    found: dict[str, Path] = {}
    for place in (folder(), *_others()):
        with _locked(place):
            alive = [path for path in place.glob(f"*{SUFFIX}") if not _swept(path)]
        found = {path.stem: path for path in alive} | found
    return [found[id] for id in sorted(found)]


def path_of(id: str) -> Path:
    """Where the socket of a run is, whether or not there is such a run."""
    return folder() / f"{id}{SUFFIX}"


def note_end(run: EndedRun) -> None:
    """Leave a note that a run has ended."""
    with suppress(OSError, UsageError):
        (folder() / f"{run.id}{NOTE}").write_bytes(msgspec.json.encode(run))


def ended() -> list[EndedRun]:
    """The runs that have left a note of their end, the last first; older notes are removed.

    Raises:
        UsageError: if the folder cannot be had.
    """
    found = []
    for path in folder().glob(f"*{NOTE}"):
        with suppress(OSError, msgspec.MsgspecError):
            run = msgspec.json.decode(path.read_bytes(), type=EndedRun)
            if time.time() - run.at < NOTED:
                found.append(run)
            else:
                path.unlink()
    return sorted(found, key=lambda run: -run.at)


def claim(name: str) -> tuple[socket.socket, Path]:
    """Listen at a socket that is named after `name`.

    Raises:
        UsageError: if the folder cannot be had, or has no room.
    """
    place = folder()
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:LONGEST] or "run"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(place):
            path = _free(place, stem)
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(128)
            path.with_suffix(NOTE).unlink(missing_ok=True)
    except OSError as error:
        listener.close()
        what = f"no socket can be made: {error.strerror or error}"
        raise UsageError(what, where=str(place)) from error
    return listener, path


def is_the_same_persons(stream: socket.socket) -> bool:
    """Whether the process at the other end belongs to this person."""
    if hasattr(socket, "SO_PEERCRED"):
        data = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        uid: int = struct.unpack("iII", data)[1]
    elif sys.platform == "darwin":
        data = stream.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
        uid = struct.unpack_from("II", data)[1]
    else:
        return False
    return uid == os.geteuid()


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Nobody else binds or sweeps meanwhile: a socket just bound and not yet listened at is dead
    by its looks."""
    held = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _free(place: Path, stem: str) -> Path:
    for number in range(1, MOST_RUNS + 1):
        id = stem if number == 1 else f"{stem}-{number}"
        path = place / f"{id}{SUFFIX}"
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise OSError(f"the path {path} is too long for a socket")
        elsewhere = any((other / path.name).exists() for other in _others() if other != place)
        if not elsewhere and (not path.exists() or _swept(path)):
            return path
    raise OSError(f"{MOST_RUNS} runs of this name are alive")


def _swept(path: Path) -> bool:
    """Whether nobody listens there; then it is removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with suppress(OSError):
                path.unlink()
            return True
        except OSError:
            return False
    return False
