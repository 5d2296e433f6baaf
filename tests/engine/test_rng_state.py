"""A saved random state gives the same draws each time it is restored."""

from __future__ import annotations

import random

import numpy as np
import torch

from tui_elbo.engine.rewind.checkpoint import random_state, set_random_state


def test_what_is_drawn_after_it_is_drawn_again() -> None:
    before = random_state()

    def drawn() -> tuple[float, ...]:
        return torch.rand(()).item(), np.random.normal(), random.random(), random.gauss(0, 1)

    state = random_state()
    first = drawn()
    for _ in range(2):
        set_random_state(state)
        assert drawn() == first
    set_random_state(before)
