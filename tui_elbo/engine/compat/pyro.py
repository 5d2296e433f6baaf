"""Every private API of Pyro that the engine uses, each with its reason in `PRIVATE`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Trace_ELBO, traceenum_elbo
from pyro.poutine import Trace, runtime
from pyro.poutine.messenger import Messenger
from torch import Tensor

from tui_elbo.engine.compat import Private

VERSIONS = ("1.9.1", "1.9.2")
"""The versions that all of this was checked with."""

TraceBuilder: TypeAlias = Callable[..., tuple[Trace, Trace]]
"""Takes model, guide, args and kwargs; gives the traces of the model and of the guide."""

PARTICLE_PLATE = "num_particles_vectorized"
"""The name that Pyro gives to the plate of vectorised particles."""


def trace_builder(estimator: Any) -> TraceBuilder | None:
    """What builds the traces of a step; None if the estimator builds none that we know of."""
    found: TraceBuilder | None = getattr(estimator, "_get_trace", None)
    return found


def own_trace_builder(estimator: Any) -> TraceBuilder | None:
    """The trace builder that the instance itself has in place of its class's; None if none."""
    found: TraceBuilder | None = vars(estimator).get("_get_trace")
    return found


def set_trace_builder(estimator: Any, builder: TraceBuilder | None) -> None:
    """Give an instance a trace builder of its own; None leaves it its class's."""
    if builder is not None:
        estimator._get_trace = builder
    else:
        vars(estimator).pop("_get_trace", None)


def handler_stack() -> list[Messenger]:
    """The effect handlers that are active now, the outermost first."""
    stack: list[Messenger] = runtime._PYRO_STACK
    return stack


def reset_handlers() -> None:
    """Take off every handler, and every dimension of a plate, that an interrupt has left behind."""
    runtime._PYRO_STACK.clear()
    runtime._DIM_ALLOCATOR._stack.clear()


def store_constraints() -> dict[str, Any]:
    """The constraint of each parameter of the store, live."""
    found: dict[str, Any] = pyro.get_param_store()._constraints
    return found


def mask_of(fn: Any) -> Any:
    """The mask of a `MaskedDistribution`: a bool or a tensor."""
    return fn._mask


def enumerate_dim(node: Any) -> int | None:
    """The dimension in which a site of a trace is enumerated; None if it is not."""
    found: int | None = node["infer"].get("_enumerate_dim")
    return found


def enumerate_symbol(node: Any) -> str:
    """The name of that dimension in packed tensors."""
    found: str = node["infer"]["_enumerate_symbol"]
    return found


def is_deterministic(node: Any) -> bool:
    """Whether a site of a trace is one of `pyro.deterministic`."""
    return bool(node["infer"].get("_deterministic"))


def packed_dims(tensor: Tensor) -> str:
    """The names of a packed tensor's dimensions."""
    dims: str = tensor._pyro_dims  # type: ignore[attr-defined]
    return dims


def compute_model_factors(model_trace: Trace, guide_trace: Trace) -> Any:
    """As `pyro.infer.traceenum_elbo._compute_model_factors`."""
    return traceenum_elbo._compute_model_factors(model_trace, guide_trace)


def _draw(how: str | None = None) -> None:
    with pyro.plate("plate", 2):
        pyro.sample("k", dist.Bernoulli(0.5), infer={"enumerate": how})


def _enumerated() -> Trace:
    def model() -> None:
        _draw("parallel")
        pyro.deterministic("d", torch.zeros(()))

    elbo = traceenum_elbo.TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    return next(elbo._get_traces(model, lambda: None, (), {}))[0]


def _vectorized_plate() -> bool:
    elbo = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
    trace, _ = next(elbo._get_traces(_draw, _draw, (), {}))
    return PARTICLE_PLATE in {f.name for f in trace.nodes["k"]["cond_indep_stack"]}


def _hooks() -> bool:
    seen: list[str] = []

    class Probe(Messenger):  # type: ignore[misc]
        def _pyro_sample(self, msg: Any) -> None:
            seen.append(f"before {msg['name']}")

        def _pyro_post_sample(self, msg: Any) -> None:
            seen.append(f"after {msg['name']}")

    with Probe():
        _draw()
    return {"before k", "after k"} <= set(seen)


def _builder_is_called() -> bool:
    calls, elbo = [], Trace_ELBO()
    inner = elbo._get_trace

    def builder(*args: Any) -> tuple[Trace, Trace]:
        calls.append(args)
        traces: tuple[Trace, Trace] = inner(*args)
        return traces

    elbo._get_trace = builder
    elbo.loss(_draw, _draw)
    return len(calls) == 1


PRIVATE = (
    Private(
        "pyro.infer.ELBO._get_trace",
        "to read the terms of a step off the traces that the estimator builds anyway; "
        "nothing public gives them without another run of the model",
        _builder_is_called,
    ),
    Private(
        "pyro.poutine.runtime._PYRO_STACK",
        "to take off handlers that an interrupt has left, and to know replay from a plain run",
        lambda: isinstance(runtime._PYRO_STACK, list),
    ),
    Private(
        "pyro.poutine.runtime._DIM_ALLOCATOR._stack",
        "to free the dimensions of plates that an interrupt has left",
        lambda: isinstance(runtime._DIM_ALLOCATOR._stack, list),
    ),
    Private(
        "ParamStoreDict._constraints",
        "to know each parameter's constraint without computing its value",
        lambda: isinstance(pyro.get_param_store()._constraints, dict),
    ),
    Private(
        "MaskedDistribution._mask",
        "to count the elements that a mask takes out",
        lambda: dist.Normal(0.0, 1.0).mask(False)._mask is False,
    ),
    Private(
        'infer["_enumerate_dim"]',
        "to know which sites are enumerated",
        lambda: _enumerated().nodes["k"]["infer"]["_enumerate_dim"] < 0,
    ),
    Private(
        'infer["_enumerate_symbol"]',
        "to know which terms depend on a site that is summed out",
        lambda: isinstance(_enumerated().nodes["k"]["infer"]["_enumerate_symbol"], str),
    ),
    Private(
        'infer["_deterministic"]',
        "to leave `pyro.deterministic` out of the sites",
        lambda: _enumerated().nodes["d"]["infer"]["_deterministic"],
    ),
    Private(
        "Tensor._pyro_dims",
        "to name the dimensions of packed tensors",
        lambda: isinstance(_enumerated().nodes["k"]["packed"]["log_prob"]._pyro_dims, str),
    ),
    Private(
        "pyro.infer.traceenum_elbo._compute_model_factors",
        "to sum enumerated sites out of the model as the estimator does",
        lambda: callable(traceenum_elbo._compute_model_factors),
    ),
    Private(
        f'the plate "{PARTICLE_PLATE}"',
        "to tell the dimension of the particles from those of the model",
        _vectorized_plate,
    ),
    Private(
        "Messenger._pyro_sample, Messenger._pyro_post_sample",
        "to see each site as it is drawn; the method's name is what makes it a hook",
        _hooks,
    ),
)
"""Each with its reason; a test looks them all up."""
