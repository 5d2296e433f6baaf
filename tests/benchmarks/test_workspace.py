"""How soon a folder of many long runs is on the screen, and how much memory that takes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.terminal.terminal import COMMAND, Terminal
from tui_elbo.many.chunk import LOSS, Ending, Goal, Taken
from tui_elbo.many.folder import SECONDS, EndedRun, Plan, SweepFolder
from tui_elbo.many.folder_reader import ELBO
from tui_elbo.model.comparison import Evaluation, ModelFingerprint
from tui_elbo.model.grid import RunSpec, grid, parse_choice
from tui_elbo.model.records import Batch, Column, Layout
from tui_elbo.model.verdict import NATS, cannot_tell
from tui_elbo.model.workspace import Progress
from tui_elbo.protocol.codec import encode
from tui_elbo.runfile.database import RunSettings, SavedRun, write

pytestmark = pytest.mark.benchmark

PAIRS = 5
STEPS = 10_000
SECONDS_WATCHED, MOST_BYTES = 20.0, 6000
"""For so long, at most so many bytes a second."""

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


class Running:
    """A sweep of 64 runs under way, as its folder shows it: a chunk of each in five seconds."""

    def __init__(self, folder: Path) -> None:
        settings = RunSettings("coin", "coin.py", None, "", "", None, 1, None, 0)
        rates = ",".join(f"{0.001 * (i + 1):g}" for i in range(8))
        runs = grid(range(8), [parse_choice(f"lr={rates}")], [])
        self.folder = SweepFolder(folder, Plan(settings, b"", Goal(STEPS, False, NATS, 256), runs))
        self._layout = Layout(0, (), (), (LOSS, ELBO, SECONDS))
        self._random = np.random.default_rng(0)
        self._taken = dict.fromkeys(runs, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def _chunk(self, spec: RunSpec) -> None:
        first, steps = self._taken[spec] + 1, 100
        values = self._random.normal(size=(3, steps))
        values[1] -= 5 + 40 * np.exp(-np.arange(first, first + steps) / 800)
        values[0] = -values[1]
        self._taken[spec] += steps
        batch = Batch(self._layout, first, values)
        settings = self.folder.plan.settings
        self.folder.add(spec, Taken((batch,), settings, b"", (), b"", STEPS, None))

    def _go_on(self) -> None:
        specs, at = list(self._taken), 0
        while not self._stop.wait(0.5):
            for spec in specs[at : at + 7]:
                self._chunk(spec)
            at = (at + 7) % len(specs)
            names = tuple(sorted(spec.name for spec in specs))
            steps = sum(self._taken.values())
            self.folder.keep_progress(
                Progress(0, 64, steps, 64 * STEPS, 90.0, 0, rate=1280.0, under_way=names)
            )

    def __enter__(self) -> Running:
        for spec in self._taken:
            self._chunk(spec)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.folder.close()

    def stop(self) -> None:
        """Write nothing more; the sweep is still under way."""
        self._stop.set()
        self._thread.join()


def test_64_runs_under_way_send_at_most_6_kilobytes_a_second(tmp_path: Path) -> None:
    with (
        Running(tmp_path / "out") as running,
        Terminal([*COMMAND, str(tmp_path / "out")], 120, 40) as terminal,
    ):
        terminal.wait("64 runs")
        terminal.pass_time(3.0)
        began, before = time.perf_counter(), len(terminal.sent)
        terminal.pass_time(SECONDS_WATCHED)
        rate = (len(terminal.sent) - before) / (time.perf_counter() - began)
        running.stop()
        terminal.pass_time(4.0)
        before = len(terminal.sent)
        terminal.pass_time(4.0)
        idle = len(terminal.sent) - before
        terminal.press("q")
        terminal.ended()
    print(f"workspace, 64 runs under way at 120x40: {rate:.0f} bytes/s; idle: {idle} bytes")
    assert rate < MOST_BYTES
    assert idle == 0


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
