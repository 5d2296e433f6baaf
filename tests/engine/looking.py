"""What tests ask a lens."""

from __future__ import annotations

from pathlib import Path

from tests.engine.matrix import write
from tui_elbo.engine.lens import Lens, LensReading
from tui_elbo.engine.session import Session
from tui_elbo.model.attribution import Term

MIXTURE_GUIDE = """
def guide():
    m = pyro.param("m", lambda: torch.tensor([-1.0, 2.0]))
    pyro.sample("low", dist.Normal(m[0], 0.4))
    pyro.sample("high", dist.Normal(m[1], 0.4))
"""

ENUMERATED = "TraceEnum_ELBO(max_plate_nesting=1)"

PLATED = 'with pyro.plate("points", 4):'

SUMMED_DRAWS = """
def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(w.sum(), 1.0), obs=torch.tensor(1.0))

def guide():
    m = pyro.param("m", lambda: torch.zeros(3))
    pyro.sample("w", dist.Normal(m, 1.0).to_event(1))
"""


def sight(text: str, folder: Path, *, draws: int = 64, steps: int = 2) -> tuple[Lens, LensReading]:
    session = Session(write(folder, text))
    session.advance(steps)
    lens = Lens(session.scenario, draws)
    return lens, lens.see()


def value(sight: LensReading, field: str, site: str = "") -> float:
    return float(sight.reading.value[sight.reading.terms.index(Term(site, field))])


def error(sight: LensReading, field: str, site: str = "") -> float:
    return float(sight.reading.error[sight.reading.terms.index(Term(site, field))])
