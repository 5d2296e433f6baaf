"""The noise of the gradient, on models where it is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.sources import HEAD, write
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.noise.gradient_noise import gradient_noise, measured_run
from tui_elbo.engine.session import Session
from tui_elbo.model.noise import NoiseRow, NoiseTable
from tui_elbo.protocol.codec import decode

PRIOR = f"""{HEAD}
from torch.distributions import constraints
from pyro.infer import *

def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    loc = pyro.param("loc", torch.tensor(2.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))
"""


def run(folder: Path, text: str, steps: int = 0) -> tuple[Session, Attribution]:
    session = Session(str(write(folder, text)))
    if steps:
        session.advance(steps)
    return session, Attribution(session)


def measured(
    folder: Path,
    text: str,
    gradients: int | None = 60,
    *,
    particles: tuple[int, ...] = (1,),
    steps: int = 0,
    seconds: float = 10.0,
) -> NoiseTable:
    """The table with so many gradients of each setting; None: with what there is time for."""
    session, attribution = run(folder, text, steps)
    given = measured_run(session, attribution, seconds)
    found = gradient_noise(replace(given, gradients=gradients, particles=particles))
    attribution.close()
    return found


def row(table: NoiseTable, name: str, particles: int = 1, *, vectorized: bool = False) -> NoiseRow:
    wanted = name, particles, vectorized
    return next(r for r in table.rows if (r.estimator, r.particles, r.vectorized) == wanted)


def test_the_noise_of_a_normal_is_that_of_the_formula(tmp_path: Path) -> None:
    """With z = m + s e, the gradient is m + s e for m, and -1 + m s e + s² e² for log s."""
    table = measured(tmp_path, PRIOR, 120, particles=(1, 10))
    m, s = 2.0, 0.5
    exact = {"loc": s, "scale": math.sqrt((m * s) ** 2 + 2 * s**4)}
    trace = row(table, "Trace_ELBO")
    assert trace.present
    # The relative error of a variance of n Gaussian numbers is sqrt(2 / n); here tails are longer.
    within = 5 / math.sqrt(trace.gradients)
    for name, value in zip(table.params, table.by_param[table.rows.index(trace)], strict=True):
        assert value == pytest.approx(exact[name], rel=within)
    many = row(table, "Trace_ELBO", 10, vectorized=True)
    assert many.noise == pytest.approx(math.hypot(*exact.values()) / math.sqrt(10), rel=within)
    looped = row(table, "Trace_ELBO", 10)
    assert looped.noise == pytest.approx(trace.noise / math.sqrt(10))


def test_an_analytic_kl_has_no_noise_and_is_advised(tmp_path: Path) -> None:
    table = measured(tmp_path, PRIOR)
    mean_field = row(table, "TraceMeanField_ELBO")
    assert mean_field.noise == 0
    assert not mean_field.biased
    assert table.best is not None
    assert table.best.estimator == "TraceMeanField_ELBO"
    assert "no noise at all" in table.advice
    tuning = table.tuning(mean_field)
    assert tuning is not None
    assert str(tuning) == "TraceMeanField_ELBO"


def test_the_same_gradient_is_seen_to_be_the_same(tmp_path: Path) -> None:
    table = measured(tmp_path, PRIOR)
    assert row(table, "TraceGraph_ELBO").noise == row(table, "Trace_ELBO").noise
    assert row(table, "TraceGraph_ELBO").gradients == 0


def test_a_wrong_estimator_shows(tmp_path: Path) -> None:
    """Pyro's analytic KL of a Delta leaves out its log_density, the Jacobian of an AutoNormal.

    pyro/distributions/kl.py, `_kl_delta`.
    """
    text = f"""{HEAD}
from pyro.infer.autoguide import AutoNormal

def model():
    pyro.sample("rate", dist.LogNormal(0.0, 0.5))

guide = AutoNormal(model)
"""
    table = measured(tmp_path, text, 240, steps=1)
    wrong = row(table, "TraceMeanField_ELBO")
    assert wrong.biased
    assert wrong.bias == pytest.approx(1.0, abs=5 * wrong.bias_error)
    assert table.best is None or table.best.estimator == "Trace_ELBO"


MINIBATCHES = f"""{HEAD}
data = torch.tensor([-3.0, 1.0, 1.0, 1.0])

def batch(step):
    return (data[step % 4],)

