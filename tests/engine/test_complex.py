"""A complex parameter is recorded in sums of its real and imaginary parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engine.compare import WatchedRun, assert_same
from tests.engine.matrix import scenario, write
from tests.engine.plain import plain_run
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.usefixtures("quiet")

COMPLEX = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    c = pyro.param("c", lambda: torch.tensor([1.0 + 0.5j, 0.2 + 0.1j]))
    s = pyro.param("s", lambda: torch.tensor(0.3j))
    pyro.sample("z", dist.Normal(c.real.sum() + s.imag, c.imag.abs().sum() + 0.1))
"""


def test_a_complex_parameter_is_recorded_and_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, scenario(COMPLEX))
    plain = plain_run(path, 5)
    session = Session(path)
    session.options.inspected = "c"
    attribution = Attribution(session, 32)
    records = []
    for _ in range(5):
        batches = session.advance(1)
        records += [record for batch in batches for record in batch.records()]
        attribution.learn(batches)
        point = attribution.point()
        assert "sees nothing" not in point.note
        seen = session.inspected()
        assert seen is not None
        assert seen.constrained is not None
        assert seen.constrained.size == 4
        changes = attribution.changes()[1]
    assert_same(plain, WatchedRun(session, records))
    first, last = records[0].params["c"], records[-1].params["c"]
    assert first.update_norm > 0
    assert changes["c"] == pytest.approx(
        float(np.linalg.norm(plain.params["c"].numpy() - np.array([1.0 + 0.5j, 0.2 + 0.1j]))),
        rel=1e-5,
    )
    parts = plain.params["c"].numpy().view(np.float32)
    assert last.max == pytest.approx(float(parts.max()))
    assert "complex" in attribution.gradients()["c"].reason
    attribution.close()
