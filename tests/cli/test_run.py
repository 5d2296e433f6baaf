"""`elbo-tui run`: numbers on stdout, narration on stderr, an exit code for each kind of end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import msgspec
import pytest

from tests.cli.command import PATIENCE, ran, records, started, untimed
from tests.engine.sources import small, write
from tui_elbo.engine.session import Session

NOISY = r"""
import ctypes, os, sys, warnings
c = ctypes.CDLL(None)
warnings.warn("careful")
def batch(step):
    if step == 1: print("x" * 10**7)
    if step == 2: c.printf(b"from C, held back to the exit\n")
    if step == 3: os.write(1, b"to one\n")
    if step == 4: print("\x1b[31m")
    if step == 5: sys.stdout.write("{")
    if step == 6: sys.__stdout__.write("[")
    return ()
"""
MANY = "pyro.param('w', torch.ones(2, 3))\npyro.param('big', torch.zeros(30))"


def test_json_is_the_records_of_a_session_bit_for_bit(tmp_path: Path) -> None:
    """And nothing else is on stdout, whatever the model prints."""
    path = write(tmp_path, small(guide=MANY, tail=NOISY))
    code, out, err = ran("run", str(path), "--steps", "8", "--seed", "3", "--json")
    assert code == 0
    session = Session(str(write(tmp_path, small(guide=MANY), "quiet.py")), seed=3)
    told = [session.step() for _ in range(8)]
    expected = b"\n".join(msgspec.json.encode(record) for record in told).decode()
    assert untimed(out) == untimed(expected + "\n")
    # What is found is said as soon as it is, between what the model prints.
    assert err.count("x") >= 10**7
    for text in ("from C, held back to the exit\n", "to one\n", "careful", "{", "["):
        assert text in err


@pytest.mark.slow
def test_two_runs_are_the_same_but_for_the_clock(tmp_path: Path) -> None:
    path = write(tmp_path, small(guide=MANY))
    outs = []
    for words in ((), (), ("--seed", "1")):
        code, out, err = ran("run", path.name, "--steps", "60", "--json", *words, folder=tmp_path)
        assert code == 0
        assert "Traceback" not in err
        outs.append(untimed(out))
        assert [record["step"] for record in outs[-1]] == list(range(1, 61))
    assert outs[0] == outs[1] != outs[2]


@pytest.mark.slow
def test_every_prints_each_kth_step_and_the_last(tmp_path: Path) -> None:
    path = write(tmp_path, small(guide=MANY, tail="steps = 25\n"))
    code, out, _ = ran("run", str(path), "--every", "10", "--json")
    assert code == 0
    assert [record["step"] for record in records(out)] == [10, 20, 25]
    assert all("mean" in record["params"]["big"] for record in records(out))


AT_7 = "def batch(step):\n    if step == 7: {act}\n    return ()\n"


def test_a_failing_step_ends_with_1_after_the_last_good_one(tmp_path: Path) -> None:
    path = write(tmp_path, small(tail=AT_7.format(act="raise ValueError('[red]\\x1b[31m')")))
    code, out, err = ran("run", str(path), "--json", "--every", "4")
    assert code == 1
    assert [record["step"] for record in records(out)] == [4, 6]
    assert err.startswith(f"elbo-tui: {path}:")
    assert "step 7 raised ValueError: [red]\n  if step == 7: raise ValueError(" in err
    assert "\n  the run stays at step 6\n" in err
    assert "--traceback shows where it comes from" in err
    assert "\x1b" not in err
    code, _, err = ran("run", str(path), "--json", "--traceback")
    assert code == 1
    assert "Traceback (most recent call last)" in err
    assert "raise ValueError(" in err
    assert "tui_elbo" not in err.replace(str(path), "")


BAD = "pyro.factor('[red]', torch.tensor(float('-inf') if at[0] == 7 else 0.0))\n"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_with_3(tmp_path: Path) -> None:
    tail = "at = [0]\n" + AT_7.format(act="at[0] = 7")
    path = write(tmp_path, small(model=BAD, tail=tail))
    code, out, err = ran("run", str(path), "--json", "--every", "4")
    assert code == 3
    assert [record["step"] for record in records(out)] == [4, 7]
    last = records(out)[-1]
    assert (last["loss"], last["elbo"], last["sites"]["[red]"]["log_p"]) == (None, None, None)
    assert 'the loss is inf at step 7: log p of site "[red]" is -inf at step 7' in err
    assert "Traceback" not in err


SLOWER = ["", "raise SystemExit(0)", "def f(:"]


@pytest.mark.parametrize(
    "text", ["import nothing_at_all", *(pytest.param(x, marks=pytest.mark.slow) for x in SLOWER)]
)
def test_a_file_that_does_not_load_ends_with_1(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    code, out, err = ran("run", str(path), "--json")
    assert (code, out) == (1, "")
    assert err.startswith(f"elbo-tui: {path}")
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_device_that_does_not_exist_ends_with_2() -> None:
    code, out, err = ran("run", "no_theta", "--device", "banana")
    assert (code, out) == (2, "")
    assert err.startswith("elbo-tui: banana: torch cannot use this device")


def test_the_summary_is_on_stdout_and_the_progress_on_stderr(tmp_path: Path) -> None:
    names = "pyro.param('[red]\\n\\x1b[31m', torch.zeros(2, 2))"
    path = write(tmp_path, '"""A title"""\n' + small(guide=names), "my [b]model.py")
    code, out, err = ran("run", str(path), "--steps", "20")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "my [b]model.py: A title"
    assert "Trace_ELBO · Adam, lr 0.05 · seed 0" in lines[1]
    assert lines[2].startswith("20 steps in ")
    assert "φ  [red]\\n\\x1b[31m" in out
    assert "\x1b" not in out + err
    assert "step 20 of 20" in err


def test_ctrl_c_ends_with_130_and_whole_lines() -> None:
    with started("run", "no_theta", "--steps", "1000000000", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out = b"".join(process.stdout.readline() for _ in range(50))
        process.send_signal(signal.SIGINT)
        out += process.stdout.read()
        err = process.stderr.read().decode()
        assert process.wait(PATIENCE) == 130
    found = records(out.decode())
    assert [record["step"] for record in found] == list(range(1, len(found) + 1))
    assert err == f"elbo-tui: interrupted, {len(found)} steps taken\n"


@pytest.mark.slow
def test_ctrl_c_ends_a_model_that_hangs(tmp_path: Path) -> None:
    hangs = AT_7.format(act="print('hanging', flush=True); [0 for _ in iter(int, 1)]")
    path = write(tmp_path, small(tail=hangs))
    with started("run", str(path), "--json", "--every", "4") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == b"hanging\n"
        process.send_signal(signal.SIGINT)
        assert [x["step"] for x in records(process.stdout.read().decode())] == [4, 6]
        assert process.stderr.read() == b"elbo-tui: interrupted, 6 steps taken\n"
        assert process.wait(PATIENCE) == 130


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_ends_the_run_quietly() -> None:
    process = started("run", "no_theta", "--steps", "1000000000", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["step"] == 1
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == 141
    process.stderr.close()


@pytest.mark.slow
def test_what_a_model_does_to_its_streams_stays_with_it(tmp_path: Path) -> None:
    act = "import sys, os; sys.stdout.close(); os.close(1); os.chdir('/')"
    path = write(tmp_path, small(tail=AT_7.format(act=act)))
    code, out, _ = ran("run", path.name, "--steps", "9", "--json", folder=tmp_path)
    assert code == 0
    assert [record["step"] for record in records(out)] == list(range(1, 10))
