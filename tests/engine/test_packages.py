"""Programs that train with Pyro by way of other packages, under `elbo-tui watch`.

Each is skipped where its package is not installed; none is part of what the tests install:
`pip install lightning scvi-tools cellbender`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import programs
from tests.engine.programs import Program

FOLDER = Path(__file__).parent / "packages"

PROGRAMS = [
    ("lightning", Program("lightning_elbo.py", "--epochs 30")),
    ("scvi", Program("scvi_lda.py", "svi --epochs 80")),
    ("scvi", Program("scvi_lda.py", "low-level --epochs 80")),
    ("cellbender", Program("cellbender_training.py", "--epochs 25")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "program"), PROGRAMS, ids=lambda one: getattr(one, "name", one)
)
def test_it_is_bit_for_bit_the_same(
    package: str,
    program: Program,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    programs.compare(FOLDER, tmp_path, program, record_property)
