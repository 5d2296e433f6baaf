"""What the terminal knows of a run, applied event by event."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tui_elbo import protocol
from tui_elbo.client.run_state import Run
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.findings import Finding, Subject
from tui_elbo.model.records import Column, Layout
from tui_elbo.model.verdict import Verdict
from tui_elbo.protocol import (
    EngineBusy,
    ErrorReported,
    FindingsChanged,
    LayoutAdded,
    Loaded,
    RunStatus,
    VerdictReached,
    WarningIssued,
)
from tui_elbo.ui.plot.run_curves import curves, status_summary

COLUMNS = tuple(Column("step", "", field) for field in ("loss", "elbo", "log_p", "log_q"))
LAYOUT = Layout(7, (), (), COLUMNS)


def loaded(**reference) -> Loaded:
    return Loaded("n", "p", "t", "", 0, 200, "Trace_ELBO", "Adam", reference)


def rows(first: int, *columns) -> protocol.StepsRecorded:
    return protocol.StepsRecorded(LAYOUT.id, first, np.array(columns, dtype=float))


@pytest.fixture
def run() -> Run:
    run = Run()
    run.apply(loaded())
    run.apply(LayoutAdded(LAYOUT))
    return run


def test_rows_become_history(run):
    run.apply(rows(1, [3, 2], [-3, -2], [-4, -3], [-1, -1]))
    run.apply(rows(3, [1], [-1], [-2], [-1]))
    assert run.step == 3
    assert curves(run, run.step)[2].values.tolist() == [-3, -2, -1]


def test_rows_that_do_not_follow_are_an_error(run):
    with pytest.raises(ProtocolError, match="steps from 2 on after step 0"):
        run.apply(rows(2, [1], [-1], [-2], [-1]))


def test_rows_of_no_layout_are_an_error():
    with pytest.raises(ProtocolError, match="never described"):
        Run().apply(rows(1, [1], [-1], [-2], [-1]))


def test_a_new_start_begins_the_history_anew(run):
    run.apply(rows(1, [3], [-3], [-4], [-1]))
    run.apply(loaded())
    assert run.step == 0
    run.apply(rows(1, [3], [-3], [-4], [-1]))
    assert run.step == 1


def test_a_fault_stands_until_a_step_goes_well(run):
    fault = ErrorReported("what", "where", "todo", "", 0, "step")
    run.apply(fault)
    run.apply(RunStatus("paused", 0, None, 0.0, 1))
    assert run.fault is fault
    run.apply(rows(1, [3], [-3], [-4], [-1]))
    assert run.fault is None


def test_a_phase_lasts_until_the_engine_stands(run):
    run.apply(EngineBusy("importing torch"))
    run.apply(RunStatus("loading", 0, None, 0.0, 0))
    assert run.phase == "importing torch"
    run.apply(RunStatus("paused", 0, None, 0.0, 1))
    assert run.phase == ""


def test_remarks_go_to_the_output(run):
    run.apply(WarningIssued("text", "UserWarning"))
    assert run.output.shown() == ["UserWarning: text"]


def test_a_lost_engine_leaves_the_history(run):
    run.apply(rows(1, [3], [-3], [-4], [-1]))
    run.lost("the engine was killed (signal 9)")
    assert run.step == 1
    assert status_summary(run, run.step, running=False, count="").dead
    run.reconnected()
    assert (run.step, run.dead) == (1, "")


def test_a_loss_that_is_not_minus_elbo_is_shown_by_name(run):
    run.apply(rows(1, [3], [-3], [-4], [-1]))
    assert curves(run, run.step)[2].title == "ELBO"
    run.apply(rows(2, [3.5], [-3], [-4], [-1]))
    assert curves(run, run.step)[2].title == "ELBO -3.0000, loss 3.50000"
    run.apply(rows(3, [3], [-3], [-4], [-1]))
    assert curves(run, run.step)[2].title == "ELBO -3.0000, loss 3.00000"


def test_float32_rounding_of_large_terms_is_no_difference(run):
    run.apply(rows(1, [3.0 + 1e-6], [-3], [-4], [-1]))
    run.apply(rows(2, [0.06], [0.0], [-1e6], [-1e6]))
    assert curves(run, run.step)[2].title == "ELBO"


def test_references_are_lines_of_the_elbo():
    run = Run()
    run.apply(loaded(log_evidence=-5.0, elbo=-5.0))
    assert curves(run, run.step)[2].references == (("log p(x)", -5.0),)
    run.apply(loaded(log_evidence=-5.0, elbo=-5.5))
    assert curves(run, run.step)[2].references == (("best", -5.5), ("log p(x)", -5.0))
    run.apply(loaded())
    assert curves(run, run.step)[2].references == ()


@pytest.mark.parametrize("state", ["improving", "stationary", "stopped"])
def test_no_good_verdict_stands_beside_a_warning(run, state):
    def words():
        return status_summary(run, run.step, running=False, count="").verdict[0]

    run.apply(rows(1, [3], [-3], [-4], [-1]))
    run.apply(VerdictReached(Verdict(state, 1, 0.1)))
    said = words()
    assert said
    note = Finding("SVI044", "no-gradient", "note", Subject("param", "loc"), "m", "h")
    run.apply(FindingsChanged((note,)))
    assert words() == said
    run.apply(FindingsChanged((msgspec.structs.replace(note, level="warning"),)))
    assert words() == (said if state == "stopped" else "")


def test_the_status_counts_errors_and_warnings(run):
    assert status_summary(run, 0, running=False, count="").marks == ()
    run.apply(WarningIssued("a warning", "UserWarning"))
    run.apply(WarningIssued("another", "UserWarning"))
    fault = ErrorReported("what", "where", "todo", "", 0, "step")
    run.apply(fault)
    run.apply(ErrorReported("no such thing", "", "", "", 0, "refused"))
    [(long, short)] = status_summary(run, 0, running=False, count="").marks
    assert (long, short) == ("1 error, 2 warnings", "1 err")
    assert run.last_error.kind == "refused"


def test_a_step_of_which_only_the_loss_was_read_lacks_no_term(run):
    run.apply(rows(1, [3, 2], [-3, -2], [-4, -3], [-1, -1]))
    run.apply(LayoutAdded(Layout(8, (), (), COLUMNS[:1], "not read", skimmed=True)))
    run.apply(protocol.StepsRecorded(8, 3, np.array([[1.0, 0.5]])))
    assert run.history.layout is LAYOUT
    for curve in curves(run, run.step):
        assert curve.absent.tolist() == [False, False, True, True]
        assert np.isfinite(curve.values).tolist() == [True, True, False, False]
    status = status_summary(run, 4, running=False, count="")
    assert status.terms == (("loss", 0.5),)
    assert ("only its loss was read", "loss only") in status.marks
    assert not status_summary(run, 2, running=False, count="").marks
    run.apply(rows(5, [0.0], [0.0], [0.0], [0.0]))
    assert curves(run, run.step)[2].absent.tolist() == [False, False, True, True, False]
