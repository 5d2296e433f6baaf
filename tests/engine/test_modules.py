"""Beyond the budget of columns: parameters summed up by module, and the watched ones whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
import torch

from tests.engine.compare import assert_same, watched_run
from tests.engine.local import Local
from tests.engine.many import many
from tests.engine.oracle import Particles, plain_steps
from tests.engine.plain import plain_run
from tests.engine.sources import SMALL, write
from tui_elbo.cli import main
from tui_elbo.engine.record.modules import BUDGET, Division, columns_of, divided
from tui_elbo.engine.record.options import Every
from tui_elbo.engine.session import Session
from tui_elbo.model.conditions import parse
from tui_elbo.model.records import Column, ParamInfo, ParamRecord, Role, StepRecord
from tui_elbo.protocol import ConditionMet, Restart, RewindTo, RunUntil, Step, WatchParams

LAYER, SCALE = "net$$$layer0.weight_1", "AutoNormal.scales.z.3"


def infos(*names: str, size: int = 1, role: Role = "guide") -> list[ParamInfo]:
    shape = (size,) if size > 1 else ()
    return [ParamInfo(name, role, shape, "real") for name in names]


def modules(division: Division) -> dict[str, int]:
    return {module.name: module.params for module in division.modules}


def test_within_the_budget_each_parameter_has_its_columns() -> None:
    store = infos("a", "b.c") + infos("b.d", size=100)
    assert sum(map(columns_of, store)) == 12
    assert divided(store, 12) == Division(frozenset({"a", "b.c", "b.d"}))
    assert divided(store, 11).modules


def test_modules_are_as_deep_as_fits() -> None:
    layers = [f"net$$$layers.{i}.{part}" for i in range(50) for part in ("weight", "bias")]
    store = infos(*layers, size=100) + infos("AutoNormal.locs.z", "AutoNormal.locs.y")
    store += infos("loc")
    deep = divided(store, 600)
    assert len(deep.modules) == 50
    assert modules(deep)["net$$$layers.7"] == 2
    # Two numbers are no more columns than their sums.
    assert deep.whole == {"AutoNormal.locs.z", "AutoNormal.locs.y", "loc"}
    few = divided(store, 20)
    assert modules(few) == {"net$$$layers": 100}
    assert few.modules[0].size == 10_000
    assert few.whole == deep.whole
    last = divided(store, 19)
    assert (modules(last), last.whole) == ({"": 103}, frozenset())
    assert last.members == (tuple(range(103)),)


def test_names_that_end_in_numbers_belong_together() -> None:
    store = infos(*(f"w_{i}" for i in range(300)), *(f"locs.z{i}" for i in range(300)))
    assert modules(divided(store, BUDGET)) == {"w": 300, "locs.z": 300}


def test_what_begins_like_nothing_else_is_one_module_where_it_is_too_much() -> None:
    words = [f"{a}{b}" for a in "abcdefghijklmnopqrst" for b in "abcdefghijklmnopqrst"]
    store = infos(*words) + infos("net.a", "net.b", "net.c", role="model")
    division = divided(store, 300)
    assert modules(division) == {"": 400, "net": 3}
    assert [module.role for module in division.modules] == ["guide", "model"]
    assert modules(divided(infos(*words), 300)) == {"": 400}


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (("guide", "guide"), "guide"),
        (("none", "model"), "model"),
        (("guide", "model"), "both"),
        (("none", "none"), "none"),
    ],
)
def test_a_module_is_of_those_who_read_its_parameters(roles: tuple[Role, Role], role: Role) -> None:
    store = [ParamInfo(f"m.{i}", roles[i % 2], (9,), "real") for i in range(20)]
    assert [module.role for module in divided(store, 100).modules] == [role]


@pytest.mark.parametrize(
    "params", [200, pytest.param(5_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_sums_are_those_of_the_raw_tensors(tmp_path: Path, params: int) -> None:
    path = str(write(tmp_path, many(params)))
    plain = plain_steps(path, 3, Particles(), lazy=True)
    session = Session(path)
    session.options.watched = frozenset({LAYER})
    for seen in plain:
        record = session.step()
        assert set(record.modules) == {
            *(f"net$$$layer{i}.weight" for i in range(8)),
            *("net$$$unused", "AutoNormal.scales.z"),
        }
        assert set(record.params) == {"prior.gain", "odds", LAYER}
        assert sum(m.params for m in record.modules.values()) + 2 == len(seen.values)
        for name, told in record.modules.items():
            own = [key for key in seen.values if key.startswith((f"{name}.", f"{name}_"))]
            values = torch.cat([seen.values[key].reshape(-1) for key in own])
            assert (told.params, told.size) == (len(own), len(values))
            # The same floats, added up in the same order.
            sd, mean = torch.std_mean(values)
            assert (told.mean, told.sd) == (mean.item(), sd.item()), name
            assert (told.min, told.max) == (values.min().item(), values.max().item()), name
            moved = [(seen.after[key] - seen.before[key]).double().reshape(-1) for key in own]
            update = torch.cat(moved).norm().item()
            assert told.update_norm == pytest.approx(update, rel=1e-6, abs=1e-12), name
            grads = [seen.grads[k].double().reshape(-1) for k in own if k in seen.grads]
            if grads:
                norm = torch.cat(grads).norm().item()
                assert told.grad_norm == pytest.approx(norm, rel=1e-6, abs=1e-12), name
            else:
                assert (name, told.grad_norm) == ("net$$$unused", None)
        assert record.params[LAYER].value == seen.values[LAYER].tolist()


@pytest.mark.parametrize(
    "params", [200, pytest.param(5_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_summing_up_changes_nothing(tmp_path: Path, params: int) -> None:
    path = str(write(tmp_path, many(params)))
    plain = plain_run(path, 3)
    assert_same(plain, watched_run(path, 3))


def test_the_columns_stay_within_the_budget(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, many(600, sites=150))))
    layout = session.advance(1)[-1].layout
    assert len(layout.params) == 604
    assert len(layout.sites) == 151
    assert len(layout.columns) <= BUDGET
    kinds = {column.kind for column in layout.columns}
    assert kinds == {"step", "site", "param", "module"}


def untimed(record: StepRecord) -> StepRecord:
    return msgspec.structs.replace(record, seconds=0.0)


def test_watching_survives_steps_back_and_restarts(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, many(200))), checkpoint_memory=2**26)
    assert LAYER not in session.step().params
    session.options.watched = frozenset({LAYER})
    records = [untimed(session.step()) for _ in range(3)]
    assert all(LAYER in record.params for record in records)
    assert all(record.params[LAYER].update_norm for record in records)
    session.go_to(2)
    assert untimed(session.step()) == records[1]
    session.restart()
    session.step()
    assert untimed(session.step()) == records[0]
    session.options.watched = frozenset({SCALE})
    assert set(session.step().params) == {"prior.gain", "odds", SCALE}


def test_what_is_watched_counts_in_its_module_too(tmp_path: Path) -> None:
    """A module's curve does not jump because someone looks."""
    path = str(write(tmp_path, many(200)))
    alone = Session(path)
    plain = [untimed(alone.step()).modules for _ in range(3)]
    session = Session(path)
    found = [untimed(session.step()).modules]
    session.options.watched = frozenset({LAYER})
    assert found + [untimed(session.step()).modules for _ in range(2)] == plain


