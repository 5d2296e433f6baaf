"""Short runs at other learning rates."""

from __future__ import annotations

from pathlib import Path

from tests.engine.sources import HEAD, write
from tui_elbo.engine.lens.fork import ForkedCall
from tui_elbo.engine.noise.rate_scan import Scanned, scan_rates
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.model.rate_scan import RateScan
from tui_elbo.protocol import (
    Command,
    Event,
    Load,
    MeasureNoise,
    NoiseMeasured,
    RatesScanned,
    ScanRates,
    Step,
    StepsRecorded,
)
from tui_elbo.protocol.codec import decode

TEXT = f"""{HEAD}
optimizer = pyro.optim.SGD({{"lr": 0.001}})

def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(5.0)), 0.5))
"""


def scanned(folder: Path, text: str, steps: int = 24) -> RateScan:
    session = Session(str(write(folder, text)))
    session.advance(2)
    run = Scanned(session.stepper, draws=64, steps=steps)
    data = ForkedCall(lambda progress: scan_rates(run, progress)).wait(run.patience)
    found: RateScan = decode(data, RateScan)
    assert session.steps_taken == 2
    return found


def test_a_rate_that_is_far_too_low_is_told_by_what_a_higher_one_gains(tmp_path: Path) -> None:
    """SGD on m²/2 makes m (1 - r)^n of m; the gain is half the difference of the squares."""
    scan = scanned(tmp_path, TEXT)
    assert scan.best is not None
    assert scan.best.factor == 10
    looks = [24 - 6 * i // 4 for i in range(4)]
    m = 5.0 * (1 - 0.001) ** 2
    level = {r: sum((m * (1 - r) ** n) ** 2 / 2 for n in looks) / 4 for r in (0.001, 0.01)}
    gain = level[0.001] - level[0.01]
    assert abs(scan.best.gain - gain) < 4 * scan.best.error + 0.02 * gain
    assert "lr 0.01" in scan.advice
    assert str(scan.tuning(scan.best)) == "lr 0.01"


def test_where_nothing_differs_no_rate_is_offered(tmp_path: Path) -> None:
    scan = scanned(tmp_path, TEXT.replace("torch.tensor(5.0)", "torch.tensor(0.0)"))
    assert scan.best is None
    assert "No rate is clearly better" in scan.advice


def test_a_rate_that_breaks_the_run_says_how(tmp_path: Path) -> None:
    scan = scanned(tmp_path, TEXT.replace("0.001", "3.0"))
    assert "not finite" in scan.rows[-1].problem
    assert scan.tuning(scan.rows[-1]) is None
    assert scan.best is not None
    assert scan.best.factor < 1


def test_different_rates_are_not_scanned(tmp_path: Path) -> None:
    text = TEXT.replace('{"lr": 0.001}', 'lambda name: {"lr": 0.1 if name == "loc" else 0.2}')
    scan = scanned(tmp_path, text)
    assert "by a function" in scan.why_none


def test_the_engine_measures_and_scans_and_the_run_goes_on_as_if_it_had_not(
    tmp_path: Path,
) -> None:
    path = str(write(tmp_path, TEXT))
    numbers = []
    for asks in (True, False):
        events: list[Event] = []
        source = ScenarioSource(events.append)

        def ask(command: Command, source: ScenarioSource = source) -> None:
            source.handle(command)
            while source.busy:
                source.work()

        ask(Load(target=path, draws=16))
        ask(Step(count=3))
        if asks:
            ask(MeasureNoise(seconds=0.3))
            ask(ScanRates(seconds=1.0))
            tables = [event.table for event in events if isinstance(event, NoiseMeasured)]
            scans = [event.scan for event in events if isinstance(event, RatesScanned)]
            assert [(table.step, table.why_none) for table in tables] == [(3, "")]
            assert [scan.step for scan in scans] == [3]
        ask(Step(count=3))
        steps = [event for event in events if isinstance(event, StepsRecorded)]
        numbers.append([event.values[0].tolist() for event in steps])
    assert numbers[0] == numbers[1]
