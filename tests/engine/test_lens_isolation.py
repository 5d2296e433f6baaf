"""A run with the lens on is the run without it, bit for bit."""

from __future__ import annotations

import threading
from pathlib import Path

import pyro
import pytest
import torch
from torch.optim import optimizer

from tests.engine import matrix, specials
from tests.engine.compare import WatchedRun, assert_same
from tests.engine.looking import (
    MIXTURE_GUIDE,
    PLATED,
    SUMMED_DRAWS,
)
from tests.engine.matrix import scenario, write
from tests.engine.plain import plain_run
from tui_elbo.engine.lens import isolated
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.isolation import InitialParams
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.usefixtures("quiet")

UNTOUCHED = {
    "by hand": scenario(*matrix.GUIDES["by_hand"]),
    "AutoNormal": scenario(*matrix.GUIDES["AutoNormal"], loss="Trace_ELBO(num_particles=3)"),
    "AutoMultivariateNormal": scenario(*matrix.GUIDES["AutoMultivariateNormal"]),
    "AutoDelta": scenario(*matrix.GUIDES["AutoDelta"]),
    "AutoIAFNormal": scenario(*matrix.GUIDES["AutoIAFNormal"]),
    "AutoStructured": scenario(*matrix.GUIDES["AutoStructured"]),
    "AutoLaplaceApproximation": scenario(*matrix.GUIDES["AutoLaplaceApproximation"]),
    "AutoNormalMessenger": scenario(*matrix.GUIDES["AutoNormalMessenger"]),
    "AutoGuideList": scenario(*matrix.GUIDES["AutoGuideList"]),
    "vectorised": scenario(
        *matrix.GUIDES["AutoNormal"], loss="Trace_ELBO(num_particles=4, vectorize_particles=True)"
    ),
    "compiled": scenario(*matrix.GUIDES["by_hand"], loss="JitTrace_ELBO()"),
    "mean field": scenario(*matrix.GUIDES["AutoNormal"], loss="TraceMeanField_ELBO()"),
    "BatchNorm and Dropout": scenario(specials.NETWORK),
    "PyroSample": scenario(specials.BAYESIAN_NETWORK),
    "subsampling": scenario(specials.SUBSAMPLE, specials.SUBSAMPLE_GUIDE),
    "summed out": scenario(specials.MIXTURE, MIXTURE_GUIDE, loss="TraceEnum_ELBO()"),
    "weighed": scenario(
        specials.ENUMERATED_GUIDE.replace("HOW", "parallel").replace("PLATE", PLATED),
        loss="TraceEnum_ELBO()",
    ),
    "scheduler": scenario(
        *matrix.GUIDES["AutoNormal"], optimizer=specials.SCHEDULERS["CosineAnnealingLR"]
    ),
    "plate that fails": scenario(SUMMED_DRAWS),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_a_run_with_the_lens_on_is_the_plain_run(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, UNTOUCHED[name])
    plain = plain_run(path, 6)
    session = Session(path)
    attribution = Attribution(session, 40)
    records = []
    for step in range(6):
        batches = session.advance(1)
        records += [record for batch in batches for record in batch.records()]
        attribution.learn(batches)
        point = attribution.begin() if step == 0 else attribution.point()
        assert "sees nothing" not in point.note
    attribution.close()
    assert_same(plain, WatchedRun(session, records))


def test_what_another_thread_prints_meanwhile_is_not_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def other() -> None:
        print("from another thread")

    with isolated():
        print("from the look")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    print("after it")
    assert capsys.readouterr().out == "from another thread\nafter it\n"


def test_a_smaller_store_is_not_gone_through_at_each_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyroOptim makes an optimiser for each parameter: each would go through all the others."""
    store = pyro.get_param_store()
    store.clear()
    initial = InitialParams(hooked=False)
    for name in ("a", "b", "c"):
        pyro.param(name, torch.zeros(2))
    initial.look()
    del store["c"]
    initial.look()
    went: list[str] = []
    named = store.named_parameters
    monkeypatch.setattr(store, "named_parameters", lambda: (went.append("all"), named())[1])
    for _ in range(10):
        initial.look()
    assert not went
    pyro.param("d", torch.ones(1))
    initial.look()
    assert went == ["all"]
    assert sorted(initial.values) == ["a", "b", "c", "d"]


def test_an_update_calls_nothing_of_a_run_that_is_gone() -> None:
    before = len(optimizer._global_optimizer_pre_hooks)
    initial = InitialParams()
    assert len(optimizer._global_optimizer_pre_hooks) == before + 1
    del initial
    assert len(optimizer._global_optimizer_pre_hooks) == before
