"""How soon the explorer is there: against the time in which Pyro is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.terminal.terminal import COMMAND, Terminal

pytestmark = pytest.mark.benchmark

PAIRS = 9
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""As it is when installed: what is imported has been compiled before."""

PANES = r"(?s)log p\(x, z\).*parameters.*log q\(z\).*ELBO"


def first_frame() -> float:
    begin = time.perf_counter()
    with Terminal([*COMMAND, "no_theta"], **COMPILED) as terminal:
        terminal.wait(PANES)
        took = time.perf_counter() - begin
        terminal.press("q")  # Else its engine would go on, beside what is measured next.
        terminal.ended()
        return took


def import_pyro() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pyro"], env=os.environ | COMPILED, check=True)
    return time.perf_counter() - begin


def test_the_panes_are_there_before_pyro_is() -> None:
    first_frame(), import_pyro()
    judge("first frame / import pyro", ratio(interleaved(first_frame, import_pyro, PAIRS)), 0.33)
