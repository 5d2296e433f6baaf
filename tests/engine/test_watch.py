"""`tui_elbo.watch`: a script's own loop is seen, held and let go on, and never changed."""

from __future__ import annotations

import asyncio.log
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyro
import pytest
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.client import history
from tests.engine.scripts import Script, attached, decaying, fresh, rest, simple
from tests.runtime import runtime_folder
from tui_elbo.client import registry
from tui_elbo.engine.script import script_source
from tui_elbo.engine.server import server
from tui_elbo.engine.server.client import Client
from tui_elbo.model.errors import UsageError
from tui_elbo.model.records import Column
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    Breakpoint,
    ConditionMet,
    EndRun,
    ErrorReported,
    Loaded,
    Pause,
    Restart,
    RewindTo,
    RunStatus,
    RunUntil,
    SetBreakpoints,
    Step,
    StepsRecorded,
    Tune,
)


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder


def test_a_terminal_sees_holds_steps_and_lets_go() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine") as handle, Script(svi) as script:
        assert handle.id == "mine"
        with attached("mine") as terminal:
            loaded = terminal.seen[1]
            assert isinstance(loaded, Loaded)
            assert loaded.watched
            assert (loaded.estimator, loaded.optimizer) == ("Trace_ELBO", "Adam, lr 0.05")
            terminal.until(StepsRecorded)
            terminal.send(Pause())
            terminal.until(RunStatus, lambda level: level.state == "paused")
            # The step that was under way is told as well: stepped once, it stands for sure.
            held = terminal.ask(Step()).step
            assert terminal.ask(Step(count=5)).step == held + 5
            told = history(terminal.seen)
            assert told.last == held + 5
            # What the last step returns may be on its way still.
            losses = told.values(Column("step", "", "loss")).tolist()
            assert losses[:-1] == script.losses[: held + 4]
            assert len(script.losses) in (held + 4, held + 5)
            names = {(column.kind, column.name) for column in told.columns}
            assert {("site", "z"), ("site", "x"), ("param", "loc")} <= names
            terminal.ask(RunUntil(until=held + 50))
            assert history(terminal.seen).last == held + 50
            seq = terminal.send(RunUntil(condition=f"step > {held + 60}"))
            assert terminal.until(ConditionMet).step == held + 61
            terminal.still(seq)
            terminal.ask(SetBreakpoints(points=(Breakpoint(f"step > {held + 70}", False),)))
            terminal.send(RunUntil())
            assert terminal.until(ConditionMet).step == held + 71
            terminal.until(RunStatus, lambda level: level.state == "paused")
            assert history(terminal.seen).last == held + 71
        # Whoever held it has gone: it goes on, the breakpoint too is gone.
        with attached("mine") as later:
            later.until(
                RunStatus, lambda level: level.step > held + 80 and level.state == "running"
            )
            assert history(later.seen).last > held + 80


def test_steps_that_no_other_follows_are_shown() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine"):
        for _ in range(3):
            svi.step()
        with attached("mine") as terminal:
            terminal.until(StepsRecorded, lambda rows: rows.first + rows.values.shape[1] == 4)
            for _ in range(2):
                svi.step()
            terminal.until(StepsRecorded, lambda rows: rows.first + rows.values.shape[1] == 6)
            assert history(terminal.seen).last == 5


def test_what_cannot_be_had_of_a_script_is_refused() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine"), Script(svi), attached("mine") as terminal:
        for command in (RewindTo(step=1), Restart(), Tune(tuning=Tuning(lr=1.0)), EndRun()):
            terminal.send(command)
            fault = terminal.until(ErrorReported)
            assert (fault.kind, fault.what) == ("refused", script_source.ITS_OWN)
        terminal.send(RunUntil(condition="nothing > 1"))
        assert "nothing" in terminal.until(ErrorReported).what
        with pytest.raises(UsageError, match="belongs to a script"):
            registry.end(registry.choose("mine"))


@pytest.mark.parametrize("lens", [True, False])
def test_a_script_says_beforehand_what_it_will_refuse(lens: bool) -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine", lens=lens), Script(svi), attached("mine") as terminal:
        (allowed,) = (one.capabilities for one in terminal.seen if isinstance(one, Loaded))
        refused = {name for name in allowed.__struct_fields__ if getattr(allowed, name)}
        own = {"rewind", "tune", "step_into", "finish", "restart", "reload", "save"}
        assert refused == (own if lens else own | {"lens"})


