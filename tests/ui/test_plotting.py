"""Drawings: what is in them, that nothing breaks them, and that they hold still."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_elbo.ui.plot.axes import labels, round_up, x_ticks, y_ticks
from tui_elbo.ui.plot.curve import columns, scaled, unscaled
from tui_elbo.ui.plot.plotting import Axes, Canvas, Curve, Drawing, Look, plot, sketch

STYLES = set(" bmracxoi")
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 1e-300, 5e-324, 1.7e308, -50_000.0]
NUMBER = st.one_of(st.floats(), st.sampled_from(ODD), st.floats(-40, 0), st.floats(0, 1))
SERIES = st.one_of(
    st.lists(NUMBER, max_size=60),
    st.builds(lambda v, n: [v] * n, NUMBER, st.integers(0, 40)),
)
MODES = st.sampled_from(["robust", "full", "log"])


def check(drawing: Drawing, width: int, height: int, plain: bool) -> None:
    assert len(drawing.rows) == len(drawing.styles) == max(0, height)
    for row, styles in zip(drawing.rows, drawing.styles, strict=True):
        assert len(row) == len(styles) == (max(0, width) if height > 0 else 0)
        assert row.isprintable()
        assert not plain or row.isascii()
        assert set(styles) <= STYLES


ANY_DRAWING = (
    SERIES,
    st.tuples(st.integers(-1, 44), st.integers(-1, 9)),
    MODES,
    st.booleans(),
    st.tuples(
        st.lists(st.tuples(st.just("reference"), NUMBER), max_size=2),
        st.one_of(st.none(), st.integers(-2, 70)),
    ),
)


@settings(max_examples=100)
@given(*ANY_DRAWING)
@example([-50_000.0] + [-30.0] * 20, (40, 6), "robust", False, ([], 3))
@example([1e300, -1e300], (40, 6), "full", False, ([("reference", np.inf)], None))
@example([5e-324, 1e-300, 0.0, -1.0], (40, 6), "log", True, ([], None))
def test_any_series_at_any_size(data, size, mode, plain, extras):
    curve = Curve(np.array(data, dtype=float), 1, len(data), tuple(extras[0]), extras[1], (2, 90))
    width, height = size
    drawing = sketch(curve, width, height, Look(ascii=plain, axis=True), mode)
    check(drawing, width, height, plain)


@pytest.mark.slow
@settings(max_examples=3_000)
@given(*ANY_DRAWING)
def test_ten_thousand_series_at_any_size(data, size, mode, plain, extras):
    test_any_series_at_any_size.hypothesis.inner_test(data, size, mode, plain, extras)


@settings(max_examples=60)
@given(SERIES, st.integers(0, 40), st.integers(1, 60), MODES, st.booleans())
def test_a_drawing_made_from_an_earlier_one_is_the_same(data, shown, size, mode, plain):
    values, width, height = np.array(data, dtype=float), 10 + size, 1 + size % 8
    look = Look(ascii=plain)
    rows = Canvas.of(width, height, look).height
    axes = Axes().covering(Curve(values, 1, min(shown, len(data))), rows, mode)
    before = plot(Curve(values, 1, min(shown, len(data))), axes, width, height, look=look)
    now = Curve(values, 1, len(data))
    axes = axes.covering(now, rows, mode)
    after = plot(now, axes, width, height, look=look, before=before)
    alone = plot(now, axes, width, height, look=look)
    assert (after.rows, after.styles) == (alone.rows, alone.styles)


@settings(max_examples=60)
@given(SERIES, st.integers(1, 12), MODES)
def test_axes_show_what_they_were_fitted_to(data, rows, mode):
    curve = Curve(np.array(data, dtype=float), 1, len(data))
    axes = Axes().covering(curve, rows, mode)
    assert np.isfinite([axes.low, axes.high, axes.step]).all()
    assert axes.low < axes.high
    assert axes.covering(curve, rows, mode) == axes
    shown = scaled(curve.shown, axes.sign)
    shown = np.clip(shown[np.isfinite(shown)], -1e300, 1e300)
    if len(shown) and mode != "robust":
        assert axes.low <= shown.min()
        assert shown.max() <= axes.high


@settings(max_examples=60)
@given(SERIES, st.integers(1, 80))
def test_each_column_of_dots_has_the_extremes_of_its_steps(data, width):
    values = np.array(data, dtype=float)
    span = round_up(max(20, len(values)))
    reduced = columns(Curve(values, 1, len(values)), span, width)
    steps: dict[int, list[float]] = {}
    for i, value in enumerate(data):
        column = (
            (2 * i + 1) * width // (2 * span)
            if span < width
            else next(c for c in reversed(range(width)) if c * span // width <= i)
        )
        steps.setdefault(column, []).append(value)
    assert reduced.x.tolist() == sorted(steps)
    for i, column in enumerate(sorted(steps)):
        finite = [min(max(v, -1e300), 1e300) for v in steps[column] if np.isfinite(v)]
        assert reduced.up[i] == (np.inf in steps[column])
        assert reduced.down[i] == any(np.isnan(v) or v == -np.inf for v in steps[column])
        if finite:
            assert (reduced.low[i], reduced.high[i]) == (min(finite), max(finite))
        else:
            assert np.isnan(reduced.low[i])
            assert np.isnan(reduced.high[i])


def test_a_spike_of_one_step_in_a_hundred_thousand_is_drawn():
    values = np.full(100_000, -6.0)
    values[54_321] = -9.0
    drawing = sketch(Curve(values, 1, len(values)), 68, 8, mode="full")
    cell = Canvas.of(68, 8, Look()).left + 54_321 * 60 // 100_000
    assert [styles[cell] for styles in drawing.styles].count("b") > 3


def svi(count: int) -> np.ndarray:
    """An ELBO as it comes: from -30 to -6, noisier at first."""
    t = np.arange(count)
    # Noise without a generator, so that no library's change of streams changes the goldens.
    noise = np.sin(t * 12.9898) + np.sin(t * 78.233) * np.sin(t * 3.7)
    return -6 - 24 * np.exp(-t / 150) + noise * (1 + np.exp(-t / 150))


def test_a_drawing_at_80_columns():
    values = svi(412)
    drawing = sketch(Curve(values, 1, 412, (("log p(x)", -5.73),)), 34, 6, Look(axis=True))
    assert drawing.text.split("\n") == [
        "      0┤",
        "       │⠒⠒  ⠒⠒  ⠒⠒⣀⣀⢀⣀⣀⣀⠤⠤⠤⠤⠤⠄  ⠒⠒",
        "    -15┤    ⣠⢀⡠⠤⠒⠒⠉⠉⠁⠁⠈",
        "       │⢀⣰⡠⠔⠊⠁",
        "    -30┤⠒⠉",
        "   step 0        200       400",
    ]


def test_a_drawing_in_ascii():
    values = svi(412)
    look = Look(ascii=True, axis=True)
    drawing = sketch(Curve(values, 1, 412, (("log p(x)", -5.73),), 300), 34, 6, look)
    assert drawing.text.split("\n") == [
        "      0+               |",
        "       |--  --  --..**********  --",
        "    -15+    .*******...|",
        "       |.****.         |",
        "    -30+*.             |",
        "   step 0        200       400",
    ]


def test_a_large_drawing():
    values = svi(3000)
    drawing = sketch(Curve(values, 1, 3000), 72, 14, Look(axis=True))
    assert drawing.text.split("\n") == [
        "      0┤",
        "       │",
        "     -5┤         ⣤⣠⣦⣦⣶⣤⢀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀",
        "       │     ⣀⣴⣾⢀⠤⠔⠒⠉⠉⠉⠁⠟⠿⠛⠛⠿⠻⠟⠿⠛⠛⠛⠿⠻⠟⠿⠛⠛⠛⠟⠿⠿⠿⠻⠛⠛⠛⠿⠻⠿⠻⠛⠛⠋⠿⠻⠟⠿⠛⠛⠻⠻⠻⠿⠿⠻⠛⠛⠻",
        "    -10┤   ⢀⣰⣿⡠⠊⠁⠁",
        "       │  ⢠⣸⣿⡜",
        "    -15┤  ⣼⡿⡜",
        "       │ ⢠⣿⡜",
        "    -20┤ ⣿⢠⠃",
        "       │⢰⢀⠎",
        "    -25┤⢀⠎",
        "       │⠎",
        "    -30┤⠟",
        "   step 0        500        1000      1500       2000       2500    3000",
    ]


def test_plotext_is_imported_with_the_first_mark_to_draw():
    program = (
        "import sys, numpy as np, tui_elbo.ui.panes.curve\n"
        "from tui_elbo.ui.plot.plotting import Curve, sketch\n"
        "sketch(Curve(np.array([np.nan]), 1, 1), 40, 8)\n"
        "assert 'plotext' not in sys.modules\n"
        "sketch(Curve(np.array([1.0]), 1, 1), 40, 8)\n"
        "assert 'plotext' in sys.modules\n"
        "assert not {'torch', 'pyro'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_first_loss_does_not_flatten_the_rest():
    values = svi(400)
    values[0] = -50_000.0
    axes = Axes().covering(Curve(values, 1, 400), 8)
    assert axes.low > -60
    drawing = sketch(Curve(values, 1, 400), 60, 8)
    assert drawing.rows[-1][8] == "▼"
    assert drawing.styles[-1][8] == "o"
    full = Axes().covering(Curve(values, 1, 400), 8, "full")
    assert full.low <= -50_000.0


def test_what_is_not_finite_is_marked_at_its_step_and_a_gap():
    values = svi(20)
    values[[4, 9, 14]] = np.nan, np.inf, -np.inf
    drawing = sketch(Curve(values, 1, 20), 28, 6)
    cells = [8 + (2 * i + 1) * 20 // 40 for i in (4, 9, 14)]
    assert [drawing.rows[r][c] for r, c in zip((-1, 0, -1), cells, strict=True)] == ["×"] * 3
    assert [drawing.styles[r][c] for r, c in zip((-1, 0, -1), cells, strict=True)] == ["x"] * 3


def test_axes_hold_still_and_a_step_changes_a_few_cells():
    values, width, height = svi(1000), 60, 10
    axes, drawing, moved = Axes(), None, []
    for last in range(1, 1001):
        curve = Curve(values, 1, last)
        was, axes = axes, axes.covering(curve, height)
        new = plot(curve, axes, width, height, before=drawing)
        if drawing is not None and was == axes:
            cells = zip("".join(drawing.rows), "".join(new.rows), strict=True)
            # The column of the step and its neighbour.
            assert sum(a != b for a, b in cells) <= 2 * height
        elif drawing is not None:
            moved.append(last)
        drawing = new
    assert len(moved) <= 20
    assert len([last for last in moved if last > 100]) <= 7


def test_a_bright_line_of_its_own_leads_straight_over_steps_without_a_number():
    line = np.full(20, np.nan)
    line[[3, 7, 15]] = [4.0, 8.0, 0.0]
    reduced = columns(Curve(np.zeros(20), 1, 20, line=line), 20, 40)
    joined = reduced.mean
    assert joined[3:16].tolist() == [*range(4, 9), *range(7, -1, -1)]
    assert np.isnan(joined[:3]).all()
    assert np.isnan(joined[16:]).all()


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=200), st.integers(1, 60))
def test_a_band_reaches_as_far_as_its_spread(pairs, width):
    values, spread = (np.array(one) for one in zip(*pairs, strict=True))
    curve = Curve(values, 1, len(values), spread=spread)
    band = columns(curve, round_up(max(20, len(values))), width)
    under, over = (np.clip(x[np.isfinite(x)], -1e300, 1e300) for x in np.split(curve.reach, 2))
    if len(under) and len(over):
        assert np.nanmin(band.low) == under.min()
        assert np.nanmax(band.high) == over.max()
    sketch(curve, width, 6)


def test_logarithms_keep_the_order_and_the_sign():
    for sign, values in ((1, [1e-3, 1.0, 1e5]), (-1, [-1e5, -1.0, -1e-3])):
        y = scaled(np.array(values), sign)
        assert (np.diff(y) > 0).all()
        assert [unscaled(v, sign) for v in y] == pytest.approx(values)
    assert np.isnan(scaled(np.array([0.0, -1.0, np.nan]), 1)).all()


def test_an_elbo_has_a_logarithmic_axis_of_negative_numbers():
    axes = Axes().covering(Curve(np.array([-50_000.0, -800.0, -30.0, -6.0]), 1, 4), 8, "log")
    assert axes.sign == -1
    texts = [text.strip() for _, text in y_ticks(axes, 7)]
    assert texts == ["-10000", "-100", "-1"]
    axes = Axes().covering(Curve(np.array([-30.0, -6.0]), 1, 2), 12, "log")
    assert [text.strip() for _, text in y_ticks(axes, 7)] == ["-20", "-10", "-5"]


def test_a_curve_that_is_zero_has_an_axis_of_ordinary_numbers():
    axes = Axes().covering(Curve(np.zeros(5), 1, 5), 8)
    assert {abs(float(text)) for _, text in y_ticks(axes, 7)} <= {0.0, 0.2, 0.5, 1.0}


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ([-40.0, -20.0, 0.0], ["-40", "-20", "0"]),
        ([-15.605, -15.6, -15.595], ["-15.605", "-15.600", "-15.595"]),
        ([-1_235_000.0, -1_234_000.0], ["-1235k", "-1234k"]),
        ([-1e300, 0.0, 1e300], ["-1e300", "0", "1e300"]),
        ([1e-300, 2e-300], ["1e-300", "2e-300"]),
        ([0.0, 0.2, 0.4], ["0.0", "0.2", "0.4"]),
    ],
)
def test_labels(numbers, texts):
    assert labels(numbers, 7) == [text.rjust(7) for text in texts]


def test_the_step_axis_grows_in_round_steps():
    assert [round_up(n) for n in (1, 20, 21, 31, 51, 100, 101, 301, 99_999)] == [
        *(1, 20, 30, 50, 100, 100, 200, 500, 100_000)
    ]
    texts = [text for _, text in x_ticks(Axes(span=100_000), 60)]
    assert texts == ["0", "20k", "40k", "60k", "80k", "100k"]


def test_a_step_that_has_none_of_it_is_no_fault_and_a_bad_number_is_one():
    values = np.array([np.nan, 1.0, np.nan, np.nan, 3.0, np.nan, np.nan])
    absent = np.array([True, False, True, True, False, False, True])
    reduced = columns(Curve(values, 1, 7, line=values, absent=absent), 7, 7)
    assert reduced.down.tolist() == [False] * 5 + [True, False]
    assert not reduced.up.any()
    assert reduced.mean[1:5].tolist() == pytest.approx([1, 5 / 3, 7 / 3, 3])
