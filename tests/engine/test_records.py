"""The log probabilities of each record, against plain replays and closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import LogNormal, Normal

from tests.engine import models, specials
from tests.engine.compare import watched_run
from tests.engine.matrix import CONTINUOUS, DISCRETE, GUIDES, scenario, write
from tests.engine.oracle import Particles, Seen, plain_steps
from tui_elbo.engine.session import Session
from tui_elbo.model.records import StepRecord

# Plain Pyro warns of several of these scenarios.
pytestmark = pytest.mark.filterwarnings("ignore")

BY_HAND = GUIDES["by_hand"][1]
ONE, LOOPED, VECTORISED = Particles(), Particles(3), Particles(4, dim=-2)
WAYS = pytest.mark.parametrize(
    "way", [ONE, LOOPED, VECTORISED], ids=["one", "looped", "vectorised"]
)

# Pyro sums in float32, the oracles in float64.
near = lambda x: pytest.approx(x, rel=2e-6, abs=2e-6)  # noqa: E731


def _assert_terms(record: StepRecord, seen: Seen) -> None:
    """Each site's terms, and the step's."""
    for name, observed in seen.observed.items():
        assert record.sites[name].observed == observed
        assert record.sites[name].log_p == near(seen.log_p[name])
    log_q: dict[str, float] = {}
    for name, number in seen.log_q.items():
        base = name.removesuffix("_unconstrained")
        shown = base if base in seen.log_q else name
        log_q[shown] = log_q.get(shown, 0.0) + number
    assert {n: s.log_q for n, s in record.sites.items() if s.log_q is not None} == near(log_q)
    assert set(record.sites) == set(seen.observed) | set(log_q)
    for name in set(record.sites) - set(seen.observed):
        assert record.sites[name].log_p is None
    assert record.log_p == near(math.fsum(seen.log_p.values()))
    assert record.log_q == near(math.fsum(seen.log_q.values()))
    assert record.elbo == record.log_p - record.log_q


def _check(text: str, folder: Path, way: Particles, steps: int = 4, lazy: bool = False) -> Any:
    path = write(folder, text)
    plain = plain_steps(path, steps, way, lazy)
    watched = watched_run(path, steps).records
    for record, seen in list(zip(watched, plain, strict=True))[1 if lazy else 0 :]:
        _assert_terms(record, seen)
    return watched, plain


@WAYS
@pytest.mark.parametrize("loss", ["Trace_ELBO", "TraceGraph_ELBO"])
@pytest.mark.parametrize(
    "parts",
    [
        (CONTINUOUS, BY_HAND),
        (models.SUBSAMPLE, models.SUBSAMPLE_GUIDE),
        (models.SCALED,),
        (
            DISCRETE,
            "def guide():\n    with pyro.plate('points', 4):\n"
            "        q = pyro.param('q', lambda: torch.tensor(0.3))\n"
            "        pyro.sample('k', dist.Categorical(torch.stack([q, 1 - q])))",
        ),
    ],
    ids=["hierarchical", "subsampled", "scaled-and-masked", "discrete"],
)
def test_terms_of_a_step(parts: tuple[str, ...], loss: str, way: Particles, tmp_path: Path):
    text = scenario(*parts, loss=f"{loss}({way.keywords})")
    for record in _check(text, tmp_path, way)[0]:
        assert record.elbo == pytest.approx(-record.loss, rel=1e-5)
        assert record.loss_parts is None


@WAYS
@pytest.mark.parametrize("guide", sorted(set(GUIDES) - {"by_hand", "AutoDiscreteParallel"}))
def test_terms_of_every_guide(guide: str, way: Particles, tmp_path: Path):
    text = scenario(*GUIDES[guide], loss=f"Trace_ELBO({way.keywords})")
    watched, _ = _check(text, tmp_path, way, steps=3, lazy=True)
    for record in watched:
        assert record.elbo == pytest.approx(-record.loss, rel=1e-5)


@pytest.mark.parametrize("looped", [True, False])
def test_sites_that_come_and_go(looped: bool, tmp_path: Path):
    text = specials.SPECIALS["shape-shifting-looped" if looped else "shape-shifting"]
    watched, _ = _check(text, tmp_path, Particles(2 if looped else 1), steps=8)
    assert len({tuple(record.sites) for record in watched}) > 1


def test_sites_of_one_side_alone(tmp_path: Path):
    path = write(tmp_path, specials.SPECIALS["lopsided"])
    plain = plain_steps(path, 3, ONE)
    session = Session(path)
    for seen in plain:
        record = session.step()
        _assert_terms(record, seen)
        assert record.sites["in_model_only"].log_q is None
        assert record.sites["in_guide_only"].log_p is None
        assert record.sites["helper"].log_p is None
        assert record.sites["x"].log_q is None


def test_an_auxiliary_site_and_its_delta_are_one_site(tmp_path: Path):
    text = scenario(
        """
