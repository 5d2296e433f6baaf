"""A run in a file: its settings, its scenario's source, its columns, and a state to go on from.

The file is an SQLite database, so no format of our own: known by SQLite's magic number and the
application id in its header. It holds numbers, JSON and MessagePack; opening it executes nothing.
It is written whole beside its place and then moved there, so a crash leaves the old one or the new.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tui_elbo.model.errors import UsageError
from tui_elbo.model.own_settings import Given
from tui_elbo.model.records import Batch, Column, Floats, Layout
from tui_elbo.model.scenarios import ScenarioFile, expanded
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol.codec import encodable, encode
from tui_elbo.runfile import APPLICATION, is_run_file

FORMAT = 1
"""The version of what is in the file, which grows whenever that changes."""

CHUNK = 4096
"""Steps in one row of numbers."""

_TABLES = {
    "meta": "name TEXT PRIMARY KEY, value BLOB",
    "layouts": "id INTEGER PRIMARY KEY, value BLOB",
    "numbers": "first INTEGER PRIMARY KEY, layout INTEGER, steps INTEGER, value BLOB",
    "tensors": "id INTEGER PRIMARY KEY, dtype TEXT, shape TEXT, value BLOB",
}


class PackedTensor(msgspec.Struct, frozen=True):
    """A tensor as bytes."""

    dtype: str
    """Such as `float32`."""
    shape: tuple[int, ...]
    data: bytes


class RunSettings(msgspec.Struct, frozen=True):
    """What a run was started with, and what was changed on the way."""

    name: str
    path: str
    module: str | None
    root: str
    own: str
    """Of the scenario; see `ScenarioFile`."""
    seed: int | None
    """As it was asked for; None: the scenario's own."""
    threads: int
    device: str | None
    step: int
    """The step at which the run stands."""
    tunings: tuple[tuple[int, Tuning], ...] = ()
    """The changes of settings, each with the step after which it was made."""
    files: dict[str, str] = {}
    """The scenario's own files and their SHA-256."""
    guide: str | None = None
    """The stock guide, such as `AutoNormal`, in place of the scenario's own; None: its own."""
    given: Given = ()
    """Values of the scenario's own settings, in place of those that it declares."""

    @property
    def source(self) -> ScenarioFile:
        """Where the scenario's code was."""
        return ScenarioFile(
            self.name, Path(self.path), self.module, Path(self.root), Path(self.own)
        )


class SavedRun(msgspec.Struct, frozen=True, eq=False):
    """What a file holds."""

    settings: RunSettings
    text: bytes
    """The scenario's source, as it was executed."""
    batches: tuple[Batch, ...]
    """Every step."""
    state: bytes = b""
    """A state of the run, as JSON that refers to `tensors`; empty if there is none."""
    tensors: tuple[PackedTensor, ...] = ()


def place(path: Path) -> Path:
    """Where the file is to be: a link leads to what it names.

    Raises:
        UsageError: if something else is there.
    """
    path = Path(os.path.realpath(expanded(path)))
    if path.is_dir() or (path.exists() and path.stat().st_size and not is_run_file(str(path))):
        what = "this is something else than a saved run, and is left alone"
        raise UsageError(what, where=str(path), hint="choose another name")
    return path


def check_place(path: Path) -> None:
    """See, before a run begins, that it can be saved there.

    Raises:
        UsageError: if not.
    """
    path = place(path)
    with _beside(path) as beside:
        beside.touch()


