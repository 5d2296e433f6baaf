"""A notebook whose kernel is watched: a terminal comes between two cells, and nothing differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.client import history
from tests.engine.scripts import attached
from tests.runtime import runtime_folder
from tui_elbo.client import registry
from tui_elbo.model.records import Column
from tui_elbo.protocol import StepsRecorded

nbclient = pytest.importorskip("nbclient", reason="nbclient runs the notebook")
nbformat = pytest.importorskip("nbformat", reason="nbformat writes the notebook")
pytest.importorskip("ipykernel", reason="ipykernel is the kernel")

pytestmark = pytest.mark.slow

SETUP = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO

torch.set_num_threads(1)
pyro.set_rng_seed(0)

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 0.7))

svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
losses = []
"""
TRAIN = "for _ in range(40): losses.append(svi.step())"
RESULT = (
    "print(*map(float.hex, losses), pyro.param('loc').item().hex(), torch.rand(1).item().hex())"
)


class Notebook:
    """A notebook in a kernel of its own."""

    def __init__(self) -> None:
        self._node = nbformat.v4.new_notebook()
        self._client = nbclient.NotebookClient(self._node, kernel_name="python3", timeout=120)

    def run(self, source: str) -> str:
        """Execute one more cell; returns what it has printed on stdout."""
        cell = nbformat.v4.new_code_cell(source)
        self._node.cells.append(cell)
        cell = self._client.execute_cell(cell, len(self._node.cells) - 1)
        texts = [one.text for one in cell.outputs if one.get("name") == "stdout"]
        return "".join(texts)


@contextmanager
def notebook() -> Iterator[Notebook]:
    made = Notebook()
    with made._client.setup_kernel():
        yield made


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with runtime_folder():
        yield


def test_a_kernel_is_watched_and_trains_as_without_us() -> None:
    with notebook() as plain:
        for cell in (SETUP, TRAIN, TRAIN):
            plain.run(cell)
        expected = plain.run(RESULT)
    with notebook() as watched:
        watched.run("import tui_elbo; watched = tui_elbo.watch_all()")
        assert [run.id for run in registry.runs()] == ["notebook"]
        watched.run(SETUP)
        watched.run(TRAIN)
        with attached("notebook") as terminal:
            # What no step follows is shown nevertheless.
            terminal.until(StepsRecorded, lambda rows: rows.first + rows.values.shape[1] == 41)
            watched.run(TRAIN)
            terminal.until(StepsRecorded, lambda rows: rows.first + rows.values.shape[1] == 81)
            seen = history(terminal.seen)
        found = watched.run(RESULT)
        watched.run("watched.close()")
        assert registry.runs() == []
    assert found == expected
    losses = seen.values(Column("step", "", "loss")).tolist()
    assert [float.hex(loss) for loss in losses] == found.split()[:80]
