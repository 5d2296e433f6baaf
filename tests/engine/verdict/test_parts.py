"""The kept iterates, and the search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tui_elbo.engine.verdict.iterates import MOST, Iterates
from tui_elbo.engine.verdict.search import follow_gradient, search

SECOND = 1.0
"""What a step takes, so that keeping its iterate costs next to nothing of it."""


def walked(steps: int, iterates: Iterates | None = None) -> tuple[Iterates, list[Tensor]]:
    kept = iterates or Iterates()
    leaf = torch.zeros(3, requires_grad=True)
    stored, path = [("w", leaf)], []
    generator = torch.Generator().manual_seed(0)
    for step in range(1, steps + 1):
        with torch.no_grad():
            leaf += torch.randn(3, generator=generator)
        kept.took(step, stored, SECOND)
        path.append(leaf.detach().clone())
    return kept, path


def test_the_mean_is_that_of_the_steps_in_the_window() -> None:
    kept, path = walked(200)
    mean = kept.mean(150, 200)["w"]
    torch.testing.assert_close(mean, torch.stack(path[150:200]).mean(0))


def test_the_mean_of_a_long_run_is_taken_over_evenly_spaced_iterates() -> None:
    kept, path = walked(3000)
    exact = torch.stack(path[2250:3000]).mean(0)
    torch.testing.assert_close(kept.mean(2250, 3000)["w"], exact, atol=1.5, rtol=0)
    looks = kept.between(1500, 3000, 24)
    assert len(looks) == 24
    for step, state in looks:
        torch.testing.assert_close(state["w"], path[step - 1])


def test_the_memory_is_bounded() -> None:
    kept, _ = walked(5000)
    assert kept.size <= 2 * MOST * 12
    small, _ = walked(100, Iterates(memory=200))
    assert "--checkpoint-memory" in small.why_none


def test_the_way_at_the_beginning_is_kept_closer_as_far_as_there_is_room() -> None:
    kept, path = walked(5000)
    states = kept.states(0, 5000)
    steps = [step for step, _ in states]
    assert all(b - a <= max(2, b / 16) for a, b in zip([0, *steps], steps, strict=False))
    for step, state in states:
        torch.testing.assert_close(state["w"], path[step - 1])
    kept.forget_after(60)
    assert [step for step, _ in kept.states(0, 5000)] == [step for step in steps if step <= 60]
    memory = 2 * MOST * 13 + 120
    assert walked(5000, Iterates(memory))[0].size <= memory


def test_going_back_forgets_what_came_after() -> None:
    kept, path = walked(100)
    kept.forget_after(60)
    assert kept.begin == 0
    assert all(step <= 60 for step, _ in kept.between(0, 100, 1000))
    torch.testing.assert_close(kept.mean(30, 60)["w"], torch.stack(path[30:60]).mean(0))


def test_a_change_of_settings_and_of_the_store_begins_the_window_anew() -> None:
    kept, _ = walked(100)
    kept.changed(100)
    assert (kept.begin, kept.between(0, 100, 10)) == (100, [])
    kept, _ = walked(100)
    two = [("w", torch.zeros(3, requires_grad=True)), ("v", torch.zeros(1, requires_grad=True))]
    kept.took(101, two, SECOND)
    assert kept.begin == 100


def quadratic(scales: np.ndarray, jump: float = 0.0):  # type: ignore[no-untyped-def]
    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        away = x - 1.0
        value = float(0.5 * (scales * away**2).sum())
        value += jump * math.sin(1e4 * x.sum()) if jump else 0.0
        return value, scales * away

    return objective


def test_the_search_finds_the_best_of_an_ill_conditioned_bowl() -> None:
    scales = np.logspace(0, 4, 6)
    found = search(quadratic(scales), np.zeros(6), 160)
    assert found.gains[-1] == pytest.approx(0.5 * scales.sum(), abs=0.05)
    np.testing.assert_allclose(found.place, 1.0, atol=1e-3)


def test_what_raises_or_is_not_finite_is_turned_back_from() -> None:
    inner = quadratic(np.ones(2))

    def walled(x: np.ndarray) -> tuple[float, np.ndarray]:
        if x[0] > 1.2:
            raise ValueError("a scale below zero")
        if x[1] > 1.2:
            return math.nan, np.full(2, math.nan)
        return inner(x)

    found = search(walled, np.full(2, -30.0), 80)
    np.testing.assert_allclose(found.place, 1.0, atol=1e-3)


def test_a_start_that_raises_is_reported() -> None:
    def broken(x: np.ndarray) -> tuple[float, np.ndarray]:
        raise ValueError("no such place")

    for climb in (search, follow_gradient):
        assert "no such place" in climb(broken, np.zeros(2), 40).error


def test_an_objective_that_jumps_is_followed_by_its_gradient() -> None:
    found = follow_gradient(quadratic(np.array([1.0, 4.0]), jump=0.03), np.zeros(2), 120)
    np.testing.assert_allclose(found.place, 1.0, atol=0.1)
    assert abs(found.rising) < 0.05
