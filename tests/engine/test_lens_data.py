"""What the lens draws from: minibatches, subsamples, samplers that reject."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch

from tests.engine import specials
from tests.engine.looking import (
    error,
    sight,
    value,
)
from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import Lens, snapshot
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import Term

pytestmark = pytest.mark.usefixtures("quiet")


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
    lens, state = Lens(session.scenario, 2000), snapshot()
    row = lens.see().reading.terms.index(Term("", "log_q"))
    state["a"] = torch.tensor(0.5)
    first = lens.see(state).reading.units[row]
    state["a"] = torch.tensor(0.505)
    then = lens.see(state).reading.units[row]
    assert not lens.looped
    # Independent draws would be as far apart as they scatter.
    assert np.median(np.abs(then - first)) < 0.05 * first.std()
    assert (np.abs(then - first) > 0.5 * first.std()).mean() < 0.02
