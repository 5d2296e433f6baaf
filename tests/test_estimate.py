"""Numbers estimated from draws have the digits that their error allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.model.estimate import rounded, significant, with_error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-4.59876, 0.0321, "-4.60 ± 0.03"),
        (1.23456789, 0.0, "1.23457 ± 0"),
        (0.0003, 0.04, "0.00 ± 0.04"),
        (-0.0003, 0.04, "-0.00 ± 0.04"),
        (0.512, 0.096, "0.5 ± 0.1"),
        (1234.5, 60.0, "1230 ± 60"),
        (12.5, 3.0, "12 ± 3"),
        (0.5, 60.0, "0 ± 60"),
        (-123456.0, 4.7e3, "-123000 ± 5000"),
        (1.2e-9, 3e-11, "1.20e-09 ± 3e-11"),
        (3.1e20, 1e19, "3.1e+20 ± 1e+19"),
        (0.5, float("nan"), "0.5 ± –"),
        (float("nan"), 0.1, "nan ± 0.1"),
        (float("-inf"), float("nan"), "-inf ± –"),
    ],
)
def test_no_digit_below_the_first_of_the_error(value, error, text):
    assert with_error(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (39.7891, "+39.8"),
        (1234.5, "+1,230"),
        (-999.6, "-1,000"),
        (60000.0, "+60,000"),
        (3.1e20, "+3.1e+20"),
        (0.00021234, "+0.000212"),
        (0.0, "+0"),
        (float("nan"), "+nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_sentence_has_no_exponents_that_it_can_do_without(value, text):
    assert significant(value, signed=True) == text
    assert significant(value) == text.removeprefix("+")


@given(st.floats(-1e12, 1e12), st.floats(1e-12, 1e12))
def test_what_is_left_out_is_less_than_the_error(value, error):
    kept = float(rounded(value, error))
    assert abs(kept - value) <= max(error, abs(value) * 1e-5)
