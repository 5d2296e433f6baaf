"""The engine's process: what it does with each command, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.engine.client import Client, engine, untimed
from tests.engine.sources import SMALL, small, write
from tui_elbo import protocol
from tui_elbo.engine.session import Session
from tui_elbo.protocol import (
    Capabilities,
    EngineBusy,
    ErrorReported,
    FindingsChanged,
    Hello,
    LayoutAdded,
    Load,
    Loaded,
    Pause,
    Restart,
    RunStatus,
    RunUntil,
    Step,
    StepsRecorded,
    WarningIssued,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One engine for all tests of this file; each loads its own scenario."""
    with engine() as client:
        yield client


NOTED = (
    '"""The title\n\nSome *notes*."""\n' + SMALL + "seed = 3\nsteps = 50\nreference = {'elbo': -1}"
)


def test_the_first_words_are_hello() -> None:
    with engine() as fresh:
        assert fresh.seen[0] == Hello(protocol.VERSION, fresh.process.pid)
        assert fresh.until(EngineBusy) == EngineBusy("importing torch and Pyro")
        # A Step before any Load is carried out as far as that goes.
        level = fresh.ask(Step())
        assert (level.state, level.step, level.seq) == ("paused", 0, 1)


def test_a_load_reports_what_was_loaded(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path, NOTED)
    level = client.load(path)
    assert level == RunStatus("paused", 0, None, 0.0, level.seq)
    (loaded,) = [event for event in client.seen if isinstance(event, Loaded)]
    assert loaded == Loaded(
        name="scenario.py",
        path=str(path),
        title="The title",
        notes="Some *notes*.",
        seed=3,
        steps=50,
        estimator="Trace_ELBO",
        optimizer="Adam, lr 0.05",
        reference={"elbo": -1},
        estimators=loaded.estimators,
        optimizers=loaded.optimizers,
    )
    assert "TraceMeanField_ELBO" in loaded.estimators
    kinds = [type(event) for event in client.seen]
    assert kinds.index(EngineBusy) < kinds.index(Loaded) < len(kinds) - 1
    levels = [event for event in client.seen if isinstance(event, RunStatus)]
    assert [x.state for x in levels] == ["loading", "paused"]


def test_a_scenario_can_do_everything_but_what_it_was_started_without(
    client: Client, tmp_path: Path
) -> None:
    path, without = write(tmp_path, SMALL), "there is no lens: the run was started with --draws 0"
    for draws, allowed in ((None, Capabilities()), (0, Capabilities(lens=without))):
        client.load(path, draws=draws)
        (loaded,) = [event for event in client.seen if isinstance(event, Loaded)][-1:]
        assert loaded.capabilities == allowed


