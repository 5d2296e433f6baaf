"""Standard streams that are closed, full, or read no further; and places that cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from tui_elbo.model.errors import UsageError
from tui_elbo.runfile import database

COMMAND = f"{sys.executable} -m tui_elbo.cli"
CLOSED = "elbo-tui: stdout is closed, and it is where the output goes\n"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("list <&-", 0, ""),
        ("list 2>&-", 0, ""),
        ("list >&-", 2, CLOSED),
        ("list >&- 2>&-", 2, ""),
        ("list >/dev/full", 1, "elbo-tui: cannot write: No space left on device\n"),
        ("nosuch 2>/dev/full", 2, ""),
        ("runs 2>/dev/full", 0, ""),
        ("list | true", 0, ""),
    ],
)
def test_odd_streams_are_named_and_give_no_traceback(line: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} {line}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, said)


def test_narration_that_cannot_be_written_costs_no_data(tmp_path: Path) -> None:
    """A program may be called with a full disk behind stderr, and its numbers be wanted."""
    lines = (
        "import sys",
        "from tui_elbo.cli.run import narrate",
        "from tui_elbo.cli.streams import open_streams, own_stdout",
        "open_streams()",
        "out = own_stdout()",
        "print('from the model', flush=True)",
        "narrate('from us')",
        "print('a number', file=out, flush=True)",
    )
    program = tmp_path / "program.py"
    program.write_text("\n".join(lines))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} {program} 2>/dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "a number\n")


@pytest.mark.parametrize("where", ["nowhere/x.run", "~nobody-of-this-name/x.run"])
def test_a_place_that_cannot_be_written_is_found_out_before(where: str, tmp_path: Path) -> None:
    place = Path(where) if where.startswith("~") else tmp_path / where
    with pytest.raises(UsageError):
        database.check_place(place)
    assert list(tmp_path.iterdir()) == []


def test_the_look_before_leaves_nothing_and_follows_links(tmp_path: Path) -> None:
    target, link = tmp_path / "far.run", tmp_path / "link.run"
    link.symlink_to(target)
    database.check_place(link)
    assert database.place(link) == target
    assert list(tmp_path.iterdir()) == [link]


def test_a_full_disk_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(base: object, _saved: object) -> None:
        raise database.sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "_fill", full)
    with pytest.raises(UsageError, match="database or disk is full"):
        database.write(tmp_path / "x.run", cast("database.SavedRun", None))
    assert list(tmp_path.iterdir()) == []
