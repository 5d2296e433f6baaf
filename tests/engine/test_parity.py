"""Watching changes nothing: a session's run is the plain loop's run, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pyro.infer
import pyro.infer.autoguide
import pytest
import torch
from pyro.infer import ELBO, SVI
from pyro.infer.autoguide import AutoContinuous, AutoGuide, AutoMessenger
from pyro.optim import PyroLRScheduler, PyroOptim
from pyro.params.param_store import ParamStoreDict
from pyro.poutine.guide import GuideMessenger

from tests.engine.compare import WatchedRun, assert_same, assert_same_state, watched_run
from tests.engine.matrix import (
    ESTIMATORS,
    EVERY,
    GUIDES,
    JIT,
    PAIRS,
    PARTICLES,
    Combo,
    scenario,
    write,
)
from tests.engine.models import NETWORK
from tests.engine.plain import PlainRun, plain_run
from tests.engine.specials import OPTIMIZERS, SCHEDULERS, SPECIALS, with_optimizer
from tui_elbo.engine.record.options import Every
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import ScenarioError, StepError

# Plain Pyro warns of several combinations that it runs.
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS = 5
COMPILED = tuple(combo for combo in PAIRS if combo.estimator in JIT)
"""Which are traced in their first step, and optimised, for seconds, in their third."""
QUICK = tuple(combo for combo in PAIRS if combo.estimator not in JIT)


def _ids(combos: list[Combo]) -> list[str]:
    return [str(combo) for combo in combos]


def _runs(combos: tuple[Combo, ...]) -> pytest.MarkDecorator:
    some = [combo for combo in combos if combo.refusal is None]
    return pytest.mark.parametrize("combo", some, ids=_ids(some))


def _refused(combos: tuple[Combo, ...]) -> pytest.MarkDecorator:
    some = [combo for combo in combos if combo.refusal is not None]
    return pytest.mark.parametrize("combo", some, ids=_ids(some))


def _exported(module: object, base: type) -> set[str]:
    names = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    return {name for name in names if issubclass(getattr(module, name), base)}


def test_the_matrix_has_every_estimator_and_guide_of_pyro():
    assert set(ESTIMATORS) == _exported(pyro.infer, ELBO) - {"ELBO"}
    guides = _exported(pyro.infer.autoguide, (AutoGuide, AutoMessenger))
    abstract = {AutoGuide.__name__, AutoMessenger.__name__, AutoContinuous.__name__}
    assert set(GUIDES) == guides - abstract | {"by_hand"}


def test_the_pairs_cover_what_the_matrix_covers():
    every = {pair for combo in EVERY for pair in combo.pairs}
    some = {pair for combo in PAIRS for pair in combo.pairs}
    assert some == every


def _assert_parity(combo: Combo, folder: Path, steps: int) -> None:
    path = write(folder, combo.text)
    plain = plain_run(path, steps)
    assert_same(plain, watched_run(path, steps))


def _assert_refused(combo: Combo, folder: Path) -> None:
    path = write(folder, combo.text)
    with pytest.raises(combo.refusal) as plain:
        plain_run(path, 1)
    with pytest.raises((ScenarioError, StepError)) as watched:
        Session(path).step()
    cause = watched.value.__cause__
    assert (type(cause), str(cause)) == (plain.type, str(plain.value))
    assert plain.type.__name__ in str(watched.value)


@_runs(QUICK)
def test_pairs(combo: Combo, tmp_path: Path):
    _assert_parity(combo, tmp_path, steps=STEPS)


@_refused(PAIRS)
def test_refused_pairs(combo: Combo, tmp_path: Path):
    _assert_refused(combo, tmp_path)


@pytest.mark.slow
@_runs(COMPILED)
def test_compiled_pairs(combo: Combo, tmp_path: Path):
    _assert_parity(combo, tmp_path, steps=STEPS)


def _assert_text_parity(text: str, folder: Path, steps: int = 6) -> tuple[PlainRun, WatchedRun]:
    path = write(folder, text)
    plain, watched = plain_run(path, steps), watched_run(path, steps)
    assert_same(plain, watched)
    return plain, watched


@pytest.mark.parametrize("text", SPECIALS.values(), ids=SPECIALS)
def test_specials(text: str, tmp_path: Path):
    _assert_text_parity(text, tmp_path)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers(optimizer: str, tmp_path: Path):
    _assert_text_parity(with_optimizer(optimizer), tmp_path)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("optimizer", SCHEDULERS.values(), ids=SCHEDULERS)
def test_schedulers(optimizer: str, every: int, tmp_path: Path):
    text = with_optimizer(optimizer, f"scheduler_every = {every}")
    plain, _ = _assert_text_parity(text, tmp_path, steps=7)
    schedulers = plain.scenario.optimizer.optim_objs.values()
    assert {scheduler.last_epoch for scheduler in schedulers} == {7 // every}
    for scheduler in schedulers:
        # Otherwise a scheduler that is never stepped would pass.
        (group,) = scheduler.optimizer.param_groups
        assert group["lr"] != group.get("initial_lr", 0.02)


@pytest.mark.parametrize("seed", [None, 0, 11])
def test_seeds(seed: int | None, tmp_path: Path):
    path = write(tmp_path, scenario(NETWORK, "seed = 4"))
    assert_same(plain_run(path, 3, seed=seed), watched_run(path, 3, seed=seed))


def test_the_file_is_executed_again_with_the_modules_beside_it(tmp_path: Path):
    write(tmp_path, "import torch\nfrom torch import nn\nnet = nn.Linear(2, 1)\n", "parts.py")
    text = scenario(
        """
