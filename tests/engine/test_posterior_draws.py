"""Draws from the guide: of the right distribution, and unnoticed by the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.engine.sources import SMALL, small, write
from tui_elbo.engine.lens.posterior_draws import draw_posterior
from tui_elbo.engine.session import Session


def test_draws_are_those_of_the_guide(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, SMALL)))
    assert draw_posterior(session, 10).note
    session.advance(20)
    loc = session.advance(1)[-1].records()[-1].params["loc"].value
    found = draw_posterior(session, 2000)
    assert (found.step, found.count, found.note) == (21, 2000, "")
    (site,) = found.sites
    values = site.values
    assert (site.name, values.shape) == ("z", (2000,))
    error = 0.7 / np.sqrt(2000)
    assert abs(values.mean() - loc) < 4 * error
    assert abs(values.std() - 0.7) < 4 * error


def test_the_run_does_not_notice(tmp_path: Path) -> None:
    path = str(write(tmp_path, SMALL))
    plain = [r.loss for r in Session(path).advance(8)[-1].records()]
    session = Session(path)
    losses = []
    for _ in range(8):
        losses += [r.loss for r in session.advance(1)[-1].records()]
        draw_posterior(session, 5)
    assert losses == plain


def test_an_autoguide_gives_constrained_draws_of_plain_sites(tmp_path: Path) -> None:
    auto = "guide = pyro.infer.autoguide.AutoNormal(model)\n"
    model = 'pyro.sample("s", dist.Gamma(2.0, 1.0))\n'
    head = "import pyro.infer.autoguide\n"
    session = Session(str(write(tmp_path, head + small(model=model, tail=auto))))
    session.advance(2)
    found = draw_posterior(session, 50)
    assert {site.name for site in found.sites} == {"s", "z"}
    by_name = {site.name: site.values.ravel() for site in found.sites}
    assert (by_name["s"] > 0).all()


def test_a_guide_that_raises_says_why(tmp_path: Path) -> None:
    raises = "import torch\nif at[0] > 5: raise ValueError('not now')\n"
    tail = "at = [0]\ndef batch(step):\n    at[0] = step\n    return ()\n"
    tail += "def full_batch():\n    at[0] = 9\n    return ()\n"
    session = Session(str(write(tmp_path, small(guide=raises, tail=tail))))
    session.advance(2)
    assert draw_posterior(session, 5).note == "ValueError: not now"
