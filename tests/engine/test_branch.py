"""A rewind leaves a branch behind, and the run can swap with it and back, exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ran, untimed
from tests.engine.wander import stepped
from tui_elbo.engine.rewind import replay
from tui_elbo.engine.rewind.replay import ReplayableRun
from tui_elbo.engine.session import Session
from tui_elbo.engine.tuning import optimizers
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning

CHANGES = [
    Tuning(lr=0.5),
    Tuning(optimizer="SGD", lr=0.001),
    Tuning(particles=3, estimator="RenyiELBO"),
]


def ends(session: Session) -> list[int]:
    return [branch.end for branch in session.branches]


@pytest.mark.parametrize(("memory", "to"), [(2**26, 0), (2**26, 8), (0, 8)])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_run_goes_over_to_what_it_left_and_back(change: Tuning, memory: int, to: int) -> None:
    session = Session("learned_prior", checkpoint_memory=memory)
    plain = stepped(session, 20)
    session.go_to(to)
    assert ends(session) == [20]
    session.tune(change)
    branch = stepped(session, 6)
    assert branch[2:] != plain[to + 2 : to + 6]
    session.switch()
    assert (session.steps_taken, ends(session)) == (20, [to + 6])
    on = stepped(session, 3)
    session.go_to(18)
    assert stepped(session, 2) == plain[18:20]
    session.switch()
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
        session.switch()
        session.switch()
    tuned += stepped(session, 4)
    session.switch()
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
        assert ends(session) == [20]
    session.switch()
    assert (session.steps_taken, ends(session)) == (20, [])
    session.go_to(19)
    assert stepped(session, 1) == records[19:]


def test_there_is_nothing_to_swap_with_before_rewinding() -> None:
    session = Session("no_theta")
    stepped(session, 3)
    with pytest.raises(UsageError, match="there is no branch"):
        session.switch()
    session.go_to(1)
    session.restart()
    assert not session.branches


def test_any_number_of_branches_is_kept_and_each_is_gone_over_to_bit_for_bit() -> None:
    session = Session("eight_schools", checkpoint_memory=2**26)
    path = stepped(session, 14)
    paths = {14: path}
    for to, rate, end in ((9, 0.3, 15), (4, 0.1, 16), (6, 0.01, 17), (0, 0.2, 18)):
        session.go_to(to)
        session.tune(Tuning(lr=rate))
        path = path[:to] + stepped(session, end - to)
        paths[end] = path
    assert [(one.number, one.since, one.end) for one in session.branches] == [
        (1, 0, 14), (2, 0, 15), (3, 0, 16), (4, 0, 17)
    ]  # fmt: skip
    for end in (15, 18, 17, 14, 16, 15):
        session.switch(next(one.number for one in session.branches if one.end == end))
        assert session.steps_taken == end
        session.go_to(end - 2)
        assert stepped(session, 2) == paths[end][-2:]
        session.switch()
        assert sorted(one.end for one in session.branches) == sorted({*paths} - {end})
    assert session.repeatable


def test_a_branch_is_left_at_the_last_step_that_both_have() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    stepped(session, 10)
    session.go_to(6)
    session.tune(Tuning(lr=0.5))
    stepped(session, 4)
    session.go_to(8)
    session.tune(Tuning(lr=0.1))
    stepped(session, 4)
    assert [(one.number, one.since) for one in session.branches] == [(1, 6), (2, 8)]
    assert session.switch(1) == 3
    assert [(one.number, one.since) for one in session.branches] == [(2, 6), (3, 6)]
    session.switch(3)
    assert [(one.number, one.since) for one in session.branches] == [(2, 8), (4, 6)]
    session.remove_branch(2)
    assert [one.number for one in session.branches] == [4]
    with pytest.raises(UsageError, match="there is no branch 2"):
        session.switch(2)
    assert session.steps_taken == 12


def test_going_over_runs_no_step_again(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session("network", checkpoint_memory=2**26)
    stepped(session, 3)
    session.go_to(0)
    session.tune(Tuning(lr=0.01))
    stepped(session, 3)
    taken: list[int] = []
    monkeypatch.setattr(ReplayableRun, "_repeat_step", lambda *_, **__: taken.append(1))
    session.switch()
    session.switch()
    assert not taken


def test_the_oldest_branch_gives_way_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BRANCHES", 2)
    said: list[str] = []
    session = Session("no_theta", checkpoint_memory=2**26, warn=said.append)
    for rate in (0.1, 0.2, 0.3, 0.4):
        stepped(session, 3)
        session.go_to(1)
        session.tune(Tuning(lr=rate))
    assert [one.number for one in session.branches] == [3, 4]
    assert len(said) == 2
    assert said[0].startswith("the oldest branch, steps 2 to 3, is dropped")
    assert session.checkpoint_bytes <= 2 * 2**26


def test_branches_keep_their_states_within_as_much_memory_as_the_run() -> None:
    session = Session("no_theta", checkpoint_memory=2**20)
    paths: list[list[bytes]] = []
    for rate in (0.1, 0.2, 0.3):
        paths.append(stepped(session, 60 - session.steps_taken))
        session.go_to(1)
        session.tune(Tuning(lr=rate))
    assert [one.end for one in session.branches] == [60, 60, 60]
    assert session.checkpoint_bytes <= 2 * 2**20
    session.switch(1)
    session.go_to(58)
    assert stepped(session, 2) == paths[0][-2:]


def test_branches_of_a_file_executed_too_often_are_found_again_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "EXECUTIONS", 1)
    session = Session("no_theta", checkpoint_memory=2**26)
    plain = stepped(session, 3)
    for rate in (0.1, 0.2):
        session.go_to(0)
        session.tune(Tuning(lr=rate))
        stepped(session, 2)
    assert len(session._run.executions) == 2
    session.switch(1)
    session.go_to(1)
    assert stepped(session, 2) == plain[1:]


def test_a_step_of_another_path_is_not_undone() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    stepped(session, 6)
    session.go_to(4)
    session.step_into()
    session.tune(Tuning(lr=0.5))
    stepped(session, 1)
    session.go_to(5)
    session.switch()
    with pytest.raises(UsageError, match="just stepped into"):
        session.undo()


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
