"""Conditions: any text at all, and whether they mean what Python means."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.condition_data import at, batch_of, columns
from tui_elbo.model.conditions import Condition, ConditionError, parse
from tui_elbo.model.records import Column

WORDS = """elbo loss step log_p params["w"] sites["x"].log_p .mean grad_norm 1 -1.5 1e-3 500 > < ==
!= and or not + - * / ( ) abs( nan( finite( [ ] [0] , . = is in if else lambda : := ' \" # \\ **
& | ~ @ % await yield * \x00 \r é 𝒙 \ud800 { } f'{ 0x10 1_000 1j ... None True"""


def parsed(text: str) -> Condition | ConditionError:
    try:
        return parse(text)
    except ConditionError as error:
        return error


@settings(max_examples=300)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(re.split("[ \n]", WORDS)), max_size=25).map(" ".join)
)
@example("(" * 900)
@example("not " * 249 + "1")
@example("[" * 150 + "]" * 150)
@example("'" * 3)
@example("9" * 999)
@example("elbo > 0x" + "f" * 900)
@example('"\\d" > 1or 2')
@example("\ufeffelbo > 1")
def test_any_text_either_parses_or_is_refused(text: str) -> None:
    condition = parsed(text)
    if isinstance(condition, ConditionError):
        assert 0 <= condition.at <= len(text)
        return
    batch = batch_of(columns())
    holds = condition.holds(batch)
    assert holds.dtype == np.bool_
    assert holds.shape == (3,)
    assert [condition.met(batch.layout, s, at(batch, s)) for s in (1, 2, 3)] == holds.tolist()
    assert condition.describe(batch.layout, 1, at(batch, 1))


NUMBER = st.recursive(
    st.sampled_from(["elbo", "loss", "log_p", "step", "1", "0.5", "0", 'params["w"].min']),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner)
        | st.builds("-{}".format, inner)
        | st.builds("abs({})".format, inner)
    ),
    max_leaves=6,
)
TRUTH = st.recursive(
    st.builds("{} {} {}".format, NUMBER, st.sampled_from(["<", "<=", ">", ">=", "=="]), NUMBER),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("(not {})".format, inner)
    ),
    max_leaves=6,
)


@settings(max_examples=100)
@given(TRUTH)
def test_it_means_what_python_means(text: str) -> None:
    """Python itself is the oracle, with numbers that divide by zero as arrays do."""
    batch = batch_of(columns())
    condition = parsed(text)
    if isinstance(condition, ConditionError):
        assert "same at every step" in condition.what
        return
    for i, holds in enumerate(condition.holds(batch).tolist()):
        w = np.float64(
            min(
                batch.values[batch.layout.index[Column("param", "w", f"value[{e}]")], i]
                for e in range(4)
            )
        )
        names = {
            n: np.float64(at(batch, i + 1)(Column("step", "", n)))
            for n in ("elbo", "loss", "log_p")
        }
        python = text.replace('params["w"].min', "w")
        for constant in ("0.5", "1", "0"):
            python = " ".join(
                f"float64({word})" if word == constant else word for word in _words(python)
            )
        with np.errstate(all="ignore"):
            expected = eval(
                python, names | {"w": w, "step": np.float64(i + 1), "float64": np.float64}
            )
        assert holds == bool(expected)


def _words(text: str) -> list[str]:
    for mark in "()+-*/":
        text = text.replace(mark, f" {mark} ")
    return text.split()
