"""Loops that call an ELBO themselves: every update is seen, and nothing of it changes."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.contrib import gp
from pyro.infer import ELBO, SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from pyro.optim.multi import Newton
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

import tui_elbo
from tests.engine.client import history, visitor
from tests.engine.scripts import attached, fresh, rest
from tests.runtime import runtime_folder
from tui_elbo.engine.script import script_session
from tui_elbo.engine.script.loop_source import LoopSource
from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.protocol import (
    Attach,
    EngineBusy,
    ErrorReported,
    LensPointAdded,
    Loaded,
    RunFlagged,
    RunUntil,
    Step,
    Tuned,
    runtime_dir,
)

DATA = torch.tensor([0.5, 1.5, 1.0])


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(script_session, "CHECKED", 0)
    with runtime_folder() as folder:
        yield folder
        script_session.let_all_go()


def model(data: torch.Tensor) -> None:
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


def guide(data: torch.Tensor) -> None:
    loc = pyro.param("loc", torch.tensor(-3.0))
    scale = pyro.param("scale", torch.tensor(0.7), constraint=dist.constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))


def leaves() -> list[torch.Tensor]:
    guide(DATA)
    return [leaf for _, leaf in pyro.get_param_store().named_parameters()]


def adam(rate: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.Adam(leaves(), lr=rate)


def plain() -> list[float]:
    elbo, losses = Trace_ELBO(), []
    optimizer = adam()
    for _ in range(12):
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


Loop = Callable[[], Any]


def outcome(loop: Loop) -> tuple[Any, dict[str, Any], torch.Tensor]:
    """What a loop returns, the parameters and the random state that it comes to."""
    fresh()
    result = loop()
    store = pyro.get_param_store().named_parameters()
    return result, {name: leaf.tolist() for name, leaf in store}, torch.get_rng_state()


def watched(loop: Loop) -> tuple[Any, History, list[Any]]:
    """What a loop returns, and what a terminal is sent of it; it is the loop that it was."""
    result, params, random = outcome(loop)
    with tui_elbo.watch_all() as handle:
        same, same_params, same_random = outcome(loop)
        with attached(handle.id) as terminal:
            handle.close()
            rest(terminal)
    assert same == result
    assert same_params == params
    assert torch.equal(same_random, random)
    assert [event for event in terminal.seen if isinstance(event, ErrorReported)] == []
    return result, history(terminal.seen), terminal.seen


def losses_of(seen: History) -> list[float]:
    return seen.values(Column("step", "", "loss")).tolist()


def test_each_update_after_an_elbo_is_a_step_with_its_terms() -> None:
    losses, seen, events = watched(plain)
    assert losses_of(seen) == losses
    log_p, log_q = (seen.values(Column("step", "", term)) for term in ("log_p", "log_q"))
    assert (log_q - log_p).tolist() == pytest.approx(losses, rel=1e-6)
    loc = seen.values(Column("param", "loc", "value[0]")).tolist()
    assert loc == sorted(loc)
    assert loc[-1] == pyro.param("loc").item()
    assert (seen.values(Column("param", "loc", "grad_norm")) > 0).all()
    (loaded,) = {(e.estimator, e.optimizer) for e in events[-30:] if isinstance(e, Loaded)}
    assert loaded == ("Trace_ELBO", "Adam, lr 0.05")


SCRIPT = """
import json, pyro, torch, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim.multi import Newton
data = torch.ones(3)
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=data)
guide = pyro.infer.autoguide.AutoNormal(model)
pyro.set_rng_seed(4)
guide(data)
elbo, opt, losses = Trace_ELBO(), torch.optim.Adam(guide.parameters(), lr=0.05), []
for _ in range(40):
    loss = elbo.differentiable_loss(model, guide, data)
    loss.backward()
    opt.step()
    opt.zero_grad()
    losses.append(loss.item())
print(json.dumps([losses, {name: value.tolist() for name, value in pyro.get_param_store().items()},
    torch.get_rng_state().sum().item(), torch.rand(2).tolist()]))
