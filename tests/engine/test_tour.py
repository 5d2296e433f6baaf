"""What the tour says is true of the runs that it shows, by the numbers of these runs."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest

from tui_elbo.cli.report import LensFollower
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import attribute_change
from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Floats
from tui_elbo.model.sentences import SpanSummary, summarize_span
from tui_elbo.model.tour import STOPS, Stop, numbers

LOOKS = 4


class Toured:
    """A stop of the tour, run as the tour runs it, with the lens looking on."""

    def __init__(self, stop: Stop) -> None:
        self.session = Session(stop.scenario)
        attribution = Attribution(self.session)
        steps = self.session.scenario.steps
        follower = LensFollower(
            self.session,
            attribution,
            every=steps // LOOKS,
            steps=steps,
            out=io.StringIO(),
            json=False,
        )
        self.history = History()
        while self.session.steps_taken < steps:
            left = steps - self.session.steps_taken
            batches = self.session.advance(min(left, follower.most()))
            follower.take(batches)
            for batch in batches:
                self.history.append(batch)
        points = follower.known
        latents, self.delta_latents = attribution.latents
        attribution.close()
        assert (points[0].state, points[-1].state) == (0, steps - 1)
        first, last = points[0], points[-1]
        shares = attribute_change(first, last)
        self.summary: SpanSummary = summarize_span(
            first, last, shares, latents=len(latents), delta_latents=len(self.delta_latents)
        )
        self.numbers = numbers(self.summary, self.history)

    def param(self, name: str) -> Floats:
        return self.history.values(Column("param", name, "value[0]"))


def roles(t: Toured) -> list[tuple[str, str]]:
    record = t.history.record(t.history.last)
    assert record is not None
    return [(name, one.role) for name, one in record.params.items()]


def no_theta(t: Toured) -> None:
    assert t.summary.players == ("phi",)
    assert t.numbers["log_p"] == t.numbers["log_p_phi"] > 30
    assert t.numbers["log_p"] == pytest.approx(42.0, abs=3 * 1.3)
    assert {"loc", "scale"} <= t.numbers.keys()
    assert [role for _, role in roles(t)] == ["guide", "guide"]


def fixed_mean_guide(t: Toured) -> None:
    assert t.summary.players == ("phi",)
    assert t.param("phi")[0] == pytest.approx(0.2, rel=0.03)
    assert t.numbers["elbo"] > 1
    assert 0.2 < t.numbers["log_p_fall"] < 0.8


def learned_prior(t: Toured) -> None:
    assert t.summary.players == ("phi", "theta")
    assert [name for name, role in roles(t) if role == "model"] == ["a"]
    assert t.numbers["log_p_theta"] > 0.5
    assert t.numbers["log_p"] > 0
    assert t.param("a")[0] == pytest.approx(2.0, rel=0.11)
    # log p(x; a) = 5 log a - 15 log(1 + a) is largest at 1/2.
    assert t.numbers["a"] == pytest.approx(0.5, abs=0.02)
    # Five counts are few: twice and half the a that SVI came to are less than a nat behind.
    counts = t.session.scenario.model.__globals__["x"].tolist()
    assert len(counts) == 5
    evidence = lambda a: 5 * math.log(a) - (5 + sum(counts)) * math.log1p(a)  # noqa: E731
    behind = [evidence(t.numbers["a"]) - evidence(a) for a in (0.25, 1.0)]
    assert behind == pytest.approx([0.73, 0.85], abs=0.01)
    # "Stop 5" is the hyperprior.
    assert STOPS[4].scenario == "hyperprior_map"


def prior_collapse(t: Toured) -> None:
    sigma = t.param("sigma")
    assert sigma[0] == pytest.approx(2.0, rel=0.06)
    assert t.numbers["sigma"] < 0.1
    assert (np.diff(sigma.reshape(-1, 250).mean(1)) < 0).all()
    # log p rises much further than the ELBO, which cannot rise above -1.044.
    assert t.numbers["log_p"] > t.numbers["elbo"] + 1 > 1


def hyperprior_map(t: Toured) -> None:
    assert t.summary.players == ("phi",)
    assert t.delta_latents == ("a",)
    assert t.numbers["a_map"] == pytest.approx(31**0.5 - 5, abs=0.005)


CLAIMS: dict[str, Callable[[Toured], None]] = {
    claim.__name__: claim
    for claim in (no_theta, fixed_mean_guide, learned_prior, prior_collapse, hyperprior_map)
}


def test_every_stop_has_its_claims_checked() -> None:
    assert [stop.scenario for stop in STOPS] == list(CLAIMS)


QUICK = {"fixed_mean_guide"}


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(
            stop,
            id=stop.scenario,
            marks=() if stop.scenario in QUICK else pytest.mark.slow,
        )
        for stop in STOPS
    ],
)
def test_what_the_tour_says_is_so(stop: Stop) -> None:
    toured = Toured(stop)
    CLAIMS[stop.scenario](toured)
    seen = stop.seen.format(**toured.numbers)
    assert "nan" not in seen
    # Three lines of 80 columns.
    assert len(seen) < 220
    assert len(stop.ask) < 220
