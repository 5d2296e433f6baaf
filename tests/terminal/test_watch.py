"""A script as it is, run by `elbo-tui watch`, on a real terminal."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime import end_all, runtime_folder
from tui_elbo.client import registry

from .terminal import COMMAND, Terminal

SCRIPT = """
import sys, time
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(4.0))
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.5))
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
print("arguments", sys.argv[1:], "stdin", repr(sys.stdin.read()))
if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        svi.step()
        time.sleep(0.001)
    sys.exit(7)
"""


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder
        for found in registry.runs():
            if found.status is not None:
                os.kill(found.status.pid, signal.SIGKILL)
        end_all()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.slow
def test_it_is_held_stepped_left_and_found_again(script: Path) -> None:
    with Terminal([*COMMAND, "watch", "--hold", str(script), "1000000", "--hold"]) as terminal:
        terminal.wait("step 0 ")
        terminal.press("3n")
        terminal.wait("step 3 ")
        terminal.press("o")
        terminal.wait(r"arguments \['1000000', '--hold'\] stdin ''")
        terminal.press("escape")
        terminal.wait("space run ")
        terminal.press("d")
        assert terminal.ended() == 0
        assert "train.py goes on; `elbo-tui attach train` shows it again" in terminal.screen
    with Terminal([*COMMAND, "attach", "train"]) as terminal:
        terminal.wait(r"step \d{2,} ")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_its_stdin_and_its_exit_code_are_its_own(script: Path) -> None:
    command = shlex.join(["echo", "words"]) + " | " + shlex.join([*COMMAND, "watch", str(script)])
    with Terminal(["sh", "-c", f"{command} 20"]) as terminal:
        terminal.wait("the script has ended with exit code 7")
        terminal.wait("step 20 ")
        terminal.press("o")
        terminal.wait(r"arguments \['20'\] stdin 'words\\n'")
        terminal.press("escape")
        terminal.wait("q quit")
        terminal.press("q")
        assert terminal.ended() == 7