def test_the_svi_is_what_it_was() -> None:
    svi = simple()
    before, optim, elbo = dict(vars(svi)), svi.optim, svi.loss.__self__
    with tui_elbo.watch(svi, "mine"):
        svi.step()
        assert svi.optim is optim
        assert "_get_trace" not in vars(elbo)
    assert vars(svi) == before
    tui_elbo.watch(svi, "again").close()


@pytest.mark.parametrize("thing", [None, 3, Trace_ELBO(), pyro.optim.Adam({"lr": 1.0}), SVI])
def test_something_that_is_no_svi(thing: object) -> None:
    with pytest.raises(UsageError, match=r"takes a pyro\.infer\.SVI"):
        tui_elbo.watch(thing)


def test_another_class_of_that_name_is_named_with_its_module() -> None:
    from pyro.contrib import minipyro

    optim = minipyro.Adam({"lr": 0.1})
    other = minipyro.SVI(id, id, optim, minipyro.Trace_ELBO())
    with pytest.raises(UsageError, match=r"was given a pyro\.contrib\.minipyro\.SVI\n"):
        tui_elbo.watch(other)
    with pytest.raises(UsageError, match=r"was given a int\n"):
        tui_elbo.watch(3)


def test_twice() -> None:
    """One server is for all trainings of a process."""
    svi, other = simple(), simple()
    with tui_elbo.watch(svi, "mine"), tui_elbo.watch(other, "mine") as second:
        assert second.id == "mine"
        with pytest.raises(UsageError, match="watched already, as mine"):
            tui_elbo.watch(svi)
    with tui_elbo.watch(svi, "mine") as again:
        assert again.id == "mine"


def test_from_two_threads() -> None:
    """One of them gets it; and steps of a second thread are taken, and not seen."""
    svi = simple()
    got: list[Any] = []

    def ask() -> None:
        try:
            got.append(tui_elbo.watch(svi, "mine"))
        except UsageError as error:
            got.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handles = [one for one in got if not isinstance(one, UsageError)]
    assert len(handles) == 1
    assert len(got) == 8
    seen: list[float] = []
    inner = svi.loss_and_grads

    def within(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=lambda: seen.append(svi.step()))
            other.start()
            other.join(30)
        return inner(*args, **kwargs)

    svi.loss_and_grads = within
    svi.step()
    assert len(seen) == 1
    with attached("mine") as terminal:
        handles[0].close()
        rest(terminal)
        assert history(terminal.seen).last == 1


def test_a_terminal_that_leaves_as_the_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's thread has read that it left, and meanwhile there is no server any more."""
    left, closed = threading.Event(), threading.Event()
    lost = Client.connection_lost

    def slowly(client: Client, error: Exception | None) -> None:
        left.set()
        assert closed.wait(30)
        lost(client, error)

    monkeypatch.setattr(Client, "connection_lost", slowly)
    monkeypatch.setattr(server, "LAST_CALL", 1.0)
    errors: list[object] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    monkeypatch.setattr(asyncio.log.logger, "error", errors.append)
    handle = tui_elbo.watch(simple(), "mine")
    (thread,) = [one for one in threading.enumerate() if one.name == "elbo-tui"]
    with attached("mine") as terminal:
        terminal.hang_up()
        assert left.wait(30)
        handle.close()
        closed.set()
        thread.join(30)
    assert errors == []


def test_in_a_forked_worker() -> None:
    """Its steps are its own; it cannot watch what its parent watches, and leaves no trace."""
    svi = simple()
    with tui_elbo.watch(svi, "mine") as handle:
        svi.step()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = "nothing"
            try:
                svi.step()
                tui_elbo.watch(svi)
            except UsageError as error:
                said = error.what
            finally:
                handle.close()
                os.write(write, said.encode())
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as answer:
            assert "process that this one was forked from" in answer.read()
        os.waitpid(child, 0)
        svi.step()
        assert [found.id for found in registry.runs()] == ["mine"]
        with attached("mine") as terminal:
            handle.close()
            rest(terminal)
            assert history(terminal.seen).last == 2


