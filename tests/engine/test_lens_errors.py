"""The lens's standard errors cover the exact values, whatever its seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyro
import pytest
import torch

from tests.engine.checks.expected import TROUBLE
from tui_elbo.engine.lens import Lens, snapshot
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import SUM_TERMS, attribute_change, standard_error
from tui_elbo.model.scenarios import gallery

START = math.log(0.2)
"""Where φ begins, unconstrained."""

SEEDS = 200

SOUND = [entry for entry in gallery() if entry.name not in TROUBLE]


def reached() -> tuple[Session, float]:
    """The fixed-mean guide after its 900 steps, and the φ that it has come to."""
    session = Session("fixed_mean_guide")
    session.advance(900)
    return session, pyro.param("phi").item()


def closed_form(phi: float) -> tuple[float, float]:
    """The change of E log p and of E log q from φ = 0.2 on."""
    return -0.5 * (phi**2 - 0.2**2), -math.log(phi / 0.2)


def seen(session: Session, draws: int, seed: int) -> tuple[Any, Any]:
    """The same change as the lens sees it, and its standard error; log p and log q."""
    lens = Lens(session.scenario, draws, seed)
    end = snapshot()
    units = lens.see(end).reading.units - lens.see({"phi": torch.tensor(START)}).reading.units
    return units.mean(axis=1)[:2], standard_error(units)[:2]


@pytest.mark.slow
def test_the_share_of_phi_is_as_far_off_as_its_error_says_over_many_seeds() -> None:
    session, phi = reached()
    wanted = closed_form(phi)
    off = []
    for seed in range(SEEDS):
        change, error = seen(session, 256, seed)
        off.append((change[0] - wanted[0]) / error[0])
        assert change[1] == pytest.approx(wanted[1], abs=1e-5), "log q differs by log φ alone"
    # A standard normal is within 1, 2 and 3 in 68.3, 95.4 and 99.7 % of cases; of 200, three
    # binomial deviations about that.
    within = [float((np.abs(off) < times).mean()) for times in (1, 2, 3)]
    assert within[0] == pytest.approx(0.683, abs=3 * math.sqrt(0.683 * 0.317 / SEEDS))
    assert within[1] == pytest.approx(0.954, abs=3 * math.sqrt(0.954 * 0.046 / SEEDS))
    assert within[2] >= 0.985
    assert np.mean(off) == pytest.approx(0.0, abs=3 / math.sqrt(SEEDS))


@pytest.mark.slow
def test_at_20_000_draws_every_seed_is_within_three_hundredths() -> None:
    session, phi = reached()
    wanted = closed_form(phi)
    for seed in (*range(20), SEED):
        change, error = seen(session, 20_000, seed)
        assert abs(change[0] - wanted[0]) < 0.03
        # Five deviations: of a million seeds, not one is expected further away.
        assert error[0] < 0.03 / 4.5


@pytest.mark.slow
def test_900_steps_along_the_path_meet_the_closed_form() -> None:
    """The issue's own line: within 3 standard errors at 256 draws, and θ exactly 0."""
    session = Session("fixed_mean_guide")
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    points = [attribution.begin()]
    for _ in range(31):
        attribution.learn(session.advance(29))
        points.append(attribution.point())
    attribution.close()
    assert points[-1].state == 900
    attributed = attribute_change(points[0], points[-1])
    for term, wanted in zip(SUM_TERMS, closed_form(pyro.param("phi").item()), strict=False):
        share = attributed[term]
        assert share.shares.keys() == {"phi"}, "there is no θ"
        assert abs(share.shares["phi"] - wanted) < 3 * share.errors["phi"] + 1e-5


def test_the_lens_draws_what_no_particle_of_the_run_draws() -> None:
    """A run with as many particles as the lens has draws, and any seed that a person gives it."""
    for seed in range(100):
        pyro.set_rng_seed(seed)
        noise = torch.randn(256)
        pyro.set_rng_seed(SEED)
        assert not torch.equal(noise, torch.randn(256))


@pytest.mark.slow
@pytest.mark.parametrize("entry", SOUND, ids=lambda entry: entry.name)
def test_shares_add_up_along_whole_runs_of_the_gallery(entry: Any) -> None:
    """Every term, every span: what the players did is what the lens saw change, to 1e-4."""
    session = Session(entry.name)
    attribution = Attribution(session, 64)
    attribution.learn(session.advance(1))
    points = [attribution.begin()]
    every = max(session.scenario.steps // 20, 1)
    while session.steps_taken + every <= session.scenario.steps:
        attribution.learn(session.advance(every))
        points.append(attribution.point())
    attribution.close()
    for start in (points[0], points[len(points) // 2], points[-2]):
        shares = attribute_change(start, points[-1])
        for row, term in enumerate(SUM_TERMS):
            change = points[-1].value[row] - start.value[row]
            wanted = pytest.approx(change, rel=1e-4, abs=1e-4 * max(1.0, abs(change)))
            assert shares[term].together == wanted
            # Of a short span, φ's and θ's parts may be too much in doubt to be shown.
            if start is points[0] or shares[term].split:
                assert sum(shares[term].shares.values()) == wanted
    roles = set(attribution.roles.values())
    assert ("theta" in points[-1].players) == ("model" in roles)
