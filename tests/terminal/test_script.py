"""A script of one's own, watched, on a real terminal that attaches to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runtime import end_all, runtime_folder

from .terminal import COMMAND, Terminal

SCRIPT = """
import sys, torch, pyro, pyro.distributions as dist, tui_elbo
from pyro.infer import SVI, Trace_ELBO
x = torch.tensor([4.0, 5.0, 6.0, 5.5])
def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)
def guide(x):
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.5))
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
tui_elbo.watch(svi, "mine")
print("begins", flush=True)
while True:
    svi.step(BATCH)
"""


@contextmanager
def training(folder: Path, batch: str) -> Iterator[None]:
    """A script that goes on and on."""
    path = folder / "train.py"
    path.write_text(SCRIPT.replace("BATCH", batch))
    with runtime_folder():
        script = subprocess.Popen(
            [sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert script.stdout is not None
        try:
            assert script.stdout.readline() == b"begins\n"
            yield
        finally:
            script.kill()
            script.wait()
            script.stdout.close()
            end_all()


@pytest.mark.slow
def test_its_attribution_and_the_sentence_are_there(tmp_path: Path) -> None:
    with training(tmp_path, "x"), Terminal([*COMMAND, "attach", "mine"]) as terminal:
        terminal.wait("what moved it ── since step 0")
        terminal.wait("No θ here: log p rose .* nats because φ moved q")
        terminal.press(" ")
        terminal.wait("space run ")
        terminal.press("p")
        screen = terminal.wait("change by parameter and site(.|\n)*φ loc")
        assert "from step 0 to" in screen
        terminal.press("escape")
        terminal.wait("space run ")
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_of_minibatches_it_is_said_whose_data_the_lens_sees(tmp_path: Path) -> None:
    batch = "x[torch.randperm(4)[:2]]"
    with training(tmp_path, batch), Terminal([*COMMAND, "attach", "mine"]) as terminal:
        terminal.wait("what moved it ── since step")
        terminal.wait("the lens sees the data of 32 steps .*(.|\n)*these stand for all")
        terminal.wait("log p rose .* nats because φ moved q")
        terminal.press("d")
        assert terminal.ended() == 0
