"""Drawings: the right size, plain cells, axes that hold still."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_elbo.ui.plotting import Axes, Curve, Look, plot

ANY = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 1e-300, 5e-324, -50_000.0]),
    st.floats(-40, 0),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ANY, max_size=60),
    st.tuples(st.integers(-1, 60), st.integers(-1, 14)),
    st.sampled_from(["robust", "full", "log"]),
    st.booleans(),
    st.tuples(
        st.lists(st.tuples(st.just("r"), ANY), max_size=2),
        st.one_of(st.none(), st.integers(-2, 70)),
    ),
)
def test_any_series_at_any_size(data, size, mode, plain, extras):
    (width, height), (references, cursor) = size, extras
    curve = Curve(np.array(data, dtype=float), 1, len(data), tuple(references), cursor)
    axes = Axes().covering(curve, mode)
    assert np.isfinite([axes.low, axes.high]).all()
    assert axes.low < axes.high
    drawing = plot(curve, axes, width, height, look=Look(ascii=plain, axis=True))
    assert len(drawing.rows) == len(drawing.inks) == max(0, height)
    for row, inks in zip(drawing.rows, drawing.inks, strict=True):
        assert len(row) == len(inks) == (max(0, width) if height > 0 else 0)
        assert all(c.isprintable() for c in row)
        assert not plain or row.isascii()
        assert set(inks) <= set(" bmracxo")
