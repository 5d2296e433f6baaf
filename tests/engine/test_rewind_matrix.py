"""Going back and forth, for guides × optimisers × ways of particles: bit-identical records."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest

from tests.engine.matrix import CONTINUOUS, GUIDES, PARTICLES, scenario, write
from tests.engine.specials import OPTIMIZERS, SCHEDULERS, SPECIALS
from tests.engine.wander import untimed, wander
from tui_elbo.engine.session import Session

# Plain Pyro warns of some of what it runs.
pytestmark = pytest.mark.filterwarnings("ignore")

NETWORK = """
from torch import nn

images = (torch.rand(12, 6) > 0.5).float()
decoder = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 6))
encoder = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Softplus(), nn.Linear(5, 4))

def model(x):
    pyro.module("decoder", decoder)
    with pyro.plate("images", 12, subsample=x):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
        pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

def guide(x):
    pyro.module("encoder", encoder)
    with pyro.plate("images", 12, subsample=x):
        loc, log_scale = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

def batch(step):
    start = 4 * (step % 3)
    return (images[start : start + 4],)
"""

RUNS = {
    name: GUIDES[name]
    for name in (
        "by_hand",
        "AutoNormal",
        "AutoMultivariateNormal",
        "AutoLowRankMultivariateNormal",
        "AutoDelta",
        "AutoIAFNormal",
    )
} | {"network": (NETWORK, "")}
MOVERS = {
    "Adam": "pyro.optim.Adam(dict(lr=0.02))",
    "ClippedAdam": OPTIMIZERS["ClippedAdam"],
    "SGD-momentum": OPTIMIZERS["SGD-momentum"],
    "AdagradRMSProp": OPTIMIZERS["AdagradRMSProp"],
    "ExponentialLR": SCHEDULERS["ExponentialLR"],
    "ReduceLROnPlateau": SCHEDULERS["ReduceLROnPlateau"],
}
WAYS = list(PARTICLES)
PAIRS = [
    (run, mover, WAYS[(i + j) % 3])
    for (i, run), (j, mover) in product(enumerate(RUNS), enumerate(MOVERS))
]
"""Each run with each optimiser, in a way of particles that takes turns."""
EACH = [(run, list(MOVERS)[i % 6], WAYS[i % 3]) for i, run in enumerate(RUNS)]
"""Each run, each optimiser and each way of particles, once at least."""


def test_the_pairs_cover_what_the_matrix_covers() -> None:
    def pairs(combos: list[tuple[str, str, str]]) -> set[tuple[str, str]]:
        return {pair for combo in combos for pair in combinations(combo, 2)}

    assert pairs(PAIRS) == pairs(list(product(RUNS, MOVERS, WAYS)))
    assert [set(values) for values in zip(*EACH, strict=True)] == [*map(set, (RUNS, MOVERS, WAYS))]


def _wander(combo: tuple[str, str, str], folder: Path, *, steps: int, times: int) -> None:
    run, mover, way = combo
    model, guide = RUNS[run]
    loss = f"Trace_ELBO({PARTICLES[way]})"
    text = scenario(model, guide, loss=loss, optimizer=MOVERS[mover], title=str(combo))
    # About six checkpoints of the small ones: some steps are found again by running them again.
    session = Session(write(folder, text), checkpoint_memory=200_000)
    wander(session, steps, times)


@pytest.mark.parametrize("combo", EACH, ids="-".join)
def test_each(combo: tuple[str, str, str], tmp_path: Path) -> None:
    _wander(combo, tmp_path, steps=6, times=2)


@pytest.mark.slow
@pytest.mark.parametrize("combo", PAIRS, ids="-".join)
def test_pairs(combo: tuple[str, str, str], tmp_path: Path) -> None:
    _wander(combo, tmp_path, steps=30, times=12)


SOME = ["local-parameters", "baseline-average", "shape-shifting", "subsample-messenger"]
"""Parameters that modules keep to themselves, that are replaced, and that are born on the way."""


@pytest.mark.parametrize("name", SOME)
def test_specials(name: str, tmp_path: Path) -> None:
    wander(Session(write(tmp_path, SPECIALS[name]), checkpoint_memory=2**26), 10, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SPECIALS if name != "infinite-loss-on-the-way"])
def test_every_special(name: str, tmp_path: Path) -> None:
    wander(Session(write(tmp_path, SPECIALS[name]), checkpoint_memory=2**26), 20, 8)


@pytest.mark.slow
@pytest.mark.parametrize("mover", {**OPTIMIZERS, **SCHEDULERS}.items(), ids=lambda one: one[0])
def test_every_optimiser(mover: tuple[str, str], tmp_path: Path) -> None:
    text = scenario(CONTINUOUS, GUIDES["AutoNormal"][1], optimizer=mover[1])
    wander(Session(write(tmp_path, text), checkpoint_memory=2**26), 20, 8)


COMES_AND_GOES = """
def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if step >= 5:
        late = pyro.param("late", lambda: torch.randn(3))
        pyro.factor("late_factor", -(late**2).sum() + 0.1 * z)
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.4))

def guide(step):
    if step == 9:
        del pyro.get_param_store()["early"]
    m = pyro.param("m", lambda: torch.tensor(0.1))
    e = pyro.param("early", lambda: torch.ones(()), constraint=constraints.positive)
    # The gradient does not come at each step: then it is zero, and momentum still moves m.
    loc = m if step % 4 else m.detach()
    pyro.sample("z", dist.Normal(loc, e))

def batch(step):
    return (step,)
"""


def test_parameters_born_and_dropped_on_the_way_need_no_execution_of_the_file(
    tmp_path: Path,
) -> None:
    session = Session(write(tmp_path, scenario(COMES_AND_GOES)), checkpoint_memory=2**26)
    records = [untimed(session.step()) for _ in range(14)]
    made = session.scenario
    for to in (11, 8, 9, 4, 3, 10, 8, 1):
        session.go_to(min(to, session.steps_taken))
        assert session.scenario is made
        first = session.steps_taken
        assert [untimed(session.step()) for _ in range(14 - first)] == records[first:]
