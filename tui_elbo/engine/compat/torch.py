"""Every private API of torch that the engine uses, each with its reason in `PRIVATE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tui_elbo.engine.compat import Private

VERSIONS = ("2.3.0", "2.13.0")
"""The versions that all of this was checked with."""


def foreach_norm(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The Euclidean norm of each tensor, in one call.

    Args:
        tensors: at least one.
    """
    return torch._foreach_norm(list(tensors))


def rejection_samplers() -> frozenset[Callable[..., Any]]:
    """What draws by rejection: how much it draws depends on its arguments."""
    return frozenset(
        {torch._standard_gamma, torch._sample_dirichlet, torch.poisson, torch.binomial}
    )


def tensor_version(tensor: Tensor) -> int:
    """Changes with each change of a tensor in place; not for tensors of inference mode."""
    return tensor._version


def has_backward_hooks(leaf: Tensor) -> bool:
    """Whether something hooks into a tensor's gradient."""
    return bool(leaf._backward_hooks)


def _version_counts() -> bool:
    tensor = torch.zeros(2)
    before = tensor._version
    tensor.add_(1)
    return tensor._version > before


def _hooks_are_seen() -> bool:
    leaf = torch.zeros(2, requires_grad=True)
    before = leaf._backward_hooks
    leaf.register_hook(lambda grad: grad)  # type: ignore[no-untyped-call]
    return not before and bool(leaf._backward_hooks)


PRIVATE = (
    Private(
        "torch._foreach_norm",
        "for the norm of all gradients of a module at once: one by one costs several times as much",
        lambda: torch.equal(torch.stack(torch._foreach_norm([torch.ones(4)])), torch.tensor([2.0])),
    ),
    Private(
        "torch._standard_gamma",
        "to seed its draws one by one: a rejection sampler draws a number of times that depends "
        "on its parameters",
        lambda: callable(torch._standard_gamma),
    ),
    Private(
        "torch._sample_dirichlet",
        "for the same",
        lambda: callable(torch._sample_dirichlet),
    ),
    Private(
        "Tensor._version",
        "to know whether a script has changed a step's arguments since",
        _version_counts,
    ),
    Private(
        "Tensor._backward_hooks",
        "to leave alone a gradient that somebody else's hook would see",
        _hooks_are_seen,
    ),
)
"""Each with its reason; a test looks them all up."""
