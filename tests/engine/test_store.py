"""Save in the explorer, and the explorer on a saved run: through the engine's own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.client import engine
from tests.engine.wander import untimed
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    ErrorReported,
    RunSaved,
    Save,
    Step,
    StepBack,
    SwitchBranch,
    Tune,
    Tuned,
)


@pytest.mark.slow
def test_a_run_saved_by_the_engine_is_replayed_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    with engine() as one:
        one.load("no_theta")
        one.ask(Step(count=12))
        one.ask(StepBack(count=4))
        one.ask(Tune(tuning=Tuning(lr=0.3)))
        one.ask(Step(count=3))
        one.ask(SwitchBranch())
        one.ask(SwitchBranch())
        one.ask(Save(path=str(file)))
        stored = [event for event in one.seen if isinstance(event, RunSaved)]
        assert stored == [RunSaved(str(file), 11)]
        one.ask(Save(path=str(tmp_path / "no" / "such")))
        assert one.faults()[-1].what.startswith("the run cannot be saved")
        one.ask(Step(count=2))
        on = [untimed(r) for batch in one.batches[-2:] for r in batch.records()][-2:]
    with engine() as other:
        level = other.load(file)
        assert (level.state, level.step) == ("paused", 11)
        assert [e.text for e in other.seen if isinstance(e, Tuned)] == ["lr 0.3"]
        assert len(other.records()) == 11
        other.ask(Step(count=2))
        assert [untimed(record) for record in other.records()[-2:]] == on
        assert not [event for event in other.seen if isinstance(event, ErrorReported)]
