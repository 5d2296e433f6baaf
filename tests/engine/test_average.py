"""Going to the mean of the iterates: exact, a branch, measured, and refused where there is none."""

from __future__ import annotations

import math
from pathlib import Path

import pyro
import pytest
import torch

from tests.engine.local import Local
from tests.engine.wander import untimed
from tui_elbo.client.run_state import Run
from tui_elbo.engine.lens import Lens, State
from tui_elbo.engine.session import Session
from tui_elbo.engine.verdict.averaging import gained
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.tuning import Tuning, parse_tuning
from tui_elbo.model.verdict import Estimate
from tui_elbo.protocol import (
    AverageMeasured,
    ErrorReported,
    LensPointAdded,
    Load,
    MovedToMean,
    Step,
    SwitchBranch,
    Tune,
    Tuned,
)

AVERAGE = Tuning(average=True)

LARGE = """
import torch, pyro, pyro.distributions as dist

def model():
    pyro.sample("z", dist.Normal(torch.zeros(20), 1.0).to_event(1))

def guide():
    w = pyro.param("w", torch.arange(20.0))
    pyro.sample("z", dist.Normal(w, 1.0).to_event(1))

optimizer = pyro.optim.Adam({"lr": 0.02})
"""


def averaged(memory: int = 2**26) -> tuple[Session, list[bytes]]:
    """A run that was taken to its mean after 40 steps and went on for 12, and its records."""
    session = Session("no_theta", checkpoint_memory=memory)
    records = stepped(session, 40)
    session.tune(AVERAGE)
    return session, records + stepped(session, 12)


def stepped(session: Session, steps: int) -> list[bytes]:
    return [untimed(session.step()) for _ in range(steps)]


def test_the_run_stands_at_the_mean_of_the_last_quarter_of_its_unconstrained_parameters() -> None:
    session, path = Session("no_theta"), list[dict[str, torch.Tensor]]()
    for _ in range(40):
        session.step()
        path.append(session.present_state())
    session.tune(AVERAGE)
    mean = session.tunings[-1][1].mean
    assert mean is not None
    part = path[mean.first - 1 : mean.last]
    assert 28 < mean.first < mean.last <= 40
    for name, value in session.present_state().items():
        each = torch.stack([state[name] for state in part])
        # Not each iterate need have been kept; those that were lie on the way.
        assert each.min() <= value <= each.max()
    assert session.steps_taken == 40


def test_the_parameters_at_the_mean_are_shown_in_constrained_space() -> None:
    session = Session("no_theta")
    stepped(session, 40)
    session.tune(AVERAGE)
    shown = session.stepper.params.present()
    assert {name: one.role for name, one in shown.items()} == {"loc": "guide", "scale": "guide"}
    for name, value in pyro.get_param_store().items():
        assert shown[name].value == pytest.approx(value.item())
    # Asking changes nothing of what follows.
    records = stepped(session, 3)
    assert records == averaged()[1][40:43]


def test_a_large_parameter_is_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "large.py"
    path.write_text(LARGE)
    session = Session(str(path))
    session.step()
    shown = session.stepper.params.present()["w"]
    value = pyro.param("w").detach().double()
    assert (shown.value, shown.shape) == (None, (20,))
    assert (shown.mean, shown.sd) == pytest.approx(
        (value.mean().item(), value.std(0, False).item())
    )
    assert (shown.min, shown.max) == (value.min().item(), value.max().item())


def test_nothing_else_than_the_parameters_is_changed() -> None:
    plain = Session("no_theta")
    stepped(plain, 40)
    before = [
        optimizer.state_dict()["state"][0]["exp_avg"].clone()
        for optimizer in plain.optimizer.optim_objs.values()
    ]
    rng = torch.get_rng_state()
    plain.tune(AVERAGE)
    after = [
        optimizer.state_dict()["state"][0]["exp_avg"]
        for optimizer in plain.optimizer.optim_objs.values()
    ]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("memory", [2**26, 0])
def test_an_averaged_run_is_found_again_bit_for_bit(memory: int) -> None:
    session, records = averaged(memory)
    for to in (45, 40, 39):
        session.go_to(to)
        if to == 39:
            session.step()
            session.switch()
            assert session.steps_taken == 52
        while session.steps_taken < 52:
            record = untimed(session.step())
            assert record == records[session.steps_taken - 1]
    assert session.repeatable


def test_what_was_left_is_a_branch_and_so_is_the_mean() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    plain = stepped(session, 60)
    session.go_to(40)
    iterate = session.present_state()
    session.go_to(30)
    stepped(session, 10)
    session.tune(AVERAGE)
    mean = session.present_state()
    assert not torch.equal(mean["loc"], iterate["loc"])
    session.switch()
    # The future that goes further, and through the same iterate, is the one that was kept.
    assert session.steps_taken == 60
    session.switch()
    assert torch.equal(session.present_state()["loc"], mean["loc"])
    session.switch()
    session.go_to(40)
    assert torch.equal(session.present_state()["loc"], iterate["loc"])
    assert stepped(session, 20) == plain[40:]