"""


@pytest.mark.slow
def test_a_script_with_a_loop_of_its_own_is_bit_for_bit_that_of_python(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)

    def output(*words: str) -> str:
        argv = [sys.executable, *words, "train.py"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert output("-m", "tui_elbo.cli", "watch", "--headless") == output() != ""


def by_loss_and_grads() -> list[float]:
    elbo, optimizer = Trace_ELBO(num_particles=3), adam()
    losses = []
    for _ in range(6):
        losses.append(elbo.loss_and_grads(model, guide, DATA))
        optimizer.step()
        optimizer.zero_grad()
    return losses


def by_the_loss_of_an_svi() -> list[float]:
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    optimizer, losses = adam(), []
    for _ in range(6):
        losses.append(svi.loss_and_grads(model, guide, DATA))
        optimizer.step()
        optimizer.zero_grad()
    return losses


def clipped() -> list[float]:
    elbo, optimizer, losses = Trace_ELBO(), adam(), []
    for _ in range(6):
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(leaves(), 0.25)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def accumulated() -> list[float]:
    """Two evaluations before each update."""
    elbo, optimizer, losses = Trace_ELBO(), adam(), []
    for _ in range(6):
        parts = []
        for _ in range(2):
            loss = elbo.differentiable_loss(model, guide, DATA)
            (loss / 2).backward()
            parts.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sum(parts) / 2)
    return losses


def with_two_optimizers() -> list[float]:
    """Each updates one of the parameters, after the same evaluation."""
    elbo, losses = Trace_ELBO(), []
    optimizers = [torch.optim.SGD([leaf], lr=0.01) for leaf in leaves()]
    for _ in range(6):
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def with_pyro_optim() -> list[float]:
    """It has an optimiser of torch's for each parameter."""
    elbo, optimizer, losses = Trace_ELBO(), pyro.optim.ClippedAdam({"lr": 0.05}), []
    for _ in range(6):
        params = leaves()
        losses.append(elbo.loss_and_grads(model, guide, DATA))
        optimizer(params)
        pyro.infer.util.zero_grads(params)
    return losses


def with_a_grad_scaler() -> list[float]:
    """It scales the loss, and the gradients back before the update."""
    elbo, optimizer, losses = Trace_ELBO(), adam(), []
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for _ in range(6):
        loss = elbo.differentiable_loss(model, guide, DATA)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def with_closures() -> list[float]:
    """The optimiser evaluates once in each of its steps."""
    elbo, optimizer = Trace_ELBO(), adam()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(6)]


def with_lbfgs() -> list[float]:
    """The optimiser evaluates several times in each of its steps, and returns the first."""
    elbo, optimizer = Trace_ELBO(), torch.optim.LBFGS(leaves(), lr=0.1, max_iter=4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(6)]


def after_a_closure_that_raises() -> list[float]:
    """A step that has raised in its second evaluation leaves nothing behind."""
    elbo, optimizer, evaluated = Trace_ELBO(), torch.optim.LBFGS(leaves(), lr=0.1), []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        evaluated.append(loss)
        if len(evaluated) == 2:
            raise ArithmeticError
        return loss

    with suppress(ArithmeticError):
        optimizer.step(closure)
    usual, losses = adam(), []
    for _ in range(6):
        usual.zero_grad()
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        usual.step()
        losses.append(loss.item())
    return losses


def beside_another_training() -> list[float]:
    """A network that the ELBO knows nothing of is trained in between."""
    elbo, optimizer, losses = Trace_ELBO(), adam(), []
    other = torch.nn.Linear(2, 1)
    others = torch.optim.SGD(other.parameters(), lr=0.1)
    for _ in range(6):
        loss = elbo.differentiable_loss(model, guide, DATA)
        loss.backward()
        other(torch.ones(2)).sum().backward()
        others.step()
        optimizer.step()
        others.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def by_hand() -> list[float]:
    elbo, losses = Trace_ELBO(), []
    params = leaves()
    for _ in range(6):
        losses.append(elbo.loss_and_grads(model, guide, DATA))
        for leaf in params:
            leaf.data -= 0.01 * leaf.grad
            leaf.grad = None
    return losses


