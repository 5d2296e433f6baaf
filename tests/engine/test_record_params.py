"""The parameters of each record: values, gradients, updates."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyro
import pytest
import torch

from tests.engine import specials
from tests.engine.compare import watched_run
from tests.engine.matrix import CONTINUOUS, GUIDES, PRELUDE, scenario, write
from tests.engine.oracle import Particles, Seen, plain_steps
from tests.engine.plain import plain_run
from tui_elbo.engine.session import Session
from tui_elbo.model.records import MAX_ELEMENTS, StepRecord

pytestmark = pytest.mark.filterwarnings("ignore")

BY_HAND = GUIDES["by_hand"][1]

KINDS = """
KINDS = {
    "real": (torch.tensor(0.3), constraints.real),
    "positive": (torch.tensor([0.5, 2.0]), constraints.positive),
    "softplus": (torch.tensor([0.5, 2.0]), constraints.softplus_positive),
    "interval": (torch.tensor(0.2), constraints.interval(-1.0, 3.0)),
    "simplex": (torch.tensor([0.2, 0.3, 0.5]), constraints.simplex),
    "cholesky": (torch.eye(2) + 0.1, constraints.softplus_lower_cholesky),
    "correlation": (torch.eye(4), constraints.corr_cholesky),
    "correlation_large": (torch.eye(5), constraints.corr_cholesky),
    "ordered": (torch.tensor([-1.0, 0.5, 2.0]), constraints.ordered_vector),
    "vector": (torch.linspace(-1.0, 1.0, 3), constraints.real_vector),
    "double": (torch.tensor([0.1, 0.2], dtype=torch.float64), constraints.positive),
    "matrix": (torch.arange(6.0).reshape(3, 2), constraints.real),
    "sixteen": (torch.linspace(-1.0, 1.0, 16), constraints.real),
    "seventeen": (torch.linspace(0.5, 1.0, 17), constraints.positive),
    "large": (torch.linspace(-1.0, 1.0, 600).reshape(20, 30), constraints.real),
}

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    total = 0.0
    for name, (start, constraint) in KINDS.items():
        value = pyro.param(name, start, constraint=constraint)
        weight = torch.linspace(0.5, 1.5, value.numel()).reshape(value.shape)
        total = total + (weight * value).sum()
    pyro.sample("x", dist.Normal(z + total, 9.0), obs=torch.tensor(0.4))

guide = AutoNormal(model)
"""


def _assert_params(record: StepRecord, seen: Seen) -> None:
    assert list(record.params) == list(seen.values)
    for name, value in seen.values.items():
        told, update = record.params[name], (seen.after[name] - seen.before[name]).double()
        assert told.shape == tuple(value.shape)
        if value.numel() <= MAX_ELEMENTS:
            # The same floats: float64 holds every float32.
            assert np.array_equal(np.array(told.value), value.double().numpy()), name
            assert (told.mean, told.sd, told.min, told.max) == (None, None, None, None)
        else:
            assert told.value is None
            assert told.mean == pytest.approx(value.mean().item(), rel=1e-5, abs=1e-6)
            assert told.sd == pytest.approx(value.std().item(), rel=1e-5)
            assert (told.min, told.max) == (value.min().item(), value.max().item())
        assert told.update_norm == pytest.approx(update.norm().item(), rel=1e-6, abs=1e-9), name
        if name in seen.grads:
            norm = seen.grads[name].double().norm().item()
            assert told.grad_norm == pytest.approx(norm, rel=1e-6, abs=1e-12), name
        else:
            assert told.grad_norm is None


def _check(text: str, folder: Path, way: Particles, steps: int = 4) -> list[StepRecord]:
    path = write(folder, text)
    # Values, gradients and updates are seen at each step; terms are none of this test's business.
    plain = plain_steps(path, steps, way, lazy=True)
    records = watched_run(path, steps).records
    for record, seen in zip(records, plain, strict=True):
        _assert_params(record, seen)
    return records


@pytest.mark.parametrize(
    "optimizer",
    [
        "pyro.optim.Adam(dict(lr=0.02))",
        "pyro.optim.SGD(dict(lr=0.01))",
        *specials.OPTIMIZERS.values(),
    ],
)
def test_values_gradients_and_updates(optimizer: str, tmp_path: Path):
    _check(
        scenario(CONTINUOUS, GUIDES["AutoNormal"][1], optimizer=optimizer), tmp_path, Particles()
    )


def test_every_constraint_and_size(tmp_path: Path):
    records = _check(scenario(KINDS), tmp_path, Particles())
    large = {name for name, p in records[0].params.items() if p.value is None}
    assert large == {"correlation_large", "seventeen", "large"}
    assert isinstance(records[0].params["real"].value, float)
    assert np.shape(records[0].params["matrix"].value) == (3, 2)


@pytest.mark.parametrize(
    "name",
    [
        "network",
        "baseline-average",
        "baseline-network",
        "shape-shifting",
        "wake-sleep",
        "enumerated-guide",
    ],
)
def test_values_of_special_scenarios(name: str, tmp_path: Path):
    path = write(tmp_path, specials.SPECIALS[name])
    plain, records = _plain_values(path, 6), watched_run(path, 6).records
    for record, values in zip(records, plain, strict=True):
        assert list(record.params) == list(values)
        for key, value in values.items():
            if value.numel() <= MAX_ELEMENTS:
                told = np.array(record.params[key].value)
                assert np.array_equal(told, value.double().numpy()), key


def _plain_values(path: str, steps: int) -> list[dict[str, torch.Tensor]]:
    values, store = [], pyro.get_param_store()

    def keep(step: int, loss: object) -> None:
        values.append({name: store[name].detach().clone() for name in store})

    plain_run(path, steps, on_step=keep)
    return values


def test_looped_particles_give_one_gradient_and_one_update(tmp_path: Path):
    way = Particles(3)
    _check(scenario(CONTINUOUS, BY_HAND, loss=f"Trace_ELBO({way.keywords})"), tmp_path, way)


def test_what_the_loss_does_not_reach_has_no_gradient(tmp_path: Path):
    text = scenario(
        """
