"""Records of steps in which discrete sites are enumerated, against sums written out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from tests.engine import models, specials
from tests.engine.compare import watched_run
from tests.engine.matrix import scenario, write
from tests.engine.oracle import Particles, plain_steps
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.filterwarnings("ignore")

near = lambda x: pytest.approx(x, rel=2e-6, abs=2e-6)  # noqa: E731

X4 = torch.tensor([-1.1, 0.4, 2.3, 1.8]).double()


def _log_normal(x: torch.Tensor, mean: torch.Tensor, sd: float = 1.0) -> torch.Tensor:
    return Normal(mean, sd).log_prob(x)


def _mixture(locs: torch.Tensor, w: torch.Tensor, scale: float = 1.0) -> float:
    """log p of `models.MIXTURE` with its assignments summed out."""
    per_point = torch.logsumexp(_log_normal(X4[:, None], locs) + w.log(), -1).sum()
    return (_log_normal(locs, torch.zeros(2), 3.0).sum() + scale * per_point).item()


POINT = """
def guide():
    at = pyro.param("at", lambda: torch.tensor([-0.5, 1.2]))
    pyro.sample("low", dist.Delta(at[0]))
    pyro.sample("high", dist.Delta(at[1]))
"""


@pytest.mark.parametrize(
    "particles", ["", "num_particles=2", "num_particles=2, vectorize_particles=True"]
)
def test_what_the_model_enumerates_is_summed_out(particles: str, tmp_path: Path):
    text = scenario(models.MIXTURE, POINT, loss=f"TraceEnum_ELBO({particles})")
    locs, w = torch.tensor([-0.5, 1.2]).double(), torch.tensor([0.3, 0.7]).double()
    for record in watched_run(write(tmp_path, text), 3).records:
        assert record.log_p == near(_mixture(locs, w))
        assert record.log_q == 0.0
        assert record.elbo == near(record.log_p - record.log_q)
        assert record.elbo == pytest.approx(-record.loss, rel=1e-5)
        for name, loc in (("low", locs[0]), ("high", locs[1])):
            prior = _log_normal(loc, torch.tensor(0.0), 3.0).item()
            assert record.sites[name].log_p == near(prior)
            assert record.sites[name].log_q == 0.0
        locs = torch.tensor(record.params["at"].value).double()
        w = torch.tensor(record.params["w"].value).double()


def test_a_mixture_under_a_random_guide(tmp_path: Path):
    guide = POINT.replace("dist.Delta(at[0])", "dist.Normal(at[0], 0.4)")
    guide = guide.replace("dist.Delta(at[1])", "dist.Normal(at[1], 0.4)")
    # With the nesting given, the estimator draws nothing to find it out.
    loss = "TraceEnum_ELBO(max_plate_nesting=1)"
    path = write(tmp_path, scenario(models.MIXTURE, guide, loss=loss))
    plain = plain_steps(path, 4, Particles())
    w = torch.tensor([0.3, 0.7]).double()
    for record, seen in zip(watched_run(path, 4).records, plain, strict=True):
        locs = torch.stack([seen.draws[0]["low"], seen.draws[0]["high"]]).double()
        log_q = _log_normal(locs, seen.before["at"].double(), 0.4)
        assert record.log_p == near(_mixture(locs, w))
        assert record.log_q == near(log_q.sum().item())
        assert record.sites["low"].log_q == near(log_q[0].item())
        w = seen.values["w"].double()


def test_a_site_that_is_summed_out_says_why_it_has_no_terms(tmp_path: Path):
    session = Session(write(tmp_path, scenario(models.MIXTURE, POINT, loss="TraceEnum_ELBO()")))
    (batch,) = session.advance(2)
    assert batch.layout.note == ""
    notes = {site.name: site.note for site in batch.layout.sites}
    # The observed site differs from branch to branch, so its own term is gone with the sum.
    assert set(notes) == {"low", "high", "k", "x"}
    assert notes["low"] == notes["high"] == ""
    assert notes["k"]
    assert notes["x"]
    for record in batch.records():
        assert (record.sites["k"].log_p, record.sites["k"].log_q) == (None, None)
        assert (record.sites["x"].log_p, record.sites["x"].log_q) == (None, None)
        assert (record.sites["k"].observed, record.sites["x"].observed) == (False, True)


def test_subsampling_scales_what_is_summed_out(tmp_path: Path):
    model = models.MIXTURE.replace('"points", 4)', '"points", 10, subsample_size=4)')
    text = scenario(model, POINT, loss="TraceEnum_ELBO()")
    (record,) = watched_run(write(tmp_path, text), 1).records
    locs, w = torch.tensor([-0.5, 1.2]).double(), torch.tensor([0.3, 0.7]).double()
    assert record.log_p == near(_mixture(locs, w, scale=2.5))


@pytest.mark.parametrize("how", ["parallel", "sequential"])
@pytest.mark.parametrize("count", [1, 2])
def test_what_the_guide_enumerates_weighs_each_branch(how: str, count: int, tmp_path: Path):
    """Two flips outside a vectorised plate, so that both ways enumerate the same."""
    text = scenario(
        models.SEQUENTIAL.replace('"sequential"', f'"{how}"'),
        loss=f"TraceEnum_ELBO(num_particles={count}, max_plate_nesting=0)",
    )
    path = write(tmp_path, text)
    # The first draw of each particle is `loc`; what is enumerated draws nothing.
    records = watched_run(path, 3).records
    x, m, q = torch.tensor([-1.1, 2.3]).double(), 0.2, torch.tensor([0.4, 0.6]).double()
    torch.manual_seed(0)
    for record in records:
        sites = {
            "loc": [0.0, 0.0],
            "k_0": [0.0, 0.0],
            "k_1": [0.0, 0.0],
            "x_0": [0.0],
            "x_1": [0.0],
        }
        for _ in range(count):
            noise = torch.randn(()).double()
            loc = m + 0.5 * noise
            sites["loc"][0] += _log_normal(loc, torch.tensor(0.0), 3.0).item() / count
            sites["loc"][1] += _log_normal(loc, torch.tensor(m), 0.5).item() / count
            for i in range(2):
                branches = torch.stack([1 - q[i], q[i]])
                prior = torch.tensor([0.7, 0.3]).double().log()
                observed = _log_normal(x[i], torch.stack([loc, loc + 1]))
                sites[f"k_{i}"][0] += (branches * prior).sum().item() / count
                sites[f"k_{i}"][1] += (branches * branches.log()).sum().item() / count
                sites[f"x_{i}"][0] += (branches * observed).sum().item() / count
        assert {n: s.log_p for n, s in record.sites.items()} == near(
            {n: t[0] for n, t in sites.items()}
        )
        told = {n: s.log_q for n, s in record.sites.items() if s.log_q is not None}
        assert told == near({n: t[1] for n, t in sites.items() if len(t) > 1})
        assert record.log_p == near(math.fsum(t[0] for t in sites.values()))
        assert record.log_q == near(math.fsum(t[1] for t in sites.values() if len(t) > 1))
        assert record.elbo == pytest.approx(-record.loss, rel=1e-5)
        m, q = record.params["m"].value, torch.tensor(record.params["q"].value).double()


@pytest.mark.parametrize(
    ("kind", "count"),
    [("", 1), ("-looped", 2), ("-vectorised", 3)],
    ids=["one", "looped", "vectorised"],
)
def test_enumerated_in_a_plate_of_the_guide(kind: str, count: int, tmp_path: Path):
    records = watched_run(write(tmp_path, specials.SPECIALS["enumerated-guide" + kind]), 1).records
    q, w = torch.tensor([0.4, 0.6]).double(), torch.tensor([0.3, 0.7]).double()
    record = records[0]
    assert record.sites["k"].log_q == near(4 * (q * q.log()).sum().item())
    assert record.sites["k"].log_p == near(4 * (q * w.log()).sum().item())
    assert record.log_q == near(record.sites["loc"].log_q + record.sites["k"].log_q)
    assert record.log_p == near(sum(site.log_p for site in record.sites.values()))
    assert record.elbo == near(record.log_p - record.log_q)
    assert record.elbo == pytest.approx(-record.loss, rel=1e-5)


@pytest.mark.parametrize("name", ["enumerated-markov", "monte-carlo-enumerated"])
def test_other_enumerations_keep_elbo_and_loss_together(name: str, tmp_path: Path):
    for record in watched_run(write(tmp_path, specials.SPECIALS[name]), 3).records:
        assert record.elbo == pytest.approx(-record.loss, rel=1e-5)
        assert record.elbo == near(record.log_p - record.log_q)


def test_a_chain_of_states_summed_out(tmp_path: Path):
    """The forward algorithm, written out."""
    guide = """
