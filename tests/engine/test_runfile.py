"""Saved runs: gone on with exactly, refused with the reason, whole after a crash at any moment."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ran, untimed
from tests.engine.matrix import CONTINUOUS, GUIDES, scenario
from tests.engine.sources import small, write
from tests.engine.specials import OPTIMIZERS, SCHEDULERS, SPECIALS
from tests.engine.test_rewind_matrix import NETWORK
from tests.engine.wander import stepped
from tests.engine.wander import untimed as without_time
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.tuning import Tuning
from tui_elbo.runfile import database, is_run_file

pytestmark = pytest.mark.filterwarnings("ignore")

AUTO = GUIDES["AutoNormal"][1]
BY_STATE = {
    "by_hand": scenario(CONTINUOUS, GUIDES["by_hand"][1]),
    "vectorised": scenario(
        CONTINUOUS, AUTO, loss="Trace_ELBO(num_particles=3, vectorize_particles=True)"
    ),
    "flow": scenario(CONTINUOUS, GUIDES["AutoIAFNormal"][1], optimizer=OPTIMIZERS["ClippedAdam"]),
    "schedule": scenario(CONTINUOUS, AUTO, optimizer=SCHEDULERS["ReduceLROnPlateau"]),
    "network": scenario(NETWORK, optimizer=OPTIMIZERS["SGD-momentum"]),
}
BY_STEPS = {name: SPECIALS[name] for name in ("local-parameters", "shape-shifting")}
"""Runs whose state a file cannot hold, or a fresh execution cannot take."""


def saved(session: Session, path: Path, batches: list) -> str:
    session.save(path, batches)
    return str(path)


@pytest.mark.parametrize("name", [*BY_STATE, *BY_STEPS])
def test_a_saved_run_goes_on_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    path = str(write(tmp_path, {**BY_STATE, **BY_STEPS}[name]))
    session = Session(path, checkpoint_memory=2**26)
    batches = session.advance(9)
    file = saved(session, tmp_path / "run", batches)
    on = stepped(session, 6)
    other = Session(file, checkpoint_memory=2**26)
    assert (other.steps_taken, other.seed) == (9, session.seed)
    assert [r.loss for b in other.restored for r in b.records()] == [
        r.loss for b in batches for r in b.records()
    ]
    assert stepped(other, 6) == on
    other.go_to(4)
    records = [record for batch in batches for record in batch.records()]
    assert stepped(other, 2)[-1] == without_time(records[5])
    assert other.repeatable


RESUMES = """
import sys
from pathlib import Path
from tui_elbo.engine.session import Session
session = Session(sys.argv[1], checkpoint_memory=2**26)
session.save(Path(sys.argv[2]), session.advance(30))
session = Session(sys.argv[2], checkpoint_memory=2**26)
print(session._run.log.timeline.earliest.step)
"""


SOME = ("network",)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in SOME else pytest.mark.slow)
        for name in [*BY_STATE, *BY_STEPS]
    ],
)
def test_it_goes_on_from_its_state_where_a_file_can_hold_it(name: str, tmp_path: Path) -> None:
    """In a process of its own, as a run is: modules of other runs are not there."""
    path = str(write(tmp_path, {**BY_STATE, **BY_STEPS}[name]))
    command = [sys.executable, "-W", "ignore", "-c", RESUMES, path, str(tmp_path / "run")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (int(done.stdout) > 20) == (name in BY_STATE)


def test_settings_changed_on_the_way_are_part_of_it(tmp_path: Path) -> None:
    session = Session("learned_prior", seed=5, checkpoint_memory=2**26)
    batches = session.advance(5)
    session.tune(Tuning(optimizer="SGD", lr=0.001, particles=2))
    batches += session.advance(5)
    session.tune(Tuning(lr=0.002))
    file = saved(session, tmp_path / "x", batches)
    on = stepped(session, 4)
    other = Session(file, checkpoint_memory=2**26)
    assert [str(tuning) for _, tuning in other.tunings] == [
        "SGD, lr 0.001, 2 particles", "lr 0.002"
    ]  # fmt: skip
    assert stepped(other, 4) == on


def test_the_source_is_the_one_that_was_executed(tmp_path: Path) -> None:
    path = write(tmp_path, small())
    session = Session(str(path), checkpoint_memory=2**26)
    file = saved(session, tmp_path / "run", session.advance(6))
    on = stepped(session, 3)
    path.write_text(small().replace("0.5", "5.0"))
    assert stepped(Session(file), 3) == on
    path.unlink()
    gone = Session(file)
    assert stepped(gone, 3) == on
    gone.restart()
    assert len(stepped(gone, 3)) == 3


def test_a_module_beside_it_must_be_what_it_was(tmp_path: Path) -> None:
    parts = write(tmp_path, "obs = 0.5\n", "parts.py")
    text = small(head="from parts import obs\n").replace("torch.tensor(0.5)", "torch.tensor(obs)")
    session = Session(str(write(tmp_path, text)))
    file = saved(session, tmp_path / "run", session.advance(6))
    parts.write_text("obs = 5.0\n")
    with pytest.raises(UsageError, match="not as it was when the run was saved"):
        Session(file)


def test_a_run_that_cannot_be_repeated_is_not_gone_on_with(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    text = small(
        head=f"import pathlib\ncount = pathlib.Path({str(count)!r})\n",
        tail="def batch(step):\n"
        "    count.write_text(str(int(count.read_text()) + 1))\n"
        "    return ()\n",
    ).replace("torch.tensor(0.5)", "torch.tensor(float(count.read_text()))")
    session = Session(str(write(tmp_path, text)))
    file = saved(session, tmp_path / "run", session.advance(6))
    with pytest.raises(StepError, match="run again, gave loss"):
        Session(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    session = Session("no_theta", checkpoint_memory=2**26)
    path = tmp_path / "any name.at all"
    session.save(path, session.advance(20))
    return path


def test_what_is_not_whole_is_refused(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    bad = tmp_path / "bad"
    for size in (*range(0, len(data), max(1, len(data) // 25)), len(data) - 1):
        bad.write_bytes(data[:size])
        with pytest.raises(UsageError):
            database.read(bad)
    for at in range(100, len(data), max(1, len(data) // 40)):
        bad.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            found = database.read(bad)
        except UsageError:
            continue
        # What no page uses may be what it likes.
        assert found.text == database.read(file).text
        assert found.tensors == database.read(file).tensors


def test_foreign_and_newer_files_are_refused_with_the_reason(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with sqlite3.connect(other) as base:
        base.execute("CREATE TABLE t (x)")
    assert not is_run_file(str(other))
    with pytest.raises(UsageError, match="no saved run"):
        database.read(other)
    with pytest.raises(UsageError, match="something else than a saved run"):
        database.write(other, database.read(file))
    with sqlite3.connect(file) as base:
        base.execute("CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END")
    with pytest.raises(UsageError, match="its tables are not those"):
        database.read(file)
    with sqlite3.connect(file) as base:
        base.execute("PRAGMA user_version = 7")
    with pytest.raises(UsageError, match=r"format 7, and this reads 1") as newer:
        database.read(file)
    assert "newer elbo-tui" in newer.value.hint


SAVES = """
import sys
from pathlib import Path
from tui_elbo.runfile import database
saved = database.read(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    database.write(Path(sys.argv[2]), saved)
    print(".", end="", flush=True)
"""


SAMPLE = "pyro.sample('\\ud800', dist.Normal(0.0, 1.0), obs=torch.tensor(0.5))"


def test_half_a_character_in_the_name_of_a_site_is_spelled_out(tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, small(model=SAMPLE))), checkpoint_memory=2**26)
    batches, target = session.advance(3), tmp_path / "kept"
    session.save(target, batches)
    loss = session.step().loss
    again = Session(str(target))
    assert again.steps_taken == 3
    assert again.step().loss == loss


def test_half_a_character_in_what_must_be_found_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a parameter, where its state is in the file."""

    def write_state(*_: object) -> None:
        "\ud800".encode()

    session = Session(str(write(tmp_path, small())))
    batches = session.advance(1)
    monkeypatch.setattr("tui_elbo.engine.session.write", write_state)
    with pytest.raises(UsageError, match="half a character"):
        session.save(tmp_path / "kept", batches)


def test_a_crash_while_saving_leaves_the_old_one_or_the_new(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    database.write(target, database.read(file))
    whole = database.read(file)
    for size in (1, 6, 14, 33):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVES, str(file), str(target)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        # Killed after so many bytes have come: in the middle of one write or another.
        os.read(process.stdout.fileno(), size)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = database.read(target)
        assert found.text == whole.text
        assert found.tensors == whole.tensors
    database.write(target, whole)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_the_command_saves_and_goes_on(tmp_path: Path) -> None:
    path, file = str(write(tmp_path, small())), str(tmp_path / "kept")
    code, first, err = ran("run", path, "--json", "--save", file, "--script", "9n 4N 2n")
    assert (code, err) == (0, "")
    code, second, err = ran("run", "--from", file, "--json", "--steps", "12", "--save", file)
    assert (code, err) == (0, "")
    code, third, err = ran("run", file, "--csv", "--steps", "14")
    assert (code, err) == (0, "")
    _, plain, _ = ran("run", path, "--json", "--steps", "12")
    assert untimed(first)[:5] + untimed(first)[9:] + untimed(second) == untimed(plain)
    assert [line.split(",")[0] for line in third.splitlines()] == ["step", *map(str, range(1, 15))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "nothing to run"),
        (("run", "no_theta", "--from", "x"), "both say what to run"),
        (("run", "--from", "nothing"), "this is no saved run"),
        (("run", "no_theta", "--script", "nNG", "--json", "--save", "x"), "leave out one"),
    ],
)
def test_what_the_command_cannot_do_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    code, out, err = ran(*words, folder=tmp_path)
    assert (code, out) == (2, "")
    assert said in err


def test_a_branch_is_saved_as_the_run_that_it_was(tmp_path: Path) -> None:
    gc.collect()  # The modules of other runs are no part of this one.
    path = str(write(tmp_path, small()))
    plain = Session(path)
    plain.advance(8)
    expected = [without_time(one) for one in plain.advance(1)[-1].records()]
    session = Session(path, checkpoint_memory=2**20)
    with pytest.raises(UsageError, match="no branch"):
        session.save_branch(0, tmp_path / "branch.run", [])
    batches = session.advance(8)
    session.go_to(3)
    session.tune(Tuning(lr=0.5))
    session.advance(2)
    with pytest.raises(UsageError, match="not all known"):
        session.save_branch(1, tmp_path / "branch.run", batches[:0])
    session.save_branch(1, tmp_path / "branch.run", batches)
    assert session.steps_taken == 5
    left = Session(str(tmp_path / "branch.run"))
    assert (left.steps_taken, left.tunings, left.from_state) == (8, (), True)
    assert [without_time(one) for one in left.advance(1)[-1].records()] == expected
