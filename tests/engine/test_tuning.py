"""Settings changed on the way: from the next step on, refused if they do not fit, found again."""

from __future__ import annotations

from pathlib import Path

import pyro
import pytest
from pyro.infer import SVI

from tests.engine.compare import assert_same_state
from tests.engine.local import Local
from tests.engine.plain import plain_run
from tests.engine.wander import untimed
from tui_elbo.client.run_state import Run as State
from tui_elbo.engine.record.estimators import estimators
from tui_elbo.engine.scenario import load
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import ErrorReported, RewindTo, Step, Tune, Tuned


def test_a_learning_rate_changes_the_run_as_it_would_change_the_plain_loop() -> None:
    session = Session("no_theta")
    watched = [session.step().loss for _ in range(5)]
    session.tune(Tuning(lr=0.5))
    watched += [session.step().loss for _ in range(5)]

    scenario = load(find_scenario("no_theta"))
    pyro.set_rng_seed(scenario.seed)
    svi = SVI(scenario.model, scenario.guide, scenario.optimizer, scenario.loss)
    plain = [svi.step() for _ in range(5)]
    for optimizer in scenario.optimizer.optim_objs.values():
        optimizer.param_groups[0]["lr"] = 0.5
    assert watched == plain + [svi.step() for _ in range(5)]


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize(
    "tuning",
    [
        Tuning(lr=0.3),
        Tuning(particles=3),
        Tuning(estimator="TraceMeanField_ELBO"),
        Tuning(lr=0.001, particles=2, estimator="RenyiELBO"),
    ],
    ids=str,
)
def test_a_tuned_run_is_found_again(at: int, tuning: Tuning) -> None:
    session = Session("learned_prior", checkpoint_memory=2**26)
    before = [untimed(session.step()) for _ in range(at)]
    session.tune(tuning)
    records = before + [untimed(session.step()) for _ in range(6)]
    for to in (at, at + 3, at + 1, at):
        session.go_to(to)
        while session.steps_taken < at + 6:
            record = session.step()
            assert untimed(record) == records[record.step - 1]
    assert session.repeatable


def test_rewinding_before_a_change_undoes_it() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    plain = [untimed(session.step()) for _ in range(8)]
    session.go_to(5)
    session.tune(Tuning(lr=0.7, particles=4))
    assert untimed(session.step()) != plain[5]
    session.go_to(4)
    assert [untimed(session.step()) for _ in range(4)] == plain[4:]


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (Tuning(lr=-1.0), "a learning rate is a positive number"),
        (Tuning(lr=float("nan")), "a learning rate is a positive number"),
        (Tuning(particles=0), "at least one particle"),
        (Tuning(estimator="Trace_ELBOW"), "no estimator"),
        (Tuning(estimator="TraceTailAdaptive_ELBO"), "does not fit this scenario"),
    ],
    ids=str,
)
@pytest.mark.parametrize("at", [0, 3])
def test_what_does_not_fit_is_refused_and_the_run_left_as_it_was(
    tuning: Tuning, said: str, at: int
) -> None:
    wanted = Session("no_theta")
    plain = [untimed(wanted.step()) for _ in range(at + 3)]
    session = Session("no_theta", checkpoint_memory=2**26)
    found = [untimed(session.step()) for _ in range(at)]
    with pytest.raises(UsageError, match=said):
        session.tune(tuning)
    assert found + [untimed(session.step()) for _ in range(3)] == plain


SCHEDULED = (
    "\noptimizer = pyro.optim.ExponentialLR("
    "dict(optimizer=torch.optim.SGD, optim_args=dict(lr=0.02, momentum=0.9), gamma=0.9))\n"
)


MISFITS = {
    "ReweightedWakeSleep": "needs to be run with more than one particle",
    "TraceTailAdaptive_ELBO": "only implemented for vectorize_particles==True",
}
"""What does not fit a model with one particle, and Pyro's reason."""

