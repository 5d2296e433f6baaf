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


class _GammaDraws(torch.autograd.Function):
    """Draws of a standard gamma distribution, with the derivative that torch gives them."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, draws: Tensor) -> Tensor:
        ctx.save_for_backward(concentration, draws)
        return draws.clone()  # What is given back as it came counts as a view of it.

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        concentration, draws = ctx.saved_tensors
        return grads[0] * torch._standard_gamma_grad(concentration, draws), None


def draw_one_by_one(
    sampler: Callable[..., Tensor],
    arguments: Sequence[Tensor],
    generator: torch.Generator,
    seed: int,
) -> Tensor:
    """Draw each row with a seed of its own.

    The draws and their gradient are those of a call of the sampler for each row, to the last bit,
    without a graph of so many calls.

    Args:
        sampler: one of `rejection_samplers`.
        arguments: of the sampler, of equally many rows each.
        generator: that it draws from.
        seed: of the first row; the next have the next.
    """
    needs = torch.is_grad_enabled() and any(one.requires_grad for one in arguments)
    gamma = sampler is torch._standard_gamma
    with torch.set_grad_enabled(needs and not gamma):
        rows = []
        for row, parameters in enumerate(zip(*(one.unbind() for one in arguments), strict=True)):
            generator.manual_seed(seed + row)
            rows.append(sampler(*parameters, generator=generator))
        draws = torch.stack(rows)
    if needs and gamma:
        found: Tensor = _GammaDraws.apply(arguments[0], draws)  # type: ignore[no-untyped-call]
        return found
    return draws


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
        "torch._standard_gamma_grad",
        "for the derivative of all of these draws at once",
        lambda: bool(torch._standard_gamma_grad(torch.ones(1), torch.ones(1)) > 0),
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
