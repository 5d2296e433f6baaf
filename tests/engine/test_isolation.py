"""A look happens in a forked copy of the process: nothing of the run changes, whatever it does."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.compare import WatchedRun, assert_same, kept, same_rng, same_tensors
from tests.engine.matrix import scenario, write
from tests.engine.plain import executed, plain_run
from tests.engine.scripts import attached
from tests.engine.stateful import GUIDE, INCOMPARABLE, STATEFUL
from tests.runtime import runtime_folder
from tui_elbo.engine.lens import fork
from tui_elbo.engine.lens.attribution import Attribution
from tui_elbo.engine.lens.fork import ForkedCall, LookError, LookLostError
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import (
    ComputeGradients,
    DrawPosterior,
    GradientsComputed,
    LensPointAdded,
    Load,
    Pause,
    PosteriorDrawn,
    RunUntil,
    Step,
)
from tui_elbo.protocol.codec import decode

pytestmark = [
    pytest.mark.usefixtures("quiet"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

STEPS, DRAWS = 6, 8
"""Each draw of a model with a state of its own is taken in a copy of its own."""


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with runtime_folder() as folder:
        yield folder
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", STATEFUL)
def test_a_scenario_that_is_looked_at_at_each_step_is_the_plain_run(
    name: str, tmp_path: Path
) -> None:
    path = write(tmp_path, STATEFUL[name])
    plain = plain_run(path, STEPS)
    session = Session(path)
    attribution = Attribution(session, DRAWS)
    records, notes = [], []
    for _ in range(STEPS):
        batches = session.advance(1)
        records += [record for batch in batches for record in batch.records()]
        attribution.learn(batches)
        notes.append(attribution.point().note)
        attribution.importance_bound(DRAWS)
        attribution.gradients()
    attribution.close()
    assert_same(plain, WatchedRun(session, records))
    assert_reason(name, notes[-1])


def assert_reason(name: str, note: str) -> None:
    if name in INCOMPARABLE:
        assert re.search(INCOMPARABLE[name], note), note
    else:
        assert "cannot be" not in note
        assert "sees nothing" not in note


@pytest.mark.parametrize("name", STATEFUL)
def test_a_script_that_is_looked_at_at_each_step_is_the_plain_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_elbo.engine.lens.lens.LEAST_LOOPED", DRAWS)
    path = write(tmp_path, STATEFUL[name])
    plain = plain_run(path, STEPS)
    with executed(path) as module:
        pyro.set_rng_seed(0)
        svi = SVI(module.model, module.guide, module.optimizer, module.loss)
        batch = getattr(module, "batch", lambda _: ())
        with tui_elbo.watch(svi, "mine"), Steps() as steps:
            losses = [svi.step(*batch(step)) for step in range(1, STEPS + 1)]
        store = pyro.get_param_store()
        same_rng(plain.rng_state, pyro.util.get_rng_state())
        same_tensors(plain.params, {name: value.detach() for name, value in store.items()})
        same_tensors(kept(plain.scenario), kept(module))
    assert losses == plain.losses
    assert_reason(name, steps.looks[-1].point.note)


class Steps:
    """Somebody at a terminal who holds a script, steps it, waits for each look, and asks."""

    def __init__(self) -> None:
        self.looks: list[LensPointAdded] = []
        self._holds = threading.Event()
        self._thread = threading.Thread(target=self._step)

    def _step(self) -> None:
        with attached("mine") as terminal:
            terminal.ask(Pause())
            self._holds.set()
            for _ in range(STEPS - 1):
                step = terminal.ask(Step()).step
                if step > 1:
                    self.looks.append(
                        terminal.until(LensPointAdded, lambda x, at=step: x.point.state >= at)
                        if not self._final
                        else self.looks[-1]
                    )
            terminal.send(DrawPosterior(count=3))
            terminal.until(PosteriorDrawn)
            terminal.send(ComputeGradients())
            terminal.until(GradientsComputed)
            terminal.send(RunUntil())

    @property
    def _final(self) -> bool:
        return bool(self.looks) and "cannot be computed" in self.looks[-1].point.note

    def __enter__(self) -> Steps:
        self._thread.start()
        assert self._holds.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_other_threads_draw_and_train_on_undisturbed() -> None:
    """Draws, a BatchNorm and the parameters of another thread are its own while looks go on."""

    def trained(*, watched: bool) -> tuple[list[float], torch.Tensor, list[float]]:
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        norm, own = torch.nn.BatchNorm1d(2), torch.Generator().manual_seed(3)
        rows, drawn = torch.arange(8.0).reshape(4, 2), list[float]()
        over = threading.Event()

        def beside() -> None:
            for _ in range(200):
                drawn.append(torch.rand((), generator=own).item())
                norm(rows)
                [leaf.detach().sum() for _, leaf in pyro.get_param_store().named_parameters()]
            over.set()

        with executed_text(scenario(PLAIN_MODEL, GUIDE)) as module, ExitStack() as stack:
            svi = SVI(module.model, module.guide, module.optimizer, Trace_ELBO())
            svi.step()
            if watched:
                stack.enter_context(tui_elbo.watch(svi, "mine"))
                stack.enter_context(Steps())
            thread = threading.Thread(target=beside)
            thread.start()
            losses = [svi.step() for _ in range(STEPS)]
            assert over.wait(60)
            thread.join()
        return losses, norm.running_mean.clone(), drawn  # type: ignore[union-attr]

    plain, watched = trained(watched=False), trained(watched=True)
    assert watched[0] == plain[0]
    assert torch.equal(watched[1], plain[1])
    assert watched[2] == plain[2]


PLAIN_MODEL = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))
"""


