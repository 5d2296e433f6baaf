"""The random state that is kept is the one that there is, whatever was drawn in between."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.engine.past.chance import random_state, set_random_state

DRAWS = {
    "one normal": np.random.normal,
    "two normals": lambda: np.random.normal(size=2),
    "uniform": np.random.rand,
    "many": lambda: np.random.rand(700),
    "seed": lambda: np.random.seed(5),
    "nothing": lambda: None,
    "back": lambda: set_random_state(random_state()),
}


def parts(state: tuple[object, ...]) -> list[object]:
    name, words, *rest = state
    return [name, words.tolist(), *rest]


@pytest.fixture(autouse=True)
def _put_back():
    before = random_state()
    yield
    set_random_state(before)


@given(st.lists(st.sampled_from(list(DRAWS)), max_size=12))
def test_numpys_state_is_the_present_one(draws: list[str]) -> None:
    for draw in draws:
        DRAWS[draw]()
        assert parts(random_state()[1]) == parts(np.random.get_state())


def test_another_generator_of_numpys_is_asked_each_time() -> None:
    usual = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.MT19937(3))
        first = parts(random_state()[1])
        np.random.rand()
        assert parts(random_state()[1]) == parts(np.random.get_state()) != first
    finally:
        np.random.set_bit_generator(usual)


def test_what_is_drawn_after_it_is_drawn_again() -> None:
    def drawn() -> tuple[float, ...]:
        return torch.rand(()).item(), np.random.normal(), random.random(), random.gauss(0, 1)

    state = random_state()
    first = drawn()
    for _ in range(2):
        set_random_state(state)
        assert drawn() == first
