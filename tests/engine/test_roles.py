"""The role of each parameter: model (θ), guide (φ), both, or none."""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro.infer import SVI
from pyro.optim import Adam

from tests.engine import specials
from tests.engine.compare import watched_run
from tests.engine.matrix import CONTINUOUS, GUIDES, scenario, write
from tui_elbo.engine.record.options import RecordingOptions
from tui_elbo.engine.script.script_stepper import ScriptStepper

pytestmark = pytest.mark.filterwarnings("ignore")


def _roles(text: str, folder: Path, steps: int = 2) -> dict[str, str]:
    record = watched_run(write(folder, text), steps).records[-1]
    return {name: param.role for name, param in record.params.items()}


def test_roles_by_who_reads_it(tmp_path: Path):
    text = scenario(
        """
from torch import nn
shared, theirs, ours = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1)
pyro.param("stale", torch.tensor(1.0))
def model():
    pyro.module("shared", shared)
    pyro.module("theirs", theirs)
    a = pyro.param("a", lambda: torch.tensor(0.3))
    c = pyro.param("common", lambda: torch.tensor(0.3))
    z = pyro.sample("z", dist.Normal(a + c, 1.0))
    mean = shared(z[None]) + theirs(z[None])
    pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=torch.ones(1))
def guide():
    pyro.module("shared", shared)
    pyro.module("ours", ours)
    c = pyro.param("common", lambda: torch.tensor(0.3))
    x = torch.ones(1)
    pyro.sample("z", dist.Normal((shared(x) + ours(x))[0] + c, 1.0))
"""
    )
    assert _roles(text, tmp_path) == {
        "stale": "none",
        "a": "model",
        "common": "both",
        "shared$$$weight": "both",
        "shared$$$bias": "both",
        "ours$$$weight": "guide",
        "ours$$$bias": "guide",
        "theirs$$$weight": "model",
        "theirs$$$bias": "model",
    }


@pytest.mark.parametrize("guide", sorted(set(GUIDES) - {"by_hand", "AutoCallable"}))
def test_what_belongs_to_a_stock_guide_is_of_the_guide(guide: str, tmp_path: Path):
    roles = _roles(scenario(*GUIDES[guide]), tmp_path)
    of_model = {name for name, role in roles.items() if role == "model"}
    assert of_model == {"noise", "locs", "scale"} & set(roles)
    assert {role for name, role in roles.items() if name not in of_model} == {"guide"}


def test_roles_under_a_callable_in_an_auto_guide(tmp_path: Path):
    roles = _roles(scenario(*GUIDES["AutoCallable"]), tmp_path)
    assert roles == {"m": "guide", "s": "guide", "t": "guide", "noise": "model"}


def test_what_a_messengers_own_posterior_reads_is_of_the_guide(tmp_path: Path):
    text = scenario(
        CONTINUOUS,
        """
class Mine(AutoNormalMessenger):
    def get_posterior(self, name, prior):
        if name == "theta":
            weight = pyro.param("weight", lambda: torch.tensor(0.5))
            spread = pyro.param(
                "spread", lambda: torch.full((3,), 0.4), constraint=constraints.positive
            )
            return dist.Normal(weight * self.upstream_value("mu"), spread)
        return super().get_posterior(name, prior)

guide = Mine(model)
""",
    )
    roles = _roles(text, tmp_path)
    assert roles.pop("noise") == "model"
    assert {"weight", "spread", "locs.mu", "scales.tau"} <= set(roles)
    assert set(roles.values()) == {"guide"}


def test_roles_under_enumeration_baselines_and_wake_sleep(tmp_path: Path):
    roles = _roles(specials.SPECIALS["baseline-average"], tmp_path)
    assert roles["a"] == roles["q"] == "guide"
    assert {role for name, role in roles.items() if name.startswith("__baseline")} == {"none"}
    assert _roles(specials.SPECIALS["enumerated-model"], tmp_path) == {
        "w": "model",
        "AutoDelta.low": "guide",
        "AutoDelta.high": "guide",
    }
    assert _roles(specials.SPECIALS["wake-sleep"], tmp_path) == {"w": "guide", "a": "model"}


def test_a_role_that_becomes_known_later(tmp_path: Path):
    text = scenario(
        """
def model(step):
    a = pyro.param("a", lambda: torch.tensor(0.3)) if step > 2 else 0.1
    pyro.sample("z", dist.Normal(a, 1.0))
def guide(step):
    a = pyro.param("a", lambda: torch.tensor(0.3))
    pyro.sample("z", dist.Normal(a, 1.0))
def batch(step):
    return (step,)
"""
    )
    records = watched_run(write(tmp_path, text), 4).records
    assert [r.params["a"].role for r in records] == ["guide", "guide", "both", "both"]


def test_a_messenger_inside_another_handler_keeps_its_parameters(tmp_path: Path):
    guide = "guide = poutine.scale(AutoNormalMessenger(model), scale=0.5)"
    roles = _roles(scenario(CONTINUOUS, guide), tmp_path)
    assert roles.pop("noise") == "model"
    assert set(roles.values()) == {"guide"}


def test_of_a_loss_without_traces_the_roles_are_not_known():
    def model():
        a = pyro.param("a", torch.tensor(0.3))
        pyro.sample("x", dist.Normal(a, 1.0), obs=torch.tensor(1.0))

    def loss(model, guide):
        del guide
        return -pyro.poutine.trace(model).get_trace().log_prob_sum()

    pyro.clear_param_store()
    svi = SVI(model, lambda: None, Adam({"lr": 0.1}), loss=loss)
    stepper = ScriptStepper(svi, RecordingOptions())
    _, seen = stepper.step(svi.step, (), {}, due=True)
    assert [info.role for info in seen.params.plan.infos] == ["unknown"]
    assert seen.terms.plan.note == "the loss builds no traces that elbo-tui can see"
