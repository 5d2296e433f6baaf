"""Many trainings in one process, and scripts as they are: all watched, none changed."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

import tui_elbo
from tests.engine.client import Speaker, history
from tests.engine.scripts import attached, fresh, rest, simple
from tests.runtime import runtime_folder
from tui_elbo.cli import main
from tui_elbo.client import registry
from tui_elbo.engine.script import script_session
from tui_elbo.protocol import Attach, EngineBusy, Loaded, Printed

OWN = sys.modules[__name__]


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder
        script_session.let_all_go()


def model() -> None:
    pyro.sample("z", dist.Normal(0.0, 1.0))


def guide() -> None:
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 1.0))


def threads() -> int:
    return sum(one.name == "elbo-tui" for one in threading.enumerate())


def test_many_svis_share_a_thread_and_go_when_the_script_drops_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(script_session, "CHECKED", 0)
    step = SVI.step
    with tui_elbo.watch_all() as handle:
        first = simple()
        first.step()
        before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        svis = [simple() for _ in range(200)]
        for svi in svis[:10]:
            svi.step()
        session = script_session.current()
        assert session is not None
        assert threads() == 1
        assert session.count == 11
        if before:
            assert len(os.listdir("/proc/self/fd")) == before
        del svi
        svis.clear()
        gc.collect()
        assert session.count == 1
        assert [found.id for found in registry.runs()] == [handle.id]
    assert threads() == 0
    assert SVI.step is step


def test_no_more_than_some_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_session, "MOST", 3)
    with tui_elbo.watch_all():
        svis = [simple() for _ in range(6)]
        losses = [svi.step() for svi in svis]
        session = script_session.current()
        assert session is not None
        assert session.count == 3
        assert len(losses) == 6


def test_a_terminal_is_shown_the_training_that_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_session, "OTHERS_SECONDS", 0.0)
    with tui_elbo.watch_all() as handle:
        first, second = simple(), simple()
        first.step()
        with attached(handle.id) as terminal:
            for _ in range(20):
                second.step()
            handle.close()
            rest(terminal)
        begins = [place for place, e in enumerate(terminal.seen) if isinstance(e, Loaded)]
        assert len(begins) == 2
        assert history(terminal.seen[begins[1] :]).last == 20


def test_what_goes_wrong_in_watching_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no more")

    fresh()
    expected = [simple().step()]
    monkeypatch.setattr(script_session, "ScriptSource", broken)
    with tui_elbo.watch_all():
        fresh()
        assert [simple().step()] == expected


def test_a_watched_svi_is_copied_and_saved_as_the_plain_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before its first step: after it a plain one cannot be pickled, for weak references in it."""
    # Another test may have had the modules of this folder imported anew.
    monkeypatch.setitem(sys.modules, __name__, OWN)
    fresh()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    with tui_elbo.watch(svi, "mine") as handle:
        saved = io.BytesIO()
        torch.save(svi, saved)
        saved.seek(0)
        others: list[Any] = [
            copy.deepcopy(svi),
            pickle.loads(pickle.dumps(svi)),
            torch.load(saved, weights_only=False),
        ]
        for other in others:
            assert type(other) is SVI
            assert vars(other).keys() == vars(svi).keys()
            other.step()
        svi.step()
        with attached("mine") as terminal:
            handle.close()
            rest(terminal)
        assert history(terminal.seen).last == 1


def test_a_script_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "nothing.py"]) == 2
    assert "there is no such script" in capsys.readouterr().err
    assert main(["watch", "-m", "nothing_at_all.train"]) == 2
    assert "there is no module of this name" in capsys.readouterr().err


def test_options_behind_the_script_are_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "train.py"
    path.touch()
    called: list[Any] = []

    class Replaced(BaseException):
        pass

    def execve(*args: Any) -> None:
        called.extend(args)
        raise Replaced

    monkeypatch.setattr(os, "execve", execve)
    words = ["--hold", "--help", "-m", "--headless", "--ascii"]
    with pytest.raises(Replaced):
        main(["watch", "--headless", str(path), *words])
    assert called[1] == [sys.executable, str(path), *words]


