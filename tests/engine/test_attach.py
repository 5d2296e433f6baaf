"""A run whose terminal goes, and those who come to it later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engine.client import (
    Client,
    ClosedError,
    Speaker,
    engine,
    history,
    steps,
    visitor,
)
from tests.engine.sources import SMALL, small, write
from tests.runtime import runtime_folder
from tui_elbo.client import registry
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    Attach,
    BranchRestored,
    ErrorReported,
    Hello,
    Interrupt,
    Load,
    Loaded,
    Pause,
    Printed,
    ReportStatus,
    Restart,
    RewindTo,
    RunIdAssigned,
    RunStatus,
    RunUntil,
    StatusReported,
    Step,
    StepsRecorded,
    TakenOver,
    Tune,
    Tuned,
    WarningIssued,
    runtime_dir,
)


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def run(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a run that has lost its terminal; one engine for most tests here."""
    with engine(None, apart=True) as first:
        path = loaded(first, write(tmp_path_factory.mktemp("first"), SMALL))
        first.ask(Step())
        first.hang_up()
        yield path
        registry.end(path)
        assert not path.exists()
        assert first.end() == 0


def loaded(client: Client, path: Path) -> Path:
    """Have the scenario loaded; returns the socket of its run."""
    client.load(path)
    (named,) = [event for event in client.seen if isinstance(event, RunIdAssigned)]
    assert named.why == ""
    return runtime_dir.path_of(named.id)


@contextmanager
def terminal(run: Path, scenario: Path) -> Iterator[Speaker]:
    """The run's terminal, which has had this scenario loaded."""
    with visitor(run) as speaker:
        attach(speaker)
        speaker.load(scenario)
        yield speaker


def attach(speaker: Speaker) -> RunStatus:
    """Become the terminal, and be told everything; returns how the run stands."""
    speaker.send(Attach())
    speaker.until(Loaded)
    return speaker.until(RunStatus)


def test_whoever_attaches_gets_everything(run: Path, tmp_path: Path) -> None:
    prints = "def batch(step):\n    if step == 3: print('printed')\n    return ()\n"
    with terminal(run, write(tmp_path, small(tail=prints))) as first:
        first.ask(Step(count=10))
        first.ask(Tune(tuning=Tuning(lr=0.2)))
        first.ask(Step(count=10))
        first.ask(RewindTo(step=15))
        first.ask(Step(count=2))
        known = history(first.seen)
        assert known.last == 17
    with visitor(run) as later:
        level = attach(later)
        assert (level.state, level.step, level.seq) == ("paused", 17, 0)
        assert steps(history(later.seen)) == steps(known)
        assert [type(event) for event in later.seen[:3]] == [Hello, Loaded, RunIdAssigned]
        (cut,) = (i for i, e in enumerate(later.seen) if isinstance(e, BranchRestored))
        for path in (later.seen[:cut], later.seen[cut:]):
            assert [(e.step, e.text) for e in path if isinstance(e, Tuned)] == [(10, "lr 0.2")]
        assert history(later.seen[:cut]).last == 20
        assert b"printed\n" in b"".join(e.data for e in later.seen if isinstance(e, Printed))
        # Commands are numbered anew by each terminal.
        assert later.still(later.send(Step(count=3))).step == 20
        assert history(later.seen).last == 20


def test_a_run_goes_on_to_what_it_was_asked_and_waits(run: Path, tmp_path: Path) -> None:
    with terminal(run, write(tmp_path, SMALL)) as first:
        first.send(RunUntil(until=300))
        first.until(RunStatus, lambda level: level.step > 0)
    with visitor(run) as later:
        attach(later)
        later.until(RunStatus, lambda level: level.state == "paused" and level.step == 300)
        assert len(steps(history(later.seen))) == 300
        later.ask(Restart())
        later.ask(Step(count=2))
        assert history(later.seen).last == 2


def test_a_second_terminal_takes_over_from_the_first(run: Path, tmp_path: Path) -> None:
    with terminal(run, write(tmp_path, SMALL)) as first, visitor(run) as second:
        first.send(RunUntil())
        first.until(StepsRecorded)
        assert attach(second).state == "running"
        first.until(TakenOver)
        with pytest.raises(ClosedError):
            first.next()
        level = second.ask(Pause())
        assert history(second.seen).last == level.step
        with pytest.raises(OSError, match=r"pipe|reset"):
            first.send(Step())
        assert second.ask(Step()).step == level.step + 1


def test_prints_never_hold_up_a_run_that_nobody_looks_at(run: Path, tmp_path: Path) -> None:
    noise = "import os\ndef batch(step):\n    print('x' * 100_000)\n"
    noise += "    os.write(2, b'y' * 100_000 + b'\\nend of %d\\n' % step)\n    return ()\n"
    with terminal(run, write(tmp_path, small(tail=noise))) as first:
        first.send(RunUntil(until=40))
    with visitor(run) as later:
        attach(later)
        later.until(RunStatus, lambda level: level.step == 40 and level.state == "paused")
        while b"end of 40\n" not in b"".join(e.data for e in later.seen if isinstance(e, Printed)):
            later.next()
        assert [e for e in later.seen if isinstance(e, ErrorReported)] == []


