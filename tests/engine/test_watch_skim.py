"""Without a terminal, quick steps are read whole in turns; of the others the loss is."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.client import history
from tests.engine.scripts import attached, fresh, rest, simple
from tests.runtime import runtime_folder
from tui_elbo.engine.record import options
from tui_elbo.engine.record.options import RecordingOptions, Turns
from tui_elbo.engine.script import script_source
from tui_elbo.engine.script.script_stepper import ScriptStepper
from tui_elbo.engine.script.watch import Watched
from tui_elbo.model.conditions import parse
from tui_elbo.model.history import History
from tui_elbo.model.records import Column

WHOLE, STEPS = 2, 60
"""The first step of all costs nothing here."""

LOSS, ELBO = Column("step", "", "loss"), Column("step", "", "elbo")


@pytest.fixture(autouse=True)
def short_turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After so few steps, none is read whole but for a reason."""
    monkeypatch.setattr(options, "AHEAD", 0.0)
    monkeypatch.setattr(options, "LEAST_TURN", 1)
    monkeypatch.setattr(script_source, "READ_SHARE", 0.0)
    with runtime_folder():
        yield


def seen(watched: Watched) -> History:
    """What a terminal has been told that comes now and stays to the end."""
    with attached(watched.id) as terminal:
        watched.close()
        rest(terminal)
        return history(terminal.seen)


def trained(svi: SVI, steps: int) -> list[float]:
    return [svi.step() for _ in range(steps)]


def test_a_step_that_is_skimmed_has_its_loss_and_no_more() -> None:
    fresh()
    plain = trained(simple(), STEPS)
    fresh()
    with tui_elbo.watch(svi := simple(), "mine") as watched:
        assert trained(svi, STEPS) == plain
        svi_history = seen(watched)
    assert svi_history.last == STEPS
    assert svi_history.values(LOSS).tolist() == plain
    skimmed = svi_history.skimmed()
    assert skimmed is not None
    assert skimmed.tolist() == [False] * WHOLE + [True] * (STEPS - WHOLE)
    assert svi_history.has(ELBO).tolist() == (~skimmed).tolist()
    record = svi_history.record(STEPS)
    assert record is not None
    assert (record.loss, record.elbo, record.log_p) == (plain[-1], None, None)
    assert record.sites["z"].log_q is None
    layout = svi_history.layout
    assert layout is not None
    assert not layout.skimmed
    assert not parse("elbo < 0").holds_in(svi_history)[WHOLE:].any()


def test_steps_are_whole_while_a_terminal_is_there() -> None:
    fresh()
    with tui_elbo.watch(svi := simple(), "mine") as watched:
        trained(svi, STEPS)
        with attached("mine"):
            trained(svi, 5)
        skimmed = seen(watched).skimmed()
    assert skimmed is not None
    assert not skimmed[STEPS : STEPS + 5].any()
    assert skimmed[WHOLE:STEPS].all()


@pytest.mark.filterwarnings("ignore:Encountered")
def test_after_a_loss_that_is_not_finite_steps_are_read_whole() -> None:
    fresh()
    data = torch.tensor(0.5)

    def model() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.factor("f", data)

    def guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.7))

    svi = SVI(model, guide, pyro.optim.SGD({"lr": 0.0}), Trace_ELBO())
    with tui_elbo.watch(svi, "mine", findings=False) as watched:
        trained(svi, STEPS)
        data.fill_(math.inf)
        svi.step()
        data.fill_(0.5)
        trained(svi, 3)
        found = seen(watched)
    skimmed = found.skimmed()
    assert skimmed is not None
    assert skimmed[STEPS]
    assert not np.isfinite(found.values(LOSS)[STEPS])
    assert not skimmed[STEPS + 1]


def test_a_step_that_raises_is_judged_by_the_parameters_of_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fresh()

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

    def guide() -> None:
        scale = pyro.param("scale", torch.tensor(1.0))
        pyro.sample("z", dist.Normal(0.0, scale))

    svi = SVI(model, guide, pyro.optim.SGD({"lr": 1e-6}), Trace_ELBO())
    with tui_elbo.watch(svi, "mine"):
        trained(svi, STEPS)
        with torch.no_grad():
            pyro.get_param_store()._params["scale"].fill_(-0.25)
        with pytest.raises(ValueError, match="scale"):
            svi.step()
    said = capsys.readouterr().err
    assert '"scale"' in said
    assert "-0.25" in said


def test_what_a_parameter_that_came_in_a_skimmed_step_began_with_is_not_known() -> None:
    def guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.7))
        if more:
            pyro.param("late", torch.tensor(1.0))

    def model() -> None:
        pyro.sample("z", dist.Normal(0.0, 1.0))

    fresh()
    more, known = False, []
    svi = SVI(model, guide, pyro.optim.SGD({"lr": 0.1}), Trace_ELBO())
    stepper = ScriptStepper(svi, RecordingOptions())
    stepper.step(svi.step, (), {}, due=False)
    for new in (False, True):
        more = new
        stepper.skimmed(svi.step())
        stepper.step(svi.step, (), {}, due=False)
        known.append(stepper.initial_params.known)
    assert known == [True, False]


def test_evaluations_without_an_update_belong_to_their_step() -> None:
    fresh()
    with tui_elbo.watch_all() as watched:
        svi = simple()
        trained(svi, STEPS)
        loss = svi.evaluate_loss()
        trained(svi, 2)
        found = seen(watched)
    column = Column("step", "", "eval_loss")
    values = found.values(column)
    assert values[STEPS] == pytest.approx(loss)
    assert np.isnan(np.delete(values, STEPS)).all()


def test_turns_keep_to_their_share() -> None:
    turns, whole = Turns(0.01), 0
    for step in range(1, 100_001):
        if turns.whole(step):
            whole += 1
            turns.read(50e-6, 500e-6)
        else:
            turns.took(0.0, 500e-6)
    # One in ten may be read; the first turn comes on top.
    assert 0.095 * 100_000 <= whole <= 0.105 * 100_000


def test_slow_steps_are_all_read_whole() -> None:
    turns = Turns(0.01)
    for step in range(1, 2_001):
        assert turns.whole(step)
        turns.read(100e-6, 0.02)


def test_turns_grow_with_the_run() -> None:
    turns = Turns(0.01)
    lengths, run = [], 0
    for step in range(1, 500_000):
        if turns.whole(step):
            run += 1
        elif run:
            lengths.append(run)
            run = 0
        turns.took(50e-6 if run else 0.0, 100e-6)
    assert lengths[0] == options.LEAST_TURN
    assert len(lengths) < 1_000
