"""The scenarios with textbook answers come to them, and are what their notes say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pyro import poutine
from torch import distributions as dist

from tests.engine.gallery import (
    SCENARIOS,
    Trained,
    agrees,
    edited,
    error,
    gallery,
    roles,
    train,
)
from tests.engine.plain import executed


def final(trained: Trained, name: str) -> np.ndarray:
    return trained.run.params[name].double().numpy()


def test_exponential_mle() -> None:
    trained = gallery("exponential_mle", draws=2)
    assert roles(trained.run.scenario) == ({"a"}, set())
    assert final(trained, "a") == pytest.approx(5 / 4.8, rel=1e-5)
    assert trained.elbo[-1] == pytest.approx(-4.79589, abs=1e-5)
    assert (trained.end.log_q == 0).all()
    assert trained.end.log_p.std() == 0


@pytest.mark.slow
def test_coin() -> None:
    trained = gallery("coin")
    assert agrees(trained.start.elbo, -7.13837)
    assert agrees(trained.end.elbo, -7.0693745)
    assert trained.end.elbo.std() < trained.start.elbo.std() / 10
    alpha, beta = final(trained, "alpha_q"), final(trained, "beta_q")
    assert alpha / (alpha + beta) == pytest.approx(16 / 30, abs=0.005)
    sd = dist.Beta(torch.tensor(alpha), torch.tensor(beta)).stddev.item()
    assert sd == pytest.approx(0.08960, rel=0.03)


@pytest.mark.slow
def test_coin_map() -> None:
    trained = gallery("coin_map", draws=2)
    assert roles(trained.run.scenario) == (set(), {"f_map"})
    assert final(trained, "f_map") == pytest.approx(15 / 28, abs=1e-4)
    assert trained.end.log_p == pytest.approx(-5.60040, abs=1e-4)
    assert trained.elbo[-1] > trained.run.scenario.reference["log_evidence"]
    assert (trained.end.log_q == 0).all()
    assert (np.diff(trained.elbo[:150]) > 0).all()


@pytest.mark.slow
def test_conjugate_normal() -> None:
    trained = gallery("conjugate_normal")
    assert roles(trained.run.scenario) == (set(), {f"AutoNormal.{k}.z" for k in ("locs", "scales")})
    assert agrees(trained.end.elbo, -5.7304731)
    assert final(trained, "AutoNormal.locs.z") == pytest.approx(1.0, abs=0.05)
    assert final(trained, "AutoNormal.scales.z") == pytest.approx(math.sqrt(0.2), abs=0.02)
    assert trained.end.log_p.std() == pytest.approx(math.sqrt(0.5), rel=0.2)
    assert trained.end.elbo.std() < 0.1


T = np.arange(8.0)
X = np.stack([np.ones(8), T], axis=1)
Y = np.array([0.2, 1.1, 1.9, 3.2, 3.8, 5.1, 6.2, 6.8])
PRECISION = X.T @ X + np.eye(2) / 100
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ Y
LINE_EVIDENCE = dist.MultivariateNormal(
    torch.zeros(8).double(), torch.tensor(np.eye(8) + 100 * X @ X.T)
).log_prob(torch.tensor(Y))


def line_kl(loc: np.ndarray, covariance: np.ndarray) -> float:
    """KL(N(loc, covariance) ‖ the posterior of intercept and slope), in nats."""
    away = loc - MEAN
    log_ratio = np.linalg.slogdet(PRECISION @ covariance)[1]
    return float((np.trace(PRECISION @ covariance) - 2 + away @ PRECISION @ away - log_ratio) / 2)


@pytest.mark.slow
def test_regression() -> None:
    trained = gallery("regression")
    loc = np.array([final(trained, f"AutoNormal.locs.{k}") for k in ("intercept", "slope")])
    scale = np.array([final(trained, f"AutoNormal.scales.{k}") for k in ("intercept", "slope")])
    best = 1 / np.sqrt(np.diag(PRECISION))
    assert best == pytest.approx([0.35333, 0.08451], abs=1e-5)
    assert scale == pytest.approx(best, rel=0.1)
    assert np.sqrt(np.diag(COVARIANCE)) / best == pytest.approx([1.8, 1.8], abs=0.05)
    gap = line_kl(MEAN, np.diag(best**2))
    assert gap == pytest.approx(0.60045, abs=1e-4)
    assert line_kl(loc, np.diag(scale**2)) == pytest.approx(gap, abs=0.01)
    reference = trained.run.scenario.reference
    assert reference["log_evidence"] == pytest.approx(LINE_EVIDENCE.item(), abs=1e-4)
    assert reference["elbo"] == pytest.approx(LINE_EVIDENCE.item() - gap, abs=1e-4)
    assert agrees(trained.end.elbo, reference["elbo"], widest=0.3)
    assert error(trained.end.elbo) > 0.01


@pytest.mark.slow
def test_regression_full_rank() -> None:
    trained = gallery("regression_full_rank")
    scale = final(trained, "AutoMultivariateNormal.scale")
    factor = scale[:, None] * final(trained, "AutoMultivariateNormal.scale_tril")
    loc = final(trained, "AutoMultivariateNormal.loc")
    assert line_kl(loc, factor @ factor.T) < 0.01
    assert agrees(trained.end.elbo, -14.968513)
    assert trained.end.elbo.std() < 0.2


Z = np.linspace(-30, 30, 60_001)
HUMPS = np.logaddexp(-((Z + 3) ** 2) / 2, -((Z - 3) ** 2) / 2) - math.log(
    2 * math.sqrt(2 * math.pi)
)


def humps_elbo(loc: float, scale: float) -> float:
    """E_q[log p(z)] + the entropy of q = N(loc, scale), in nats, by quadrature."""
    q = np.exp(-(((Z - loc) / scale) ** 2) / 2) / (scale * math.sqrt(2 * math.pi))
    entropy = math.log(scale) + 0.5 + 0.5 * math.log(2 * math.pi)
    return float((q * HUMPS).sum() * (Z[1] - Z[0]) + entropy)


@pytest.mark.slow
def test_two_modes() -> None:
    assert humps_elbo(2.984306, 1.023368) == pytest.approx(-0.688769, abs=1e-5)
    for away in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        assert humps_elbo(2.984306 + away[0], 1.023368 + away[1]) < -0.688769
    trained = gallery("two_modes", draws=800)
    loc, scale = final(trained, "loc"), final(trained, "scale")
    assert loc == pytest.approx(2.9843, abs=0.1)
    assert scale == pytest.approx(1.0234, abs=0.05)
    assert humps_elbo(loc, scale) == pytest.approx(-0.688769, abs=0.01)
    assert agrees(trained.end.elbo, -0.688769)
    assert trained.end.elbo.std() < 0.2


@pytest.mark.slow
def test_two_modes_has_another_optimum(tmp_path: Path) -> None:
    path = edited("two_modes", tmp_path, "tensor(1.0))", "tensor(0.0))")
    trained = train(path, 800, draws=800, watch=("loc", "scale"))
    assert abs(trained.params["loc"][-300:].mean()) < 0.5
    assert trained.params["scale"][-300:].mean() == pytest.approx(3, abs=0.3)
    assert humps_elbo(0.0, 2.743768) == pytest.approx(-0.840621, abs=1e-5)
    assert agrees(trained.end.elbo, -0.84, widest=0.3)
    assert trained.end.elbo.std() > 1.2
    path = edited("two_modes", tmp_path, "tensor(1.0))", "tensor(-1.0))")
    left = train(path, 300, draws=2, watch=("loc",))
    assert left.params["loc"][-100:].mean() == pytest.approx(-2.9843, abs=0.1)


@pytest.mark.slow
def test_minibatch() -> None:
    with executed(SCENARIOS / "minibatch.py") as scenario:
        everything = scenario.full_batch()
        trace = poutine.trace(scenario.guide).get_trace(*scenario.batch(1))
        model = poutine.trace(poutine.replay(scenario.model, trace)).get_trace(*scenario.batch(1))
        assert model.nodes["x"]["scale"] == 100.0
    trained = gallery("minibatch", at=everything)
    reference = trained.run.scenario.reference
    mean, sd = reference["posterior"]["z"]
    assert sd == pytest.approx(1 / math.sqrt(1000.01))
    assert sd == pytest.approx(0.03162, abs=1e-5)
    x = trained.run.scenario.x.double()
    joint = dist.LowRankMultivariateNormal(
        torch.zeros(1000).double(), torch.full((1000, 1), 10.0).double(), torch.ones(1000).double()
    )
    assert reference["log_evidence"] == pytest.approx(joint.log_prob(x).item(), abs=1e-6)
    assert final(trained, "scale") == pytest.approx(sd, rel=0.1)
    assert final(trained, "loc") == pytest.approx(mean, abs=0.01)
    assert agrees(trained.end.elbo, reference["elbo"])
    ten = trained.run.losses[-100:]
    assert np.std(ten) > 100


@pytest.mark.slow
def test_minibatch_forgotten_scale() -> None:
    trained = gallery("minibatch_forgotten_scale", at=(torch.arange(10),))
    reference = trained.run.scenario.reference
    assert reference["params"]["scale"] == pytest.approx(0.3160698, abs=1e-7)
    assert final(trained, "scale") == pytest.approx(0.3160698, rel=0.05)
    assert final(trained, "loc") == pytest.approx(reference["params"]["loc"], abs=0.05)
    assert trained.end.log_p.mean() == pytest.approx(-18, abs=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("eight_schools", -40.0),
        ("eight_schools_non_centred", -36.0),
        ("regression_full_rank", -25.0),
    ],
)
def test_the_slow_ones_are_on_their_way(name: str, reached: float) -> None:
    trained = gallery(name, 200, draws=100)
    assert trained.start.elbo.mean() < reached
    assert reached < trained.end.elbo.mean() < trained.run.scenario.reference["elbo"] + 0.5