def test_a_saved_run_goes_on_from_the_mean(tmp_path: Path) -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    history = History()
    for batch in session.advance(40):
        history.append(batch)
    session.tune(AVERAGE)
    path = tmp_path / "a.run"
    session.save(path, history.batches())
    mean, after = session.present_state(), stepped(session, 5)
    again = Session(str(path))
    assert torch.equal(again.present_state()["loc"], mean["loc"])
    assert stepped(again, 5) == after


def gap(state: State) -> float:
    """KL(q ‖ posterior) of `no_theta`, whose posterior is N(1, 1/√5)."""
    loc, scale = float(state["loc"]), float(state["scale"].exp())
    return 2.5 * (scale**2 + (loc - 1) ** 2) - 0.5 - math.log(scale * math.sqrt(5))


def test_the_gain_is_the_difference_of_the_elbos() -> None:
    session = Session("no_theta")
    session.advance(40)
    before = session.present_state()
    session.tune(AVERAGE)
    after = session.present_state()
    found = gained(Lens(session.scenario, 256), before, after)
    exact = gap(before) - gap(after)
    assert 0 < found.mcse < abs(exact) / 4
    assert abs(found.value - exact) < 4 * found.mcse


def test_it_is_refused_where_there_are_no_iterates() -> None:
    session = Session("no_theta")
    with pytest.raises(UsageError, match="takes 16 steps, and there are 0"):
        session.tune(AVERAGE)
    stepped(session, 20)
    session.tune(Tuning(lr=0.5))
    stepped(session, 3)
    with pytest.raises(UsageError, match="there are 3 since step 20"):
        session.tune(AVERAGE)
    stepped(session, 20)
    session.iterates.why_none = "its parameters are too large"
    with pytest.raises(UsageError, match="its parameters are too large"):
        session.tune(AVERAGE)
    session.iterates.why_none = ""
    session.tune(parse_tuning("average, lr 0.001"))
    assert "mean of steps" in str(session.tunings[-1][1])


def test_the_explorer_is_told_of_the_place_the_branch_and_the_gain() -> None:
    local, run = Local("no_theta"), Run()
    local.ask(Load(target="no_theta", draws=64))
    local.ask(Step(count=40))
    said = local.ask(Tune(tuning=AVERAGE))
    assert any(isinstance(event, MovedToMean) for event in said)
    assert any(isinstance(event, Tuned) and "mean of steps" in event.text for event in said)
    assert any(isinstance(event, LensPointAdded) and event.point.state == 40 for event in said)
    for event in local.events:
        run.apply(event)
    assert run.average is not None
    assert run.average.gain is not None
    assert (run.average.step, len(run.branches)) == (40, 1)
    late = Run()
    for event in run.events():
        late.apply(event)
    assert (late.average, len(late.branches)) == (run.average, 1)
    for event in local.ask(SwitchBranch()):
        run.apply(event)
    assert run.average is None
    assert run.step == 40
    local.ask(Step(count=1))
    assert not local.faults()


def test_without_a_lens_or_iterates_the_explorer_says_so() -> None:
    local = Local("no_theta")
    local.ask(Step(count=3))
    refused = local.ask(Tune(tuning=AVERAGE))
    assert any(isinstance(one, ErrorReported) and one.kind == "refused" for one in refused)
    local.ask(Step(count=37))
    said = local.ask(Tune(tuning=AVERAGE))
    measured = [event.taken for event in said if isinstance(event, AverageMeasured)]
    assert len(measured) == 1
    assert "no lens" in measured[0].text


def test_the_words_say_what_was_gained_or_lost_or_why_it_is_not_known() -> None:
    place = (
        "The run goes on from the mean of steps 385 to 512, taken of the unconstrained parameters"
    )
    taken = AverageTaken(512, 385, 512, Estimate(0.21, 0.03))
    assert taken.text.startswith(place)
    assert taken.text.endswith("That gained 0.21 ± 0.03 nats.")
    assert AverageTaken(512, 385, 512, Estimate(-0.21, 0.03)).brief.endswith(
        "That lost 0.21 ± 0.03 nats."
    )
    unknown = AverageTaken(512, 385, 512, note="there is no lens")
    assert unknown.text.endswith("is not known: there is no lens.")
    assert unknown.record()["gain"] is None
    assert AverageTaken(1, 1, 1, Estimate(float("nan"), 0.0)).record()["gain"] is None
