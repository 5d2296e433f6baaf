"""What is told of each sample site: shapes, plates, scale and mask, as the model has them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.engine.matrix import PRELUDE, write
from tui_elbo.engine.session import Session
from tui_elbo.model.records import SiteInfo

pytestmark = pytest.mark.filterwarnings("ignore")

HEAD = PRELUDE.format(title="sites")


def sites(folder: Path, body: str, loss: str = "Trace_ELBO()") -> dict[str, SiteInfo]:
    session = Session(write(folder, f"{HEAD}\n{body}\nloss = {loss}\n"))
    return {info.name: info for info in session.advance(1)[-1].layout.sites}


def shapes(info: SiteInfo) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    return info.batch_shape, info.event_shape, info.plates


NESTED = """
data = torch.zeros(2, 3, 4)

def model():
    mu = pyro.sample("mu", dist.Normal(torch.zeros(5), 1.0).to_event(1))
    with pyro.plate("rows", 3, dim=-2):
        a = pyro.sample("a", dist.Normal(mu[..., 0], 1.0))
        with pyro.plate("columns", 4, dim=-1):
            b = pyro.sample("b", dist.Gamma(2.0, 1.0))
            with pyro.plate("blocks", 2, dim=-3):
                pyro.sample("x", dist.Normal(a * b, 1.0), obs=data)
    for i in pyro.plate("each", 2):
        pyro.sample(f"y_{i}", dist.Normal(mu[..., i], 1.0), obs=torch.tensor(0.1))

guide = AutoNormal(model)
"""
LOOPED = {
    "mu": ((), (5,), ()),
    "a": ((3, 1), (), ("rows",)),
    "b": ((3, 4), (), ("rows", "columns")),
    "x": ((2, 3, 4), (), ("rows", "columns", "blocks")),
    "y_0": ((), (), ("each",)),
    "y_1": ((), (), ("each",)),
}


@pytest.mark.parametrize(
    "loss",
    [
        "Trace_ELBO()",
        "Trace_ELBO(num_particles=3)",
        "Trace_ELBO(num_particles=3, vectorize_particles=True)",
        "Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=5)",
        "TraceMeanField_ELBO(num_particles=2, vectorize_particles=True)",
        "TraceEnum_ELBO(num_particles=2, vectorize_particles=True)",
        "TraceEnum_ELBO(max_plate_nesting=4)",
        "RenyiELBO(num_particles=2, vectorize_particles=True)",
        "JitTrace_ELBO(max_plate_nesting=3)",
    ],
)
def test_plates_and_shapes_whatever_the_estimator(loss: str, tmp_path: Path) -> None:
    found = sites(tmp_path, NESTED, loss)
    assert {name: shapes(info) for name, info in found.items()} == LOOPED
    assert {info.scale for info in found.values()} == {1.0}
    assert {info.masked for info in found.values()} == {0}
    assert found["b"].dist == "Gamma"


def test_a_plate_of_one_stays(tmp_path: Path) -> None:
    body = """
def model():
    with pyro.plate("one", 1):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(1))
guide = AutoNormal(model)
"""
    for loss in ("Trace_ELBO()", "Trace_ELBO(num_particles=2, vectorize_particles=True)"):
        found = sites(tmp_path, body, loss)
        assert shapes(found["z"]) == shapes(found["x"]) == ((1,), (), ("one",))


SUBSAMPLED = """
data = torch.zeros(12, 10)

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 12, subsample_size=4, dim=-2) as i:
        with pyro.plate("columns", 10, subsample_size=5, dim=-1) as j:
            pyro.sample("x", dist.Normal(z, 1.0), obs=data[i][:, j])
    with pyro.plate("batch", 12, subsample=data[:3]) as rows:
        mean = z[..., None] * torch.ones(10)
        pyro.sample("y", dist.Normal(mean, 1.0).to_event(1), obs=rows)

guide = AutoNormal(model)
"""


@pytest.mark.parametrize(
    "loss", ["Trace_ELBO()", "Trace_ELBO(num_particles=3, vectorize_particles=True)"]
)
def test_a_subsample_is_scaled_up(loss: str, tmp_path: Path) -> None:
    found = sites(tmp_path, SUBSAMPLED, loss)
    assert list(found) == ["z", "x", "y"]
    assert [info.scale for info in found.values()] == [1.0, 6.0, 4.0]
    assert shapes(found["x"]) == ((4, 5), (), ("rows", "columns"))
    assert shapes(found["y"]) == ((3,), (10,), ("batch",))


SCALED = """
seen = torch.tensor([True, False, True, True])
weights = torch.tensor([1.0, 2.0, 1.0, 1.0])

