"""What the notes on the forum question say is true: plain Pyro against closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro import poutine

from tests.engine.gallery import SCENARIOS, agrees, edited, gallery, roles, settled, train
from tests.engine.plain import executed

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@pytest.mark.slow
def test_no_theta() -> None:
    trained = gallery("no_theta", draws=800, watch=("loc", "scale"))
    assert roles(trained.run.scenario) == (set(), {"loc", "scale"})

    def expected_log_p(loc: Any, scale: Any) -> Any:
        x = np.array([1.0, 2.0, 0.5, 1.5])
        squares = loc**2 + scale**2 + sum((k - loc) ** 2 + scale**2 for k in x)
        return -5 * HALF_LOG_2PI - squares / 2

    def expected_log_q(scale: Any) -> Any:
        return -HALF_LOG_2PI - 0.5 - np.log(scale)

    best = (1.0, math.sqrt(0.2))
    assert expected_log_p(-3.0, 1.0) == pytest.approx(-48.34, abs=0.01)
    assert expected_log_p(*best) - expected_log_p(-3.0, 1.0) == pytest.approx(42.0)
    assert expected_log_q(best[1]) - expected_log_q(1.0) == pytest.approx(0.80, abs=0.01)
    assert expected_log_p(*best) - expected_log_q(best[1]) == pytest.approx(-5.7304731)
    assert agrees(trained.start.log_p, expected_log_p(-3.0, 1.0), widest=3.0)
    assert agrees(trained.start.log_q, expected_log_q(1.0))

    loc, scale = trained.params["loc"], trained.params["scale"]
    assert settled(loc, 1.0, tail=500)
    assert settled(scale, best[1], tail=500)
    log_p, log_q = expected_log_p(loc, scale), expected_log_q(scale)
    assert settled(log_p, -6.34, tail=500, widest=0.2)
    assert settled(log_p - log_q, -5.7304731, tail=500)
    assert settled(trained.elbo, -5.7304731, tail=500)
    assert agrees(trained.end.log_p, expected_log_p(loc[-1], scale[-1]))
    # The draw moves log p and log q by 0.7 nats, and hardly their difference.
    assert trained.end.log_p.std() == pytest.approx(math.sqrt(0.5), rel=0.2)
    assert trained.elbo[-200:].std() < 0.25


def test_fixed_mean_guide() -> None:
    trained = gallery("fixed_mean_guide", draws=800, watch=("phi",))
    assert roles(trained.run.scenario) == (set(), {"phi"})

    def expected_log_p(phi: Any) -> Any:
        return -HALF_LOG_2PI - (1 + phi**2) / 2

    def expected_log_q(phi: Any) -> Any:
        return -HALF_LOG_2PI - 0.5 - np.log(phi)

    rise = expected_log_p(1.0) - expected_log_p(0.2)
    assert rise == pytest.approx(-0.480)
    assert expected_log_q(1.0) - expected_log_q(0.2) == pytest.approx(-1.609, abs=1e-3)
    assert agrees(trained.start.log_p, expected_log_p(0.2))
    assert agrees(trained.start.log_q, expected_log_q(0.2))
    phi = trained.params["phi"]
    assert phi[0] == pytest.approx(0.2 * math.exp(0.02), rel=1e-4)
    assert phi[149] > 0.85
    assert settled(phi, 1.0, tail=700)
    assert settled(expected_log_p(phi) - expected_log_p(0.2), -0.480, tail=700)
    elbo = expected_log_p(phi) - expected_log_q(phi)
    assert settled(elbo - (expected_log_p(0.2) - expected_log_q(0.2)), 1.129, tail=700)
    assert 0.03 < phi[-700:].std() < 0.2
    # One draw's luck, at phi itself: log p = c - (1 + φε)²/2, log p - log q = c' - ½ - φε + ...
    now = phi[-1]
    assert agrees(trained.end.log_p, expected_log_p(now), widest=0.2)
    assert agrees(trained.end.log_q, expected_log_q(now))
    assert trained.end.log_p.std() == pytest.approx(math.sqrt(now**2 + now**4 / 2), rel=0.2)
    assert 0.8 < trained.end.elbo.std() < 1.2


X_COUNTS = np.array([1.0, 3.0, 0.0, 2.0, 4.0])


def exact_count_elbo(a: float, params: dict[str, torch.Tensor]) -> float:
    """E_q[log p(x, z; a) - log q(z)] of the counts under Gamma guides, without the prior of a."""
    shape, rate = params["concentration"].double(), params["rate"].double()
    x, mean, log_mean = torch.tensor(X_COUNTS), shape / rate, torch.digamma(shape) - rate.log()
    log_p = math.log(a) - a * mean + x * log_mean - mean - torch.lgamma(x + 1)
    return float((log_p + torch.distributions.Gamma(shape, rate).entropy()).sum())


@pytest.mark.slow
def test_learned_prior() -> None:
    trained = gallery("learned_prior", watch=("a",))
    assert roles(trained.run.scenario) == ({"a"}, {"concentration", "rate"})
    assert agrees(trained.start.log_p, -22.97, widest=2.0)
    assert agrees(trained.start.elbo, -17.97, widest=2.0)
    assert agrees(trained.end.log_p, -16.12, widest=0.5)
    assert agrees(trained.end.elbo, -9.5477125)
    params = trained.run.params
    a = params["a"].item()
    assert a == pytest.approx(0.5, abs=0.01)
    assert exact_count_elbo(a, params) == pytest.approx(-9.5477125, abs=0.01)
    mean = (params["concentration"] / params["rate"]).numpy()
    assert mean == pytest.approx((X_COUNTS + 1) / 1.5, rel=0.1)
    assert (np.abs(trained.params["a"][99:] - 0.5) < 0.1).all()
    assert (np.abs(trained.params["a"][-100:] - 0.5) < 0.01).all()


@pytest.mark.slow
def test_hyperprior_map() -> None:
    trained = gallery("hyperprior_map")
    scenario, params = trained.run.scenario, trained.run.params
    assert roles(scenario) == (set(), {"a_map", "concentration", "rate"})
    assert agrees(trained.start.elbo, -19.28, widest=2.0)
    assert agrees(trained.end.elbo, -10.7088166)
    a = params["a_map"].item()
    assert a == pytest.approx(0.5677644, abs=0.01)
    log_prior = math.log(a) - a
    assert exact_count_elbo(a, params) + log_prior == pytest.approx(-10.7088166, abs=0.01)
    guide = poutine.trace(scenario.guide).get_trace()
    guide.compute_log_prob()
    assert guide.nodes["a"]["log_prob"].item() == 0.0


def test_hyperprior_map_says_what_the_posterior_is() -> None:
    a = np.linspace(1e-6, 60.0, 1_000_001)
    joint = np.exp(6 * np.log(a) - 15 * np.log1p(a) - a)
    evidence = np.trapezoid(joint, a)
    mean = np.trapezoid(joint * a, a) / evidence
    sd = math.sqrt(np.trapezoid(joint * (a - mean) ** 2, a) / evidence)
    with executed(SCENARIOS / "hyperprior_map.py") as scenario:
        reference = scenario.reference
    assert reference["log_evidence"] == pytest.approx(math.log(evidence), abs=1e-5)
    assert reference["posterior"]["a"] == pytest.approx((mean, sd), abs=1e-4)
    assert joint.max() == pytest.approx(math.exp(reference["elbo"]), rel=1e-5)
    assert a[joint.argmax()] == pytest.approx(reference["params"]["a_map"], abs=1e-4)


@pytest.mark.slow
def test_a_flat_hyperprior_gives_the_maximum_likelihood_estimate(tmp_path: Path) -> None:
    flat = "dist.ImproperUniform(constraints.positive, (), ())"
    path = edited("hyperprior_map", tmp_path, "dist.Gamma(2.0, 1.0)", flat)
    trained = train(path, 800, draws=2, watch=("a_map",))
    assert trained.params["a_map"][-200:].mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_prior_collapse() -> None:
    trained = gallery("prior_collapse", watch=("sigma", "scale"))
    assert roles(trained.run.scenario) == ({"sigma"}, {"loc", "scale"})
    sigma = trained.params["sigma"].reshape(-1, 250).mean(1)
    assert (np.diff(sigma) < 0).all()
    assert (np.diff(-np.diff(sigma)) < 0).all()
    assert sigma[-1] < 0.1
    assert trained.params["scale"][-1] == pytest.approx(sigma[-1], rel=0.1)
    assert settled(trained.elbo, -1.0439385, tail=250)
    assert trained.elbo.reshape(-1, 50).mean(1).max() < -1.0439385
    # In expectation log p starts at -3.28, and grows with -log σ while the ELBO stands still.
    assert agrees(trained.start.log_p, -3.28, widest=0.5)
    assert trained.end.log_p.mean() > 0
    assert trained.end.log_q.mean() > 0.9


@pytest.mark.slow
def test_prior_collapse_needs_a_small_x(tmp_path: Path) -> None:
    path = edited("prior_collapse", tmp_path, "torch.tensor(0.5)", "torch.tensor(2.0)")
    trained = train(path, 1000, draws=2, watch=("sigma",))
    assert settled(trained.params["sigma"], math.sqrt(3), tail=500)
    assert settled(trained.elbo, -2.1120857, tail=500)


@pytest.mark.parametrize(
    ("steps", "reached"), [(500, -4_950), pytest.param(2000, -3_300, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_network(steps: int, reached: float) -> None:
    everything = (torch.arange(320),)
    trained = gallery("network", steps, draws=50, at=everything)
    scenario = trained.run.scenario
    theta, phi = roles(scenario, *everything)
    assert {name.split("$$$")[0] for name in theta} == {"decoder"}
    assert {name.split("$$$")[0] for name in phi} == {"encoder"}
    assert trained.start.elbo.mean() == pytest.approx(-14_600, rel=0.01)
    assert trained.end.elbo.mean() == pytest.approx(reached, rel=0.05)
    assert reached > -64 * math.log(2) * 320
    assert trained.end.log_q.mean() > trained.start.log_q.mean() + 500

    bars = torch.cat(
        [torch.eye(8).unsqueeze(2).expand(8, 8, 8), torch.eye(8).unsqueeze(1).expand(8, 8, 8)]
    )
    lit = bars.reshape(16, 64) * 0.96 + 0.02
    pixels = torch.distributions.Bernoulli(lit).log_prob(scenario.images.unsqueeze(1)).sum(-1)
    truth = (pixels.logsumexp(1) - math.log(16)).sum().item()
    assert truth == pytest.approx(-2_895, abs=3 * 78)
    assert trained.end.elbo.mean() < truth


def test_network_estimates_the_elbo_of_all_pictures() -> None:
    with executed(SCENARIOS / "network.py") as scenario:
        assert torch.equal(scenario.batch(11)[0], scenario.batch(11)[0])
        seen = torch.cat([scenario.batch(step)[0] for step in range(1, 11)])
        assert torch.equal(seen.sort().values, scenario.full_batch()[0])
        trace = poutine.trace(scenario.guide).get_trace(*scenario.batch(1))
        assert trace.nodes["z"]["scale"] == 10.0
