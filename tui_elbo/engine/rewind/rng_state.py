"""The random state of a process: of torch, NumPy, Python's `random` and each CUDA device in use."""

from __future__ import annotations

import random
from array import array
from typing import Any

import numpy as np
import torch


def random_state() -> tuple[Any, ...]:
    """A copy of it, small enough to be kept by the thousand."""
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if in_use else None
    version, words, gauss = random.getstate()
    # As 625 Python integers it would be ten times the size, and most of a small checkpoint.
    packed = (version, array("I", words), gauss)
    return torch.get_rng_state(), np.random.get_state(), packed, cuda


def set_random_state(state: tuple[Any, ...]) -> None:
    """Put a copy back; it may be put back again."""
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    version, words, gauss = state[2]
    random.setstate((version, tuple(words), gauss))
    if state[3] is not None:
        torch.cuda.set_rng_state_all(state[3])
