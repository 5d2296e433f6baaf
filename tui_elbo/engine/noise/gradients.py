"""What taking the same gradient many times needs: leaves, their gradients, held subsamples."""

from __future__ import annotations

from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor


def leaves() -> list[tuple[str, Tensor]]:
    """The unconstrained parameters of the store, by name."""
    return list(pyro.get_param_store().named_parameters())


def taken_gradient(leaf: Tensor) -> Tensor:
    """The gradient of a leaf, (elements,), zero where it has none; leaves none behind."""
    gradient, leaf.grad = leaf.grad, None
    return (torch.zeros_like(leaf) if gradient is None else gradient).detach().reshape(-1)


class FixedSubsamples(Messenger):  # type: ignore[misc]
    """Plates choose the subsample that they chose when they were first seen."""

    def __init__(self) -> None:
        super().__init__()
        self._chosen: dict[str, Any] = {}

    def _pyro_sample(self, msg: Any) -> None:
        if site_is_subsample(msg) and msg["value"] is None and msg["name"] in self._chosen:
            msg["value"], msg["done"] = self._chosen[msg["name"]], True

    def _pyro_post_sample(self, msg: Any) -> None:
        if site_is_subsample(msg):
            self._chosen.setdefault(msg["name"], msg["value"])