def test_watching_changes_nothing_within_the_budget(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, SMALL)))
    first = session.advance(1)[-1].layout
    session.options.watched = frozenset({"loc", "no such"})
    assert session.advance(1)[-1].layout is first


def test_sums_are_taken_when_they_are_due(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, many(200))))
    session.due = Every(3)
    session.options.watched = frozenset({LAYER})
    records = [record for batch in session.advance(6) for record in batch.records()]
    for record in records:
        module = record.modules["net$$$layer0.weight"]
        assert (module.mean is None) == (record.step % 3 > 0)
        assert (module.params, module.role) == (13, "guide")
        assert record.params[LAYER].value is not None


def test_run_prints_modules(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, many(200)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tui_elbo.cli.run.own_stdout", lambda: os.fdopen(os.dup(1), "w"))
        assert main(["run", path, "--steps", "2", "--json", "--every", "2"]) == 0
    record, _verdict = map(json.loads, capfd.readouterr().out.splitlines())
    assert record["modules"]["net$$$layer0.weight"]["params"] == 13
    assert set(record["params"]) == {"prior.gain", "odds"}
    decoded = msgspec.convert(record, StepRecord)
    assert isinstance(decoded.params["odds"], ParamRecord)


def test_a_condition_may_read_what_is_summed_up(tmp_path: Path) -> None:
    condition = parse(f'params["{SCALE}"].mean != 1 and grad_norm >= 0 and step > 2')
    session = Session(str(write(tmp_path, many(200))))
    unwatched = session.advance(1)[-1]
    condition.check(unwatched.layout)
    assert not condition.holds(unwatched).any()
    session.options.watched, session.until = condition.params, condition.met
    batch = session.advance(20)[-1]
    assert (session.met, session.steps_taken) == (True, 3)
    assert condition.holds(batch).tolist() == [False, True]
    assert value_of(SCALE) in batch.layout.index


def value_of(name: str) -> Column:
    return Column("param", name, "value[0]")


def test_the_engine_watches(tmp_path: Path) -> None:
    local = Local(write(tmp_path, many(200)))
    local.ask(Step())
    assert value_of(SCALE) not in local.batches[-1].layout.index
    local.ask(WatchParams(names=(SCALE,)))
    local.ask(Step(count=2))
    assert value_of(SCALE) in local.batches[-1].layout.index
    local.ask(RewindTo(step=1))
    local.ask(Step())
    assert value_of(SCALE) in local.batches[-1].layout.index
    local.ask(Restart())
    local.ask(RunUntil(condition=f'params["{LAYER}"][0] > -9 and step > 1'))
    assert local.batches[-1].layout.index.keys() >= {value_of(SCALE), value_of(LAYER)}
    assert [event.step for event in local.events if isinstance(event, ConditionMet)] == [2]
    local.ask(Step())
    assert value_of(LAYER) not in local.batches[-1].layout.index
    assert local.faults() == []
