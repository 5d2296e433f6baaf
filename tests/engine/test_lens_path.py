"""What moved it over many steps is what the single steps add up to, whoever looks how seldom."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch

from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import State
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.path import Path, Place
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import (
    SUM_TERMS,
    LensPoint,
    PathShares,
    Player,
    TermSamples,
    attribute_change,
    mean,
)

pytestmark = pytest.mark.usefixtures("quiet")

LOG_P, _, ELBO, *_ = SUM_TERMS
UNITS = 4


def product(state: State) -> TermSamples:
    """log p = φ θ."""
    log_p = float(state["phi"] * state["theta"])
    rows = np.array([log_p, 0.0, log_p, log_p, 0.0])
    return TermSamples(SUM_TERMS, np.repeat(rows[:, None], UNITS, axis=1), UNITS)


def player(name: str) -> Player | None:
    return "phi" if name == "phi" else "theta"


def walked(
    steps: int,
    way: Callable[[float], tuple[float, float]],
    kept: int,
    see: Callable[[State], TermSamples] = product,
) -> Path:
    """A run of so many steps along a way from 0 to 1, of which every so many-th state is kept."""

    def at(step: int) -> State:
        return dict(zip(("phi", "theta"), map(torch.tensor, way(step / steps)), strict=True))

    start, end = (Place(step, at(step), see(at(step))) for step in (0, steps))
    between = [(step, at(step)) for step in range(kept, steps, kept)]
    return Path(start, end, between, moved=("phi", "theta"), player=player, see=see)


def numbers(shares: PathShares | None) -> tuple[float, float]:
    """The share of φ in log p, and how far it is in doubt."""
    assert shares is not None
    return float(mean(shares.shares["phi"])[0]), float(shares.doubt["phi"][0])


def test_the_shares_are_the_integrals_along_the_way() -> None:
    path = walked(400, lambda t: (t, t**3), 1)
    assert numbers(path.shares)[0] == pytest.approx(0.5)
    path.cut()
    share, doubt = numbers(path.shares)
    assert share == pytest.approx(1 / 4, abs=0.02), "the integral of θ dφ"
    assert abs(doubt) <= 0.02


def test_a_way_that_ends_soon_is_cut_where_it_leads() -> None:
    soon = walked(4000, lambda t: (min(1.0, 40 * t), min(1.0, 40 * t) ** 3), 1)
    soon.cut()
    assert numbers(soon.shares)[0] == pytest.approx(1 / 4, abs=0.02)


def test_a_way_that_leads_back_has_shares_too() -> None:
    def round_and_round(t: float) -> tuple[float, float]:
        angle = 2 * math.pi * t
        return 1.0 - math.cos(angle), math.sin(angle) + 0.001 * t

    path = walked(1000, round_and_round, 1)
    path.cut()
    share, _ = numbers(path.shares)
    assert share == pytest.approx(math.pi, abs=0.1), "the area that it goes round"


def test_a_big_jump_that_nothing_is_known_of_is_in_doubt() -> None:
    path = walked(400, lambda t: (t, t**3), 400)
    path.cut()
    assert numbers(path.shares) == pytest.approx((0.5, -0.5))


def test_one_step_is_what_it_is() -> None:
    path = walked(1, lambda t: (t, t**3), 1)
    path.cut()
    assert numbers(path.shares) == pytest.approx((0.5, 0.0))


def test_a_mixed_state_far_off_the_way_need_not_be_finite() -> None:
    def near(state: State) -> TermSamples:
        seen = product(state)
        bad = abs(state["phi"] - state["theta"]) > 0.4
        return TermSamples(seen.terms, seen.units, seen.draws, int(bad) * UNITS)

    path = walked(64, lambda t: (t, t), 1, near)
    assert path.shares is None
    path.cut()
    assert numbers(path.shares)[0] == pytest.approx(0.5)
    nothing_kept = walked(64, lambda t: (t, t), 64, near)
    nothing_kept.cut()
    assert nothing_kept.shares is None


def one_look(session: Session, steps: int) -> tuple[LensPoint, LensPoint]:
    """Step 0, and the end of a run that is looked at there only."""
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    first = attribution.begin()
    attribution.learn(session.advance(steps - 1))
    last = attribution.point()
    attribution.close()
    return first, last


def each_step(session: Session, steps: int, at_once: int) -> tuple[LensPoint, LensPoint]:
    """The same, looked at after every step."""
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    first = attribution.begin()
    for step in range(2, steps + 1):
        attribution.keep_state()
        attribution.learn(session.advance(1))
        if step % at_once == 0 or step == steps:
            last = attribution.point()
    attribution.close()
    return first, last


def agree(seldom: tuple[LensPoint, LensPoint], often: tuple[LensPoint, LensPoint]) -> None:
    """Within a tenth of the largest share, for log p and the ELBO."""
    few, all_steps = attribute_change(*seldom), attribute_change(*often)
    for term in (LOG_P, ELBO):
        assert few[term].split
        assert few[term].together == pytest.approx(all_steps[term].together, abs=1e-6)
        largest = max(map(abs, all_steps[term].shares.values()))
        for who, share in all_steps[term].shares.items():
            assert few[term].shares[who] == pytest.approx(share, abs=0.1 * largest), (term, who)


def test_one_look_at_a_collapse_agrees_with_one_at_each_step() -> None:
    seldom = one_look(Session("prior_collapse"), 48)
    often = each_step(Session("prior_collapse"), 48, 48)
    agree(seldom, often)


@pytest.mark.slow
def test_one_look_at_a_long_collapse_agrees_with_one_at_each_step() -> None:
    seldom = one_look(Session("prior_collapse"), 500)
    often = each_step(Session("prior_collapse"), 500, 50)
    agree(seldom, often)


FROZEN = """
def model():
    s = pyro.param("s", lambda: torch.tensor(2.0), constraint=constraints.positive)
    c = pyro.param("c", lambda: torch.tensor(1.0))
    c.unconstrained().requires_grad_(False)
    z = pyro.sample("z", dist.Normal(0.0, s * c))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    m = pyro.param("m", lambda: torch.tensor(1.0))
    pyro.sample("z", dist.Normal(m, 0.3))
"""


def test_a_parameter_that_is_not_kept_does_not_hide_the_way(tmp_path: FilePath) -> None:
    text = scenario(FROZEN)
    agree(
        one_look(Session(write(tmp_path, text)), 24),
        each_step(Session(write(tmp_path, text)), 24, 24),
    )