stale = pyro.param("stale", torch.tensor([1.0, 2.0]))
def model():
    pyro.param("read_and_unused", lambda: torch.tensor(3.0))
    pyro.sample("z", dist.Normal(0.0, 1.0))
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.3))
    pyro.sample("z", dist.Normal(m, 1.0))
"""
    )
    for record in _check(text, tmp_path, Particles()):
        assert record.params["stale"].value == [1.0, 2.0]
        assert record.params["stale"].grad_norm is None
        assert record.params["stale"].role == "none"
        assert record.params["read_and_unused"].grad_norm is None
        assert record.params["read_and_unused"].role == "model"
        assert record.params["read_and_unused"].update_norm == 0.0


def test_what_the_estimator_replaces_is_no_update_of_the_optimizer(tmp_path: Path):
    """A decaying average is another tensor in the store after each step."""
    text = specials.SPECIALS["baseline-average"]
    path = write(tmp_path, text)
    plain = plain_steps(path, 4, Particles(), lazy=True)
    for record, seen in zip(watched_run(path, 4).records, plain, strict=True):
        _assert_params(record, seen)


def test_a_parameter_that_is_made_late_appears_then(tmp_path: Path):
    records = watched_run(write(tmp_path, specials.SPECIALS["shape-shifting"]), 5).records
    assert ["late" in record.params for record in records] == [False, False, True, True, True]
    assert records[2].params["late"].role == "model"
    assert records[2].params["late"].update_norm > 0.0


def test_the_default_optimizer_and_loss(tmp_path: Path):
    path = write(tmp_path, "\n".join((PRELUDE.format(title="bare"), CONTINUOUS, BY_HAND)))
    records = watched_run(path, 2).records
    assert abs(records[0].params["t"].update_norm - 0.01 * 3**0.5) < 1e-6, "Adam's first step is lr"
    assert records[0].elbo == pytest.approx(-records[0].loss, rel=1e-5)


@pytest.mark.parametrize(
    "name", ["shape-shifting-looped", "network", "enumerated-sequentially", "scaled"]
)
def test_one_by_one_or_together_the_records_are_the_same(name: str, tmp_path: Path):
    path = write(tmp_path, specials.SPECIALS[name])
    session = Session(path)
    one_by_one = [_timeless(session.step()) for _ in range(8)]
    session = Session(path)
    batches = session.advance(8)
    together = [_timeless(record) for batch in batches for record in batch.records()]
    assert one_by_one == together
    assert [batch.first for batch in batches] == [
        1 + sum(b.steps for b in batches[:i]) for i in range(len(batches))
    ]


def _timeless(record: StepRecord) -> StepRecord:
    assert record.seconds > 0
    return msgspec.structs.replace(record, seconds=0.0)
