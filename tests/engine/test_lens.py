"""The lens: it sees the closed forms, and trusts a plate only when proven."""

from __future__ import annotations

import math
from pathlib import Path

import pyro
import pytest
import torch

from tests.engine import matrix, specials
from tests.engine.looking import (
    ENUMERATED,
    MIXTURE_GUIDE,
    PLATED,
    error,
    sight,
    value,
)
from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import Lens, LensReading
from tui_elbo.engine.lens.attribution import LOOPED_STATES, Attribution
from tui_elbo.engine.lens.draws import seed_draw
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.usefixtures("quiet")

GALLERY = Path(__file__).resolve().parents[2] / "scenarios"


def test_it_sees_the_closed_form(tmp_path: Path) -> None:
    session = Session(str(GALLERY / "fixed_mean_guide.py"))
    session.advance(30)
    phi = pyro.param("phi").item()
    seen = Lens(session.scenario, 4000).see()
    log_p = -0.5 * math.log(2 * math.pi) - 0.5 * (1 + phi**2)
    log_q = -0.5 * math.log(2 * math.pi * math.e) - math.log(phi)
    assert abs(value(seen, "log_p") - log_p) < 3 * error(seen, "log_p") < 0.1
    assert abs(value(seen, "log_q") - log_q) < 3 * error(seen, "log_q") < 0.1
    assert value(seen, "prior") == value(seen, "log_p") == value(seen, "log_p", "z")
    found = seen.posterior["z"]
    assert abs(found.mean[0] - 1) < 0.05
    assert abs(found.sd[0] - phi) < 0.05
    assert found.mean_error[0] == pytest.approx(phi / 4000**0.5, rel=0.1)
    assert found.sd_error[0] == pytest.approx(phi / 8000**0.5, rel=0.1)


def test_the_first_point_is_what_the_first_step_began_with(tmp_path: Path) -> None:
    session = Session(str(GALLERY / "fixed_mean_guide.py"))
    attribution = Attribution(session, 2000)
    attribution.learn(session.advance(25))
    start, now = attribution.begin(), attribution.point()
    attribution.close()
    assert (start.state, now.state, now.since) == (0, 25, 0)
    entropy = 0.5 * math.log(2 * math.pi * math.e) + math.log(0.2)
    assert abs(start.value[1] + entropy) < 3 * start.error[1]
    # The same draws at both states: log q differs by log φ alone, without an error.
    moved = math.log(0.2 / pyro.param("phi").item())
    assert now.total[0, 1] == pytest.approx(moved, abs=1e-6)
    assert now.total_error[0, 1] < 1e-6


@pytest.mark.parametrize("name", ["by_hand", "AutoNormal", "AutoStructured", "AutoNormalMessenger"])
def test_at_once_and_one_by_one_give_the_same(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, scenario(*matrix.GUIDES[name]))
    session = Session(path)
    session.advance(3)
    many = Lens(session.scenario, 4000)
    single = Lens(session.scenario, 800)
    both = many.see(), looped(single)
    assert not many.looped
    assert many.note == ""
    for field in ("log_p", "log_q", "elbo", "likelihood", "prior"):
        one, other = (value(s, field) for s in both)
        spread = math.hypot(*(error(s, field) for s in both))
        assert abs(one - other) < 4 * spread + 1e-5


def looped(lens: Lens) -> LensReading:
    """What it sees when it has to draw one by one."""
    lens.see()
    lens._loop("asked")
    return lens.see()


@pytest.mark.parametrize("guide", ["parallel", "sequential", "summed out"])
def test_enumerated_sites_agree_with_the_estimator(guide: str, tmp_path: Path) -> None:
    if guide == "summed out":
        text = scenario(specials.MIXTURE, MIXTURE_GUIDE, loss=ENUMERATED)
    else:
        own = specials.ENUMERATED_GUIDE.replace("HOW", guide).replace("PLATE", PLATED)
        text = scenario(own, loss=ENUMERATED)
    lens, seen = sight(text, tmp_path, draws=400)
    session_elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)
    model, by = lens.scenario.model, lens.scenario.guide
    losses = torch.tensor([session_elbo.loss(model, by) for _ in range(200)])
    spread = math.hypot(error(seen, "elbo"), losses.std().item() / 200**0.5)
    assert abs(value(seen, "elbo") + losses.mean().item()) < 4 * spread
    assert value(seen, "elbo") == pytest.approx(value(seen, "log_p") - value(seen, "log_q"))
    assert math.isnan(value(seen, "prior")) == (guide == "summed out")
    assert lens.looped == (guide != "summed out")