def test_a_model_that_hangs_is_attached_to_and_interrupted(run: Path, tmp_path: Path) -> None:
    hangs = "import warnings\nwarnings.simplefilter('always')\ndef batch(step):\n"
    hangs += "    if step == 4:\n        warnings.warn('hanging')\n        while True: pass\n"
    with terminal(run, write(tmp_path, small(tail=hangs + "    return ()\n"))) as first:
        first.send(Step(count=9))
        first.until(WarningIssued, lambda remark: "hanging" in remark.text)
    with visitor(run) as later:
        attach(later)
        later.send(Interrupt())
        fault = later.until(ErrorReported)
        assert (fault.kind, fault.step) == ("interrupted", 3)
        later.until(RunStatus, lambda level: level.state == "paused" and level.step == 3)


def test_a_client_may_ask_and_nothing_else(run: Path, tmp_path: Path) -> None:
    source = write(tmp_path, SMALL)
    with terminal(run, source) as first, visitor(run) as other:
        first.ask(Step(count=3))
        for command in (Step(), RunUntil(), Load(target=str(source)), Restart(), Interrupt()):
            other.send(command)
            assert other.until(ErrorReported).kind == "refused"
        other.send(ReportStatus())
        stands = other.until(StatusReported)
        assert (stands.id, stands.scenario, stands.step, stands.state, stands.path) == (
            "scenario", "scenario.py", 3, "paused", str(source)
        )  # fmt: skip
        assert (stands.attached, stands.watched) == (True, False)
        assert first.ask(Step()).step == 4


@pytest.mark.slow
def test_live_runs_are_found_by_name(run: Path, tmp_path: Path) -> None:
    assert registry.choose(None) == registry.choose("scenario") == run
    with pytest.raises(UsageError, match="no live run of this name") as caught:
        registry.choose("scenari")
    assert caught.value.hint == "did you mean scenario?"
    with engine(apart=True) as second:
        assert loaded(second, write(tmp_path, SMALL)).stem == "scenario-2"
        assert [found.id for found in registry.runs()] == ["scenario", "scenario-2"]
        with pytest.raises(UsageError, match="2 live runs") as caught:
            registry.choose(None)
        assert "scenario, scenario-2" in caught.value.hint
        os.kill(second.process.pid, signal.SIGTERM)
        assert second.end() == 128 + signal.SIGTERM
        assert [path.stem for path in runtime_dir.socket_paths()] == ["scenario"]


@pytest.mark.slow
def test_a_dead_engine_leaves_nothing_that_lasts(runtime: Path, tmp_path: Path) -> None:
    """A child of its own lives on: nobody is fooled into waiting for an answer."""
    forks = "import os, signal\nif os.fork() == 0:\n    signal.pause()\n"
    with engine(apart=True) as client:
        path = loaded(client, write(tmp_path, small(tail=forks)))
        os.kill(client.process.pid, signal.SIGKILL)
        client.end()
        assert path.exists()
        assert path.stem not in [found.id for found in registry.runs()]
        assert not path.exists()
        os.killpg(client.process.pid, signal.SIGKILL)


def test_without_a_scenario_there_is_nothing_to_go_on_for(runtime: Path) -> None:
    with engine(apart=True) as client:
        client.hang_up()
        assert client.end() == 0


@pytest.mark.slow
def test_a_run_goes_no_further_alone_than_its_scenario_says(runtime: Path, tmp_path: Path) -> None:
    """And before the first step there is nothing to go on for."""
    with engine(None, apart=True) as client:
        path = loaded(client, write(tmp_path, small(tail="steps = 40")))
        client.send(RunUntil())
        client.hang_up()
        while (status := registry.look(path).status) is None or status.left is None:
            pass
        assert (status.state, status.step, status.steps) == ("paused", 40, 40)
        assert 0 < status.left <= 24 * 3600
        assert status.memory > 10 * 2**20
        registry.end(path)
    with engine(None, apart=True) as client:
        path = loaded(client, write(tmp_path, SMALL))
        client.hang_up()
        assert client.end() == 0
        assert not path.exists()


@pytest.mark.slow
def test_a_run_that_is_done_waits_no_longer_than_asked(runtime: Path, tmp_path: Path) -> None:
    with engine(None, "--linger", "0", apart=True) as client:
        path = loaded(client, write(tmp_path, SMALL))
        client.send(RunUntil(until=30))
        client.hang_up()
        assert client.end() == 0
        assert not path.exists()


@pytest.mark.slow
def test_a_run_that_can_have_no_place_says_why_and_ends_with_its_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elbo-tui").mkdir()
    (tmp_path / "elbo-tui").chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with engine(apart=True) as client:
        client.load(write(tmp_path, SMALL))
        (named,) = [event for event in client.seen if isinstance(event, RunIdAssigned)]
        assert named.id == ""
        assert "open to others (mode 777)" in named.why
        assert client.ask(Step(count=2)).step == 2
        client.hang_up()
        assert client.end() == 0
