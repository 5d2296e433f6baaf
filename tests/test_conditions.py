"""Conditions: what parses, what is refused and where, and what holds at which step."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.condition_data import NAN, SITES, at, batch_of, columns, layout_of
from tui_elbo.model.conditions import ConditionError, parse
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, Column

HOLDS = [
    ("2", [0, 1, 0]),
    ("1e0", [1, 0, 0]),
    ("step >= 2", [0, 1, 1]),
    ("elbo > -2", [0, 0, 1]),
    ("elbo != -3", [0, 0, 1]),
    ("not elbo > -2", [1, 1, 0]),
    ("elbo == -3 or loss == 1", [1, 0, 1]),
    ("nan(elbo)", [0, 1, 0]),
    ("not finite(elbo)", [0, 1, 0]),
    ("not finite(log_p)", [0, 1, 0]),
    ("inf(log_p) and not nan(log_p)", [0, 1, 0]),
    ("-4 <= log_p < -1.5", [1, 0, 0]),
    ("-4 <= log_p <= -1.5 and step > 1", [0, 0, 1]),
    ("log_p - log_q == elbo", [1, 0, 1]),
    ("abs(elbo) * 2 / 4 + 1 > 2", [1, 0, 0]),
    ("1 / (loss - 1) > 1e300", [0, 0, 1]),
    ("--elbo == +elbo", [1, 0, 1]),
    ('params["phi"] > .9', [0, 1, 1]),
    ("params['phi'].mean > 0.9", [0, 1, 1]),
    ('params["phi"].grad_norm > 100', [0, 1, 0]),
    ('params["phi"].update_norm >= 0.2', [0, 1, 1]),
    ('params["w"][1, 1] < 0', [0, 1, 0]),
    ('params["w"][1][1] < 0', [0, 1, 0]),
    ('params["w"][-1][0] == 4', [0, 0, 1]),
    ('params["w"].max == 6', [0, 0, 1]),
    ('params["w"].min == -3', [0, 1, 0]),
    ('params["w"].mean == 3', [0, 0, 1]),
    ('params["w"].sd > 2', [0, 0, 1]),
    ('params["net$$$weight"].mean >= 1', [0, 1, 1]),
    ('sites["x"].log_p < -100', [0, 1, 0]),
    ('sites["z"].log_q < sites["z"].log_p', [0, 0, 0]),
    ("grad_norm > 100", [0, 1, 0]),
    ("grad_norm <= 5", [1, 0, 0]),
    ("nan(grad_norm)", [0, 0, 1]),
    ("update_norm > 0.15", [0, 1, 1]),
    ("elbo > -2 and (step < 2 or step == 3)", [0, 0, 1]),
    ("  elbo\n > -2 ", [0, 0, 1]),
    ("seconds > 0.015", [0, 1, 1]),
]


@pytest.mark.parametrize(("text", "expected"), HOLDS)
def test_it_holds_at_each_step_alike_however_it_is_asked(text: str, expected: list[int]) -> None:
    condition, batch = parse(text), batch_of(columns())
    condition.check(batch.layout)
    assert condition.holds(batch).tolist() == [bool(one) for one in expected]
    singly = [condition.met(batch.layout, step, at(batch, step)) for step in (1, 2, 3)]
    assert singly == [bool(one) for one in expected]
    history = History()
    history.append(batch)
    assert condition.holds_in(history).tolist() == [bool(one) for one in expected]


REFUSED = [
    ("", 0, "step number"),
    ("elbo >", 6, "step number"),
    ("elbo > > 1", 7, "step number"),
    ("elbo = 1", 5, "`==`"),
    ("elbo > 1 && loss < 2", 10, "`and`"),
    ("(elbo > 1) & (loss < 2)", 0, "`and`"),
    ("elbo ≥ 1", 5, "`>=`"),
    ("elbo", 0, "elbo > 0"),
    ("elbo and loss > 1", 0, "elbo > 0"),
    ("(elbo > 1) + 1 > 2", 1, "step number"),
    ("1 < 2", 0, "step number"),
    ("loss < 1 and elbow > 2", 13, "elbo"),
    ("phi > 1", 0, 'params["phi"]'),
    ("params > 1", 0, 'params["name"]'),
    ("params[phi] > 1", 0, 'params["phi"]'),
    ("params.phi > 1", 0, 'params["phi"]'),
    ('params["é"] + q > 1', 14, 'params["q"]'),
    ('params["w"].gradnorm > 1', 0, "grad_norm"),
    ('params["w"][0].mean > 1', 0, 'params["w"].mean'),
    ('params["w"][0.5] > 1', 12, "[3]"),
    ('params["w"][0:2] > 1', 12, "[3]"),
    ('sites["x"] > 1', 0, 'sites["x"].log_p'),
    ('sites["x"].logp > 1', 0, "log_p"),
    ('sites["x"][0] > 1', 0, "log_p"),
    ("loss[-1] > 1", 0, "loss[0]"),
    ("sqrt(elbo) > 1", 0, "abs"),
    ("abs(elbo, 1) > 1", 0, "abs(elbo)"),
    ("abs() > 1", 0, "abs(elbo)"),
    ("nan > 1", 0, "nan(elbo)"),
    ("nan(elbo) > 1", 0, "step number"),
    ("elbo is 1", 0, "=="),
    ("elbo > 1e999", 7, "inf(elbo)"),
    ("elbo > True", 7, "step number"),
    ("elbo ** 2 > 1", 0, "step number"),
    ("elbo.__class__ > 1", 0, "step number"),
    ("__import__('os').abort() > 1", 0, "abs"),
    ("(lambda: 1)() > 1", 0, "abs"),
    ("elbo > [1 for _ in ()]", 7, "step number"),
    ("(elbo := 1) > 1", 1, "step number"),
    ("f'{elbo}' > 1", 0, "step number"),
    ("0", 0, "step number"),
    ("-3", 0, "step number"),
    ("5.5", 0, "step number"),
    ("-" * 999 + "1", 59, "simply"),
    ("elbo" + "+1" * 498 + ">0", 0, "simply"),
    ("elbo > " + "1" * 1000, 0, "simply"),
]


@pytest.mark.parametrize(("text", "place", "hint"), REFUSED)
def test_what_is_no_condition_is_refused_with_its_place(text: str, place: int, hint: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert hint in caught.value.hint
    assert caught.value.at == place
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 400


UNKNOWN = [
    ('params["phj"] > 1', 'params["phi"]'),
    ('params["nothing like it"] > 1', 'there are params["phi"], params["w"]'),
    ('sites["y"].log_p > 1', 'sites["'),
    ('sites["x"].log_q > 1', "observed"),
    ('params["w"] > 1', 'params["w"][0, 0]'),
    ('params["w"][3] > 1', 'params["w"][0, 0]'),
    ('params["w"][2, 0] > 1', 'params["w"].mean'),
    ('params["net$$$weight"][0, 0] > 1', 'params["net$$$weight"].mean'),
    ("elbo > 1 or loss[1] > 0", "`loss`"),
]


@pytest.mark.parametrize(("text", "hint"), UNKNOWN)
def test_an_unknown_name_is_answered_once_the_columns_are_known(text: str, hint: str) -> None:
    condition, batch = parse(text), batch_of(columns())
    condition.check()
    with pytest.raises(UsageError) as caught:
        condition.check(batch.layout)
    assert hint in caught.value.hint
    assert caught.value.where.startswith(f"column {text.find('loss') + 1 or 1} of")


def test_terms_that_the_estimator_has_not_are_explained() -> None:
    batch = batch_of({Column("step", "", "loss"): [1.0]}, note="compiled code builds no traces")
    with pytest.raises(UsageError, match="no elbo") as caught:
        parse("elbo > 1").check(batch.layout)
    assert caught.value.hint == "compiled code builds no traces"


def test_a_name_may_come_in_any_of_the_layouts() -> None:
    found = columns()
    without = {c: v for c, v in found.items() if c.name != "w"}
    condition = parse('params["w"].max > 1')
    condition.check(layout_of(without), layout_of(found))
    with pytest.raises(UsageError):
        condition.check(layout_of(without))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('sites["z"].log_p < 0', False),
        ('not sites["z"].log_p < 0', False),
        ('not finite(sites["z"].log_p)', False),
        ('not (sites["z"].log_p < 0 and step > 100)', True),
        ('sites["z"].log_p < 0 or step > 0', True),
        ('-abs(sites["z"].log_p) + 1 < sites["z"].log_q < 0', False),
        ('0 > step > sites["z"].log_p', False),
        ('not (0 > step > sites["z"].log_p)', True),
    ],
)
def test_a_step_that_lacks_a_number_meets_neither_side(text: str, holds: bool) -> None:
    lacking = batch_of({c: v for c, v in columns().items() if c.name != "z"}, sites=SITES[1:])
    assert parse(text).holds(lacking).tolist() == [holds] * 3


def test_a_history_whose_layouts_alternate() -> None:
    """Site z is there at odd steps alone."""
    with_z, history = columns(), History()
    whole = batch_of(with_z)
    bare = batch_of({c: v for c, v in with_z.items() if c.name != "z"}, sites=SITES[1:])
    for step in range(1, 9):
        layout, values = (whole.layout, whole.values) if step % 2 else (bare.layout, bare.values)
        history.append(Batch(layout, step, values[:, :1]))
    assert parse('sites["z"].log_p == -1').holds_in(history).tolist() == [True, False] * 4
    assert parse('not sites["z"].log_p == -1').holds_in(history).tolist() == [False] * 8
    assert parse("6").holds_in(history).tolist() == [False] * 5 + [True] + [False] * 2
    assert parse("6").holds_in(History()).tolist() == []


def test_a_large_gradient_that_never_came_hides_no_other() -> None:
    found = columns()
    found[Column("param", "net$$$weight", "grad_norm")] = [NAN, NAN, 300.0]
    found[Column("param", "w", "grad_norm")] = [5.0, 6.0, 7.0]
    condition = parse("grad_norm > 100")
    assert condition.holds(batch_of(found)).tolist() == [False, True, True]
    del found[Column("param", "w", "grad_norm")], found[Column("param", "phi", "grad_norm")]
    assert condition.holds(batch_of(found)).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "step", "told"),
    [
        ("elbo > -1.2", 3, "elbo = -1 > -1.2"),
        ("-2 < elbo < -.5", 3, "-2 < elbo = -1 < -.5"),
        ('params["w"][1, 1] < 0', 2, 'params["w"][1, 1] = -3 < 0'),
        ("log_p - log_q > -2", 3, "log_p - log_q = -1 > -2"),
        ("not finite(elbo)", 2, "not finite(elbo = nan)"),
        ("not (loss > 2)", 3, "not (loss = 1 > 2)"),
        ("elbo > 0 or step >= 3", 3, "step = 3 >= 3"),
        ("(elbo > 0 or step >= 3) and loss < 2", 3, "(step = 3 >= 3) and loss = 1 < 2"),
        ("3", 3, "step 3"),
    ],
)
def test_it_reports_what_made_it_hold(text: str, step: int, told: str) -> None:
    condition, batch = parse(text), batch_of(columns())
    assert condition.describe(batch.layout, step, at(batch, step)) == told


def test_what_it_needs_is_known_beforehand() -> None:
    assert parse("500").step == 500
    assert parse("step == 500").step is None
    assert [
        parse(t).reads_params for t in ("loss < 1", "grad_norm > 1", 'params["w"].mean < 0')
    ] == [
        False,
        True,
        True,
    ]


def test_no_torch_is_imported() -> None:
    code = "import sys, tui_elbo.model.conditions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