def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 1), pyro.poutine.scale(scale=4.0):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide(x):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))
"""


def test_the_noise_of_batches_and_that_of_draws_are_told_apart(tmp_path: Path) -> None:
    """The gradient is z + 4 (z - x): its variance by z is 25 · 0.01, by x that of 4 x."""
    table = measured(tmp_path, MINIBATCHES, 240)
    trace = row(table, "Trace_ELBO")
    within = 6 / math.sqrt(trace.gradients)
    assert trace.batch_noise == pytest.approx(4 * math.sqrt(3.0), rel=within)
    assert trace.draw_noise == pytest.approx(0.5, rel=within)
    assert trace.noise == pytest.approx(math.hypot(trace.batch_noise, trace.draw_noise))


SUBSAMPLED = f"""{HEAD}
data = torch.tensor([-3.0, 1.0, 1.0, 1.0])

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 4, subsample_size=1) as chosen:
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[chosen])

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))
"""


def test_the_models_own_subsamples_are_told_apart_from_draws(tmp_path: Path) -> None:
    table = measured(tmp_path, SUBSAMPLED, 240)
    trace = row(table, "Trace_ELBO")
    within = 6 / math.sqrt(trace.gradients)
    assert trace.batch_noise == pytest.approx(4 * math.sqrt(3.0), rel=within)
    assert trace.draw_noise == pytest.approx(0.5, rel=within)


def test_a_point_guide_has_no_noise(tmp_path: Path) -> None:
    guide = 'pyro.sample("z", dist.Delta(pyro.param("at", torch.tensor(0.3))))'
    text = PRIOR[: PRIOR.index("def guide")] + f"def guide():\n    {guide}\n"
    table = measured(tmp_path, text)
    assert table.present is not None
    assert table.present.noise == 0
    assert table.best is None
    assert "no noise" in table.advice
    assert any("the guide is a point" in remark for remark in table.remarks)


def test_a_discrete_guide_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    text = f"""{HEAD}
def model():
    z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))

def guide():
    p = pyro.param("p", torch.tensor(0.0))
    pyro.sample("z", dist.Bernoulli(logits=p), infer={{"enumerate": "parallel"}})
"""
    table = measured(tmp_path, text)
    assert "reparameterized" in row(table, "TraceMeanField_ELBO").problem
    assert row(table, "TraceEnum_ELBO").noise == 0
    assert table.best is not None
    assert table.best.estimator == "TraceEnum_ELBO"
    assert any("score-function" in remark for remark in table.remarks)


def test_a_site_that_is_summed_out_has_one_estimator(tmp_path: Path) -> None:
    text = f"""{HEAD}
from pyro.infer import TraceEnum_ELBO
loss = TraceEnum_ELBO(max_plate_nesting=0)

def model():
    m = pyro.param("m", torch.tensor(0.5))
    z = pyro.sample("z", dist.Bernoulli(0.3), infer={{"enumerate": "parallel"}})
    pyro.sample("x", dist.Normal(m * z, 1.0), obs=torch.tensor(1.0))

def guide():
    pass
"""
    table = measured(tmp_path, text)
    assert {row.estimator for row in table.rows} == {"TraceEnum_ELBO"}
    assert table.present is not None
    assert table.present.noise == 0


def test_another_objective_is_not_compared(tmp_path: Path) -> None:
    table = measured(tmp_path, PRIOR + "\nloss = RenyiELBO(alpha=0.5, num_particles=2)\n")
    assert table.present is not None
    assert table.present.estimator == "RenyiELBO"
    assert table.rows[table.base].estimator == "Trace_ELBO"
    assert table.best is None
    assert "objective of its own" in table.advice


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("pyro.param", "(lambda _, value, **kw: value)"), "no parameter"),
        (("dist.Normal(loc, scale)", "dist.Normal(loc, scale, 1, 2)"), "the next step fails"),
    ],
)
def test_why_nothing_can_be_measured_is_said(
    change: tuple[str, str], why: str, tmp_path: Path
) -> None:
    table = measured(tmp_path, PRIOR.replace(*change))
    assert why in table.why_none
    assert why in table.advice
    assert table.rows == ()


def test_gradients_that_are_not_finite_are_counted_and_not_ranked(tmp_path: Path) -> None:
    text = f"""{HEAD}
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    m = pyro.param("m", torch.tensor(0.0))
    pyro.factor("f", -((m - m.detach()) * z).clamp(min=0.0).sqrt())

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
"""
    table = measured(tmp_path, text)
    assert table.present is not None
    assert "gradients are not finite" in table.present.problem
    assert table.best is None
    assert "could not be measured" in table.advice


def test_a_model_that_is_too_slow_is_offered_more_time(tmp_path: Path) -> None:
    slow = "sum(i for i in range(400_000))\n    "
    text = PRIOR.replace(
        'pyro.sample("z", dist.Normal(0.0', slow + 'pyro.sample("z", dist.Normal(0.0'
    )
    table = measured(tmp_path, text, None, seconds=0.05)
    assert "--seconds" in table.why_none


def test_measuring_changes_nothing_of_the_run(tmp_path: Path) -> None:
    losses = []
    # Pyro's store is the process's: one run after the other.
    for measures in (True, False):
        session, attribution = run(tmp_path, PRIOR)
        found = []
        for _ in range(2):
            found += [record.loss for batch in session.advance(5) for record in batch.records()]
            if measures:
                given = replace(measured_run(session, attribution), gradients=60, particles=(1,))
                call = attribution.call(
                    lambda progress, given=given: gradient_noise(given, progress)
                )
                table = decode(call.wait(given.patience), NoiseTable)
                assert table.present is not None
                assert table.present.noise > 0
        losses.append(found)
        attribution.close()
    assert losses[0] == losses[1]
