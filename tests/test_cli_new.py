"""`elbo-tui new`: the file it writes runs; it replaces nothing and makes no folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tui_elbo.cli import main
from tui_elbo.model.scenarios import read_docstring

COMMAND = (sys.executable, "-P", "-m", "tui_elbo.cli")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_the_file_runs_at_once_and_finds_the_posterior() -> None:
    written = command("new", "coin")
    assert (written.returncode, written.stdout) == (0, "coin.py\n")
    assert "  elbo-tui coin.py\n" in written.stderr
    assert "  elbo-tui run coin.py\n" in written.stderr
    ran = command("run", "coin.py", "--json", "--every", "600")
    assert (ran.returncode, ran.stderr) == (0, "")
    last, _verdict = map(json.loads, ran.stdout.splitlines())
    assert last["step"] == 600
    assert abs(last["params"]["loc"]["value"] - 0.75621) < 0.15
    assert abs(last["params"]["scale"]["value"] - 0.63770) < 0.15
    assert {name: param["role"] for name, param in last["params"].items()} == {
        "loc": "guide",
        "scale": "guide",
    }


def test_the_file_explains_everything_that_a_scenario_may_set() -> None:
    assert main(["new", "coin.py"]) == 0
    text = Path("coin.py").read_text(encoding="utf-8")
    names = ("model", "guide", "optimizer", "loss", "batch", "full_batch")
    for name in (*names, "seed", "steps", "scheduler_every", "settings"):
        assert f"{name} = " in text or f"def {name}(" in text
    for known in ("log_evidence", "elbo", "params", "posterior"):
        assert f"`{known}`" in text
    assert "elbo_tui" not in text
    assert "tui_elbo" not in text
    title, notes = read_docstring(Path("coin.py"))
    assert title == "A coin with an unknown bias"
    assert "`space`" in notes


@pytest.mark.parametrize("path", ["here", "here.py", "./here.py"])
def test_it_is_never_written_over_a_file(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("here.py").write_text("mine")
    assert main(["new", path]) == 2
    assert Path("here.py").read_text() == "mine"
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is a file already" in err


def test_a_link_to_nowhere_is_something_too() -> None:
    Path("link.py").symlink_to("elsewhere.py")
    assert main(["new", "link.py"]) == 2
    assert not Path("elsewhere.py").exists()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("no/such/model.py", "mkdir -p no/such"),
        ("folder/", "a directory"),
        (".", "a directory"),
        ("other/", "mkdir -p other"),
        ("model.txt", "model.py"),
        ("torch.py", "my_torch.py"),
        ("random", "my_random.py"),
        ("", "names no file"),
        ("a\0b", "cannot be written"),
        ("~nobody-of-this-name/model.py", "no home folder of this name"),
        pytest.param("m" * 300, "cannot be written", id="long"),
        ("file/model.py", "no such folder"),
    ],
)
def test_where_no_scenario_can_be(path: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    Path("file").write_text("")
    assert main(["new", path]) == 2
    assert told in capsys.readouterr().err
    assert sorted(entry.name for entry in Path().iterdir()) == ["file", "folder"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("two words.py", "elbo-tui 'two words.py'"),
        ("folder/model", "elbo-tui folder/model.py"),
        ("red\x1b[31m", "\\x1b[31m"),
    ],
)
def test_what_to_run_next_can_be_pasted(
    path: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    assert main(["new", path]) == 0
    out, err = capsys.readouterr()
    assert shown in err
    assert "\x1b" not in out + err


def test_a_name_that_begins_with_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--", "-odd.py"]) == 0
    assert "elbo-tui ./-odd.py" in capsys.readouterr().err
