"""`tui_elbo.watch`: a script's own loop is seen, held and let go on, and never changed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.client import ClosedError, Speaker, history, visitor
from tests.engine.shapes import SHAPES
from tests.runtime import runtime_folder
from tui_elbo import live, place
from tui_elbo.engine.serving import watching
from tui_elbo.errors import UsageError
from tui_elbo.protocol import (
    Attach,
    Break,
    Breakpoint,
    End,
    Fault,
    GoTo,
    Level,
    Loaded,
    Met,
    Pause,
    Restart,
    Rows,
    Run,
    Step,
    Tune,
    Tuning,
)
from tui_elbo.records import Column

pytestmark = [
    # What Pyro and torch have to say of the examples does not matter here.
    pytest.mark.filterwarnings("ignore:TraceEnum_ELBO found no sample sites"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder


def simple() -> SVI:
    """One latent, one observed site, one parameter."""

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

    def guide() -> None:
        loc = pyro.param("loc", torch.tensor(-3.0))
        pyro.sample("z", dist.Normal(loc, 0.7))

    return SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())


@contextmanager
def attached(id: str) -> Iterator[Speaker]:
    """A terminal that has been told everything so far."""
    with visitor(place.path_of(id)) as terminal:
        terminal.send(Attach())
        terminal.until(Loaded)
        terminal.until(Level)
        yield terminal


def rest(terminal: Speaker) -> None:
    """Listen to the end."""
    with suppress(ClosedError, ConnectionError):
        while True:
            terminal.next()


class Script:
    """A loop in a thread of its own, as a script's is: it steps until it is told to end."""

    def __init__(self, svi: SVI) -> None:
        self.losses: list[float] = []
        self._svi, self._over = svi, threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def _loop(self) -> None:
        while not self._over.is_set():
            self.losses.append(self._svi.step())

    def __enter__(self) -> Script:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def test_a_terminal_sees_holds_steps_and_lets_go() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine") as handle, Script(svi) as script:
        assert handle.id == "mine"
        with attached("mine") as terminal:
            loaded = terminal.seen[1]
            assert isinstance(loaded, Loaded)
            assert loaded.watched
            assert (loaded.estimator, loaded.optimizer) == ("Trace_ELBO", "Adam, lr 0.05")
            terminal.until(Rows)
            terminal.send(Pause())
            terminal.until(Level, lambda level: level.state == "paused")
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
            terminal.ask(Run(until=held + 50))
            assert history(terminal.seen).last == held + 50
            seq = terminal.send(Run(condition=f"step > {held + 60}"))
            assert terminal.until(Met).step == held + 61
            terminal.still(seq)
            terminal.ask(Break(points=(Breakpoint(f"step > {held + 70}", False),)))
            terminal.send(Run())
            assert terminal.until(Met).step == held + 71
            terminal.until(Level, lambda level: level.state == "paused")
            assert history(terminal.seen).last == held + 71
        # Whoever held it has gone: it goes on, the breakpoint too is gone.
        with attached("mine") as later:
            later.until(Level, lambda level: level.step > held + 80 and level.state == "running")
            assert history(later.seen).last > held + 80


def test_what_cannot_be_had_of_a_script_is_refused() -> None:
    svi = simple()
    with tui_elbo.watch(svi, "mine"), Script(svi), attached("mine") as terminal:
        for command in (GoTo(step=1), Restart(), Tune(tuning=Tuning(lr=1.0)), End()):
            terminal.send(command)
            fault = terminal.until(Fault)
            assert (fault.kind, fault.what) == ("refused", watching.ITS_OWN)
        terminal.send(Run(condition="nothing > 1"))
        assert "nothing" in terminal.until(Fault).what
        with pytest.raises(UsageError, match="belongs to a script"):
            live.end(live.choose("mine"))


def trained(shape: str, *, watched: bool, looked_at: bool) -> tuple[list[Any], dict[str, Any], Any]:
    """The losses, the parameters and the random state that a training comes to."""
    pyro.clear_param_store()
    pyro.set_rng_seed(7)
    with ExitStack() as stack:

        def begin(svi: SVI) -> None:
            if watched:
                handle = stack.enter_context(tui_elbo.watch(svi, "shape"))
                if looked_at and handle.id == "shape":
                    stack.enter_context(Audience())

        losses = SHAPES[shape](begin)
    store = pyro.get_param_store()
    values = {name: leaf.detach().clone() for name, leaf in store.named_parameters()}
    return losses, values, torch.get_rng_state()


class Audience:
    """Somebody who holds the run from its beginning, steps it, and lets it go."""

    def __init__(self) -> None:
        self._holds = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._stepped = 0

    def _look(self) -> None:
        with attached("shape") as terminal:
            terminal.ask(Pause())
            self._holds.set()
            self._stepped = terminal.ask(Step(count=3)).step
            terminal.ask(Step())
            terminal.send(Run())
            terminal.until(Level, lambda level: level.state == "running")

    def __enter__(self) -> Audience:
        self._thread.start()
        assert self._holds.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        assert self._stepped == 3


@pytest.mark.parametrize("looked_at", [False, True], ids=["alone", "looked-at"])
@pytest.mark.parametrize("shape", SHAPES)
def test_not_a_bit_of_the_training_changes(shape: str, looked_at: bool) -> None:
    losses, values, random = trained(shape, watched=False, looked_at=False)
    same, same_values, same_random = trained(shape, watched=True, looked_at=looked_at)
    assert same == losses
    assert list(same_values) == list(values)
    assert all(torch.equal(same_values[name], values[name]) for name in values)
    assert torch.equal(same_random, random)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_step_of_an_example_is_read(shape: str) -> None:
    handles: list[Any] = []
    pyro.set_rng_seed(7)
    SHAPES[shape](lambda svi: handles.append((svi, tui_elbo.watch(svi, "shape"))))
    for svi, handle in handles:
        with attached(handle.id) as terminal:
            # What is not told yet comes with the end of the script.
            handle.close()
            rest(terminal)
            told = history(terminal.seen)
            assert told.last > 0
            fields = {(column.kind, column.field) for column in told.columns}
            assert ("step", "loss") in fields
            if shape != "jit":
                assert {("step", "elbo"), ("site", "log_p")} <= fields
            assert any(column.kind == "param" for column in told.columns)
            assert [e for e in terminal.seen if isinstance(e, Fault)] == []
        assert "step" not in vars(svi)


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


def test_twice() -> None:
    svi, other = simple(), simple()
    with tui_elbo.watch(svi, "mine"), tui_elbo.watch(other, "mine") as second:
        assert second.id == "mine-2"
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
        assert [found.id for found in live.runs()] == ["mine"]
        with attached("mine") as terminal:
            handle.close()
            rest(terminal)
            assert history(terminal.seen).last == 2


def test_a_reading_that_fails_is_told_and_leaves_the_training_alone(
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

        reader = handle._watching._reader  # type: ignore[union-attr]
        monkeypatch.setattr(reader.params, "finish", broken)
        watched += [svi.step() for _ in range(3)]
        with attached("mine") as terminal:
            handle.close()
            rest(terminal)
        (fault,) = [event for event in terminal.seen if isinstance(event, Fault)]
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
