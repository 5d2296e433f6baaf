"""A step stepped into: bit for bit the step that would have been taken, and all that is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.matrix import CONTINUOUS, GUIDES, PARTICLES, scenario, write
from tests.engine.specials import SPECIALS
from tests.engine.wander import stepped, untimed
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning
from tui_elbo.protocol import Stage

pytestmark = pytest.mark.filterwarnings("ignore")


def into(session: Session) -> tuple[bytes, list[Stage]]:
    batches, stages = session.step_into()
    (record,) = [record for batch in batches for record in batch.records()]
    return untimed(record), stages


RUNS = {
    "by_hand": scenario(CONTINUOUS, GUIDES["by_hand"][1]),
    "looped": scenario(CONTINUOUS, GUIDES["by_hand"][1], loss=f"Trace_ELBO({PARTICLES['looped']})"),
    "vectorised": scenario(
        CONTINUOUS, GUIDES["AutoNormal"][1], loss=f"Trace_ELBO({PARTICLES['vectorised']})"
    ),
    "flow": scenario(CONTINUOUS, GUIDES["AutoIAFNormal"][1]),
    "messenger": scenario(CONTINUOUS, GUIDES["AutoNormalMessenger"][1]),
} | {
    name: SPECIALS[name]
    for name in ("network", "local-parameters", "enumerated-guide", "baseline-average", "renyi")
}


@pytest.mark.parametrize("text", RUNS.values(), ids=list(RUNS))
def test_it_is_the_step_that_would_have_been_taken(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    plain = stepped(Session(path), 6)
    session = Session(path, checkpoint_memory=2**26)
    found, stages = [], []
    for step in range(6):
        if step % 2:
            found += stepped(session, 1)
        else:
            record, stages = into(session)
            found.append(record)
            if step == 2:
                session.undo()
                assert (session.steps_taken, session.branches) == (2, ())
                assert into(session)[0] == record
    assert found == plain
    kinds = [stage.kind for stage in stages]
    assert {"guide", "model", "loss", "gradient", "update"} - set(kinds) <= (
        {"gradient", "update"} if "local" in text else set()
    )


def test_what_is_reported_each_site_and_parameter() -> None:
    session = Session("no_theta")
    batches, stages = session.step_into()
    record = batches[-1].records()[-1]
    source = session.source.path.read_text().splitlines()
    told = {(stage.kind, stage.name): stage for stage in stages}
    kinds = [stage.kind for stage in stages]
    assert kinds == sorted(kinds, key=["guide", "model", "loss", "gradient", "update"].index)
    guide, model, data = told["guide", "z"], told["model", "z"], told["model", "x"]
    assert guide.lines[0].startswith("Normal(loc ")
    assert guide.lines[-1] == f"log q = {record.sites['z'].log_q:.6g} nats"
    assert model.lines[-1] == f"log p = {record.sites['z'].log_p:.6g} nats"
    assert data.lines[-1] == f"log p = {record.sites['x'].log_p:.6g} nats"
    assert "replayed: the value that the guide has drawn" in model.lines
    assert model.lines[1] == guide.lines[1]
    assert "observed" in data.lines
    for stage, call in ((guide, 'sample("z"'), (model, 'sample("z"'), (data, 'sample("x"')):
        assert call in source[stage.line - 1]
        assert stage.code[stage.line - stage.first] == source[stage.line - 1]
    assert guide.line != model.line
    assert told["loss", "loss"].lines == (f"loss {record.loss:.6g} nats",)
    for name, param in record.params.items():
        grad, update = told["gradient", name], told["update", name]
        assert f"norm {param.grad_norm:.6g}" in grad.lines
        assert f"moved by {param.update_norm:.6g}" in update.lines
        assert f'param("{name}"' in source[grad.line - 1]
        assert "optimizer" in source[update.line - 1]


def test_only_the_step_just_stepped_into_is_undone() -> None:
    session = Session("no_theta", checkpoint_memory=2**26)
    with pytest.raises(UsageError, match="just stepped into"):
        session.undo()
    into(session)
    stepped(session, 1)
    with pytest.raises(UsageError, match="just stepped into"):
        session.undo()
    session.go_to(1)
    session.tune(Tuning(lr=0.3))
    (branch,) = session.branches
    assert branch.end == 2
    into(session)
    session.undo()
    assert (session.steps_taken, session.branches) == (1, (branch,))


def test_the_first_step_can_be_undone_too() -> None:
    session = Session("eight_schools")
    record, _ = into(session)
    session.undo()
    assert session.steps_taken == 0
    assert stepped(session, 1) == [record]