def model():
    with poutine.scale(scale=0.5):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 8, subsample_size=4), poutine.scale(scale=torch.tensor(0.25)):
        with poutine.mask(mask=seen):
            y = pyro.sample("y", dist.Normal(z, 1.0))
        with poutine.mask(mask=False):
            pyro.sample("off", dist.Normal(y, 1.0), obs=torch.zeros(4))
        with poutine.scale(scale=weights):
            pyro.sample("x", dist.Normal(y, 0.5), obs=torch.zeros(4))
        with poutine.scale(scale=torch.full((4,), 3.0)):
            pyro.sample("same", dist.Normal(y, 0.5).mask(seen), obs=torch.zeros(4))
        part = seen[:, None] | torch.tensor([False, True, False])
        event = dist.Normal(0.0, 1.0).expand([4, 3])
        pyro.sample("event", event.mask(part & seen[:, None]).to_event(1), obs=torch.zeros(4, 3))
        pyro.sample("partly", event.mask(part).to_event(1), obs=torch.zeros(4, 3))
    with pyro.plate("both", 4), poutine.mask(mask=seen), poutine.mask(mask=~seen):
        pyro.sample("none", dist.Normal(z, 1.0), obs=torch.zeros(4))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    pyro.sample("z", dist.Normal(m, 0.8))
    with pyro.plate("points", 8, subsample_size=4), poutine.mask(mask=seen):
        pyro.sample("y", dist.Normal(m, 0.7))
"""


@pytest.mark.parametrize(
    "loss", ["Trace_ELBO()", "Trace_ELBO(num_particles=3, vectorize_particles=True)"]
)
def test_scale_and_mask(loss: str, tmp_path: Path) -> None:
    found = sites(tmp_path, SCALED, loss)
    scales = {name: info.scale for name, info in found.items()}
    assert math.isnan(scales.pop("x"))
    assert scales == {
        **{"z": 0.5, "y": 0.5, "off": 0.5, "same": 1.5, "event": 0.5, "partly": 0.5, "none": 1.0}
    }
    assert {name: info.masked for name, info in found.items() if info.masked} == {
        **{"y": 1, "off": 4, "same": 1, "event": 1, "none": 4}
    }
    assert found["same"].dist == found["event"].dist == "Normal"
    assert shapes(found["partly"]) == ((4,), (3,), ("points",))


ENUMERATED = """
def model():
    locs = pyro.sample("locs", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    with pyro.plate("points", 4):
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.4, 0.6])), infer=HOW)
        m = pyro.sample("m", dist.Bernoulli(0.3), infer=HOW)
        pyro.sample("x", dist.Normal(locs[..., k.long()] + m, 1.0), obs=torch.zeros(4))

guide = AutoNormal(poutine.block(model, expose=["locs"]))
"""
ENUMERATED = ENUMERATED.replace("locs[..., k.long()]", "torch.where(k == 0, -1.0, 1.0)")
HOW = 'dict(enumerate="parallel")'


@pytest.mark.parametrize(
    "loss",
    [
        "TraceEnum_ELBO(max_plate_nesting=1)",
        "TraceEnum_ELBO()",
        "TraceEnum_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)",
        "TraceEnum_ELBO(num_particles=3)",
    ],
)
def test_enumerated_sites_have_the_shape_of_their_plates(loss: str, tmp_path: Path) -> None:
    found = sites(tmp_path, ENUMERATED.replace("HOW", HOW), loss)
    for name in ("k", "m", "x"):
        assert shapes(found[name]) == ((4,), (), ("points",)), name
        assert (found[name].scale, found[name].masked) == (1.0, 0)
    assert shapes(found["locs"]) == ((), (2,), ())


def test_a_site_of_the_guide_alone(tmp_path: Path) -> None:
    body = """
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    with pyro.plate("extra", 3), poutine.scale(scale=2.0):
        pyro.sample("u", dist.Normal(m, 1.0), infer=dict(is_auxiliary=True))
    pyro.sample("z", dist.Normal(m, 1.0))
"""
    found = sites(tmp_path, body, "Trace_ELBO(num_particles=2, vectorize_particles=True)")
    assert shapes(found["u"]) == ((3,), (), ("extra",))
    assert found["u"].scale == 2.0


ANNEALED = """
def batch(step):
    return (step, torch.zeros(4 if step % 3 else 2))

def model(step, data):
    with poutine.scale(scale=min(1.0, 0.25 * step)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 12, subsample=data):
        pyro.sample("x", dist.Normal(z + w, 1.0), obs=data)

guide = AutoNormal(poutine.block(model, expose=["z", "w"]))
"""


def test_a_scale_that_changes_from_step_to_step_is_no_number(tmp_path: Path) -> None:
    session = Session(write(tmp_path, f"{HEAD}\n{ANNEALED}"))
    found = []
    for _ in range(8):
        layout = session.advance(1)[-1].layout
        found.append((layout.id, *(info.scale for info in layout.sites)))
    assert [scales[1:] for scales in found[:1]] == [(0.25, 1.0, 3.0)]
    # The first batch of another size is the third.
    for scales in found[2:]:
        assert [math.isnan(scale) for scale in scales[1:]] == [True, False, True]
    assert [math.isnan(scale) for scale in found[1][1:]] == [True, False, False]
    # Said once: a step is no layout of its own.
    assert len({scales[0] for scales in found[2:]}) == 1
