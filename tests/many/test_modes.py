"""Whether runs have ended in the same mode: two of them, one, and one under permuted labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyro
import pytest
import torch

from tests.engine.sources import write
from tests.many.test_evaluation import row, seen
from tui_elbo.engine.evaluation import evaluate
from tui_elbo.engine.lens import Lens, moments
from tui_elbo.engine.lens.moments import posterior
from tui_elbo.engine.session import Session
from tui_elbo.many.barrier import falls_on_the_way
from tui_elbo.model.comparison import Evaluation
from tui_elbo.model.modes import ExchangeableLabels, Posterior, SitePosterior, distance, modes
from tui_elbo.model.run_table import modes_notes
from tui_elbo.model.scenarios import find_scenario

MIXTURE = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch.distributions import constraints

data = torch.tensor([-4.1, -3.9, -4.0, 0.1, -0.1, 0.0, 0.2, 3.9, 4.1, 4.0, 4.05, 3.95])
loss = TraceEnum_ELBO(max_plate_nesting=1)
optimizer = pyro.optim.Adam({"lr": 0.01})

@config_enumerate
def model():
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("components", 3):
        place = pyro.sample("place", dist.Normal(0.0, PRIOR))
    with pyro.plate("data", len(data)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(place[z], 0.5), obs=data)

def guide():
    order = torch.tensor(ORDER)
    start = torch.tensor([-4.0, 0.05, 4.0])[order]
    counts = torch.tensor([4.0, 5.0, 6.0])[order]
    a = pyro.param("a", counts, constraint=constraints.positive)
    loc = pyro.param("loc", start)
    scale = pyro.param("scale", torch.full((3,), 0.25), constraint=constraints.positive)
    pyro.sample("weights", dist.Dirichlet(a))
    with pyro.plate("components", 3):
        pyro.sample("place", dist.Normal(loc, scale))
"""


def mixtures(folder: Path, prior: str) -> dict[int, Posterior]:
    """At the same optimum, but for the order of the labels."""
    found = {}
    for order in ([0, 1, 2], [2, 0, 1]):
        text = MIXTURE.replace("PRIOR", prior).replace("ORDER", str(order))
        session = Session(str(write(folder, text)))
        session.advance(2)
        lens = Lens(session.scenario, 8)
        lens.see()
        found[order[0]] = posterior(lens)
    return found


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "LEAST_DRAWS", 8)


def test_permuted_labels_of_a_mixture_are_one_mode(tmp_path: Path) -> None:
    posteriors = mixtures(tmp_path, "5.0")
    assert posteriors[0].labels[0].axes == {"place": (-1,), "weights": (-1,)}
    assert modes(posteriors) == [[0, 2]]
    unlabelled = {key: Posterior(one.sites) for key, one in posteriors.items()}
    assert modes(unlabelled) == [[0], [2]]


def test_labels_that_the_prior_tells_apart_are_not_permuted(tmp_path: Path) -> None:
    posteriors = mixtures(tmp_path, "torch.tensor([5.0, 6.0, 7.0])")
    assert {one.labels for one in posteriors.values()} == {()}
    assert modes(posteriors) == [[0], [2]]


def test_elements_that_the_data_tell_apart_are_not_permuted() -> None:
    assert seen("eight_schools").posterior.labels == ()


def at(name: str, **params: float) -> Evaluation:
    """The scenario at these values of its parameters."""
    session = Session(str(find_scenario(name).path))
    layout = session.advance(1)[-1].layout
    for param, value in params.items():
        with torch.no_grad():
            pyro.get_param_store()[param] = torch.tensor(value)
    return evaluate(session, layout, 64)


def test_two_humps_are_two_modes_and_the_valley_is_left_out() -> None:
    side = {"loc": 2.984306, "scale": 1.023368}
    right, left = at("two_modes", **side), at("two_modes", **(side | {"loc": -2.984306}))
    rows = [row({"seed": seed}, right if seed < 5 else left) for seed in range(8)]
    rows.append(row({"seed": 9}, at("two_modes", loc=1.0), verdict="still improving"))
    said = "one {0}, 3 {1} another, at the same ELBO within its error (1 not at rest left out)."
    modes_said, places = (said.format(*words) for words in (("mode", "in"), ("place", "at")))
    assert modes_notes(rows, lambda *_: True) == [f"5 of 8 seeds end in {modes_said}"]
    assert modes_notes(rows) == [
        f"5 of 8 seeds stand at {places} Whether these are other modes is not known."
    ]
    assert modes_notes(rows, lambda *_: False) == [
        "All 8 seeds end in one mode (1 not at rest left out)."
    ]


