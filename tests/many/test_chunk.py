"""A run in chunks is the run in one piece, whoever takes which chunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.engine.sources import small, write
from tests.engine.test_runfile import BY_STATE, BY_STEPS
from tui_elbo.engine import evaluation
from tui_elbo.engine.record.options import Every
from tui_elbo.engine.session import Session
from tui_elbo.many import chunk
from tui_elbo.many.chunk import Goal, Taken
from tui_elbo.many.folder import SECONDS, Plan, SweepFolder, row_of
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.grid import RunSpec, grid
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.tuning import Tuning
from tui_elbo.model.verdict import NATS, cannot_tell
from tui_elbo.runfile.database import RunSettings, read

pytestmark = pytest.mark.filterwarnings("ignore")


def plan(
    scenario: str,
    runs: Sequence[RunSpec] | None = None,
    *,
    steps: int = 12,
    converged: bool = False,
) -> Plan:
    source = find_scenario(scenario)
    settings = RunSettings(
        name=source.name,
        path=str(source.path),
        module=source.module,
        root=str(source.root),
        own=str(source.own),
        seed=None,
        threads=1,
        device=None,
        step=0,
    )
    goal = Goal(steps, converged, tolerance=NATS, draws=32)
    return Plan(settings, source.path.read_bytes(), goal, tuple(runs or grid((), [], [])))


def taken(folder: SweepFolder, spec: RunSpec, *, seconds: float = 0.0, cold: bool) -> list[Taken]:
    """Each chunk of a run; they are kept in the folder."""
    run, found = folder.so_far(spec), []
    while run.last is None or run.last.ending is None:
        if cold:
            chunk._warm.key = ""
        result = chunk.decode(chunk.run_chunk(chunk.encode(folder.task(run, seconds))), Taken)
        folder.add(spec, result)
        run = folder.so_far(spec)
        found.append(result)
    return found


def in_one_piece(scenario: str, spec: RunSpec, steps: int = 12) -> list[Batch]:
    """As `elbo-tui run --save` takes it."""
    session = Session(scenario, seed=spec.seed, guide=spec.guide, checkpoint_memory=2**26)
    session.due = Every(1, steps)
    if spec.tuning is not None:
        session.tune(spec.tuning)
    history = History()
    while session.steps_taken < steps:
        for batch in session.advance(steps - session.steps_taken):
            history.append(batch)
    return history.batches()


def timeless(batches: Sequence[Batch]) -> list[object]:
    """All that they hold but for what the clock says."""
    found: list[object] = []
    for batch in batches:
        values = batch.values.copy()
        values[batch.layout.index[SECONDS]] = 0.0
        found.append((batch.first, str(batch.layout), values.tobytes()))
    return found


@pytest.fixture
def folder_of(tmp_path: Path):
    made: list[SweepFolder] = []

    def make(of: Plan, name: str = "out") -> SweepFolder:
        made.append(SweepFolder(tmp_path / name, of))
        return made[-1]

    yield make
    for one in made:
        one.close()


QUICK = {("by_hand", False), ("network", True), ("shape-shifting", True)}


@pytest.mark.parametrize(
    ("name", "cold"),
    [
        pytest.param(name, cold, marks=[] if (name, cold) in QUICK else pytest.mark.slow)
        for name in [*BY_STATE, *BY_STEPS]
        for cold in (False, True)
    ],
)
def test_chunks_make_the_run_in_one_piece(
    name: str, cold: bool, tmp_path: Path, folder_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "LOOK_STEPS", 2)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: unevaluated("not asked for"))
    path = str(write(tmp_path, {**BY_STATE, **BY_STEPS}[name]))
    of = plan(path, [RunSpec("x", 3, Tuning(lr=0.02) if name == "by_hand" else None, None)])
    folder, (spec,) = folder_of(of), of.runs
    chunks = taken(folder, spec, cold=cold)
    assert len(chunks) >= 4 or name in BY_STEPS
    assert all(one.note == "" for one in chunks) or name in BY_STEPS
    ended = folder.end(spec)
    expected = in_one_piece(path, spec)
    assert timeless(read(folder.file(spec)).batches) == timeless(expected)
    assert (ended.step, ended.ending.kind) == (12, "steps")
    assert folder.chunks(spec) == []


@pytest.mark.parametrize("cold", [False, True])
def test_what_is_found_before_the_first_step_is_known_where_the_run_ends(
    cold: bool, tmp_path: Path, folder_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "LOOK_STEPS", 2)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: unevaluated("not asked for"))
    monkeypatch.setattr(chunk._Chunk, "_verdict", lambda _: cannot_tell(0, "not asked for"))
    text = small(guide="pyro.sample('w', dist.Normal(0., 1.))")
    of = plan(str(write(tmp_path, text)), [RunSpec("x", 3, None, None)], steps=6)
    of = msgspec.structs.replace(of, goal=msgspec.structs.replace(of.goal, findings=True))
    folder, (spec,) = folder_of(of), of.runs
    chunks = taken(folder, spec, cold=cold)
    assert len(chunks) > 1
    ended = folder.end(spec)
    assert [one.code for one in ended.ending.findings] == ["SVI002"]
    assert timeless(read(folder.file(spec)).batches) == timeless(
        in_one_piece(str(tmp_path / of.settings.path), spec, 6)
    )
    assert row_of(ended, tmp_path).findings_text == "SVI002"