def by_newton() -> list[float]:
    """`pyro.optim.multi` differentiates the loss itself."""

    def vector(data: torch.Tensor) -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor([-3.0]))[0], 0.7))

    elbo, optimizer, losses = Trace_ELBO(), Newton({"loc": 0.5}), []
    vector(DATA)
    params = dict(pyro.get_param_store().named_parameters())
    for _ in range(6):
        loss = elbo.differentiable_loss(model, vector, DATA)
        optimizer.step(loss, params)
        losses.append(loss.item())
    return losses


LOOPS = [
    by_loss_and_grads,
    by_the_loss_of_an_svi,
    clipped,
    accumulated,
    with_two_optimizers,
    with_pyro_optim,
    with_a_grad_scaler,
    with_closures,
    with_lbfgs,
    after_a_closure_that_raises,
    beside_another_training,
    by_hand,
    by_newton,
]


@pytest.mark.parametrize("loop", LOOPS)
def test_steps_are_told_from_what_else_happens(loop: Loop) -> None:
    losses, seen, events = watched(loop)
    assert losses_of(seen) == losses
    assert seen.values(Column("step", "", "elbo")).tolist() == pytest.approx(
        [-loss for loss in losses], rel=1e-5
    )
    loc = seen.values(Column("param", "loc", "value[0]"))
    assert loc[-1] == pyro.param("loc").item()
    moved = seen.values(Column("param", "scale", "update_norm"))
    assert (moved > 0).all() or loop is by_newton
    assert not any(column.field == "eval_loss" for column in seen.columns)
    grads = seen.values(Column("param", "loc", "grad_norm"))
    if loop is clipped:
        assert grads.max() <= 0.2500001
    optimizer = [event for event in events if isinstance(event, Loaded)][-1].optimizer
    hand = loop in (by_hand, by_newton)
    flags = [event.kind for event in events if isinstance(event, RunFlagged)]
    assert (optimizer == "") == hand
    # What its guide is a function of may be gone before the terminal is.
    assert [kind for kind in flags if kind != "unwatched"] == ["by_evaluation"] * hand
    assert hand or (grads > 0).all()


class Net(PyroModule[torch.nn.Module]):
    def __init__(self) -> None:
        super().__init__()
        self.scale = PyroParam(torch.tensor(1.0), constraint=dist.constraints.positive)
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, data: torch.Tensor) -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(self.linear(z[None])[0], self.scale), obs=data)


def by_a_module() -> list[float]:
    """As Pyro's documentation has it: one evaluation sets the guide up."""
    net = Net()
    elbo = Trace_ELBO()(net, AutoNormal(net))
    elbo(DATA)
    optimizer, losses = torch.optim.Adam(elbo.parameters(), lr=0.05), []
    for _ in range(6):
        loss = elbo(DATA)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("local", [False, True])
def test_an_elbo_that_is_a_module(local: bool) -> None:
    with pyro.settings.context(module_local_params=local):
        losses, seen, _ = watched(by_a_module)
    assert losses_of(seen) == losses
    # The evaluation that set the guide up was not differentiated.
    unused = seen.values(Column("step", "", "eval_loss"))
    assert torch.isfinite(torch.from_numpy(unused)).tolist() == [True] + [False] * 5
    layout = seen.layout
    assert layout is not None
    roles = {param.name.rpartition("$")[2]: param.role for param in layout.params}
    assert roles == {
        "scale": "model",
        "weight": "model",
        "bias": "model",
        "AutoNormal.locs.z": "guide",
        "AutoNormal.scales.z": "guide",
    }
    real = {param.name for param in layout.params if param.constraint == "real"}
    assert {"linear$$$weight", "linear$$$bias", "AutoNormal.locs.z"} == real
    assert (seen.values(Column("param", "scale", "update_norm")) > 0).all()


