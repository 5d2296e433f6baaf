"""A watched run beside the plain one, and what must be the same in both, bit for bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro.optim import PyroOptim
from pyro.optim.optim import is_scheduler

from tests.engine.plain import PlainRun
from tui_elbo.engine.session import Session
from tui_elbo.model.records import StepRecord


@dataclass(frozen=True, eq=False)
class WatchedRun:
    """What a session came to."""

    session: Session
    """Standing at the last step."""
    records: list[StepRecord]


def watched_run(path: str, steps: int, seed: int | None = None, threads: int = 1) -> WatchedRun:
    """Take the first step alone and the others together."""
    session = Session(path, seed=seed, threads=threads)
    records = [session.step()]
    while session.steps_taken < steps:
        for batch in session.advance(steps - session.steps_taken):
            records += batch.records()
    return WatchedRun(session, records)


def assert_same(plain: PlainRun, watched: WatchedRun) -> None:
    """Losses, and the state that they led to, are the same, bit for bit."""
    assert [record.step for record in watched.records] == list(range(1, len(plain.losses) + 1))
    assert [told(record) for record in watched.records] == [reported(x) for x in plain.losses]
    assert_same_state(plain, watched.session)


def assert_same_state(plain: PlainRun, session: Session) -> None:
    """Parameters, buffers, optimiser state and random state are the same, bit for bit.

    The param store must be as the session has left it.
    """
    rng_state, store = pyro.util.get_rng_state(), pyro.get_param_store()
    same_rng(plain.rng_state, rng_state)
    same_tensors(plain.unconstrained, {n: v.detach() for n, v in store.named_parameters()})
    same_tensors(plain.params, {name: value.detach() for name, value in store.items()})
    same_tensors(kept(plain.scenario), kept(session.scenario))
    state = optimizer_state(session.scenario.optimizer)
    assert optimizer_state(plain.scenario.optimizer) == state


def told(record: StepRecord) -> tuple[float | None, tuple[float, ...] | None]:
    """What a record says of the loss; None where it is not finite."""
    none = record.loss is None or not math.isfinite(record.loss)
    return (None if none else record.loss, record.loss_parts)


def reported(loss: Any) -> tuple[float | None, tuple[float, ...] | None]:
    """What a record must say of what `svi.step` returned."""
    if isinstance(loss, tuple):
        return (math.fsum(loss), loss)
    # Only an estimator that reports no loss says inf in these runs.
    return (None if loss == math.inf else loss, None)


def same_tensors(plain: dict[str, torch.Tensor], watched: dict[str, torch.Tensor]) -> None:
    """The same names in the same order, with the same bits."""
    assert list(plain) == list(watched)
    for name, value in plain.items():
        other = watched[name]
        assert (value.dtype, value.shape) == (other.dtype, other.shape), name
        # Bytes, so that -0.0 is not 0.0 and nan is nan.
        assert value.numpy().tobytes() == other.numpy().tobytes(), name


def same_rng(plain: dict[str, Any], watched: dict[str, Any]) -> None:
    """The three generators stand at the same place."""
    assert torch.equal(plain["torch"], watched["torch"])
    assert plain["random"] == watched["random"]
    for one, other in zip(plain["numpy"], watched["numpy"], strict=True):
        assert np.array_equal(one, other)


def kept(scenario: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers of the model, the guide and what they carry as `.keep`."""
    tensors: dict[str, torch.Tensor] = {}
    for side in ("model", "guide"):
        owner = getattr(scenario, side)
        for module in (owner, getattr(owner, "keep", None)):
            if isinstance(module, torch.nn.Module):
                for name, value in module.state_dict().items():
                    tensors[f"{side}.{name}"] = value.detach().clone()
    return tensors


def optimizer_state(optimizer: PyroOptim) -> list[str]:
    """Each parameter's value and the state of its optimiser (its scheduler's too), as text.

    Without names, since those are gone with the param store; without order, since Pyro updates
    the members of a set.
    """
    found = []
    for parameter, own in optimizer.optim_objs.items():
        states = [own.state_dict()]
        if is_scheduler(own):
            states.append(own.optimizer.state_dict())
        found.append(as_text([parameter, *states]))
    return sorted(found)


def as_text(state: Any) -> str:
    """A nested state as text, equal for equal bits. What is called in it is left out."""
    if isinstance(state, torch.Tensor):
        return f"{state.dtype}{tuple(state.shape)}{state.detach().numpy().tobytes().hex()}"
    if isinstance(state, dict):
        return "{" + ",".join(f"{key}:{as_text(value)}" for key, value in state.items()) + "}"
    if isinstance(state, (list, tuple)):
        return "[" + ",".join(map(as_text, state)) + "]"
    return "" if callable(state) else repr(state)
