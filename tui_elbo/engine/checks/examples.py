"""The examples of the catalogue: short scenarios, executed as files are."""

from __future__ import annotations

from pathlib import Path

from tui_elbo.engine.scenario import Scenario, load
from tui_elbo.model.scenarios import ScenarioFile

PRELUDE = """\
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import *
from pyro.infer.autoguide import *
from torch.distributions import constraints

"""
"""What every example begins with."""


def example(text: str, name: str = "example") -> Scenario:
    """Execute an example of a rule as a scenario."""
    path = Path(f"{name}.py")
    source = ScenarioFile(name, path, None, path.parent, path.parent)
    return load(source, (PRELUDE + text).encode())