def test_a_mode_that_is_lower_is_told_by_how_much() -> None:
    noise = np.random.default_rng(0).normal(size=256)
    base = seen("conjugate_normal")

    def run(place: float, lower: float) -> Evaluation:
        posterior = Posterior({"z": SitePosterior(np.array(place), np.array(1.0))})
        return Evaluation(base.model, "a", noise - lower, 0.1, posterior=posterior)

    rng = np.random.default_rng(1)
    rows = [row({"seed": 0}, run(0.0, 0.0)), row({"seed": 1}, run(0.5, 0.0))]
    worse = run(6.0, 1.4)
    worse = Evaluation(
        base.model, "b", worse.units + rng.normal(size=256) * 0.1, 0.1, posterior=worse.posterior
    )
    (text,) = modes_notes([*rows, row({"seed": 2}, worse)], lambda *_: True)
    assert text.startswith("2 of 3 seeds end in one mode, 1 in another, 1.")
    assert text.endswith("± 0.09 nats lower.")


def test_runs_of_a_conjugate_model_end_in_one_mode() -> None:
    rows = [row({"seed": seed}, seen("conjugate_normal", seed=seed, steps=8)) for seed in (0, 1)]
    assert modes_notes(rows) == ["Both seeds end in one mode."]


def one(mean: object, sd: object = 1.0, labels: tuple[ExchangeableLabels, ...] = ()) -> Posterior:
    mean = np.asarray(mean, dtype=np.float64)
    return Posterior({"z": SitePosterior(mean, np.broadcast_to(float(sd), mean.shape))}, labels)


def test_the_distance_is_in_posterior_standard_deviations() -> None:
    assert distance(one([0.0, 1.0], 0.5), one([0.1, 3.0], 0.5)) == pytest.approx(4.0)
    assert np.isnan(distance(one([0.0], 0.0), one([1.0], 0.0)))
    assert np.isnan(distance(one([0.0]), one([0.0, 1.0])))


def test_both_axes_of_a_transition_matrix_follow_their_labels() -> None:
    rng = np.random.default_rng(2)
    place, matrix, order = rng.normal(size=4) * 9, rng.normal(size=(4, 4)) * 9, [2, 0, 3, 1]
    labels = (ExchangeableLabels("states", {"place": (-1,), "matrix": (-2, -1)}),)

    def of(place: np.ndarray, matrix: np.ndarray) -> Posterior:
        parts = {"place": place, "matrix": matrix}
        sites = {n: SitePosterior(v, np.ones(v.shape)) for n, v in parts.items()}
        return Posterior(sites, labels)

    moved = of(place[order], matrix[order][:, order])
    assert distance(of(place, matrix), moved) == pytest.approx(0.0)


RIDGE = """
import pyro, torch, pyro.distributions as dist
settings = {"start": 0.0, "humps": False}

def model():
    if settings["humps"]:
        humps = dist.Normal(torch.tensor([-1.0, 1.0]), 0.3)
        pyro.sample("z", dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), humps))
    else:
        pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    loc = pyro.param("loc", torch.tensor(settings["start"]))
    pyro.sample("z", dist.Normal(loc, 0.1))

optimizer = pyro.optim.Adam({"lr": 1e-6})
"""


@pytest.mark.parametrize("humps", ["yes", "no"])
def test_a_narrow_guide_is_in_another_mode_only_where_the_elbo_falls(
    tmp_path: Path, humps: str
) -> None:
    files, posteriors = [], {}
    for start in ("-1.0", "1.0"):
        given = (("start", start), ("humps", humps))
        session = Session(str(write(tmp_path, RIDGE)), given=given)
        batches = session.advance(2)
        files.append(tmp_path / f"{start}.run")
        session.save(files[-1], batches)
        lens = Lens(session.scenario, 64)
        lens.see()
        posteriors[len(posteriors)] = posterior(lens)
    assert len(modes(posteriors)) == 2
    assert falls_on_the_way(*map(str, files), 64) == (humps == "yes")