BRANCHES = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    k = pyro.sample("k", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
    pyro.sample("x", dist.Normal(z + K, 1.0), obs=torch.tensor(0.5))

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.2)), 1.0))
"""


def test_a_model_that_is_written_for_the_branches_of_a_site_alone_is_seen(tmp_path: Path) -> None:
    loss = "TraceEnum_ELBO(max_plate_nesting=0)"
    text = scenario(BRANCHES, loss=loss)
    _, expected = sight(text.replace("K,", "k,"), tmp_path)
    _, seen = sight(text.replace("K,", "torch.stack(k.unbind(0)),"), tmp_path)
    for field in ("elbo", "log_p", "log_q"):
        assert value(seen, field) == pytest.approx(value(expected, field), rel=1e-5)


def test_a_model_that_adds_up_its_draws_is_not_trusted_in_a_plate(tmp_path: Path) -> None:
    lens, seen = sight(scenario(SUMMED_DRAWS_IN_A_PLATE), tmp_path, draws=256)
    assert lens.looped
    assert lens.note == '64 draws, one by one: all at once, site "y" gets another log p'
    assert seen.reading.draws == 64
    as_one = scenario(SUMMED_DRAWS_IN_A_PLATE.replace(OWN, "total"))
    behind, seen = sight(as_one, tmp_path, draws=256)
    assert (behind.note, behind.looped, behind.broadcasts) == ("", False, False)
    assert seen.reading.draws == 256


OWN = "torch.tensor(total.item())"
SUMMED_DRAWS_IN_A_PLATE = """
def model():
    with pyro.plate("three", 3):
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
    total = w.sum()
    pyro.sample("y", dist.Normal(torch.tensor(total.item()), 1.0), obs=torch.tensor(1.0))

def guide():
    m = pyro.param("m", lambda: torch.zeros(3))
    with pyro.plate("three", 3):
        pyro.sample("w", dist.Normal(m, 1.0))
"""


def test_a_module_in_training_is_drawn_one_by_one(tmp_path: Path) -> None:
    lens, seen = sight(scenario(specials.NETWORK), tmp_path)
    assert lens.looped
    assert "BatchNorm1d in training mode" in lens.note
    assert seen.reading.units.shape[1] == 32, "a unit is a minibatch"


ONE_DRAW = """
X = torch.ones(6, 3)


def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("data", 6):
        pyro.sample("y", dist.Normal(X @ w * w[0].item(), 1.0), obs=torch.ones(6))


guide = pyro.infer.autoguide.AutoNormal(model)
"""


def test_a_model_for_one_draw_is_no_fault(tmp_path: Path) -> None:
    lens, seen = sight(scenario(ONE_DRAW), tmp_path, draws=256)
    why = "the model is written for one draw, and does not broadcast over many"
    assert lens.note == f"64 draws, one by one: {why}"
    assert seen.reading.nonfinite_draws == 0


def test_a_draw_is_seeded_as_pyro_does_it() -> None:
    states = []
    for seed in (seed_draw, pyro.set_rng_seed):
        seed(2**31 + 5)
        state = pyro.util.get_rng_state()
        states.append((state["torch"].tolist(), state["random"], state["numpy"][1].tolist()))
    assert states[0] == states[1]


def test_one_by_one_only_some_of_the_steps_taken_by_hand_are_looked_at(tmp_path: Path) -> None:
    session = Session(write(tmp_path, scenario(ONE_DRAW)))
    attribution = Attribution(session, 8)
    attribution.learn(session.advance(1))
    attribution.begin()
    for _ in range(20):
        attribution.learn(session.advance(1))
        attribution.keep_state()
    looked = [one.step for one in attribution.request()]
    attribution.close()
    assert len(looked) <= LOOPED_STATES + 1
    assert (looked[0], looked[-1]) == (2, 21)