from parts import net
x = torch.randn(5, 2)
def model():
    pyro.module("net", net)
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 5):
        pyro.sample("y", dist.Normal(net(x).squeeze(-1) + z, 1.0), obs=torch.ones(5))
guide = AutoNormal(model)
model.keep = net
"""
    )
    path = write(tmp_path, text)
    plain = plain_run(path, 5)
    first = watched_run(path, 5)
    assert_same(plain, first)
    first.session.restart()
    assert first.session.steps_taken == 0
    again = [r for _ in range(5) for r in [first.session.step()]]
    assert [r.loss for r in again] == plain.losses
    assert_same(plain, watched_run(path, 5))


def test_at_two_threads_it_is_the_plain_run_at_two_threads(tmp_path: Path):
    text = scenario(
        """
w = torch.randn(500, 300)
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(300), 1.0).to_event(1))
    mean = torch.nn.functional.softplus(w @ z)
    pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=torch.ones(500))
guide = AutoMultivariateNormal(model)
"""
    )
    path = write(tmp_path, text)
    plain, watched = plain_run(path, 3, threads=2), watched_run(path, 3, threads=2)
    assert torch.get_num_threads() == 2
    assert_same(plain, watched)


def test_no_class_of_pyro_is_changed(tmp_path: Path):
    def methods() -> dict[tuple[str, str], object]:
        classes = [getattr(pyro.infer, name) for name in ESTIMATORS]
        classes += [ELBO, SVI, PyroOptim, PyroLRScheduler, GuideMessenger, ParamStoreDict]
        classes += [getattr(pyro.infer.autoguide, name) for name in set(GUIDES) - {"by_hand"}]
        return {(c.__name__, key): value for c in classes for key, value in vars(c).items()}

    before = methods()
    for name in ("TraceEnum_ELBO-AutoNormal-one", "Trace_ELBO-AutoNormalMessenger-looped"):
        combo = Combo(*name.split("-"))
        Session(write(tmp_path, combo.text)).advance(2)
        assert methods() == before


@pytest.mark.parametrize("every", [1, 2, 4])
def test_what_is_not_due_is_not_missed(every: int, tmp_path: Path):
    """Large parameters are summed up at some steps only, and the run does not notice."""
    path = write(tmp_path, scenario(NETWORK))
    plain, session = plain_run(path, 5), Session(path)
    session.due = Every(every)
    records = [record for batch in session.advance(5) for record in batch.records()]
    assert [record.loss for record in records] == plain.losses
    assert_same_state(plain, session)
    for record in records:
        large = record.params["encoder$$$0.weight"]
        numbers = (large.mean, large.sd, large.grad_norm, large.update_norm)
        assert [n is not None for n in numbers] == [record.step % every == 0] * 4
        assert record.params["encoder$$$3.bias"].value is not None


@pytest.mark.parametrize("error", ["RuntimeError", "KeyboardInterrupt", "SystemExit"])
@pytest.mark.parametrize("particles", PARTICLES)
def test_a_failed_step_is_taken_again_as_if_it_had_not_failed(
    particles: str, error: str, tmp_path: Path
):
    """The step draws numbers and makes a parameter before it fails, and fails once."""
    text = scenario(
        f"""
import os
def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if step == 4:
        pyro.param("late", lambda: torch.tensor(0.3))
    if step == 4 and not os.path.exists(__file__ + ".ok"):
        raise {error}("not yet")
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.4))
guide = AutoNormal(model)
def batch(step):
    return (step,)
""",
        loss=f"Trace_ELBO({PARTICLES[particles]})",
    )
    path = write(tmp_path, text)
    session = Session(path)
    with pytest.raises((StepError, KeyboardInterrupt)) as told:
        session.advance(6)
    raised = told.value.__cause__ if isinstance(told.value, StepError) else told.value
    assert type(raised).__name__ == error
    assert session.steps_taken == 3
    before = [record for batch in session.flush() for record in batch.records()]
    (tmp_path / "scenario.py.ok").touch()
    plain = plain_run(path, 6)
    after = [record for batch in session.advance(3) for record in batch.records()]
    assert [r.step for r in [*before, *after]] == [1, 2, 3, 4, 5, 6]
    assert [r.loss for r in [*before, *after]] == plain.losses
    assert_same_state(plain, session)
