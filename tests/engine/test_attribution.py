"""Accounts of real runs: the closed forms, shares that add up, JSON lines, and the text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pytest

from tests.engine import specials
from tests.engine.checks.expected import TROUBLE
from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.gradients import param_gradients
from tui_elbo.engine.lens.importance_weights import bound, importance_bound
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import SUM_TERMS, attribute_change, observed_terms
from tui_elbo.model.scenarios import gallery

BOTH = """
def model():
    s = pyro.param("shared", lambda: torch.tensor(0.5))
    t = pyro.param("theta", lambda: torch.tensor(0.3))
    z = pyro.sample("z", dist.Normal(s, 1.0))
    pyro.sample("x", dist.Normal(z + t, 1.0), obs=torch.tensor(3.0))

def guide():
    s = pyro.param("shared", lambda: torch.tensor(0.5))
    m = pyro.param("phi", lambda: torch.tensor(-1.0))
    pyro.sample("z", dist.Normal(m + s, 0.7))
"""

COINS = """
def model():
    w = pyro.param("w", lambda: torch.tensor(1.5))
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(w * k, 1.0), obs=torch.tensor(1.0))

def guide():
    q = pyro.param("q", lambda: torch.tensor(0.4), constraint=constraints.unit_interval)
    pyro.sample("k", dist.Bernoulli(q))
"""

LATE = """
steps_seen = []

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if len(steps_seen) > 6:
        late = pyro.param("late", lambda: torch.tensor(0.0))
        pyro.sample("x", dist.Normal(z + late, 1.0), obs=torch.tensor(2.0))

