"""Models that are written for one draw get all draws at once, and say the same of each."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pyro
import pytest
import torch

from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.batched import Batched, BatchedError, batched
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.draws import FixedValues, Traces
from tui_elbo.engine.lens.moments import DRAWS, posterior
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.usefixtures("quiet")

START = """
from pyro import poutine

GROUP = torch.arange(12) % 4
X = torch.linspace(-1.0, 1.0, 36).reshape(12, 3)
Y = torch.sin(torch.arange(12.0))


def model():
"""

END = """
guide = pyro.infer.autoguide.AutoNormal(model)
"""

MODELS = {
    "groups": """
    with pyro.plate("groups", 4):
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
    with pyro.plate("data", 12):
        pyro.sample("y", dist.Normal(a[GROUP] + X @ w, sigma), obs=Y)
""",
    "loop": """
    e = pyro.sample("e", dist.Normal(0.0, 1.0).expand([12]).to_event(1))
    z, path = 0.0, []
    for noise in e:
        z = 0.9 * z + noise
        path.append(z)
    with pyro.plate("data", len(path)):
        pyro.sample("y", dist.Normal(torch.stack(path), 0.5), obs=Y)
""",
    "matrix": """
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.3))
    far = (X[:, None, 0] - X[None, :, 0]) ** 2
    root = torch.linalg.cholesky(torch.exp(-far / scale) + torch.eye(12))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(12), scale_tril=root), obs=Y)
""",
    "classes": """
    W = pyro.sample("W", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
    p = pyro.sample("p", dist.Dirichlet(torch.ones(4)))
    with pyro.plate("data", 12):
        pyro.sample("y", dist.Categorical(logits=X @ W + p.log()), obs=GROUP)
""",
    "scaled": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    mu = pyro.deterministic("mu", X @ w)
    pyro.factor("extra", -(w**2).sum())
    with pyro.plate("data", 12), poutine.scale(scale=2.0), poutine.mask(mask=Y > 0):
        pyro.sample("y", dist.StudentT(4.0, mu, 1.0), obs=Y)
""",
    "two plates": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    sigma = pyro.param("sigma", torch.tensor(1.0), constraint=dist.constraints.positive)
    with pyro.plate("outer", 2, dim=-2):
        b = pyro.sample("b", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 12, dim=-1):
            e = pyro.sample("e", dist.Normal(b, 1.0))
            pyro.sample("y", dist.Normal(X @ w + e, sigma), obs=Y.expand(2, 12))
""",
    "branch": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    mu = X @ w if w[0] > 0 else X[:, 0] * w[1]
    with pyro.plate("data", 12):
        pyro.sample("y", dist.Normal(mu, 1.0 if w[2] > 0.1 else 2.0), obs=Y)
""",
}
"""Models that are wrong, or raise, with draws to the left."""

ONE_BY_ONE = {
    "a number": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(w.item(), 1.0), obs=Y[0])
""",
    "a copy": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(torch.tensor([w, w]), 1.0).to_event(1), obs=Y[:2])
""",
    "luck of its own": """
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", 12):
        pyro.sample("y", dist.Normal(X @ w + torch.randn(12), 1.0), obs=Y)
""",
}
"""Models that cannot have all draws at once."""


def settled(body: str, tmp_path: Path, end: str = END) -> Lens:
    """A lens that has looked at it after some steps."""
    session = Session(write(tmp_path, scenario(START + body + end)))
    session.advance(3)
    lens = Lens(session.scenario, 64)
    lens.see()
    return lens


def elbo(traces: Traces) -> torch.Tensor:
    """Of each draw."""
    total = torch.zeros(traces.draws, dtype=torch.float64)
    for part, row in traces.parts().items():
        total = total + (row if part.field == "log_p" else -row)
    return total


