"""How soon the explorer is there: against the time in which Pyro is imported."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.terminal.terminal import COMMAND, Terminal

pytestmark = pytest.mark.benchmark

ROUNDS = 7
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


def test_the_panes_are_there_before_pyro_is(
    record_property: Callable[[str, object], None],
) -> None:
    """One after the other and in turn, so that both meet the same machine."""
    first_frame(), import_pyro()
    pairs = [(first_frame(), import_pyro()) for _ in range(ROUNDS)]
    frame, pyro = (statistics.median(side) for side in zip(*pairs, strict=True))
    record_property("ratio", frame / pyro)
    print(f"\nfirst frame {frame:.2f} s, import pyro {pyro:.2f} s: {frame / pyro:.2f}")
    assert frame < 0.4 * pyro
