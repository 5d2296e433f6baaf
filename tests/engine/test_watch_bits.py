"""A training that is watched, and looked at, is bit for bit the training that it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI
from torch.testing import assert_close

import tui_elbo
from tests.engine.client import history
from tests.engine.scripts import attached, rest
from tests.engine.shapes import SHAPES
from tests.runtime import runtime_folder
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    ErrorReported,
    GradientsComputed,
    ImportanceBoundComputed,
    LensPointAdded,
    Loaded,
    Pause,
    PosteriorDrawn,
    RunStatus,
    RunUntil,
    Step,
)

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


SEEN = {"bayesian_regression", "gmm", "lda", "sparse_gamma_def", "scheduled", "jit"}
"""Those that are trained on the same data at each step."""

Trained = tuple[list[Any], dict[str, Any], dict[str, Any], Any]


def trained(shape: str, *, watched: bool, looked_at: bool) -> Trained:
    """The losses, parameters, optimiser's state and random state that a training comes to."""
    pyro.clear_param_store()
    pyro.set_rng_seed(7)
    optims: list[Any] = []
    with ExitStack() as stack:

        def begin(svi: SVI) -> None:
            optims.append(svi.optim)
            if watched:
                stack.enter_context(tui_elbo.watch(svi, "shape"))
                if looked_at and len(optims) == 1:
                    stack.enter_context(Audience(sees=shape in SEEN))

        losses = SHAPES[shape](begin)
    store = pyro.get_param_store()
    values = {name: leaf.detach().clone() for name, leaf in store.named_parameters()}
    optimiser = {name: kept for optim in optims for name, kept in optim.get_state().items()}
    return losses, values, optimiser, torch.get_rng_state()


class Audience:
    """Somebody who holds the run from its beginning, steps it, and lets it go.

    Args:
        sees: whether the lens can look.
    """

    def __init__(self, *, sees: bool) -> None:
        self._sees, self._draws = sees, -1
        self._holds = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._stepped = 0

    def _look(self) -> None:
        with attached("shape") as terminal:
            terminal.ask(Pause())
            self._holds.set()
            self._stepped = terminal.ask(Step(count=3)).step
            came = [event for event in terminal.seen if isinstance(event, LensPointAdded)]
            self._draws = (came[0] if came else terminal.until(LensPointAdded)).point.draws
            terminal.send(ComputeImportanceBound(draws=64))
            terminal.until(ImportanceBoundComputed)
            terminal.send(ComputeGradients())
            terminal.until(GradientsComputed)
            terminal.send(DrawPosterior(count=3))
            terminal.until(PosteriorDrawn)
            terminal.ask(Step())
            terminal.send(RunUntil())
            terminal.until(RunStatus, lambda level: level.state == "running")

    def __enter__(self) -> Audience:
        self._thread.start()
        assert self._holds.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        assert self._stepped == 3
        assert (self._draws > 0) == self._sees


SLOW_WHEN_LOOKED_AT = {"lda", "gmm", "bayesian_regression"}
WATCHED = [
    pytest.param(
        shape,
        looked_at,
        id=f"{shape}-{'looked-at' if looked_at else 'alone'}",
        marks=[pytest.mark.slow] if looked_at and shape in SLOW_WHEN_LOOKED_AT else [],
    )
    for shape in SHAPES
    for looked_at in (False, True)
]


@pytest.mark.parametrize(("shape", "looked_at"), WATCHED)
def test_not_a_bit_of_the_training_changes(shape: str, looked_at: bool) -> None:
    losses, values, state, random = trained(shape, watched=False, looked_at=False)
    same, same_values, same_state, same_random = trained(shape, watched=True, looked_at=looked_at)
    assert same == losses
    assert_close(same_state, state, rtol=0.0, atol=0.0)
    assert list(same_values) == list(values)
    assert all(torch.equal(same_values[name], values[name]) for name in values)
    assert torch.equal(same_random, random)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_step_of_an_example_is_read(shape: str) -> None:
    handles: list[Any] = []
    pyro.set_rng_seed(7)
    SHAPES[shape](lambda svi: handles.append((svi, tui_elbo.watch(svi, "shape"))))
    with attached("shape") as terminal:
        # What has not been sent yet comes with the end of the script, one SVI after the other.
        for _, handle in handles:
            handle.close()
        rest(terminal)
    begins = [place for place, e in enumerate(terminal.seen) if isinstance(e, Loaded)]
    assert len(begins) == len(handles)
    for first, last in zip(begins, [*begins[1:], None], strict=True):
        seen = history(terminal.seen[first:last])
        assert seen.last > 0
        fields = {(column.kind, column.field) for column in seen.columns}
        assert ("step", "loss") in fields
        if shape != "jit":
            assert {("step", "elbo"), ("site", "log_p")} <= fields
        assert any(column.kind == "param" for column in seen.columns)
    assert [e for e in terminal.seen if isinstance(e, ErrorReported)] == []
    assert all("step" not in vars(svi) for svi, _ in handles)