def test_evaluations_without_an_update_are_kept_apart() -> None:
    def validated() -> list[float]:
        elbo, judge, optimizer = Trace_ELBO(), Trace_ELBO(num_particles=4), adam()
        losses = []
        for step in range(6):
            loss = elbo.differentiable_loss(model, guide, DATA)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            if step % 2:
                found = judge.loss(model, guide, DATA)
                with torch.no_grad():
                    found += elbo.differentiable_loss(model, guide, DATA).item()
                losses.append(found / 2)
        return losses

    losses, seen, _ = watched(validated)
    assert losses_of(seen) == [losses[i] for i in (0, 1, 3, 4, 6, 7)]
    unused = seen.values(Column("step", "", "eval_loss")).tolist()
    assert [unused[i] for i in (2, 4)] == pytest.approx([losses[i] for i in (2, 5)])
    assert [i for i, value in enumerate(unused) if value == value] == [2, 4]  # noqa: PLR0124


def test_the_validation_of_an_svi_is_kept_apart() -> None:
    def validated() -> list[float]:
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
        return [svi.step(DATA), svi.step(DATA), svi.evaluate_loss(DATA), svi.step(DATA)]

    losses, seen, _ = watched(validated)
    assert losses_of(seen) == [losses[0], losses[1], losses[3]]
    assert seen.values(Column("step", "", "eval_loss"))[2] == losses[2]


def test_a_gaussian_process() -> None:
    def trained() -> list[float]:
        x = torch.linspace(0.0, 1.0, 5)
        process = gp.models.GPRegression(x, torch.sin(x), gp.kernels.RBF(1))
        return list(gp.util.train(process, num_steps=4))

    losses, seen, events = watched(trained)
    assert losses_of(seen) == losses
    assert "kernel.lengthscale" in {column.name for column in seen.columns}
    assert [e for e in events if isinstance(e, Loaded)][-1].optimizer == "Adam, lr 0.01"


def test_what_a_script_raises_goes_through_and_the_loop_goes_on() -> None:
    def failing() -> list[float]:
        elbo, optimizer, losses = Trace_ELBO(), adam(), []
        for data in (DATA, None, DATA):
            if data is None:
                with pytest.raises(TypeError) as caught:
                    elbo.loss_and_grads(model, guide, data)
                assert caught.value.__context__ is None
                continue
            losses.append(elbo.loss_and_grads(model, guide, data))
            optimizer.step()
            optimizer.zero_grad()
        return losses

    losses, seen, _ = watched(failing)
    assert losses_of(seen) == losses


def test_what_goes_wrong_in_watching_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no more")

    expected = outcome(plain)[0]
    for name in ("evaluate", "updating", "updated", "_complete"):
        with monkeypatch.context() as patch, tui_elbo.watch_all():
            owner = script_session.ScriptSession if name == "evaluate" else LoopSource
            patch.setattr(owner, "_loop" if name == "evaluate" else name, broken)
            assert outcome(plain)[0] == expected


def test_two_loops_are_two_trainings_and_end_with_their_guides() -> None:
    def one() -> Callable[..., None]:
        def own(data: torch.Tensor) -> None:
            guide(data)

        return own

    with tui_elbo.watch_all():
        session = script_session.current()
        assert session is not None
        elbo, guides = Trace_ELBO(), [one(), one()]
        for own in guides:
            elbo.loss_and_grads(model, own, DATA)
        assert session.count == 2
        del own
        guides.pop()
        gc.collect()
        assert session.count == 1


def test_classes_and_hooks_are_what_they_were() -> None:
    before = {kind: dict(vars(kind)) for kind in (ELBO, Trace_ELBO, TraceMeanField_ELBO)}
    hooks = len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)
    with tui_elbo.watch_all():
        assert vars(Trace_ELBO) != before[Trace_ELBO]

        class Own(Trace_ELBO):  # type: ignore[misc]
            def loss(self, *args: Any, **kwargs: Any) -> Any:
                return super().loss(*args, **kwargs)

        plain = vars(Own)["loss"].__wrapped__
    assert vars(Own)["loss"] is plain
    for kind, own in before.items():
        assert {k: v for k, v in vars(kind).items() if not k.startswith("_abc")} == {
            k: v for k, v in own.items() if not k.startswith("_abc")
        }
    assert (len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)) == hooks