FORKING = """
import os, sys
import pyro, torch, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
main = os.getpid()
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))
    if len(losses) == 2 and os.getpid() == main:
        child = os.fork()
        if child == 0:
            ACT
        else:
            print("left with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 0.7))
pyro.set_rng_seed(0)
losses = []
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
if sys.argv[1:]:
    import tui_elbo
    tui_elbo.watch(svi, "forking")
for _ in range(5):
    losses.append(svi.step())
print("whole" if os.getpid() == main else "child", losses, flush=True)
"""


@pytest.mark.parametrize("act", ["sys.exit(7)", "raise ValueError('last words')", "pass"])
def test_a_model_that_forks_leaves_as_without_us(tmp_path: Path, act: str) -> None:
    """The child belongs to the script: it goes on or ends as it would by itself."""
    path = tmp_path / "forking.py"
    path.write_text(FORKING.replace("ACT", act))
    plain, watched = (
        subprocess.run(
            [sys.executable, str(path), *more], check=False, capture_output=True, text=True
        )
        for more in ((), ("watch",))
    )
    assert plain.returncode == watched.returncode == 0
    assert plain.stdout == watched.stdout
    assert plain.stderr.count("last words") == watched.stderr.count("last words")
    assert registry.runs() == []


def test_a_reading_that_fails_is_reported_and_leaves_the_training_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = simple()
    pyro.set_rng_seed(0)
    losses = [plain.step() for _ in range(6)]
    pyro.clear_param_store()
    svi = simple()
    pyro.set_rng_seed(0)
    with tui_elbo.watch(svi, "mine") as handle:
        watched = [svi.step() for _ in range(3)]

        def broken(*_: object) -> None:
            raise ZeroDivisionError("in the reading")

        reader = handle._watching._stepper  # type: ignore[union-attr]
        monkeypatch.setattr(reader.params, "finish", broken)
        watched += [svi.step() for _ in range(3)]
        with attached("mine") as terminal:
            handle.close()
            rest(terminal)
        (fault,) = [event for event in terminal.seen if isinstance(event, ErrorReported)]
        assert "ZeroDivisionError: in the reading" in fault.what
    assert watched == losses


def test_where_no_terminal_could_come_the_script_goes_on(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runtime / "elbo-tui").write_text("in the way")
    svi = simple()
    with pytest.warns(UserWarning, match="cannot watch: .* is no folder"):
        handle = tui_elbo.watch(svi)
    assert handle.id == ""
    assert "step" not in vars(svi)
    svi.step()
    handle.close()


SCRIPT = """
import torch, pyro, pyro.distributions as dist, tui_elbo
from pyro.infer import SVI, Trace_ELBO
def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 1.0))
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
tui_elbo.watch(svi)
for _ in range(20):
    svi.step()
print("trained")
"""


@pytest.mark.slow
def test_a_script_of_its_own_ends_as_it_would(tmp_path: Path) -> None:
    path = tmp_path / "my script.py"
    path.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, path], capture_output=True, check=True, text=True)
    assert ran.stdout == "trained\n"
    assert ran.stderr == "elbo-tui: `elbo-tui attach my-script` shows this run\n"


@pytest.mark.slow
def test_a_script_without_a_terminal_says_on_stderr_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(
        SCRIPT.replace('pyro.sample("z", dist.Normal(pyro', 'pyro.sample("y", dist.Normal(pyro')
    )
    ran = subprocess.run([sys.executable, path], capture_output=True, check=True, text=True)
    assert ran.stdout == "trained\n"
    assert "SVI002 not-in-model: line" in ran.stderr
    assert "SVI012 missing-in-guide: line" in ran.stderr


@pytest.mark.parametrize("findings", [True, False])
def test_a_fault_of_the_run_is_said_once_where_no_terminal_is(
    findings: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh()
    svi = decaying()
    with tui_elbo.watch(svi, "mine", findings=findings):
        for _ in range(60):
            svi.step()
    said = capsys.readouterr().err.splitlines()[1:]
    if not findings:
        assert said == []
        return
    message, hint = said
    assert message.startswith("elbo-tui: warning SVI111 rate-decayed: ")
    assert hint.startswith("  decay more slowly")