@pytest.mark.parametrize("name", MODELS)
def test_each_draw_has_the_terms_and_the_gradients_that_it_has_alone(
    name: str, tmp_path: Path
) -> None:
    lens = settled(MODELS[name], tmp_path)
    assert (lens.settled.batched, lens.looped, lens.note) == (True, False, "")
    leaves = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
    many = lens.strategy.many((), 16, 1)
    parts, total = many.parts(), torch.zeros(16, dtype=torch.float64)
    for index in range(16):
        alone = lens.strategy.one((), FixedValues(many.one(index)))
        for part, row in alone.parts().items():
            torch.testing.assert_close(parts[part][index], row[0], rtol=1e-5, atol=1e-5)
        total[index] = elbo(alone)[0]
    both = (
        torch.autograd.grad(one.sum(), leaves, retain_graph=True) for one in (elbo(many), total)
    )
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_where_that_cannot_be_draws_are_taken_one_by_one(name: str, tmp_path: Path) -> None:
    lens = settled(ONE_BY_ONE[name], tmp_path)
    assert lens.looped
    assert not lens.settled.batched


def test_the_numbers_are_those_of_draws_one_by_one(tmp_path: Path) -> None:
    lens = settled(MODELS["groups"], tmp_path)
    many, single = (Lens(lens.scenario, draws, settled=lens.settled) for draws in (4000, 800))
    single.settled = replace(lens.settled, loop_reason="asked")
    one, other = (seen.see().reading.units[:3] for seen in (many, single))
    assert (one.shape[1], other.shape[1]) == (4000, 200)
    for a, b in zip(one, other, strict=True):
        assert abs(a.mean() - b.mean()) < 4 * math.hypot(a.std() / 4000**0.5, b.std() / 200**0.5)


def test_it_shows_one_draw() -> None:
    value = batched(torch.arange(24.0).reshape(4, 2, 3))
    assert (value.shape, value.dim(), value.size(1), len(value), value.numel()) == (
        (2, 3),
        2,
        3,
        2,
        6,
    )
    assert [row.shape for row in value] == [(3,), (3,)]
    assert isinstance(value.max(-1).values, Batched)
    assert value[0, 1].draws.tolist() == [1.0, 7.0, 13.0, 19.0]
    assert value[torch.tensor([1, 1])].shape == (2, 3)
    assert value[1, :, None].shape == (3, 1)
    assert torch.stack([value[0], torch.zeros(3)]).draws.shape == (4, 2, 3)


def test_types_are_promoted_as_those_of_one_draw() -> None:
    value = batched(torch.arange(3, dtype=torch.float64))
    assert (value + torch.zeros(2)).dtype == torch.float32
    assert (value[None] + torch.zeros(2)).dtype == torch.float64


def test_all_draws_answer_with_one_number_or_none() -> None:
    value = batched(torch.tensor([1.0, 2.0]))
    assert bool(value > 0)
    with pytest.raises(BatchedError, match="draws differ"):
        bool(value > 1)
    assert float(batched(torch.tensor([2.0, 2.0]))) == 2.0


def test_a_support_that_depends_on_another_draw_is_that_of_each(tmp_path: Path) -> None:
    lens = settled(DEPENDENT, tmp_path, end="")
    assert lens.settled.batched
    width, u = (lens.strategy.many((), DRAWS, SEED).values(name) for name in ("width", "u"))
    assert width is not None
    assert u is not None
    inside = ((u + width) / (2 * width)).double().logit()
    assert posterior(lens).sites["u"].mean == pytest.approx(inside.mean().item(), rel=1e-4)


DEPENDENT = """
    width = pyro.sample("width", dist.LogNormal(0.0, 0.1))
    u = pyro.sample("u", dist.Uniform(-width, width))
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("data", 12):
        pyro.sample("y", dist.Normal(X @ w + u, 1.0), obs=Y)


def guide():
    loc = pyro.param("loc", torch.zeros(3))
    width = pyro.sample("width", dist.LogNormal(0.0, 0.1))
    pyro.sample("u", dist.Uniform(-width, width))
    pyro.sample("w", dist.Normal(loc, 1.0).to_event(1))
"""
