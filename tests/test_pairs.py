"""The helper of the benchmarks, on data whose ratio is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks import pairs
from tests.benchmarks.pairs import Interval, Result, bootstrap, interleaved, judge, ratio


def noisy_pairs(true: float, count: int, seed: int) -> list[tuple[float, float]]:
    """Times under a load that drifts, with a burst of other work now and then."""
    random = np.random.default_rng(seed)
    load = 1 + 0.5 * np.sin(np.arange(count) / 5)
    burst = np.where(random.random((2, count)) < 0.1, 3.0, 1.0)
    one, other = load * random.normal(1, 0.03, (2, count)) * burst
    return list(zip(true * one, other, strict=True))


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    found = [ratio(noisy_pairs(1.06, 60, seed)) for seed in range(100)]
    assert all(one.low <= one.value <= one.high for one in found)
    assert sum(one.low <= 1.06 <= one.high for one in found) >= 88


def test_more_pairs_make_the_interval_narrower():
    few, many = (ratio(noisy_pairs(1.06, count, 0)) for count in (20, 500))
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_the_same_sample_gives_the_same_interval():
    sample = np.random.default_rng(1).normal(size=30)
    assert bootstrap(sample) == bootstrap(sample)


def test_a_constant_has_no_width():
    assert bootstrap([2.0] * 5) == Interval(2.0, 2.0, 2.0)


@pytest.mark.parametrize("sample", [[], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_measurement_is_refused(sample: list[float]):
    with pytest.raises(AssertionError):
        bootstrap(sample)


def test_each_side_goes_first_in_turn():
    order: list[str] = []

    def side(name: str, seconds: float):
        return lambda: order.append(name) or seconds

    assert interleaved(side("a", 1.0), side("b", 2.0), 3) == [(1.0, 2.0)] * 3
    assert order == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize(
    ("interval", "at_least", "fails", "beyond"),
    [
        ((0.9, 0.8, 1.0), False, False, 0.0),
        ((1.0, 0.9, 1.2), False, False, 0.1),
        ((1.3, 1.2, 1.4), False, True, 0.3),
        ((1.2, 1.15, 1.3), True, False, 0.0),
        ((1.1, 0.9, 1.3), True, False, 0.2),
        ((1.0, 0.9, 1.05), True, True, 0.2),
    ],
)
def test_only_an_interval_wholly_beyond_the_bound_fails(interval, at_least, fails, beyond):
    result = Result("x", Interval(*interval), 1.1, at_least)
    assert result.fails is fails
    assert result.beyond == pytest.approx(beyond)
    assert ("FAILS" in str(result)) is fails
    assert ("does not hold" in str(result)) is (beyond > 0 and not fails)


def test_judging_notes_the_result_and_raises_where_it_fails(monkeypatch):
    monkeypatch.setattr(pairs, "RESULTS", [])
    judge("bytes", 10, 20)
    with pytest.raises(AssertionError, match="FAILS: median beyond by 5, interval by 5"):
        judge("bytes", 25, 20)
    assert [one.name for one in pairs.RESULTS] == ["bytes", "bytes"]