def executed_text(text: str) -> Any:
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    return executed(write(folder, text, "beside.py"))


# The copy itself.


def answer(work: Any, *, silence: float = 30.0) -> Any:
    return decode(ForkedCall(lambda _: work()).wait(silence), Any)


def test_a_copy_answers_with_plain_data() -> None:
    assert answer(lambda: {"a": [1, 2.5, "three"]}) == {"a": [1, 2.5, "three"]}


def test_python_random_stands_in_the_copy_where_it_stands_in_the_run() -> None:
    import random

    random.seed(4)
    state = random.getstate()
    inside = answer(random.random)
    assert random.getstate() == state
    assert inside == random.random()


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (lambda: (_ for _ in ()).throw(GeneratorExit("gone")), "GeneratorExit: gone"),
        (lambda: (_ for _ in ()).throw(KeyboardInterrupt), "KeyboardInterrupt"),
        (object, "TypeError"),
    ],
    ids=["raises", "exits", "BaseException", "interrupt", "no data"],
)
def test_what_is_raised_in_a_copy_is_an_error_with_its_text(work: Any, why: str) -> None:
    with pytest.raises(LookError, match=why):
        answer(work)


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    class Shy(BaseException):
        def __str__(self) -> str:
            raise RuntimeError

    def work() -> None:
        raise Shy

    with pytest.raises(LookError, match="Shy"):
        answer(work)


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda: os._exit(7), "exit code 7"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "killed by SIGSEGV"),
        (lambda: threading.Event().wait(), "no progress for 0"),
    ],
    ids=["ends", "killed", "segfault", "hangs"],
)
def test_a_copy_that_is_lost_says_how(work: Any, why: str) -> None:
    with pytest.raises(LookLostError, match=why):
        answer(work, silence=0.3)


def test_a_copy_that_shows_progress_is_waited_for() -> None:
    def work(progress: Any) -> str:
        for done in range(8):
            threading.Event().wait(0.1)
            progress(done, 8)
        return "done"

    assert decode(ForkedCall(work).wait(0.5), str) == "done"