def test_counts_add_up(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    for count in (1, 4, 10, 0, -3):
        last = client.send(Step(count=count))
    level = client.still(last)
    # A count of less than one is one.
    assert (level.state, level.step, level.target) == ("paused", 17, None)
    assert len(client.records()) == 17
    assert client.ask(Step(count=3)).step == 20


def test_rows_come_whole_and_in_order(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    assert client.ask(RunUntil(until=300)).step == 300
    assert [record.step for record in client.records()] == list(range(1, 301))
    described: set[int] = set()
    for event in client.seen:
        if isinstance(event, LayoutAdded):
            assert event.layout.id not in described
            described.add(event.layout.id)
        if isinstance(event, StepsRecorded):
            assert event.layout in described
    # A level never runs ahead of the rows.
    taken = 0
    for event in client.seen:
        if isinstance(event, StepsRecorded):
            taken = event.first + event.count - 1
        if isinstance(event, RunStatus):
            assert event.step == taken


def test_levels_repeat_the_number_of_what_was_carried_out(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    first = client.send(RunUntil())
    client.until(RunStatus, lambda x: x.seq == first and x.state == "running" and x.step > 20)
    level = client.ask(Pause())
    assert level.state == "paused"
    numbers = [event.seq for event in client.seen if isinstance(event, RunStatus)]
    assert numbers == sorted(numbers)


def test_a_pause_drops_the_steps_still_to_be_taken(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    client.send(Step(count=10**9))
    running = client.until(RunStatus, lambda x: x.state == "running" and x.step > 0)
    assert running.target == 10**9
    stopped = client.ask(Pause()).step
    assert stopped < 10**9
    # Nothing is left of the first count.
    assert client.ask(Step()).step == stopped + 1
    assert len(client.records()) == stopped + 1


def test_a_run_stops_where_it_is_asked_to(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    assert client.ask(RunUntil(until=30)).step == 30
    assert client.ask(RunUntil(until=30)).step == 30
    assert client.ask(RunUntil(until=10)).step == 30
    assert client.ask(RunUntil(until=40)).step == 40
    # Steps asked for while it runs freely are taken from there on, and then it stands.
    client.send(RunUntil())
    client.until(RunStatus, lambda x: x.state == "running" and x.step > 60)
    level = client.ask(Step(count=5))
    assert level.state == "paused"
    assert level.step == len(client.records())


def test_a_restart_begins_the_same_run_again(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    client.ask(Step(count=20))
    first = client.records()
    level = client.ask(Restart())
    assert (level.state, level.step) == ("paused", 0)
    client.ask(Step(count=20))
    assert untimed(client.records()) == untimed(first)


def test_records_are_those_of_a_session(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path, small(guide="pyro.param('big', torch.zeros(4, 5))"))
    client.load(path, seed=5)
    client.ask(Step(count=25))
    session = Session(str(path), seed=5)
    told = [record for batch in session.advance(25) for record in batch.records()]
    assert untimed(client.records()) == untimed(told)
    assert all(record.seconds > 0 for record in client.records())


def test_a_load_that_fails_leaves_an_engine_that_loads(client: Client, tmp_path: Path) -> None:
    level = client.load(write(tmp_path, "raise ValueError('no')"))
    (fault,) = client.faults()
    assert (fault.kind, fault.what, fault.step) == ("load", "ValueError: no", 0)
    assert fault.where == f"{tmp_path / 'scenario.py'}:1"
    assert level.state == "failed"
    assert client.ask(Step()).state == "failed"
    write(tmp_path, SMALL)
    assert client.ask(Restart()).state == "paused"
    assert client.ask(Step()).step == 1


def test_what_cannot_be_found_is_a_fault_of_loading(client: Client, tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "nothing.py", "no_such_name", "~nobody/x", "x" * 5000):
        level = client.load(target)
        assert level.state == "failed"
        assert client.faults()[0].kind == "load"
    assert client.load(write(tmp_path, SMALL), device="banana").state == "failed"
    assert client.load(write(tmp_path, SMALL), threads=0).state == "failed"
    assert client.load(write(tmp_path, SMALL), seed=2**40).state == "failed"
    assert client.load(write(tmp_path, SMALL)).state == "paused"


FAILS = """
from pathlib import Path
def batch(step):
    if step == 7 and Path(__file__).with_name("stop").exists():
        raise ValueError("at 7")
    return ()
"""


def test_a_step_that_fails_stays_and_goes_on(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path, small(tail=FAILS))
    client.load(path)
    client.ask(Step(count=20))
    plain = untimed(client.records())
    write(tmp_path, "", "stop")
    client.ask(Restart())
    level = client.ask(Step(count=20))
    (fault,) = client.faults()
    assert (fault.kind, fault.step, level.step) == ("step", 6, 6)
    assert "step 7 raised ValueError: at 7" in fault.what
    assert 'raise ValueError("at 7")' in fault.traceback
    assert client.ask(RunUntil()).step == 6
    (tmp_path / "stop").unlink()
    assert client.ask(RunUntil(until=20)).step == 20
    assert untimed(client.records()) == plain


def test_a_loss_that_is_not_finite_stops_the_run_on_its_step(
    client: Client, tmp_path: Path
) -> None:
    factor = "pyro.factor('f', torch.tensor(float('-inf') if at[0] == 5 else 0.0))"
    tail = "at = [0]\ndef batch(step):\n    at[0] = step\n    return ()\n"
    client.load(write(tmp_path, small(model=factor, tail=tail)))
    level = client.ask(RunUntil())
    assert level.step == 5
    (fault,) = client.faults()
    assert (fault.kind, fault.step) == ("nonfinite", 5)
    assert 'step 5: log p of site "f" is -inf' in fault.what
    assert client.ask(Step()).step == 6
    assert len(client.faults()) == 1


def test_warnings_are_remarks(client: Client, tmp_path: Path) -> None:
    warns = "import warnings\nwarnings.warn('careful \\x1b[31m[red]')\n"
    client.load(write(tmp_path, small(tail=warns)))
    client.ask(Step(count=3))
    remarks = [event for event in client.seen if isinstance(event, WarningIssued)]
    assert any("careful \x1b[31m[red]" in remark.text for remark in remarks)


def test_what_is_wrong_before_the_first_step_is_sent(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, small(guide="pyro.sample('w', dist.Normal(0., 1.))")))
    (found,) = client.until(FindingsChanged).findings
    assert (found.name, found.subject.name) == ("not-in-model", "w")


NAMES = ["[red]", "a\nb", "\x1b[31m", "\ud800", "é θ", ""]


def test_names_travel_as_they_are(client: Client, tmp_path: Path) -> None:
    body = "\n".join(f"pyro.param({name!r}, torch.tensor(0.0))" for name in NAMES)
    client.load(write(tmp_path, small(guide=body)))
    client.ask(Step(count=2))
    assert client.faults() == []
    names = [name.encode("utf-8", "backslashreplace").decode() for name in NAMES]
    assert list(client.records()[-1].params) == [*names, "loc"]


def test_an_unexpected_reference_is_reported_and_loads(client: Client, tmp_path: Path) -> None:
    tail = "import numpy\nreference = {'params': {'loc': numpy.ones(2)}, 'elbo': 10**30, 3: ()}"
    assert client.load(write(tmp_path, small(tail=tail))).state == "paused"
    assert client.faults() == []
    (loaded,) = [event for event in client.seen if isinstance(event, Loaded)]
    assert loaded.reference == {"params": {"loc": [1.0, 1.0]}, "elbo": str(10**30), "3": []}


def test_a_command_that_does_not_fit_the_numbers_is_survived(
    client: Client, tmp_path: Path
) -> None:
    client.load(write(tmp_path, SMALL))
    client.send(Step(count=2**63))
    client.send(Step(count=2**63))
    client.ask(Pause())
    assert client.ask(Load(target=str(tmp_path / "scenario.py"))).step == 0
    assert client.ask(Step(count=2)).step == 2


def test_long_texts_are_cut(client: Client, tmp_path: Path) -> None:
    text = "import warnings\nwarnings.warn('w' * 10**8)\nraise ValueError('x' * 10**8)"
    client.load(write(tmp_path, small(tail=text)))
    (fault,) = client.faults()
    assert isinstance(fault, ErrorReported)
    assert fault.what.startswith("ValueError: xxx")
    assert len(msgspec.msgpack.encode(fault)) < 300_000