def model():
    tau = pyro.sample("tau", dist.LogNormal(0.3, 0.5))
    pyro.sample("x", dist.Normal(0.0, tau), obs=torch.tensor(0.7))
""",
        GUIDES["AutoNormal"][1],
    )
    watched, plain = _check(text, tmp_path, ONE, lazy=True)
    for record, seen in list(zip(watched, plain, strict=True))[1:]:
        assert set(record.sites) == {"tau", "x"}
        loc = seen.before["AutoNormal.locs.tau"]
        scale = torch.nn.functional.softplus(seen.before["AutoNormal.scales.tau"])
        tau = seen.draws[0]["tau"]
        assert record.sites["tau"].log_q == near(LogNormal(loc, scale).log_prob(tau).item())
        assert record.sites["tau"].log_p == near(LogNormal(0.3, 0.5).log_prob(tau).item())


def test_a_site_that_is_only_named_like_an_auxiliary_one(tmp_path: Path):
    text = scenario(
        """
def model():
    z = pyro.sample("z_unconstrained", dist.Normal(0.0, 1.0))
    pyro.sample("z", dist.Normal(z, 1.0))
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.3))
    pyro.sample("z_unconstrained", dist.Normal(m, 1.0))
    pyro.sample("z", dist.Normal(m, 1.5))
"""
    )
    path = write(tmp_path, text)
    (record,), (seen,) = watched_run(path, 1).records, plain_steps(path, 1, ONE)
    assert {n: s.log_q for n, s in record.sites.items()} == near(dict(seen.log_q))
    assert {n: s.log_p for n, s in record.sites.items()} == near(dict(seen.log_p))


def test_under_a_delta_log_q_is_zero(tmp_path: Path):
    for record in watched_run(write(tmp_path, scenario(*GUIDES["AutoDelta"])), 3).records:
        assert record.log_q == 0.0
        assert {s.log_q for s in record.sites.values() if not s.observed} == {0.0}


FIXED_MEAN = """
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))
def guide():
    phi = pyro.param("phi", lambda: torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(1.0, phi))
"""


def test_fixed_mean_guide_at_its_optimum(tmp_path: Path):
    """There log p - log q of one draw is -1/2 - ε."""
    text = scenario(FIXED_MEAN, "seed = 3", optimizer="pyro.optim.SGD(dict(lr=0.0))")
    records = watched_run(write(tmp_path, text), 5).records
    torch.manual_seed(3)
    for record in records:
        e = torch.randn(()).item()
        assert record.elbo == near(-0.5 - e)
        assert record.log_q == near(-0.5 * math.log(2 * math.pi) - 0.5 * e**2)
        assert record.log_p == near(-0.5 * math.log(2 * math.pi) - 0.5 * (1 + e) ** 2)
        assert record.params["phi"].value == 1.0
        assert record.params["phi"].update_norm == 0.0


@WAYS
def test_at_the_posterior_every_draw_gives_the_log_evidence(way: Particles, tmp_path: Path):
    text = scenario(
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 4):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor([1.0, 2.0, 0.5, 1.5]))
def guide():
    loc = pyro.param("loc", lambda: torch.tensor(1.0))
    pyro.sample("z", dist.Normal(loc, 0.2**0.5))
""",
        loss=f"Trace_ELBO({way.keywords})",
        optimizer="pyro.optim.SGD(dict(lr=0.0))",
    )
    records = watched_run(write(tmp_path, text), 4).records
    assert [record.elbo for record in records] == near([-5.7304731] * 4)
    assert len({record.log_p for record in records}) == 4, "while log p wanders with the draw"