def guide():
    at = pyro.param("at", lambda: torch.tensor([[0.2, 0.8], [0.6, 0.4]]))
    pyro.sample("move", dist.Delta(at, event_dim=2))
"""
    model = models.MARKOV.split("guide =", maxsplit=1)[0]
    text = scenario(model, guide, loss="TraceEnum_ELBO(max_plate_nesting=0)")
    (record,) = watched_run(write(tmp_path, text), 1).records
    move = torch.tensor([[0.2, 0.8], [0.6, 0.4]]).double()
    show = torch.tensor([0.2, 0.7]).double()
    alpha = torch.tensor([1.0, 0.0]).double()
    for x in (0, 1, 1, 0):
        alpha = (alpha @ move) * (show if x else 1 - show)
    # The prior of each row, Dirichlet(1, 1), has density 1.
    assert record.log_p == near(alpha.sum().log().item())
    assert record.log_q == 0.0


def test_tensor_monte_carlo_has_no_terms_and_says_why(tmp_path: Path):
    session = Session(write(tmp_path, specials.SPECIALS["monte-carlo-tensor"]))
    (batch,) = session.advance(2)
    assert "TraceTMC_ELBO" in batch.layout.note
    for record in batch.records():
        assert record.loss is not None
        assert (record.elbo, record.log_p, record.log_q) == (None, None, None)
