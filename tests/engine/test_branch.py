"""A rewind leaves a branch behind, and the run can swap with it and back, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ran, untimed
from tests.engine.wander import stepped
from tui_elbo.engine.session import Session
from tui_elbo.engine.tuning import optimizers
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning

CHANGES = [
    Tuning(lr=0.5),
    Tuning(optimizer="SGD", lr=0.001),
    Tuning(particles=3, estimator="RenyiELBO"),
]


@pytest.mark.parametrize(("memory", "to"), [(2**26, 0), (2**26, 8), (0, 8)])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_run_goes_over_to_what_it_left_and_back(change: Tuning, memory: int, to: int) -> None:
    session = Session("learned_prior", checkpoint_memory=memory)
    plain = stepped(session, 20)
    session.go_to(to)
    assert session.branch_end == 20
    session.tune(change)
    branch = stepped(session, 6)
    assert branch[2:] != plain[to + 2 : to + 6]
    session.swap()
    assert (session.steps_taken, session.branch_end) == (20, to + 6)
    on = stepped(session, 3)
    session.go_to(18)
    assert stepped(session, 2) == plain[18:20]
    session.swap()
    assert stepped(session, 0) == []
    assert session.repeatable
    reference = Session("learned_prior")
    assert stepped(reference, 23) == plain + on


def test_both_branches_go_on_as_if_the_other_were_not_there() -> None:
    session = Session("eight_schools", checkpoint_memory=2**26)
    stepped(session, 12)
    session.go_to(5)
    session.tune(Tuning(lr=0.3))
    tuned = stepped(session, 4)
    for _ in range(3):
        session.swap()
        session.swap()
    tuned += stepped(session, 4)
    session.swap()
    on = stepped(session, 5)

    plain = Session("eight_schools")
    assert stepped(plain, 17)[12:] == on
    other = Session("eight_schools")
    stepped(other, 5)
    other.tune(Tuning(lr=0.3))
    assert stepped(other, 8) == tuned


def test_retracing_keeps_the_future_that_goes_further() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    records = stepped(session, 20)
    for to in (10, 14, 3, 0):
        session.go_to(min(to, session.steps_taken))
        stepped(session, 5)
        assert session.branch_end == 20
    session.swap()
    assert (session.steps_taken, session.branch_end) == (20, 0)
    session.go_to(19)
    assert stepped(session, 1) == records[19:]


def test_there_is_nothing_to_swap_with_before_rewinding() -> None:
    session = Session("no_theta")
    stepped(session, 3)
    with pytest.raises(UsageError, match="no future has been left behind"):
        session.swap()
    session.go_to(1)
    session.restart()
    assert session.branch_end == 0


@pytest.mark.parametrize("name", optimizers())
def test_every_optimiser_that_can_be_chosen_steps_and_is_found_again(name: str) -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    stepped(session, 3)
    assert session.tune(Tuning(optimizer=name))[1] == f"{name}, lr 0.02"
    records = stepped(session, 6)
    session.go_to(5)
    assert stepped(session, 4) == records[2:]
    session.go_to(2)
    assert stepped(session, 1) != records[:1]


def test_the_optimisers_to_choose_from_are_pyros() -> None:
    assert {"Adam", "ClippedAdam", "SGD", "RMSprop", "AdagradRMSProp", "DCTAdam"} <= set(
        optimizers()
    )
    assert not {"SparseAdam", "Muon", "HorovodOptimizer", "ExponentialLR"} & set(optimizers())
    with pytest.raises(UsageError, match="no optimizer"):
        Session("no_theta").tune(Tuning(optimizer="Adamm"))


@pytest.mark.slow
def test_a_script_branches_and_swaps(tmp_path: Path) -> None:
    keys = "6n 3N t(lr 0.5, particles 2) 4n G 2n"
    code, out, err = ran("run", "no_theta", "--script", keys, "--json")
    assert (code, err) == (0, "")
    found = untimed(out)
    assert [record["step"] for record in found] == [*range(1, 7), 4, 5, 6, 7, 7, 8]
    _, out, _ = ran("run", "no_theta", "--steps", "8", "--json")
    plain = untimed(out)
    assert found[:6] + found[10:] == plain
    assert found[6:8] != plain[3:5]