def test_what_is_printed_last_reaches_the_terminal(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    output, printing = os.pipe()
    session = script_session.begin(tmp_path / "a.py", watches_all=True, stream=ours, output=output)
    with theirs:
        terminal = Speaker(theirs)
        terminal.send(Attach())
        terminal.until(EngineBusy)
        os.write(printing, b"last words")
        session.close()
        assert terminal.until(Printed).data == b"last words"
    os.close(output)
    os.close(printing)


PLAIN = """
import json, os, sys, threading, warnings
os.environ["OMP_NUM_THREADS"] = "1"
before = sorted(name for name in sys.modules if name in ("torch", "pyro", "numpy", "textual"))
filters = list(warnings.filters)
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
import helper
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=torch.ones(3))
guide = pyro.infer.autoguide.AutoNormal(model)
pyro.set_rng_seed(4)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
losses = [svi.step() for _ in range(40)]
print(json.dumps([
    losses, before, warnings.filters == filters or len(warnings.filters), torch.get_num_threads(),
    {name: value.tolist() for name, value in pyro.get_param_store().items()},
    torch.get_rng_state().sum().item(), torch.rand(2).tolist(), __name__, sys.argv, sys.path,
    sys.modules["__main__"].svi is svi, os.environ.get("PYTHONPATH"), sys.stdin.read(),
    threading.active_count() - sum(t.name == "elbo-tui" for t in threading.enumerate()),
    svi.step.__name__, sorted(vars(svi)),
]))
END
"""


def outcome(argv: list[str], folder: Path) -> tuple[int, str, str]:
    ran = subprocess.run(
        argv, cwd=folder, input="some words", capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "end"),
    [(["train.py"], "raise ValueError('last words')"), (["-m", "package.train"], "sys.exit(5)")],
)
def test_a_script_is_bit_for_bit_that_of_python(words: list[str], end: str, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    for path in (tmp_path / "train.py", tmp_path / "package" / "train.py"):
        path.write_text(PLAIN.replace("END", end))
    (tmp_path / "helper.py").touch()
    words = [*words, "--seed", "3", "--hold"]
    code, printed, complaints = outcome([sys.executable, *words], tmp_path)
    command = [sys.executable, "-m", "tui_elbo.cli", "watch", "--headless"]
    watched_code, watched, watched_complaints = outcome([*command, *words], tmp_path)
    assert printed
    assert (watched_code, watched) == (code, printed)
    first, _, others = watched_complaints.partition("\n")
    assert first == "elbo-tui: `elbo-tui attach train` shows this run"
    assert others == complaints


ODD = """
import argparse, multiprocessing, os, sys
import torch, pyro, pyro.distributions as dist, pyro.infer
torch.set_num_threads(1)
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))
def guide():
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(-3.0)), 0.7))
def train(steps):
    pyro.clear_param_store()
    svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), pyro.infer.Trace_ELBO())
    return [svi.step() for _ in range(steps)][-1].hex()
def spawned(seed):
    pyro.set_rng_seed(seed)
    return train(3)
if __name__ == "__main__":
    pyro.set_rng_seed(0)
    print(train(30), flush=True)
    BODY
    print(train(30), flush=True)
"""

SPAWNS = """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(spawned, [1, 2]))
"""
EXECS = """
    if "again" not in sys.argv:
        os.execv(sys.executable, [sys.executable, __file__, "again"])
"""
DAEMONISES = """
    if os.fork():
        os.wait()
        sys.exit(3)
    os.setsid()
    if os.fork():
        os._exit(os.wait()[1])
"""
REPLACES = """
    class Mine(pyro.infer.SVI):
        def step(self, *args, **kwargs):
            return super().step(*args, **kwargs)
    pyro.infer.SVI = Mine
"""
ARGUES = """
    parser = argparse.ArgumentParser()
    for name in ("--hold", "--rank", "-m"):
        parser.add_argument(name)
    print(parser.parse_args(["--hold", "1", "--rank", "2", "-m", "x"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [REPLACES + ARGUES + SPAWNS, EXECS, DAEMONISES],
    ids=["spawn", "exec", "daemon"],
)
def test_what_an_odd_script_does_is_as_without_us(body: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(ODD.replace("    BODY", body))
    plain = outcome([sys.executable, "train.py"], tmp_path)
    command = [sys.executable, "-m", "tui_elbo.cli", "watch", "--headless", "train.py"]
    watched = outcome(command, tmp_path)
    assert plain[1]
    assert watched[:2] == plain[:2]
    assert watched[2].splitlines()[1:] == plain[2].splitlines()
    assert registry.runs() == []  # Of what has made way for another program, a socket is left.


BUSY = """
import threading, time, torch, pyro
from tui_elbo.engine.script import script_session
begun = threading.Event()
def multiply():
    begun.set()
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        torch.ones(600, 600) @ torch.ones(600, 600)
script_session.current().server.call(multiply)
begun.wait()
"""


@pytest.mark.slow
def test_a_script_that_ends_while_it_is_read_is_not_aborted(tmp_path: Path) -> None:
    """Python ends with a thread of ours in torch by SIGABRT."""
    (tmp_path / "train.py").write_text(BUSY)
    command = [sys.executable, "-m", "tui_elbo.cli", "watch", "--headless", "train.py"]
    code, _, complaints = outcome(command, tmp_path)
    assert (code, complaints.count("\n")) == (0, 1)
