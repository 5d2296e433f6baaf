"""The random state of a process: of torch, NumPy, Python's `random` and each CUDA device in use."""

from __future__ import annotations

import random
import sys
from array import array
from ctypes import string_at
from typing import Any

import numpy as np
import torch
from numpy.random import MT19937

WORDS = 624
"""Of a Mersenne Twister."""


def random_state() -> tuple[Any, ...]:
    """A copy of it, small enough to be kept by the thousand."""
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if in_use else None
    version, words, gauss = random.getstate()
    # As 625 Python integers it would be ten times the size, and most of a small checkpoint.
    packed = (version, array("I", words), gauss)
    return torch.get_rng_state(), _numpy.state(), packed, cuda


def set_random_state(state: tuple[Any, ...]) -> None:
    """Put a copy back; it may be put back again."""
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    version, words, gauss = state[2]
    random.setstate((version, tuple(words), gauss))
    if state[3] is not None:
        torch.cuda.set_rng_state_all(state[3])


class _NumPy:
    """NumPy's state, asked for anew only if it may have changed: it copies word by word.

    The bit generator keeps its words and its position in one piece of memory. What is compared
    with that is made of a state that was asked for, so if it were kept otherwise, it would never be
    the same. A normal number that NumPy keeps for the next draw lies elsewhere; while there is
    one, the state is always asked for.
    """

    def __init__(self) -> None:
        self._memory = b""
        self._state: Any = None

    def state(self) -> Any:
        """As `numpy.random.get_state`."""
        generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
        known = isinstance(generator, MT19937)
        if known and self._memory:
            address = generator.ctypes.state_address
            if string_at(address, len(self._memory)) == self._memory:
                return self._state
        self._state = np.random.get_state()
        _, words, position, keeps_one, _ = self._state
        sound = known and not keeps_one and len(words) == WORDS
        self._memory = words.tobytes() + position.to_bytes(4, sys.byteorder) if sound else b""
        return self._state


_numpy = _NumPy()