def write(path: Path, saved: SavedRun) -> None:
    """Write the file, in the place of one that is there.

    Raises:
        UsageError: if it cannot be written, or what is there is no such file.
    """
    path = place(path)
    with _beside(path) as beside:
        with closing(sqlite3.connect(beside)) as base, base:
            _fill(base, saved)
        _settle(beside)
        beside.replace(path)
        _settle(path.parent)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file beside a place, of which nothing is left whatever goes wrong."""
    beside = path.with_name(f".{path.name}.saving")
    try:
        beside.unlink(missing_ok=True)
        yield beside
    except (OSError, ValueError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"the run cannot be saved: {said}", where=str(path)) from error
    finally:
        for left in (beside, beside.with_name(f"{beside.name}-journal")):
            with suppress(OSError, ValueError):
                left.unlink(missing_ok=True)


def read(path: Path) -> SavedRun:
    """What the file holds. Nothing in it is executed.

    Raises:
        UsageError: if it is foreign, newer, or not whole; with the reason.
    """
    with _reading(path) as base:
        return _taken(base)


def read_columns(
    path: Path, columns: Sequence[Column]
) -> tuple[RunSettings, list[tuple[int, list[Floats | None]]]]:
    """Its settings and a few columns, quickly: the checksum of the rest is not looked at.

    Args:
        path: of the file.
        columns: which ones.

    Returns:
        The settings; and of each stretch of steps its length and the columns, each of shape
        (steps,), or None where the stretch has no such column.

    Raises:
        UsageError: as `read` does, but for the checksum.
    """
    with _reading(path) as base:
        layouts = {
            number: _rows_of(value, tuple(columns))
            for number, value in base.execute("SELECT id, value FROM layouts")
        }
        (settings,) = base.execute("SELECT value FROM meta WHERE name = 'settings'").fetchone()
        found: list[tuple[int, list[Floats | None]]] = []
        rows = base.execute("SELECT first, layout, steps FROM numbers ORDER BY 1").fetchall()
        for first, layout, steps in rows:
            with base.blobopen("numbers", "value", first, readonly=True) as blob:
                found.append((steps, [_row_of(blob, row, steps) for row in layouts[layout]]))
        return msgspec.json.decode(settings, type=RunSettings), found


def _row_of(blob: sqlite3.Blob, row: int | None, steps: int) -> Floats | None:
    if row is None:
        return None
    blob.seek(8 * row * steps)
    return np.frombuffer(blob.read(8 * steps), dtype="<f8").astype(np.float64)


@lru_cache(maxsize=32)
def _rows_of(layout: bytes, columns: tuple[Column, ...]) -> tuple[int | None, ...]:
    """Where the columns are; the runs of a sweep mostly have the same layout."""
    index = msgspec.msgpack.decode(layout, type=Layout).index
    return tuple(index.get(column) for column in columns)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The database in the file.

    Raises:
        UsageError: if it is foreign, newer, or not whole; with the reason.
    """
    path = expanded(path)
    if not is_run_file(str(path)):
        raise UsageError("this is no saved run", where=str(path), hint="name a file of run --save")
    try:
        _check_size(path)
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            base.execute("PRAGMA trusted_schema = OFF")
            _check_form(base)
            yield base
    except UsageError as error:
        raise UsageError(error.what, where=str(path), hint=error.hint) from error
    except (OSError, sqlite3.Error, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        what = f"this saved run is not whole: {error}"
        raise UsageError(what, where=str(path), hint="it cannot be opened") from error


def _check_size(path: Path) -> None:
    """See that as many pages are there as SQLite's header says."""
    with path.open("rb") as file:
        head = file.read(100)
    page, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
    wanted, there = (page if page > 1 else 65536) * pages, path.stat().st_size
    if there != wanted:
        raise ValueError(f"it has {there} bytes, and {wanted} were written")


def _fill(base: sqlite3.Connection, saved: SavedRun) -> None:
    base.execute("PRAGMA journal_mode = OFF")
    base.execute(f"PRAGMA application_id = {APPLICATION}")
    base.execute(f"PRAGMA user_version = {FORMAT}")
    for name, columns in _TABLES.items():
        base.execute(f"CREATE TABLE {name} ({columns})")
    layouts = {batch.layout.id: batch.layout for batch in saved.batches}
    encoded = [(i, encode(encodable(one))) for i, one in layouts.items()]
    base.executemany("INSERT INTO layouts VALUES (?, ?)", encoded)
    base.executemany("INSERT INTO numbers VALUES (?, ?, ?, ?)", _numbers(saved.batches))
    base.executemany(
        "INSERT INTO tensors VALUES (?, ?, ?, ?)",
        [
            (i, one.dtype, msgspec.json.encode(one.shape).decode(), one.data)
            for i, one in enumerate(saved.tensors)
        ],
    )
    meta = {
        "settings": msgspec.json.encode(saved.settings),
        "text": saved.text,
        "state": saved.state,
    }
    base.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    base.execute("INSERT INTO meta VALUES ('digest', ?)", (_digest(base),))


def _numbers(batches: Iterable[Batch]) -> Iterator[tuple[int, int, int, bytes]]:
    for batch in batches:
        for start in range(0, batch.steps, CHUNK):
            part = np.ascontiguousarray(batch.values[:, start : start + CHUNK], dtype="<f8")
            yield batch.first + start, batch.layout.id, part.shape[1], part.tobytes()


def _check_form(base: sqlite3.Connection) -> None:
    """See that it is a database of this version and has its tables."""
    version = base.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        what = f"this run was saved by another elbo-tui (format {version}, and this reads {FORMAT})"
        raise UsageError(what, hint="open it with a newer elbo-tui" if version > FORMAT else "")
    found = set(base.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))
    if found != {("table", name) for name in _TABLES}:
        raise ValueError("its tables are not those of a saved run")


def _taken(base: sqlite3.Connection) -> SavedRun:
    meta = dict(base.execute("SELECT name, value FROM meta"))
    if meta.pop("digest", None) != _digest(base):
        raise ValueError("its content is not what was written")
    layouts = {
        number: msgspec.msgpack.decode(value, type=Layout)
        for number, value in base.execute("SELECT id, value FROM layouts")
    }
    return SavedRun(
        settings=msgspec.json.decode(meta["settings"], type=RunSettings),
        text=meta["text"],
        batches=tuple(_batches(base, layouts)),
        state=meta["state"],
        tensors=tuple(
            PackedTensor(dtype, tuple(msgspec.json.decode(shape)), data)
            for dtype, shape, data in base.execute(
                "SELECT dtype, shape, value FROM tensors ORDER BY id"
            )
        ),
    )


def _batches(base: sqlite3.Connection, layouts: dict[int, Layout]) -> Iterator[Batch]:
    rows: Iterable[Any] = base.execute("SELECT first, layout, steps, value FROM numbers ORDER BY 1")
    expected = 1
    for first, number, steps, data in rows:
        layout = layouts[number]
        if first != expected:
            raise ValueError(f"step {expected} is missing")
        expected += steps
        values = np.frombuffer(data, dtype="<f8").reshape(len(layout.columns), steps)
        yield Batch(layout, first, values.astype(np.float64))


def _digest(base: sqlite3.Connection) -> bytes:
    """A checksum of all that the tables hold."""
    found = hashlib.sha256()
    for name in sorted(_TABLES):
        for row in base.execute(f"SELECT * FROM {name} ORDER BY 1"):
            if row[0] != "digest":
                for value in row:
                    part = value if isinstance(value, bytes) else str(value).encode()
                    found.update(len(part).to_bytes(8, "little") + part)
    return found.digest()


def _settle(path: Path) -> None:
    """Wait until the disk has it."""
    with _opened(path) as number:
        os.fsync(number)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)
