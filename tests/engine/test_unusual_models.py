"""Models of unusual shape or conduct step like any other."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest
import torch

from tests.engine.compare import assert_same, watched_run
from tests.engine.plain import plain_run
from tests.engine.sources import HEAD, SMALL, small, write
from tui_elbo.engine.session import Session

CHANGING = (
    HEAD
    + """
def batch(step): return (step,)
def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([step]).to_event(1))
    for i in range(step % 3):
        pyro.sample(f"x{i}", dist.Normal(z[0], 1.0), obs=torch.tensor(0.5))
def guide(step):
    loc = pyro.param(f"loc{step // 2}", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0).expand([step]).to_event(1))
"""
)


def test_sites_and_parameters_may_change_from_step_to_step(tmp_path: Path) -> None:
    path = write(tmp_path, CHANGING)
    watched = watched_run(str(path), 9)
    assert_same(plain_run(path, 9), watched)
    for record in watched.records:
        assert set(record.sites) == {"z"} | {f"x{i}" for i in range(record.step % 3)}
        assert set(record.params) == {f"loc{i}" for i in range(record.step // 2 + 1)}
        site_sum = math.fsum(site.log_p or 0.0 for site in record.sites.values())
        assert record.log_p == pytest.approx(site_sum, abs=1e-5)


RUDE = {
    "threads": "torch.set_num_threads(3)",
    "folder": "import os; os.chdir('/')",
    "stdout": "import sys, io; sys.stdout = io.StringIO()",
    "thread": "import threading; threading.Thread(target=print).start()",
    "subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)",
    "grad": "torch.set_grad_enabled(True)",
    "modules": "import sys; sys.modules.pop('tui_elbo.model.errors', None)",
}


@pytest.mark.parametrize("what", RUDE)
def test_a_rude_model_steps_all_the_same(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setitem(sys.modules, "tui_elbo.model.errors", sys.modules["tui_elbo.model.errors"])
    path = write(tmp_path, small(model=RUDE[what]))
    plain = plain_run(path, 3)
    monkeypatch.chdir(tmp_path)
    session = Session("scenario.py")
    assert [session.step().loss for _ in range(3)] == plain.losses
    session.restart()
    assert Path(os.getcwd()) == tmp_path.resolve()
    assert torch.get_num_threads() == 1
    assert session.step().loss == plain.losses[0]


@pytest.mark.slow
def test_five_thousand_parameters(tmp_path: Path) -> None:
    many = "for i in range(5000): pyro.param(f'p{i}', torch.tensor(0.0))"
    path = write(tmp_path, small(guide=many))
    session = Session(str(path))
    session.step()
    record = session.step()
    assert list(record.params) == ["loc"]
    assert [module.params for module in (record.modules or {}).values()] == [5000]
    assert record.loss == plain_run(write(tmp_path, SMALL, "few.py"), 2).losses[-1]