@pytest.mark.parametrize("looked_at", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_loop_that_is_held_and_stepped_is_the_same(looked_at: bool) -> None:
    expected, outcomes = outcome(plain), []
    script_session.begin(Path("mine"), watches_all=True, hold=True)
    with tui_elbo.watch_all() as handle:
        loop = threading.Thread(target=lambda: outcomes.append(outcome(plain)))
        loop.start()
        with attached(handle.id) as terminal:
            assert terminal.ask(Step()).step == 1
            assert terminal.ask(Step(count=3)).step == 4
            if looked_at:
                looks = [event for event in terminal.seen if isinstance(event, LensPointAdded)]
                assert (looks or [terminal.until(LensPointAdded)])[0].point.draws > 0
            terminal.send(RunUntil())
            loop.join(30)
            handle.close()
            rest(terminal)
    assert history(terminal.seen).last == 12
    ((losses, params, random),) = outcomes
    assert (losses, params) == expected[:2]
    assert torch.equal(random, expected[2])


def test_gradients_that_are_thrown_away_are_not_accumulated() -> None:
    """As a `GradScaler` does it, which skips the update."""

    def skipping() -> list[float]:
        elbo, optimizer, losses = Trace_ELBO(), adam(), []
        for step in range(6):
            losses.append(elbo.loss_and_grads(model, guide, DATA))
            if step != 3:
                optimizer.step()
            optimizer.zero_grad()
        return losses

    losses, seen, _ = watched(skipping)
    assert losses_of(seen) == [losses[i] for i in (0, 1, 2, 4, 5)]
    assert seen.values(Column("step", "", "eval_loss"))[3] == losses[3]


def test_a_guide_that_is_made_anew_each_step_is_one_training() -> None:
    def lambdas() -> list[float]:
        elbo, optimizer, losses = Trace_ELBO(), adam(), []
        for _ in range(6):
            losses.append(elbo.loss_and_grads(lambda: model(DATA), lambda: guide(DATA)))
            optimizer.step()
            optimizer.zero_grad()
        return losses

    losses, seen, _ = watched(lambdas)
    assert losses_of(seen) == losses


def test_an_optimizer_that_comes_late_is_named() -> None:
    losses, seen, events = watched(lambda: by_hand() + by_loss_and_grads())
    assert losses_of(seen) == losses
    flags = [bool(event.text) for event in events if isinstance(event, RunFlagged)]
    assert flags == []  # it holds no more
    (tuned,) = (event for event in events if isinstance(event, Tuned))
    assert (tuned.step, tuned.optimizer) == (6, "Adam, lr 0.05")


def test_updates_that_come_and_go_keep_the_history() -> None:
    def rescheduled() -> list[float]:
        elbo, losses = Trace_ELBO(), []
        for epoch in range(3):
            optimizer = adam(0.05 / (1 + epoch))
            for _ in range(2):
                losses.append(elbo.loss_and_grads(model, guide, DATA))
                optimizer.step()
                optimizer.zero_grad()
        return losses

    losses, seen, _ = watched(rescheduled)
    assert losses_of(seen) == losses


def test_estimators_are_copied_and_saved_as_the_plain_objects() -> None:
    with tui_elbo.watch_all():
        elbo = Trace_ELBO(num_particles=2)
        elbo.loss_and_grads(model, guide, DATA)
        for other in (copy.deepcopy(elbo), pickle.loads(pickle.dumps(elbo))):
            assert vars(other) == vars(elbo) == vars(Trace_ELBO(num_particles=2))
        saved = pickle.dumps(elbo.differentiable_loss)
    assert pickle.loads(saved).__func__ is Trace_ELBO.differentiable_loss


def test_a_script_that_takes_no_step_is_said_to_take_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(script_session, "PATIENCE", 0.0)
    with tui_elbo.watch_all() as handle, visitor(runtime_dir.path_of(handle.id)) as terminal:
        terminal.send(Attach())
        terminal.until(EngineBusy, lambda event: event.text == script_session.NOTHING_YET)
