"""Columns of a run, and windows of them: nothing is lost that the eye would see."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_elbo.model.history import History, window
from tui_elbo.model.records import Batch, Column, Layout

LOSS, EXTRA = Column("step", "", "loss"), Column("param", "a", "value[0]")
NUMBER = st.one_of(
    st.floats(), st.sampled_from([np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324])
)


def batch(first: int, rows: list[list[float]], columns: tuple[Column, ...] = (LOSS,)) -> Batch:
    layout = Layout(id=len(columns), sites=(), params=(), columns=columns)
    return Batch(layout, first, np.array(rows, dtype=float))


@settings(max_examples=500)
@given(st.lists(NUMBER, max_size=80), st.integers(0, 60), st.integers(0, 150), st.data())
def test_a_bucket_has_the_extremes_of_its_steps(data, width, span, draw):
    values = np.array(data, dtype=float)
    first = draw.draw(st.integers(1, len(data) + 1))
    last = draw.draw(st.integers(first - 1, len(data)))
    seen = window(values, first, last, width, span)
    count = last - first + 1
    assert len(seen.step) <= max(0, min(width, count))
    if width and count:
        assert seen.step[0] == first
        assert seen.finite.sum() + seen.broken.sum() == count
    edges = [*seen.step.astype(int).tolist(), last + 1]
    for i in range(len(seen.step)):
        part = values[edges[i] - 1 : edges[i + 1] - 1]
        assert len(part)
        finite = part[np.isfinite(part)]
        assert (seen.finite[i], seen.broken[i]) == (len(finite), len(part) - len(finite))
        if len(finite):
            assert (seen.low[i], seen.high[i]) == (finite.min(), finite.max())
            # Sums round, so the mean may pass an extreme by the last digits.
            low, mean, high = (float(v[i]) / 2 for v in (seen.low, seen.mean, seen.high))
            assert low - 1e-9 * abs(low) <= mean <= high + 1e-9 * abs(high)
        else:
            assert np.isnan([seen.low[i], seen.high[i], seen.mean[i]]).all()


def long_series(seed: int) -> np.ndarray:
    """Thousands of numbers: noise or constant, of any size, with gaps, spikes and infinities."""
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 6_000))
    values = random.normal(0, 1, size) * 10.0 ** random.integers(-300, 300)
    values = np.full(size, values[0]) if seed % 5 == 0 else values
    for odd in (np.nan, np.inf, -np.inf, 0.0, -5e-324, 1.7e308, -1.7e308):
        places = random.integers(0, size, int(random.integers(0, 4)))
        values[places] = odd
    if seed % 3 == 0:
        begin = int(random.integers(0, size))
        values[begin : begin + int(random.integers(0, size))] = np.nan
    return values


@pytest.mark.parametrize("seed", range(20))
def test_no_spike_of_a_long_series_is_lost(seed: int) -> None:
    values, random = long_series(seed), np.random.default_rng(-seed - 1 & 0xFFFF)
    first = int(random.integers(1, len(values) + 1))
    last = int(random.integers(first, len(values) + 1))
    for width in (1, 2, 53, 108, int(random.integers(3, 7_000))):
        for span in (None, int(random.integers(1, 9_000))):
            seen = window(values, first, last, width, span)
            assert len(seen.step) <= width
            edges = np.append(seen.step, last + 1).astype(int) - 1
            assert edges[0] == first - 1
            assert (np.diff(edges) > 0).all()
            for i, (begin, end) in enumerate(pairwise(edges)):
                part = values[begin:end]
                part = part[np.isfinite(part)]
                extremes = (part.min(), part.max()) if len(part) else (np.nan, np.nan)
                assert np.array_equal((seen.low[i], seen.high[i]), extremes, equal_nan=True)
                assert seen.finite[i] == len(part)
                assert seen.broken[i] == end - begin - len(part)


@settings(max_examples=200)
@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 200))
def test_buckets_keep_their_steps_while_the_span_holds(span, width, shown):
    values = np.arange(200.0)
    whole = window(values, 1, min(span, 200), width, span)
    part = window(values, 1, min(shown, span), width, span)
    assert part.step.tolist() == whole.step[: len(part.step)].tolist()
    assert part.low.tolist() == whole.low[: len(part.low)].tolist()
    full = slice(0, max(0, len(part.high) - 1))
    assert part.high[full].tolist() == whole.high[full].tolist()


def test_without_more_steps_than_buckets_each_step_is_one():
    seen = window(np.array([3.0, np.nan, 1.0]), 1, 3, 10)
    assert seen.step.tolist() == [1, 2, 3]
    assert seen.high.tolist()[::2] == [3.0, 1.0]
    assert seen.broken.tolist() == [0, 1, 0]


def test_the_mean_of_numbers_near_the_largest_float():
    seen = window(np.full(10, 1.7e308), 1, 10, 1)
    assert seen.mean[0] == pytest.approx(1.7e308)


def test_a_history_takes_batches_in_order():
    history = History()
    history.append(batch(1, [[3.0, 2.0]]))
    history.append(batch(3, [[1.0]]))
    assert history.values(LOSS).tolist() == [3.0, 2.0, 1.0]
    with pytest.raises(ValueError, match="steps from 6 on after step 3"):
        history.append(batch(6, [[0.0]]))


def test_a_column_is_nan_where_a_step_lacks_it():
    history = History()
    history.append(batch(1, [[3.0, 2.0]]))
    history.append(batch(3, [[1.0], [7.0]], (LOSS, EXTRA)))
    history.append(batch(4, [[0.5]]))
    assert np.isnan(history.values(EXTRA)).tolist() == [True, True, False, True]
    assert history.values(Column("step", "", "elbo")).shape == (4,)
    assert history.layout_at(2) is not history.layout_at(3)
    assert history.layout_at(5) is None


def test_a_long_history_keeps_every_number():
    history, count = History(), 5_000
    for first in range(1, count, 100):
        history.append(batch(first, [list(map(float, range(first, first + 100)))]))
    assert history.values(LOSS).tolist() == list(map(float, range(1, count + 1)))


def test_a_run_that_is_rewound_goes_on_in_other_layouts():
    one = Layout(7, (), (), (LOSS,))
    other = Layout(8, (), (), (LOSS, EXTRA))
    history = History()
    history.append(Batch(one, 1, np.arange(3.0)[None]))
    history.append(Batch(other, 4, np.arange(4.0).reshape(2, 2)))
    history.forget_after(2)
    assert (history.last, history.layout) == (2, one)
    assert history.record(3) is None
    history.append(Batch(one, 3, np.array([[7.0, 8.0]])))
    assert history.values(LOSS).tolist() == [0.0, 1.0, 7.0, 8.0]
    assert np.isnan(history.values(EXTRA)).all()
    history.forget_after(0)
    assert (history.last, history.layout) == (0, None)


def test_it_is_known_which_steps_have_a_column():
    history = History()
    history.append(batch(1, [[1.0, 2.0]]))
    history.append(batch(3, [[3.0], [np.nan]], (LOSS, EXTRA)))
    history.append(batch(4, [[4.0]]))
    assert history.has(EXTRA).tolist() == [False, False, True, False]
    assert history.has(LOSS).all()
    assert history.has(Column("step", "", "elbo")).tolist() == [False] * 4


def test_it_is_known_of_which_steps_only_the_loss_was_read():
    history = History()
    assert history.skimmed() is None
    whole = Layout(0, (), (), (LOSS, EXTRA))
    history.append(Batch(whole, 1, np.ones((2, 2))))
    assert history.skimmed() is None
    history.append(Batch(Layout(1, (), (), (LOSS,), skimmed=True), 3, np.ones((1, 3))))
    assert history.layout is whole
    assert history.skimmed().tolist() == [False, False, True, True, True]
    history.forget_after(4)
    assert history.layout is whole
    assert history.layout_at(4).skimmed
