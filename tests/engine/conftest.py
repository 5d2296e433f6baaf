"""What every engine test starts from: an empty param store, and nothing left by another test."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pyro
import pytest
import torch

pytest.register_assert_rewrite("tests.engine.compare")


@pytest.fixture(autouse=True)
def fresh_pyro() -> Iterator[None]:
    """Pyro's and torch's global state as a fresh process has it, and put back afterwards."""
    threads, path, modules = torch.get_num_threads(), sys.path[:], set(sys.modules)
    settings, dtype = pyro.settings.get(), torch.get_default_dtype()
    # Not the seed of any run: a run that is not seeded shows.
    torch.manual_seed(987654321)
    np.random.seed(987654321)
    random.seed(987654321)
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()
    pyro.settings.set(**settings)
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("_scenario_"):
            del sys.modules[name]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Pyro warns of models without parameters, and of sites that one side has alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
