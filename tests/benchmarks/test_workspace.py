"""How soon a folder of many long runs is on the screen, and how much memory that takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.terminal.terminal import COMMAND, Terminal
from tui_elbo.many.chunk import LOSS, Ending, Goal
from tui_elbo.many.folder import SECONDS, EndedRun, Plan
from tui_elbo.many.folder_reader import ELBO
from tui_elbo.model.comparison import Evaluation, ModelFingerprint
from tui_elbo.model.grid import grid, parse_choice
from tui_elbo.model.records import Batch, Column, Layout
from tui_elbo.model.verdict import NATS, cannot_tell
from tui_elbo.protocol.codec import encode
from tui_elbo.runfile.database import RunSettings, SavedRun, write

pytestmark = pytest.mark.benchmark

PAIRS = 5
STEPS = 10_000
LARGEST = 200.0
"""Megabytes of the terminal."""


def many_runs(folder: Path) -> None:
    """A sweep of 64 runs that has ended, each with 20 columns."""
    parameters = [Column("param", f"p{i}", "grad_norm") for i in range(17)]
    layout = Layout(0, (), (), (LOSS, ELBO, SECONDS, *parameters))
    settings = RunSettings("coin", "coin.py", None, "", "", None, 1, None, STEPS)
    rates = ",".join(f"{0.001 * (i + 1):g}" for i in range(8))
    runs = grid(range(8), [parse_choice(f"lr={rates}")], [])
    plan = Plan(settings, b"", Goal(STEPS, False, NATS, 256), runs)
    (folder / ".sweep" / "ended").mkdir(parents=True)
    (folder / ".sweep" / "plan.json").write_bytes(msgspec.json.encode(plan))
    random = np.random.default_rng(0)
    for i, spec in enumerate(runs):
        values = random.normal(size=(20, STEPS))
        values[1] -= 5 + 40 * np.exp(-np.arange(STEPS) / (500 + 50 * i))
        values[0] = -values[1]
        write(folder / f"{spec.name}.run", SavedRun(settings, b"", (Batch(layout, 1, values),)))
        evaluation = Evaluation(ModelFingerprint({}, {}), "", random.normal(size=256), 0.3)
        ending = Ending("steps", "", cannot_tell(STEPS, ""), evaluation)
        ended = EndedRun(spec, STEPS, float(values[0, -1]), 10.0, ending)
        (folder / ".sweep" / "ended" / spec.name).write_bytes(encode(ended))


def resident(pid: int) -> float:
    with Path(f"/proc/{pid}/status").open() as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def import_pyro() -> float:
    begin = time.perf_counter()
    compiled = {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", "import pyro"], env=os.environ | compiled, check=True)
    return time.perf_counter() - begin


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_64_runs_of_10000_steps_are_there_before_pyro_is(tmp_path: Path) -> None:
    many_runs(tmp_path)
    sizes = []

    def opened() -> float:
        begin = time.perf_counter()
        with Terminal([*COMMAND, str(tmp_path)], 120, 40, PYTHONDONTWRITEBYTECODE="") as terminal:
            terminal.wait("64 runs")
            took = time.perf_counter() - begin
            terminal.press("g", "v", "y")
            terminal.pass_time(1.0)
            sizes.append(resident(terminal.pid))
            terminal.press("q")
            terminal.ended()
            return took

    opened(), import_pyro()
    judge("workspace / import pyro", ratio(interleaved(opened, import_pyro, PAIRS)), 0.5)
    assert max(sizes) < LARGEST