def test_a_copy_that_forks_leaves_no_process_and_answers_once(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def work() -> str:
        if os.fork() == 0:
            with pids.open("w") as out:
                out.write(str(os.getpid()))
            threading.Event().wait()
        while not pids.exists() or not pids.read_text():
            pass
        return "parent"

    assert answer(work) == "parent"
    pid = int(pids.read_text())
    for _ in range(600):
        if not Path(f"/proc/{pid}").exists() or "Z" in state_of(pid):
            break
        threading.Event().wait(0.05)
    else:
        pytest.fail("a process is left")


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_forked_child_that_comes_back_says_nothing() -> None:
    def work() -> str:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return "child" if pid == 0 else "parent"

    assert answer(work) == "parent"


def test_output_and_exit_handlers_of_a_copy_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    import atexit

    def work() -> None:
        atexit.register(lambda: os.write(1, b"at exit\n"))
        print("printed", flush=True)
        os.system("echo from a command")

    print("kept until the flush", end="")
    answer(work)
    print(flush=True)
    assert capfd.readouterr().out == "kept until the flush\n"


def test_files_keep_their_positions_and_pipes_their_data(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    read, write_end = os.pipe()
    os.write(write_end, b"data")
    with path.open(buffering=1) as lines, (tmp_path / "log").open("ab", buffering=0) as log:

        def work() -> list[str]:
            log.write(b"from the copy")
            os.read(read, 4)
            return [lines.readline(), lines.readline()]

        assert answer(work) == ["one\n", "two\n"]
        assert lines.readline() == "one\n"
    assert os.read(read, 4) == b"data"
    assert (tmp_path / "log").read_bytes() == b""
    os.close(read)
    os.close(write_end)


def test_a_copy_gets_no_more_memory_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork, "MEMORY", 2**28)
    with pytest.raises(LookError, match=r"allocate|memory|Memory"):
        answer(lambda: float(torch.ones(2**29).sum()))
    assert answer(lambda: float(torch.ones(2**20).sum())) == 2**20


@pytest.mark.parametrize("failure", [BlockingIOError(11, "EAGAIN"), OSError(12, "ENOMEM")])
def test_a_fork_that_fails_is_told_and_the_run_goes_on(
    failure: OSError, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails() -> int:
        raise failure

    seen: list[LensPointAdded] = []
    source = ScenarioSource(
        lambda event: seen.append(event) if isinstance(event, LensPointAdded) else None
    )
    source.handle(Load(target=write(tmp_path, scenario(PLAIN_MODEL, GUIDE))))
    monkeypatch.setattr(os, "fork", fails)
    for _ in range(3):
        source.handle(Step())
        while source.busy:
            source.work()
    note = seen[-1].point.note
    assert note.startswith("The lens cannot look: the process cannot be forked: E"), note
    monkeypatch.undo()
    source.handle(Step())
    while source.busy:
        source.work()
    assert seen[-1].point.draws > 0


def test_where_cuda_is_in_use_the_lens_does_not_look_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fork, "cuda_in_use", lambda: True)
    path = write(tmp_path, scenario(PLAIN_MODEL, GUIDE))
    for in_process, draws in ((False, 0), (True, 256)):
        seen: list[LensPointAdded] = []
        source = ScenarioSource(
            lambda event, seen=seen: (
                seen.append(event) if isinstance(event, LensPointAdded) else None
            )
        )
        source.handle(Load(target=path, lens_in_process=in_process))
        source.handle(Step(count=2))
        while source.busy:
            source.work()
        assert seen[-1].point.draws == draws
        assert ("CUDA" in seen[-1].point.note) == (not in_process)


def test_a_model_that_forks_within_a_look_starts_no_avalanche(tmp_path: Path) -> None:
    """Each child that comes back would fork again at the next draw."""
    births = tmp_path / "births"
    forks = f"""
import os
def guide():
    m = pyro.param("m", lambda: torch.tensor(-2.0))
    pyro.sample("z", dist.Normal(m, 0.7))
    if not torch.is_grad_enabled():
        if os.fork() == 0:
            with open({str(births)!r}, "a") as out:
                out.write("x")
        else:
            os.wait()
"""
    session = Session(write(tmp_path, scenario(PLAIN_MODEL, forks)))
    attribution = Attribution(session, 40)
    attribution.learn(session.advance(1))
    point = attribution.point()
    attribution.close()
    assert point.draws > 0
    assert len(births.read_text()) < 100


def test_settings_are_tried_in_a_copy_too(tmp_path: Path) -> None:
    path = write(tmp_path, STATEFUL["counter"])
    plain = plain_run(path, 6)
    session = Session(path)
    batches = session.advance(3)
    session.tune(Tuning(lr=0.02))
    batches += session.advance(3)
    records = [record for batch in batches for record in batch.records()]
    assert_same(plain, WatchedRun(session, records))


def test_a_copy_of_a_process_that_has_ended_before_does_not_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine may end right after it has forked a copy, before the copy asks to end with it."""
    heard, tell = os.pipe()
    engine = os.fork()
    if engine == 0:
        try:
            engine = os.getpid()
            began_late = _until(lambda: os.getppid() != engine)
            monkeypatch.setattr(fork, "_cut_off", lambda _: began_late())
            ForkedCall(lambda _: os.write(tell, b"it looks"))
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(engine, 0)
    with open(heard, "rb") as words:
        assert words.read() == b""


def _until(condition: Callable[[], bool]) -> Callable[[], None]:
    def wait() -> None:
        while not condition():
            threading.Event().wait(0.001)

    return wait
