"""What the command refuses before torch is imported, and `elbo-tui list`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import ran
from tui_elbo import __version__
from tui_elbo.model.scenarios import gallery

USAGE = {
    ("run", "no_thetta"): "did you mean no_theta?",
    ("no_thetta",): "did you mean no_theta?",
    ("run", "nothing.py"): "there is no such file",
    ("nothing.py",): "there is no such file",
    ("run", "."): "this is a directory",
    ("run", ""): "a scenario needs a name",
    ("run", "x" * 300): "File name too long",
    ("run", "~nobody_at_all/m.py"): "no home folder of this name",
    ("run",): "nothing to run",
    ("run", "no_theta", "--steps", "0"): "must be at least 1",
    ("run", "no_theta", "--steps", "ten"): "invalid whole number value",
    ("run", "no_theta", "--every", "0"): "must be at least 1",
    ("run", "no_theta", "--seed", "-1"): "must be at least 0",
    ("run", "no_theta", "--seed", "4294967296"): "must be at most 4294967295",
    ("run", "no_theta", "--threads", "0"): "must be at least 1",
    ("run", "no_theta", "--threads", "1000000"): "must be at most",
    ("run", "no_theta", "--stepz", "1"): "unrecognized arguments",
    ("list", "more"): "unrecognized arguments",
    ("no_theta",): "elbo-tui run no_theta prints the same numbers",
    (): "elbo-tui run SCENARIO prints the same numbers",
}


@pytest.mark.parametrize("words", USAGE, ids=lambda words: " ".join(words)[:40] or "nothing")
def test_what_cannot_be_done_ends_with_2(words: tuple[str, ...], tmp_path: Path) -> None:
    code, out, err = ran(*words, folder=tmp_path)
    assert (code, out) == (2, "")
    assert USAGE[words] in err
    assert "Traceback" not in err


def test_escapes_of_a_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    code, _, err = ran("run", "\x1b[31m[red]\x1b]0;t\x07", folder=tmp_path)
    assert code == 2
    assert "\x1b" not in err
    assert "[red]" in err


def test_the_gallery_is_listed(tmp_path: Path) -> None:
    code, out, err = ran("list", folder=tmp_path)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if not line.startswith("# ")]
    assert [line.split()[0] for line in lines] == [entry.name for entry in gallery()]
    groups = dict.fromkeys(f"# {entry.group}" for entry in gallery())
    assert [line for line in out.splitlines() if line.startswith("# ")] == list(groups)
    code, out, err = ran("list", "--json", folder=tmp_path)
    assert (code, err) == (0, "")
    assert json.loads(out) == [
        {
            "name": entry.name,
            "group": entry.group,
            "title": entry.title,
            "path": str(entry.path),
        }
        for entry in gallery()
    ]


def test_the_version_is_reported() -> None:
    assert ran("--version") == (0, f"elbo-tui {__version__}\n", "")
