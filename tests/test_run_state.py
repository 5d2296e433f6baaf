"""A terminal that comes later is sent the branch that the run is on, wherever it has been."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from msgspec.structs import replace

from tests.ui.test_state import LAYOUT, loaded, rows
from tui_elbo import protocol
from tui_elbo.model.attribution import AttributionPath, no_samples
from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol import (
    AnyEvent,
    BranchesListed,
    BranchInfo,
    BranchSwitched,
    EngineBusy,
    ErrorReported,
    Event,
    LayoutAdded,
    LensPointAdded,
    Rewound,
    RunFlagged,
    RunSaved,
    RunStatus,
    SteppedInto,
    Tuned,
    WarningIssued,
)
from tui_elbo.protocol.run_state import RunState, changes_in_words


def folded(events: Iterable[Event]) -> RunState:
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def sent(state: RunState) -> RunState:
    """What another process folds from all that it is sent."""
    data = b"".join(map(protocol.frame, state.events()))
    return folded(protocol.Decoder[AnyEvent](AnyEvent).feed(data))


def known(state: RunState) -> tuple[list[float], list[str]]:
    """The losses and the changes of settings of a run, and of the branch that it has left."""
    losses = state.history.values(LAYOUT.columns[0]).tolist()
    return losses, [tuned.text for tuned in state.tunings]


def listed(*branches: tuple[int, int, int]) -> BranchesListed:
    return BranchesListed(tuple(BranchInfo(*one) for one in branches))


def left(state: RunState) -> object:
    return {
        number: (
            branch.history.values(LAYOUT.columns[0]).tolist(),
            [tuned.text for tuned in branch.tunings],
            branch.since,
            branch.settings,
            branch.saved,
        )
        for number, branch in state.branches.items()
    }


def test_what_a_file_holds_of_a_run_is_known_also_of_its_branch() -> None:
    run = folded((replace(loaded(), saved=9), LayoutAdded(LAYOUT), rows(1, *[np.arange(9.0)] * 4)))
    for event in (Rewound(4, 1), listed((1, 4, 9))):
        run.apply(event)
    assert run.saved == 4
    again = sent(run)
    assert again.saved == 4
    for state in (run, again):
        state.apply(BranchSwitched(1, 9, 0))
        assert state.saved == 9
    run.apply(rows(10, *[np.arange(3.0)] * 4))
    assert run.saved == 9
    run.apply(RunSaved("x.run", 12))
    assert run.saved == 12


def test_the_run_that_is_sent_is_the_one_that_it_has_gone_over_to() -> None:
    first, second = np.arange(9.0), np.arange(20.0, 23.0)
    run = folded((loaded(), LayoutAdded(LAYOUT), rows(1, *[first] * 4), Rewound(4, 1)))
    run.apply(Tuned(4, "lr 0.5", "", ""))
    run.apply(rows(5, *[second] * 4))
    branch = [*first[:4], *second]
    assert known(sent(run)) == (branch, ["lr 0.5"])
    run.apply(SteppedInto(7, ()))
    run.apply(BranchSwitched(1, 9, 2))
    assert known(sent(run)) == (first.tolist(), [])
    run.apply(rows(10, *[[1.0]] * 4))
    run.apply(BranchSwitched(2, 7, 3))
    assert known(sent(run)) == (branch, ["lr 0.5"])
    run.apply(rows(8, *[[2.0]] * 4))
    assert known(sent(run)) == ([*branch, 2.0], ["lr 0.5"])


def test_the_branch_that_was_left_is_sent_as_well() -> None:
    first, second = np.arange(9.0), np.arange(20.0, 23.0)
    run = folded(
        (loaded(), LayoutAdded(LAYOUT), Tuned(0, "lr 0.1", "A", "B"), rows(1, *[first] * 4))
    )
    run.apply(Tuned(6, "lr 0.2", "C", "D"))
    for event in (Rewound(4, 1), listed((1, 4, 9))):
        run.apply(event)
    for _ in range(2):
        there = sent(run)
        assert (known(there), left(there)) == (known(run), left(run))
        assert left(there) == {1: (first.tolist(), ["lr 0.1", "lr 0.2"], 4, ("C", "D"), 0)}
        run.apply(rows(run.step + 1, *[second] * 4))
    there = sent(run)
    for state in (run, there):
        state.apply(BranchSwitched(1, 9, 2))
    assert (known(there), left(there)) == (known(run), left(run))
    assert known(there) == (first.tolist(), ["lr 0.1", "lr 0.2"])


def test_every_branch_is_sent_and_those_not_listed_are_dropped() -> None:
    run = folded((loaded(), LayoutAdded(LAYOUT), rows(1, *[np.arange(9.0)] * 4)))
    run.apply(LensPointAdded(AttributionPath().extend(0, no_samples(), (), note="why")))
    for event in (
        Rewound(4, 1),
        listed((1, 4, 9)),
        Tuned(4, "lr 0.5", "", ""),
        rows(5, *[[20.0, 21.0]] * 4),
        Rewound(2, 2),
        listed((1, 2, 9), (2, 2, 6)),
        RunSaved("x.run", 6, 2),
        rows(3, *[[30.0]] * 4),
    ):
        run.apply(event)
    there = sent(run)
    assert (known(there), left(there)) == (known(run), left(run))
    assert [one.saved for one in there.branches.values()] == [0, 6]
    assert there.saved == run.saved == 0
    for state in (run, there):
        state.apply(listed((2, 2, 6)))
    assert left(there) == left(run)
    assert set(run.branches) == {2}
    assert run.branches[2].changes == "lr 0.5 from step 5"
    with pytest.raises(ProtocolError, match="nobody has seen"):
        run.apply(listed((1, 2, 9)))


def test_what_was_changed_is_said_from_step_to_step() -> None:
    def changed(*tunings: Tuned, last: int = 9) -> str:
        return changes_in_words(replace(loaded(), optimizer="Adam, lr 0.02"), tunings, last)

    began = "as it began, Trace_ELBO, Adam, lr 0.02"
    assert changed() == began
    assert changed(Tuned(9, "lr 0.5", "", "")) == began
    first, second = Tuned(4, "SGD, lr 0.5", "", ""), Tuned(6, "lr 0.1, 4 particles", "", "")
    assert changed(first, second) == (
        "lr 0.5 -> 0.1, 4 particles from step 7; SGD, lr 0.02 -> 0.5 from step 5"
    )
    mean = Tuned(9, "mean of steps 3 to 9", "", "")
    assert changed(mean) == "mean of steps 3 to 9 at step 9"


def test_what_is_sent_is_the_whole_state() -> None:
    run = folded((loaded(elbo=1.0), LayoutAdded(LAYOUT), rows(1, *[[1.0, 2.0]] * 4)))
    fault = ErrorReported("what", "where", "todo", "trace", 2, "step")
    for event in (
        WarningIssued("text", "UserWarning"),
        LensPointAdded(AttributionPath().extend(0, no_samples(), (), note="why")),
        RunFlagged("source", "changed"),
        RunStatus("paused", 2, None, 0.0, 5),
        fault,
        EngineBusy("busy"),
    ):
        run.apply(event)
    there = sent(run)
    assert there.loaded == run.loaded
    assert (there.fault, there.phase, there.level) == (fault, "busy", run.level)
    assert there.cautions == run.cautions
    assert [point.note for point in there.lens_history] == ["why"]
    assert known(there) == known(run)
    assert [type(event) for event in there.events()] == [type(event) for event in run.events()]
