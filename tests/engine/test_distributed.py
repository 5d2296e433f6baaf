"""Several processes of one training: one is watched, and not a bit of any differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tui_elbo
from tests.engine.scripts import simple
from tui_elbo.engine.script import launcher, script_session

WATCH = (sys.executable, "-m", "tui_elbo.cli", "watch", "--headless")

TWO = """
import json, sys, torch, pyro, pyro.distributions as dist, torch.distributed as group
from pyro.infer import SVI, Trace_ELBO
rank, store = int(sys.argv[2]), "file://" + sys.argv[1]
group.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
pyro.set_rng_seed(rank)
data = torch.randn(5) + rank
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 5):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)
guide = pyro.infer.autoguide.AutoNormal(model)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
losses = []
for _ in range(20):
    losses.append(svi.step())
    for _, value in pyro.get_param_store().named_parameters():
        group.all_reduce(value.data)
        value.data /= 2
print(json.dumps([
    losses, {name: value.tolist() for name, value in pyro.get_param_store().items()},
    torch.rand(3).tolist(),
]))
print(json.dumps("tui_elbo" in sys.modules), file=sys.stderr)
group.destroy_process_group()
"""

WORKERS = """
import json, os, sys, torch, pyro, pyro.distributions as dist
from torch.utils.data import DataLoader, Dataset
from pyro.infer import SVI, Trace_ELBO

class Data(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        import threading
        known = [thread.name for thread in threading.enumerate()]
        left_alone = "elbo-tui" not in known and "ELBO_TUI_WATCH" not in os.environ
        return torch.randn(3) + index, left_alone, "tui_elbo" in sys.modules

def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=data)

if __name__ == "__main__":
    pyro.set_rng_seed(3)
    guide = pyro.infer.autoguide.AutoNormal(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    losses, alone, imported = [], [], []
    for way in ("fork", "spawn"):
        loader = DataLoader(Data(), batch_size=4, num_workers=2, multiprocessing_context=way)
        for data, left_alone, known in loader:
            losses.append(svi.step(data))
            alone += left_alone.tolist()
            imported.append([way, known.any().item()])
    print(json.dumps([losses, torch.rand(3).tolist(), alone]))
    print(json.dumps(imported), file=sys.stderr)
"""


def ran(argv: list[str], **variables: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    environment = os.environ | variables
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> tuple[Any, str]:
    printed, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    return json.loads(printed), complaints


@pytest.mark.slow
def test_of_two_processes_one_is_watched_and_no_bit_of_either_differs(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TWO)
    found = []
    for way in ([sys.executable], [*WATCH]):
        words = [*way, str(script), str(tmp_path / f"store{len(way)}")]
        both = [
            ran([*words, rank], RANK=rank, WORLD_SIZE="2", OMP_NUM_THREADS="1") for rank in "01"
        ]
        found.append([ended(one) for one in both])
    plain, watched = found
    assert [result for result, _ in watched] == [result for result, _ in plain]
    first, second = (complaints for _, complaints in watched)
    assert "elbo-tui attach train" in first
    assert second.splitlines()[-1] == "false"
    assert "elbo-tui" not in second


@pytest.mark.slow
def test_workers_of_a_data_loader_are_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(WORKERS)
    plain, _ = ended(ran([sys.executable, str(script)]))
    watched, complaints = ended(ran([*WATCH, str(script)]))
    assert watched == plain
    assert all(plain[2])
    spawned = [known for way, known in json.loads(complaints.splitlines()[-1]) if way == "spawn"]
    assert spawned == [False] * len(spawned)


@pytest.mark.parametrize("name", launcher.VARIABLES)
def test_in_the_process_of_another_rank_nothing_is_done(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    for handle in (tui_elbo.watch(simple()), tui_elbo.watch_all()):
        assert handle.id == ""
        handle.close()
    assert script_session.current() is None
    assert launcher.is_watched(1)
    monkeypatch.setenv(name, "of my own")
    assert launcher.rank() is None