def guide():
    steps_seen.append(1)
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))
"""

SOUND = [entry for entry in gallery() if entry.name not in TROUBLE]


def test_the_lines_of_the_fixed_mean_guide_meet_the_closed_form(tmp_path: Path) -> None:
    points, seen, phi = [], {}, {}
    session = Session("fixed_mean_guide")
    attribution = Attribution(session)
    for step in range(1, 121):
        phi[session.steps_taken] = pyro.param("phi").item() if session.steps_taken else 0.2
        if session.steps_taken and step % 20 == 0:
            points.append(attribution.point())
        batches = session.advance(1)
        attribution.learn(batches)
        if step == 1:
            points.append(attribution.begin())
        if step == 1 or step % 20 == 0:
            seen[step - 1] = observed_terms(batches[0].records()[0])
    attribution.close()
    assert [point.state for point in points] == [0, 19, 39, 59, 79, 99, 119]
    for point in points[1:]:
        attributed = attribute_change(points[0], point, seen[0], seen[point.state])
        now = phi[point.state]
        log_p, log_q = -0.5 * (now**2 - 0.04), -math.log(now / 0.2)
        assert (
            abs(attributed[SUM_TERMS[0]].shares["phi"] - log_p)
            < 3 * attributed[SUM_TERMS[0]].errors["phi"] + 1e-6
        )
        assert attributed[SUM_TERMS[1]].shares["phi"] == pytest.approx(log_q, abs=1e-5)
        assert "theta" not in attributed[SUM_TERMS[0]].shares
        for share in attributed.values():
            total = sum(share.shares.values()) + share.draw
            assert total == pytest.approx(share.observed, abs=1e-12)


@pytest.mark.parametrize("entry", SOUND, ids=lambda entry: entry.name)
def test_shares_add_up_on_the_whole_gallery(entry: Any) -> None:
    session = Session(entry.name)
    attribution = Attribution(session, 32)
    attribution.learn(session.advance(1))
    points = [attribution.begin()]
    for _ in range(3):
        attribution.learn(session.advance(3))
        points.append(attribution.point())
    attribution.close()
    assert all(point.draws and not point.nonfinite_draws for point in points)
    for row, term in enumerate(SUM_TERMS):
        change = points[-1].value[row] - points[0].value[row]
        share = attribute_change(points[0], points[-1])[term]
        assert sum(share.shares.values()) == pytest.approx(change, rel=1e-9, abs=1e-9)
    theta = any(role == "model" for role in attribution.roles.values())
    assert ("theta" in points[-1].players) == theta


def test_a_parameter_of_both_sides_has_a_share_of_its_own(tmp_path: Path) -> None:
    session = Session(write(tmp_path, scenario(BOTH)))
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    first = attribution.begin()
    attribution.learn(session.advance(30))
    last = attribution.point()
    attribution.close()
    assert last.players == ("phi", "theta", "both")
    attributed = attribute_change(first, last)
    assert all(abs(attributed[SUM_TERMS[2]].shares[player]) > 0.1 for player in last.players)
    # It moves prior and guide together, so it moves the draws and not where they lie in the prior.
    assert attributed[SUM_TERMS[4]].shares["both"] == pytest.approx(0.0, abs=1e-4)
    assert attributed[SUM_TERMS[1]].shares["both"] == pytest.approx(0.0, abs=1e-4)


def test_a_parameter_that_is_born_late_was_there_all_along(tmp_path: Path) -> None:
    session = Session(write(tmp_path, scenario(LATE)))
    attribution = Attribution(session, 64)
    attribution.learn(session.advance(1))
    attribution.begin()
    attribution.learn(session.advance(10))
    point = attribution.point()
    attribution.close()
    assert set(point.players) == {"phi", "theta"}
    assert np.isfinite(point.total).all()


def test_rewinding_drops_points_and_goes_on_from_the_last_that_holds(tmp_path: Path) -> None:
    session = Session("learned_prior", checkpoint_memory=2**20)
    attribution = Attribution(session, 32)
    attribution.learn(session.advance(1))
    points = [attribution.begin()]
    for _ in range(3):
        attribution.learn(session.advance(2))
        points.append(attribution.point())
    session.go_to(4)
    assert attribution.go_back(4) == 3
    attribution.learn(session.advance(1))
    again = attribution.point()
    attribution.close()
    assert (again.state, again.since) == (5, 3)
    assert np.array_equal(again.total, points[2].total)


def test_gradients_of_the_closed_form() -> None:
    session = Session("fixed_mean_guide")
    session.advance(10)
    phi = pyro.param("phi").item()
    lens = Lens(session.scenario, 4000)
    lens.see()
    before = pyro.util.get_rng_state()["torch"].clone()
    found = param_gradients(lens, {"phi": "guide"})["phi"]
    assert (pyro.util.get_rng_state()["torch"] == before).all()
    assert found.log_p is not None
    assert found.log_q is not None
    assert found.elbo is not None
    # With φ = exp(u): d/du E log q = −1 for every draw; d/du log p = −(1 + φε) φε.
    assert found.log_q.norm == pytest.approx(1.0, abs=1e-5)
    assert found.log_q.snr == math.inf
    sd = math.sqrt(phi**2 + 2 * phi**4)
    assert found.log_p.norm == pytest.approx(phi**2, abs=4 * sd / 4000**0.5)
    assert found.log_p.snr == pytest.approx(phi**2 / sd, rel=0.4)
    assert found.elbo.norm == pytest.approx(1 - phi**2, abs=4 * sd / 4000**0.5)


def test_gradients_are_absent_where_draws_let_none_through(tmp_path: Path) -> None:
    session = Session(write(tmp_path, scenario(COINS)))
    batches = session.advance(1)
    roles = {info.name: info.role for info in batches[-1].layout.params}
    lens = Lens(session.scenario, 16)
    lens.see()
    found = param_gradients(lens, roles)
    for name, role in roles.items():
        assert (found[name].log_p is None) == (role == "guide")
        reason = 'no gradient goes through the draws of site "k"' if role == "guide" else ""
        assert found[name].reason == reason


@pytest.mark.parametrize("sd", [0.3, 0.5, 0.7, 0.9])
def test_khat_is_within_its_interval(sd: float) -> None:
    hits = 0
    for seed in range(100):
        noise = np.random.default_rng(seed).standard_normal(2000)
        found = bound(-0.5 * (sd * noise) ** 2 + 0.5 * noise**2 + math.log(sd))
        hits += found.khat_low <= 1 - sd**2 <= found.khat_high
        assert found.limit == pytest.approx(1 - 1 / math.log10(2000))
    assert hits >= 90


def test_the_bound_lies_between_the_elbo_and_the_evidence() -> None:
    session = Session("regression")
    session.advance(400)
    found = importance_bound(session.scenario)
    assert found.draws == 2000
    assert found.elbo < found.value < -14.9685 + 3 * found.error
    assert not found.exact


def test_an_exact_guide_is_called_exact(tmp_path: Path) -> None:
    text = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.5))
    pyro.sample("z", dist.Normal(m, 0.5**0.5))
"""
    session = Session(write(tmp_path, scenario(text, optimizer="pyro.optim.SGD(dict(lr=0.0))")))
    session.advance(1)
    found = importance_bound(session.scenario)
    assert found.exact
    assert math.isnan(found.khat)
    assert found.value == pytest.approx(-0.5 * math.log(4 * math.pi) - 0.25, abs=1e-5)


def test_weights_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    session = Session("coin_map")
    session.advance(1)
    assert "is a point" in importance_bound(session.scenario).reason
    session = Session(write(tmp_path, scenario(specials.NETWORK)))
    session.advance(1)
    assert "part of the data" in importance_bound(session.scenario, draws=40).reason
    nothing = bound(np.full(100, -np.inf))
    assert nothing.reason == "a draw has no finite weight"