@pytest.mark.parametrize("way", [LOOPED, VECTORISED], ids=["looped", "vectorised"])
@pytest.mark.parametrize("name", ["RenyiELBO", "ReweightedWakeSleep"])
def test_another_objective_keeps_loss_and_elbo_apart(name: str, way: Particles, tmp_path: Path):
    keywords = f"num_particles={way.count}, vectorize_particles={way.dim is not None}"
    text = scenario(CONTINUOUS, BY_HAND, loss=f"{name}({keywords}, max_plate_nesting=1)")
    watched, plain = _check(text, tmp_path, way)
    for record, seen in zip(watched, plain, strict=True):
        parts = seen.loss if isinstance(seen.loss, tuple) else None
        assert record.loss_parts == parts
        assert record.loss == (math.fsum(parts) if parts else seen.loss)
        assert record.loss != near(-record.elbo)
        if way is LOOPED:
            bound = torch.logsumexp(torch.tensor(seen.weights), 0).item() - math.log(3)
            assert (parts[0] if parts else record.loss) == near(-bound)


def test_an_analytic_kl_leaves_the_terms_to_the_draws(tmp_path: Path):
    text = scenario(FIXED_MEAN.replace("1.0, phi", "1.0, phi + 0.5"), loss="TraceMeanField_ELBO()")
    watched, plain = _check(text, tmp_path, ONE)
    for record, seen in zip(watched, plain, strict=True):
        sd = seen.before["phi"].exp() + 0.5
        kl = torch.distributions.kl_divergence(Normal(1.0, sd), Normal(0.0, 1.0)).item()
        assert record.loss == near(kl)
        assert record.elbo != near(-kl)


def test_tail_adaptive_reports_no_loss_and_runs_on(tmp_path: Path):
    text = scenario(CONTINUOUS, BY_HAND, loss=f"TraceTailAdaptive_ELBO({VECTORISED.keywords})")
    watched, _ = _check(text, tmp_path, VECTORISED)
    assert [record.loss for record in watched] == [None] * 4


def test_an_mmd_loss_is_no_elbo(tmp_path: Path):
    loss = f"Trace_MMD(kernel=RBF(input_dim=1), {VECTORISED.keywords})"
    path = write(tmp_path, scenario(CONTINUOUS, BY_HAND, loss=loss))
    (seen,), (record,) = plain_steps(path, 1, VECTORISED), watched_run(path, 1).records
    _assert_terms(record, seen)
    assert record.loss == seen.loss


@pytest.mark.parametrize("name", ["JitTrace_ELBO", "JitTraceGraph_ELBO"])
def test_a_compiled_estimator_reports_its_loss_alone_and_why(name: str, tmp_path: Path):
    path = write(tmp_path, scenario(CONTINUOUS, BY_HAND, loss=f"{name}()"))
    session = Session(path)
    for batch in [*session.advance(1), *session.advance(2)]:
        assert name in batch.layout.note
        for record in batch.records():
            assert record.loss is not None
            assert (record.elbo, record.log_p, record.log_q) == (None, None, None)
            assert {s.log_p for s in record.sites.values()} <= {None}
            assert {s.log_q for s in record.sites.values()} <= {None}
            assert {n: p.role for n, p in record.params.items()} == {
                "m": "guide",
                "s": "guide",
                "t": "guide",
                "noise": "model",
            }


def test_where_there_are_terms_no_note_excuses_them(tmp_path: Path):
    session = Session(write(tmp_path, scenario(CONTINUOUS, BY_HAND)))
    (batch,) = session.advance(2)
    assert batch.layout.note == ""
    assert {site.note for site in batch.layout.sites} == {""}
