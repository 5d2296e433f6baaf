"""What may come before a lens: draws that are not finite, sites that change, nothing at all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.engine.looking import (
    SUMMED_DRAWS,
    sight,
    value,
)
from tests.engine.matrix import scenario, write
from tui_elbo.engine.lens import attribution
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import SUM_TERMS, LensPoint, Term, attribute_change
from tui_elbo.model.sentences import Sentence, choose_sentence, summarize_span
from tui_elbo.protocol import ErrorReported, Event, LensPointAdded, Load, RunUntil, Step

pytestmark = pytest.mark.usefixtures("quiet")

BRANCH = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if z > 0:
        pyro.sample("extra", dist.Normal(0.0, 1.0), obs=torch.tensor(0.5))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))
"""


RARELY_INFINITE = """
def model():
    pyro.sample("z", dist.Uniform(-1.5, 1.5))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(m, 1.0))

pyro.enable_validation(False)
"""


def test_draws_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    lens, seen = sight(scenario(RARELY_INFINITE), tmp_path, draws=256)
    assert not lens.looped
    bad = seen.reading.nonfinite_draws
    # P(|z| > 1.5) = 0.134
    assert 15 < bad < 60
    assert not math.isfinite(value(seen, "log_p"))
    assert math.isfinite(value(seen, "log_q"))


def test_a_model_whose_sites_change_is_drawn_one_by_one(tmp_path: Path) -> None:
    lens, seen = sight(scenario(BRANCH), tmp_path, draws=256)
    assert lens.looped
    row = seen.reading.units[seen.reading.terms.index(Term("extra", "log_p"))]
    assert 0 < (row == 0).sum() < 64, "a draw that has not visited a site adds nothing"
    sites = [t for t in seen.reading.terms if t.site and t.field == "log_p"]
    assert sum(value(seen, *t[::-1]) for t in sites) == pytest.approx(value(seen, "log_p"))


def test_the_lens_names_what_goes_wrong(tmp_path: Path) -> None:
    text = """
def model():
    pyro.sample("x", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

def guide():
    if torch.is_grad_enabled():
        return
    raise RuntimeError("only in training")
"""
    session = Session(write(tmp_path, scenario(text)))
    attribution = Attribution(session)
    attribution.learn(session.advance(1))
    point = attribution.begin()
    attribution.close()
    assert point.draws == 0
    assert point.note == "the lens sees nothing: RuntimeError: only in training"
    assert np.isnan(point.value).all()
    session.advance(1)


# The same through the source: the events that the terminal gets, and its sentence.

NO_LATENT = """
def model():
    m = pyro.param("m", lambda: torch.tensor(0.0))
    pyro.sample("x", dist.Normal(m, 1.0), obs=torch.tensor(3.0))

def guide():
    pass
"""

NO_PARAMETER = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(3.0))

def guide():
    pyro.sample("z", dist.Normal(1.5, 0.7))
"""

BOTH = """
def model():
    s = pyro.param("shared", lambda: torch.tensor(0.0))
    pyro.sample("z", dist.Normal(s, 1.0))
    pyro.sample("x", dist.Normal(s, 1.0), obs=torch.tensor(9.0))

def guide():
    pyro.sample("z", dist.Normal(pyro.param("shared", lambda: torch.tensor(0.0)), 1.0))
"""


@pytest.mark.parametrize(
    ("text", "players", "rule"),
    [
        (NO_LATENT, ("theta",), "only_model"),
        (NO_PARAMETER, (), "no_parameters"),
        (BOTH, ("both",), "shared"),
        (RARELY_INFINITE.replace("m, 1.0", "m, 0.6"), ("phi",), "lens_failed"),
        (BRANCH, ("phi",), "quiet"),
        (SUMMED_DRAWS.replace("tensor(1.0)", "tensor(9.0)"), ("phi",), "moved_to_mass"),
    ],
    ids=["no latent", "no parameter", "both", "not finite", "changing sites", "one by one"],
)
def test_each_is_reported_and_has_its_sentence(
    text: str, players: tuple[str, ...], rule: str, tmp_path: Path
) -> None:
    run, source = told(text, tmp_path, optimizer="pyro.optim.Adam(dict(lr=0.2))")
    for command in (Step(count=5), RunUntil(until=12)):
        source.handle(command)
        while source.busy:
            source.work()
    assert [event.what for event in run.faults] == []
    assert run.seen[-1].state == 12
    assert run.seen[-1].players == players
    found = spoken(run.seen)
    assert found.rule == rule, found.text
    if rule == "lens_failed":
        assert 0 < run.seen[-1].nonfinite_draws < 256
        assert "draws are not finite" in found.text


class Heard:
    """What a terminal would have heard."""

    def __init__(self) -> None:
        self.seen: list[LensPoint] = []
        self.faults: list[ErrorReported] = []

    def hear(self, event: Event) -> None:
        if isinstance(event, LensPointAdded):
            self.seen.append(event.point)
        if isinstance(event, ErrorReported):
            self.faults.append(event)


def told(text: str, folder: Path, **options: str) -> tuple[Heard, ScenarioSource]:
    heard = Heard()
    source = ScenarioSource(heard.hear)
    source.handle(Load(target=write(folder, scenario(text, **options))))
    return heard, source


def spoken(seen: list[LensPoint]) -> Sentence:
    first = next((one for one in seen if not one.unusable), seen[0])
    last = seen[-1]
    shares = attribute_change(first, last)
    return choose_sentence(
        summarize_span(first, last, shares, latents=last.latents, delta_latents=last.delta_latents)
    )


def test_states_of_a_large_store_are_kept_within_a_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = """
def model():
    pyro.sample("z", dist.Normal(torch.zeros(20_000), 1.0).to_event(1))

def guide():
    m = pyro.param("m", lambda: torch.ones(20_000))
    pyro.sample("z", dist.Normal(m, 1.0).to_event(1))
"""
    monkeypatch.setattr(attribution, "KEPT_BYTES", 10 * 80_000)
    session = Session(write(tmp_path, scenario(text)))
    followed = attribution.Attribution(session, 4)
    followed.learn(session.advance(1))
    followed.begin()
    for _ in range(40):
        followed.learn(session.advance(1))
        followed.point()
    assert sum(kept.size for kept in followed._kept) <= 10 * 80_000
    states = [kept.path.state for kept in followed._kept]
    assert states[0] == 0
    assert states[-1] == 41
    assert len(states) > 4
    followed.close()


@pytest.mark.slow
def test_5_000_parameters_are_looked_at(tmp_path: Path) -> None:
    text = """
class Many(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.own = torch.nn.ParameterList(torch.tensor(0.1) for _ in range(5_000))

    def forward(self):
        return torch.stack(list(self.own)).mean()

many = Many()

def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    pyro.module("many", many)
    pyro.sample("z", dist.Normal(many(), 1.0))
"""
    run, source = told(text, tmp_path)
    source.handle(Step(count=3))
    while source.busy:
        source.work()
    assert [one.state for one in run.seen] == [0, 1, 2, 3]
    moved = attribute_change(run.seen[0], run.seen[-1])[SUM_TERMS[0]].shares["phi"]
    assert moved == pytest.approx(run.seen[-1].value[0] - run.seen[0].value[0])
    assert moved > 0
