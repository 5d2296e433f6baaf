"""Eight schools, both ways: against quadrature, and against the best that `AutoNormal` can do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.engine.gallery import SCENARIOS, agrees, gallery
from tests.engine.plain import executed

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def school_evidence() -> tuple[float, float, float, float]:
    """log p(x), E μ, sd μ and E τ by quadrature: y ~ N(μ, √(σ² + τ²)) with θ integrated out."""
    mu = np.linspace(-30, 35, 651)[:, None]
    tau = 5 * np.tan((np.arange(2000) + 0.5) / 2000 * np.pi / 2)[None, :]
    weight = np.exp(-(mu**2) / 50) / (5 * math.sqrt(2 * math.pi)) * 0.1 / 2000 + 0 * tau
    for k, s in zip(Y, SIGMA, strict=True):
        variance = s**2 + tau**2
        weight = weight * np.exp(-((k - mu) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    total = weight.sum()
    mean = (weight * mu).sum() / total
    sd = math.sqrt((weight * (mu - mean) ** 2).sum() / total)
    return math.log(total), mean, sd, (weight * tau).sum() / total


def test_eight_schools_reference() -> None:
    log_evidence, mean, sd, tau = school_evidence()
    for name in ("eight_schools", "eight_schools_non_centred"):
        with executed(SCENARIOS / f"{name}.py") as scenario:
            reference = scenario.reference
        assert reference["log_evidence"] == pytest.approx(log_evidence, abs=1e-3)
        assert reference["posterior"]["mu"] == pytest.approx((mean, sd), abs=1e-3)
        assert reference["posterior"]["tau"][0] == pytest.approx(tau, abs=0.01)


class Best(NamedTuple):
    """The best mean-field guide."""

    elbo: float
    mu: tuple[float, float]
    """Mean and sd."""
    tau: float
    """Mean."""


def best_guide(*, centred: bool) -> Best:
    """Maximise the ELBO of independent normals for μ, log τ and the effects: no draws.

    All expectations are in closed form but that of log HalfCauchy(τ), which is a quadrature.
    """
    y, sigma = torch.tensor(Y), torch.tensor(SIGMA)
    nodes, weights = (torch.tensor(a) for a in np.polynomial.hermite_e.hermegauss(101))
    params = torch.zeros(20, dtype=torch.float64, requires_grad=True)

    def elbo() -> torch.Tensor:
        mu, mu_sd, log_tau, log_tau_sd = params[0], params[1].exp(), params[2], params[3].exp()
        effect, effect_sd = params[4:12], params[12:].exp()

        def tau_to(power: int) -> torch.Tensor:
            return (power * log_tau + (power * log_tau_sd) ** 2 / 2).exp()

        tau = (log_tau + log_tau_sd * nodes).exp()
        half_cauchy = math.log(2 / (5 * math.pi)) - torch.log1p((tau / 5) ** 2)
        log_p = -HALF_LOG_2PI - math.log(5) - (mu**2 + mu_sd**2) / 50
        log_p = log_p + (half_cauchy * weights).sum() / weights.sum()
        if centred:
            spread = tau_to(-2) * ((effect - mu) ** 2 + effect_sd**2 + mu_sd**2)
            log_p = log_p - (HALF_LOG_2PI + log_tau + spread / 2).sum()
            misfit = (y - effect) ** 2 + effect_sd**2
        else:
            second = effect**2 + effect_sd**2
            log_p = log_p - (HALF_LOG_2PI + second / 2).sum()
            misfit = (y - mu) ** 2 + mu_sd**2 - 2 * (y - mu) * tau_to(1) * effect
            misfit = misfit + tau_to(2) * second
        log_p = log_p - (HALF_LOG_2PI + sigma.log() + misfit / (2 * sigma**2)).sum()
        scales = params[1] + params[3] + params[12:].sum()
        return log_p + 10 * (HALF_LOG_2PI + 0.5) + scales + log_tau

    optimizer = torch.optim.LBFGS([params], lr=0.5, max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        negative = -elbo()
        negative.backward()
        return negative

    optimizer.step(loss)
    with torch.no_grad():
        value = elbo()
        tau = (params[2] + params[3].exp() ** 2 / 2).exp()
        return Best(value.item(), (params[0].item(), params[1].exp().item()), tau.item())


def test_the_best_guides() -> None:
    centred, other = best_guide(centred=True), best_guide(centred=False)
    for best, name in ((centred, "eight_schools"), (other, "eight_schools_non_centred")):
        with executed(SCENARIOS / f"{name}.py") as scenario:
            assert best.elbo == pytest.approx(scenario.reference["elbo"], abs=1e-4)
    assert centred.mu == pytest.approx((4.28, 1.83), abs=0.01)
    assert centred.tau == pytest.approx(6.06, abs=0.01)
    assert other.mu[0] == pytest.approx(4.5, abs=0.05)


@pytest.mark.slow
def test_eight_schools() -> None:
    trained = gallery("eight_schools", draws=1000, watch=("AutoNormal.locs.mu",))
    mu = trained.params["AutoNormal.locs.mu"]
    assert mu[-1] == pytest.approx(1.95, abs=0.2)
    assert agrees(trained.end.elbo, -33.81, widest=0.3)
    # Not at rest: μ has crept on all the while.
    assert (np.diff(mu[200:].reshape(10, -1).mean(1)) > 0).all()


@pytest.mark.slow
def test_eight_schools_creeps_on() -> None:
    trained = gallery("eight_schools", 3000, draws=1000, watch=("AutoNormal.locs.mu",))
    assert trained.params["AutoNormal.locs.mu"][-1] > 2.7
    assert agrees(trained.end.elbo, -33.5, widest=0.3)


@pytest.mark.slow
def test_eight_schools_non_centred() -> None:
    trained = gallery("eight_schools_non_centred", draws=1000, watch=("AutoNormal.locs.mu",))
    assert trained.params["AutoNormal.locs.mu"][400:].mean() == pytest.approx(4.50, abs=0.1)
    assert agrees(trained.end.elbo, -31.60)
