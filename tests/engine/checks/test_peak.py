"""The posterior at the peak of log p is the exact one where it is normal, and rules go by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engine.sources import write
from tui_elbo.engine.checks import guides, movement
from tui_elbo.engine.checks.evidence import Evidence
from tui_elbo.engine.checks.examination import Examination
from tui_elbo.engine.checks.examples import PRELUDE
from tui_elbo.engine.checks.peak import Peak, peak
from tui_elbo.engine.checks.running import Running
from tui_elbo.engine.checks.trials import Outcome, Trial
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.session import Session

MODEL = """
x = torch.linspace(9.0, 11.0, 20)
y = 1.0 + 2.0 * x


def model():
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b = pyro.sample("b", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(a + b * x, 0.5), obs=y)

"""

APART = """
def guide():
    m = pyro.param("m", torch.zeros(2))
    a = pyro.sample("a", dist.Normal(m[0], 1e-3))
    pyro.sample("b", dist.Normal(m[1], 1e-3))
"""

HANGING = APART.replace("Normal(m[1], ", "Normal(m[1] + 0.5 * a, ")

COVARIANCE = np.linalg.inv(np.array([[80.01, 800.0], [800.0, 4 * 2007.3684 + 0.01]]))
"""Of the posterior: 4 n, 4 sum x and 4 sum x², and the prior."""


def looked(tmp_path: Path, text: str) -> Peak | None:
    session = Session(str(write(tmp_path, PRELUDE + text)))
    session.advance(1)
    lens = Lens(session.scenario)
    lens.see()
    return peak(lens)


@pytest.mark.parametrize(
    ("guide", "independent"),
    [
        (APART, True),
        (HANGING, False),
        ("guide = AutoNormal(model)", True),
        ("guide = AutoMultivariateNormal(model)", False),
    ],
)
def test_the_posterior_is_found_wherever_the_guide_is(
    tmp_path: Path, guide: str, independent: bool
) -> None:
    found = looked(tmp_path, MODEL + guide)
    assert found is not None
    assert found.independent == independent
    sd = np.sqrt(np.diag(COVARIANCE))
    assert [one.sd for one in found.places] == pytest.approx(sd, rel=0.1)
    alone = 1 / np.sqrt(np.diag(np.linalg.inv(COVARIANCE)))
    assert [one.alone for one in found.places] == pytest.approx(alone, rel=1e-3)
    (pair,) = found.weighed.pairs
    assert pair.weighted == pytest.approx(COVARIANCE[0, 1] / sd.prod(), abs=0.005)
    for one, mean in zip(found.places, (1.0, 2.0), strict=True):
        assert one.mean == pytest.approx(mean, abs=5 * one.sd / np.sqrt(2000) + 0.1 * one.sd)


@pytest.mark.parametrize(
    "text",
    [
        MODEL + "guide = AutoDelta(model)",
        MODEL.replace("b * x", "b * b * x") + APART.replace("zeros(2)", "ones(2) * 0.01"),
        """
def model():
    with pyro.plate("n", 40):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(z, 1.0), obs=torch.zeros(40))


guide = AutoNormal(model)
""",
    ],
    ids=["point", "two_peaks_or_one", "too_many"],
)
def test_it_says_nothing_of_a_point_or_of_many_latents(tmp_path: Path, text: str) -> None:
    found = looked(tmp_path, text)
    assert found is None or found.weighed.khat < 0.7


def run(peak: Peak, *, speed: float = 0.0, planned: int = 500) -> Running:
    """A run at step 500 that has been examined, and goes so far at each step."""
    ends = {one.site: (one.guide + speed * 100,) for one in peak.places}
    same = Outcome(peak.weighed.elbo + 0.01, 0.01, 100, ends)
    seen = Examination(
        step=500,
        draws=256,
        elbo=peak.weighed.elbo,
        error=0.1,
        fits=(),
        divergences=(),
        equal=(),
        trial=Trial(100, same, None, None),
        edges=(),
        pulls={},
        noise=None,
        calm=None,
        weighed=None,
        peak=peak,
        spreads={},
        divergence=None,
        notes=(),
    )
    return Running(Evidence(last=500), rates={"m": 0.01}, seen=seen, planned=planned)


def test_a_missing_correlation_is_said_of_guides_that_cannot_have_it(tmp_path: Path) -> None:
    for guide, codes in ((APART, ["SVI132"]), (HANGING, [])):
        found = looked(tmp_path, MODEL + guide)
        assert found is not None
        rules = [rule for rule in guides.RULES if rule.code == "SVI132"]
        assert [rule.code for rule in rules for _ in rule.check(run(found))] == codes


@pytest.mark.parametrize(("scale", "level"), [("1e-3", "warning"), ("0.19", None)])
def test_a_guide_far_narrower_than_the_posterior_is_warned_of(
    tmp_path: Path, scale: str, level: str | None
) -> None:
    text = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 1.0), obs=torch.linspace(-1.0, 1.0, 20))


def guide():
    m = pyro.param("m", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, SCALE))
"""
    found = looked(tmp_path, text.replace("SCALE", scale))
    assert found is not None
    (rule,) = (rule for rule in guides.RULES if rule.code == "SVI130")
    assert [one.level for one in rule.check(run(found))] == [level] * (level is not None)


@pytest.mark.parametrize(("speed", "said"), [(0.01, True), (-0.01, False), (1e-4, False)])
def test_a_latent_that_is_never_reached_is_named(tmp_path: Path, speed: float, said: bool) -> None:
    text = """
y = 1e5 + torch.linspace(-800.0, 800.0, 20)


def model():
    z = pyro.sample("z", dist.Normal(1e5, 1e4))
    with pyro.plate("n", 20):
        pyro.sample("y", dist.Normal(z, 400.0), obs=y)


def guide():
    m = pyro.param("m", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))
"""
    found = looked(tmp_path, text)
    assert found is not None
    (rule,) = (rule for rule in movement.RULES if rule.code == "SVI113")
    assert [one.subject.name for one in rule.check(run(found, speed=speed))] == ["z"] * said
