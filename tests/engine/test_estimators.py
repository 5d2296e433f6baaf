"""The table of estimator traits says of every estimator that Pyro has what its steps show."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pyro.infer
import pytest
from pyro.infer import ELBO, RenyiELBO, Trace_ELBO

from tests.engine.matrix import Combo, write
from tui_elbo.engine.record.estimators import ESTIMATORS, UNKNOWN, estimators, traits_of_type
from tui_elbo.engine.session import Session
from tui_elbo.model.records import StepRecord

# Plain Pyro warns of several estimators that it runs.
pytestmark = pytest.mark.filterwarnings("ignore")


def exported() -> set[type[ELBO]]:
    found = (getattr(pyro.infer, name) for name in pyro.infer.__all__)
    return {one for one in found if isinstance(one, type) and issubclass(one, ELBO)} - {ELBO}


def records(kind: type[ELBO], folder: Path, steps: int = 2) -> list[StepRecord]:
    guide = "AutoNormal" if kind.__name__ != "TraceTMC_ELBO" else "AutoDelta"
    text = Combo(kind.__name__, guide, "vectorised").text
    session = Session(write(folder, text))
    return [session.step() for _ in range(steps)]


def test_every_estimator_of_the_installed_pyro_has_a_row() -> None:
    assert set(ESTIMATORS) == exported()


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_a_row_says_what_the_steps_show(kind: type[ELBO], tmp_path: Path) -> None:
    traits = ESTIMATORS[kind]
    for record in records(kind, tmp_path):
        assert (record.loss is not None) == traits.reports_loss
        assert (record.loss_parts is not None) == (traits.loss == "parts")
        terms = [record.elbo, record.log_p, record.log_q]
        if traits.no_terms:
            assert terms == [None, None, None]
            assert {site.log_p for site in record.sites.values()} <= {None}
            continue
        assert all(math.isfinite(term) for term in terms)
        same = record.loss is not None and record.loss == pytest.approx(-record.elbo, rel=1e-4)
        assert same == (traits.loss == "negative_elbo")


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_an_estimator_chosen_by_name_needs_nothing_but_its_particles(kind: type[ELBO]) -> None:
    taken = inspect.signature(kind).parameters.values()
    required = [one.name for one in taken if one.default is one.empty]
    assert ESTIMATORS[kind].chosen_by_name == (not required)
    assert (kind.__name__ in estimators()) == (not required)
    assert {"num_particles", "vectorize_particles"} <= {one.name for one in taken}


def test_a_subclass_is_taken_for_what_it_inherits_from() -> None:
    class Mine(Trace_ELBO): ...

    class Compiled(pyro.infer.JitTrace_ELBO): ...

    class Both(Mine, RenyiELBO): ...

    assert traits_of_type(Mine) is ESTIMATORS[Trace_ELBO]
    assert "JitTrace_ELBO runs compiled code" in traits_of_type(Compiled).no_terms
    assert traits_of_type(Both) is ESTIMATORS[Trace_ELBO]


def test_an_estimator_of_no_known_kind_is_read_by_the_traces_that_it_builds(
    tmp_path: Path,
) -> None:
    class Own(ELBO): ...

    assert traits_of_type(Own) is UNKNOWN
    assert traits_of_type(int) is UNKNOWN
    own = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import ELBO, Trace_ELBO

class Own(ELBO):
    _get_trace = Trace_ELBO._get_trace

    def loss(self, model, guide, *args, **kwargs):
        raise NotImplementedError

    def loss_and_grads(self, model, guide, *args, **kwargs):
        loss = 0.0
        for model_trace, guide_trace in self._get_traces(model, guide, args, kwargs):
            surrogate = guide_trace.log_prob_sum() - model_trace.log_prob_sum()
            surrogate.backward()
            loss += surrogate.item()
        return 2 * loss

def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(1.0)), 1.0))

loss = Own()
"""
    session = Session(write(tmp_path, own))
    record = session.step()
    assert record.loss == pytest.approx(-2 * record.elbo)
    assert record.elbo == pytest.approx(record.log_p - record.log_q)