TUNINGS = [Tuning(estimator=name) for name in sorted(estimators())]
TUNINGS += [Tuning(lr=0.5, particles=0), Tuning(lr=0.3, estimator="TraceTailAdaptive_ELBO")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize("tuning", TUNINGS, ids=str)
def test_trying_settings_moves_nothing(tuning: Tuning, at: int, tmp_path: Path) -> None:
    """Parameters, optimisers, schedulers and random states are as they were, taken or refused."""
    path = tmp_path / "tuned.py"
    path.write_text(find_scenario("no_theta").path.read_text(encoding="utf-8") + SCHEDULED)
    session = Session(str(path), checkpoint_memory=2**26)
    for _ in range(at):
        session.step()
    reason = MISFITS.get(tuning.estimator or "") or (
        "one particle" if tuning.particles == 0 else ""
    )
    if reason:
        with pytest.raises(UsageError, match=reason):
            session.tune(tuning)
    else:
        assert session.tune(tuning)[0].startswith(tuning.estimator or "")
    if at:
        assert_same_state(plain_run(path, at), session)
    if reason:
        plain = plain_run(path, at + 2)
        session.go_to(at)
        assert [session.step().loss for _ in range(2)] == plain.losses[at:]
        assert_same_state(plain, session)


def test_any_positive_learning_rate_is_tried(tmp_path: Path) -> None:
    """However large: a run that blows up stops on its step, and a step back undoes it."""
    session = Session("no_theta", checkpoint_memory=2**26)
    plain = [untimed(session.step()) for _ in range(5)]
    session.go_to(3)
    assert session.tune(Tuning(lr=1e9))[1] == "Adam, lr 1e+09"
    assert untimed(session.step()) != plain[3]
    with pytest.raises(StepError, match="step 5 raised ValueError"):
        session.step()
    assert session.steps_taken == 4
    session.go_to(2)
    assert [untimed(session.step()) for _ in range(3)] == plain[2:]


def test_a_function_of_learning_rates_cannot_be_changed_here(tmp_path: Path) -> None:
    path = tmp_path / "by_function.py"
    text = find_scenario("no_theta").path.read_text(encoding="utf-8")
    path.write_text(text + "\noptimizer = pyro.optim.Adam(lambda name: {'lr': 0.1})\n")
    with pytest.raises(UsageError, match="by a function"):
        Session(str(path)).tune(Tuning(lr=0.1))


@pytest.mark.parametrize(
    ("tuning", "said"),
    [
        (Tuning(lr=-1.0), "a learning rate is a positive number, and this is -1"),
        (Tuning(particles=0), "at least one particle"),
        (Tuning(estimator="TraceTailAdaptive_ELBO"), "only implemented for vectorize_particles"),
    ],
    ids=str,
)
def test_the_engine_refuses_and_goes_on(tuning: Tuning, said: str) -> None:
    plain = Session("no_theta")
    wanted = [untimed(plain.step()) for _ in range(4)]
    local = Local("no_theta")
    local.ask(Step(count=2))
    events = local.ask(Tune(tuning=tuning))
    (fault,) = [event for event in events if isinstance(event, ErrorReported)]
    assert (fault.kind, fault.step) == ("refused", 2)
    assert said in fault.what
    assert not any(isinstance(event, Tuned) for event in local.events)
    local.ask(Step(count=2))
    records = [record for batch in local.batches for record in batch.records()]
    assert list(map(untimed, records)) == wanted


def test_the_engine_reports_what_is_tuned_and_what_is_left_behind() -> None:
    local = Local("no_theta")
    local.ask(Step(count=3))
    local.ask(Tune(tuning=Tuning(lr=0.25)))
    local.ask(Step(count=2))
    local.ask(Tune(tuning=Tuning(particles=2)))
    told = [event for event in local.events if isinstance(event, Tuned)]
    assert [(event.step, event.text) for event in told] == [(3, "lr 0.25"), (5, "2 particles")]
    assert [(event.estimator, event.optimizer) for event in told] == [
        ("Trace_ELBO", "Adam, lr 0.25"),
        ("Trace_ELBO, 2 particles", "Adam, lr 0.25"),
    ]
    run = State()
    for event in local.events:
        run.apply(event)  # type: ignore[arg-type]
    assert [tuned.step for tuned in run.tunings] == [3, 5]
    for event in local.ask(RewindTo(step=4)):
        run.apply(event)  # type: ignore[arg-type]
    assert [tuned.step for tuned in run.tunings] == [3]
    assert run.settings == ("Trace_ELBO", "Adam, lr 0.25")
