"""The lens: it sees the closed forms, trusts a plate only when proven, and leaves no trace."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch

from tests.engine import matrix, specials
from tests.engine.compare import WatchedRun, assert_same
from tests.engine.matrix import scenario, write
from tests.engine.plain import plain_run
from tui_elbo.engine.attribution import Attribution
from tui_elbo.engine.lens import Lens, Sight, captured
from tui_elbo.engine.session import Session
from tui_elbo.readings import Term

GALLERY = Path(__file__).resolve().parents[2] / "scenarios"

MIXTURE_GUIDE = """
def guide():
    m = pyro.param("m", lambda: torch.tensor([-1.0, 2.0]))
    pyro.sample("low", dist.Normal(m[0], 0.4))
    pyro.sample("high", dist.Normal(m[1], 0.4))
"""

ENUMERATED = "TraceEnum_ELBO(max_plate_nesting=1)"
PLATED = 'with pyro.plate("points", 4):'

SUMMED_DRAWS = """
def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(w.sum(), 1.0), obs=torch.tensor(1.0))

def guide():
    m = pyro.param("m", lambda: torch.zeros(3))
    pyro.sample("w", dist.Normal(m, 1.0).to_event(1))
"""

BRANCH = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if z > 0:
        pyro.sample("extra", dist.Normal(0.0, 1.0), obs=torch.tensor(0.5))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))
"""

RARELY_INFINITE = """
def model():
    pyro.sample("z", dist.Uniform(-1.5, 1.5))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))

pyro.enable_validation(False)
"""


def sight(text: str, folder: Path, *, draws: int = 64, steps: int = 2) -> tuple[Lens, Sight]:
    session = Session(write(folder, text))
    session.advance(steps)
    lens = Lens(session.scenario, draws)
    return lens, lens.see()


def value(sight: Sight, field: str, site: str = "") -> float:
    return float(sight.reading.value[sight.reading.terms.index(Term(site, field))])


def error(sight: Sight, field: str, site: str = "") -> float:
    return float(sight.reading.error[sight.reading.terms.index(Term(site, field))])


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
    mean, sd = seen.posterior["z"]
    assert abs(mean[0] - 1) < 0.05
    assert abs(sd[0] - phi) < 0.05


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
def test_at_once_and_one_by_one_tell_the_same(name: str, tmp_path: Path) -> None:
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


def looped(lens: Lens) -> Sight:
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


def test_a_model_that_adds_up_its_draws_is_not_trusted_in_a_plate(tmp_path: Path) -> None:
    lens, seen = sight(scenario(SUMMED_DRAWS_IN_A_PLATE), tmp_path, draws=256)
    assert lens.looped
    assert lens.note == '64 draws, one by one: all at once, site "y" gets another log p'
    assert seen.reading.draws == 64


SUMMED_DRAWS_IN_A_PLATE = """
def model():
    with pyro.plate("three", 3):
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(w.sum(), 1.0), obs=torch.tensor(1.0))

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


def test_minibatches_are_fixed_and_many(tmp_path: Path) -> None:
    text = """
data = torch.linspace(-3.0, 3.0, 1000)

def model(rows):
    m = pyro.param("m", lambda: torch.tensor(0.0))
    with pyro.plate("data", 1000, subsample=rows):
        pyro.sample("x", dist.Normal(m, 1.0), obs=data[rows])

def guide(rows):
    pass

def batch(step):
    return (torch.arange(10 * step, 10 * step + 10) % 1000,)
"""

    def exact() -> float:
        errors = np.linspace(-3.0, 3.0, 1000) - pyro.param("m").item()
        return float(-500 * math.log(2 * math.pi) - 0.5 * np.square(errors).sum())

    lens, seen = sight(scenario(text), tmp_path, draws=256)
    assert seen.reading.units.shape[1] == 32
    again = lens.see()
    assert np.array_equal(seen.reading.units, again.reading.units)
    assert abs(value(seen, "log_p") - exact()) < 3 * error(seen, "log_p")
    whole = text + "def full_batch():\n    return (torch.arange(1000),)\n"
    lens, seen = sight(scenario(whole), tmp_path)
    assert value(seen, "log_p") == pytest.approx(exact(), rel=1e-5)
    # Nothing is drawn, so nothing differs between units.
    assert error(seen, "log_p") == 0.0


def test_subsamples_are_chosen_anew_for_each_group(tmp_path: Path) -> None:
    _, seen = sight(scenario(specials.SUBSAMPLE, specials.SUBSAMPLE_GUIDE), tmp_path, draws=256)
    assert seen.reading.units.shape[1] == 32
    assert error(seen, "likelihood") > 0
    assert "z" not in seen.posterior, "a group has other points than the next"


def test_draws_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    lens, seen = sight(scenario(RARELY_INFINITE), tmp_path, draws=256)
    assert not lens.looped
    bad = seen.reading.bad
    # P(|z| > 1.5) = 0.134
    assert 15 < bad < 60
    assert not math.isfinite(value(seen, "log_p"))
    assert math.isfinite(value(seen, "log_q"))


def test_a_model_whose_sites_change_is_drawn_one_by_one(tmp_path: Path) -> None:
    lens, seen = sight(scenario(BRANCH), tmp_path, draws=256)
    assert lens.looped
    row = seen.reading.units[seen.reading.terms.index(Term("extra", "log_p"))]
    assert 0 < (row == 0).sum() < 64, "a draw that has not visited a site adds nothing"
    sites = [t for t in seen.reading.terms if t.site and t.field == "log_p"]
    assert sum(value(seen, *t[::-1]) for t in sites) == pytest.approx(value(seen, "log_p"))


@pytest.mark.parametrize("fn", ["Gamma({}, 1.0)", "Beta({}, 2.0)", "StudentT({})", "Poisson({})"])
def test_one_draws_detour_does_not_shift_the_others(fn: str, tmp_path: Path) -> None:
    text = f"""
def model():
    pyro.sample("z", dist.{fn.format(1.0)})

def guide():
    a = pyro.param("a", lambda: torch.tensor(0.5))
    pyro.sample("z", dist.{fn.format("a")})
"""
    session = Session(write(tmp_path, scenario(text, loss="Trace_ELBO(num_particles=2)")))
    session.advance(1)
    lens, state = Lens(session.scenario, 2000), captured()
    row = lens.see().reading.terms.index(Term("", "log_q"))
    state["a"] = torch.tensor(0.5)
    first = lens.see(state).reading.units[row]
    state["a"] = torch.tensor(0.505)
    then = lens.see(state).reading.units[row]
    assert not lens.looped
    # Independent draws would be as far apart as they scatter.
    assert np.median(np.abs(then - first)) < 0.05 * first.std()
    assert (np.abs(then - first) > 0.5 * first.std()).mean() < 0.02


def test_the_lens_names_what_goes_wrong(tmp_path: Path) -> None:
    text = """
def model():
    pyro.sample("x", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

def guide():
    if torch.is_grad_enabled():
        return
    raise RuntimeError("only in training")
"""
    session = Session(write(tmp_path, scenario(text)))
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    point = attribution.begin()
    attribution.close()
    assert point.draws == 0
    assert point.note == "the lens sees nothing: RuntimeError: only in training"
    assert np.isnan(point.value).all()
    session.advance(1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Pyro warns of models without parameters, and of sites that one side has alone."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
