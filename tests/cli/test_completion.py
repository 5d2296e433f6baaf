"""What the shell gets when the tab key is pressed, and what `--help` shows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.runtime import runtime_folder
from tui_elbo import cli
from tui_elbo.cli import COMMANDS
from tui_elbo.cli.completion import SHELLS
from tui_elbo.model.scenarios import gallery
from tui_elbo.protocol import runtime_dir

ASK = """
import os, sys
from tui_elbo import cli
from tui_elbo.cli import completion, explore, run

for number, line in enumerate(sys.argv[1:]):
    if os.fork() == 0:
        os.environ |= {
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": " ",
            "_ARGCOMPLETE_STDOUT_FILENAME": f"found{number}",
        }
        cli.main([])
    os.wait()
"""
"""Completes each of its arguments, as the shells' code does it: in a process that ends with it."""


def completed(folder: Path, *lines: str, **shell: str) -> list[set[str]]:
    """What may come next on each line; `shell`: what the shell's code sets besides."""
    program = [sys.executable, "-c", ASK, *lines]
    subprocess.run(program, cwd=folder, check=True, timeout=60, env={**os.environ, **shell})
    return [set((folder / f"found{n}").read_text().split()) for n in range(len(lines))]


def test_zsh_and_fish_get_the_same_words(tmp_path: Path) -> None:
    both = {"_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    fish = {"_ARGCOMPLETE_SHELL": "fish", "_ARGCOMPLETE_DFS": "\t"}
    assert completed(tmp_path, "elbo-tui run no_t", **both, **fish) == [{"no_theta"}]
    # zsh has a colon between a word and what it means.
    zsh = {"_ARGCOMPLETE_SHELL": "zsh"}
    assert completed(tmp_path, "elbo-tui run no_t", **both, **zsh) == [{"no_theta:"}]


def test_the_tab_key_finds_commands_options_scenarios_files_and_live_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    with runtime_folder(), closing(socket.socket(socket.AF_UNIX)) as live:
        path = runtime_dir.path_of("coin-2")
        live.bind(str(path))
        live.listen()
        first, theirs, option, options, saved, number, shells, run = completed(
            tmp_path,
            "elbo-tui ",
            "elbo-tui run no_t",
            "elbo-tui --thr",
            "elbo-tui run no_theta --",
            "elbo-tui run --save m",
            "elbo-tui run no_theta --steps ",
            "elbo-tui completion ",
            "elbo-tui attach c",
        )
        path.unlink()
    assert first >= {*COMMANDS, *(entry.name for entry in gallery()), "mine.py"}
    assert theirs == {"no_theta"}
    assert option == {"--threads"}
    assert {"--until", "--csv", "--save"} <= options
    assert saved == {"mine.py"}
    assert number == set()
    assert shells == set(SHELLS)
    assert run == {"coin-2"}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_code(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "elbo-tui" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*filter(None, [command]), "--help"])
    assert ended.value.code == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2].splitlines()
    assert sum(f"elbo-tui {command}".strip() in line for line in examples) >= 1
    assert len(examples) >= 2
    assert max(map(len, examples)) < 80
