"""`runs`, `attach`, `end` and `serve`: what they refuse, and say, without a run behind them."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli import command
from tests.runtime import runtime_folder
from tui_elbo import protocol
from tui_elbo.cli import main
from tui_elbo.cli.options import duration
from tui_elbo.cli.runs import HEADER, row, table
from tui_elbo.client.registry import Found
from tui_elbo.protocol import VERSION, Event, Hello, RunStatus, StatusReported, runtime_dir
from tui_elbo.protocol.runtime_dir import EndedRun


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder


Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str]) -> Ran:
    """What the command says, in this process: its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = main(words)
        except SystemExit as error:
            code = int(str(error.code))
        told = capfd.readouterr()
        return code, told.out, told.err

    return run


@contextmanager
def answering(name: str, *events: Event) -> Iterator[None]:
    """Something listens under this name, says these, and hangs up."""
    listener, path = runtime_dir.claim(name)

    def serve() -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            with stream, suppress(OSError):  # it may only have looked whether somebody is there
                stream.sendall(b"".join(map(protocol.frame, events)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        path.unlink()
        thread.join(30)


def test_without_a_run(ran: Ran) -> None:
    code, out, err = ran("runs")
    assert (code, out) == (0, "")
    assert "there is no live run" in err
    assert ran("runs", "--json")[:2] == (0, "[]\n")
    for words in (("attach",), ("attach", "x"), ("end", "x")):
        code, out, err = ran(*words)
        assert (code, out) == (2, "")
        assert "there is no live run" in err
        assert "elbo-tui SCENARIO" in err


def test_one_of_another_version_says_which(ran: Ran) -> None:
    with answering("older", Hello(VERSION - 1, os.getpid())):
        words = f"it speaks version {VERSION - 1} and this program {VERSION}"
        for asked in ("attach", "end"):
            code, _, err = ran(asked, "older")
            assert code == 2
            assert f"older: {words}" in err
            assert f"kill {os.getpid()}" in err
        code, out, _ = ran("runs", "--json")
        (run,) = json.loads(out)
        assert (code, run["id"], run["state"], run["why"]) == (0, "older", None, words)
        assert words in ran("runs")[1]


def test_one_that_went_past_its_steps_says_that_it_did() -> None:
    def step(taken: int) -> str:
        stands = StatusReported(
            id="far",
            scenario="no_theta",
            path="",
            step=taken,
            state="paused",
            target=None,
            since=0.0,
            pid=os.getpid(),
            attached=True,
            watched=False,
            steps=900,
        )
        return row(Found("far", stands))[2]

    assert (step(1365), step(9)) == ("1365, past 900", "9 of 900")


def test_a_script_that_ended_unseen_is_remembered(ran: Ran) -> None:
    at = datetime(2026, 11, 26, 14, 3).timestamp()
    with patch.object(runtime_dir.time, "time", lambda: at + 60):
        runtime_dir.note_end(EndedRun("train", 2000, at))
        runtime_dir.note_end(EndedRun("other", 7, at - 60, "ValueError: no"))
        runtime_dir.note_end(EndedRun("old", 7, at - 25 * 3600))
        ends = "train: it ended at 14:03, after step 2000"
        for words in (("attach", "train"), ("end", "train"), ("attach",), ("runs",)):
            assert ends in ran(*words)[2]
        others = ran("runs")[2]
        assert "other: it ended at 14:02, after step 7, by ValueError: no" in others
        assert "old" not in others
        with answering("train"):
            assert ends not in ran("runs")[2]


def test_the_table_leaves_columns_out_where_there_is_no_room() -> None:
    line = ("prior_collapse", "prior_collapse", "601 of 1500", "running to 1500, attached")
    rows = [HEADER, (*line, "11-26 15:05", "338 MB", "24 h", "12394")]
    assert table(rows, None)[1].endswith("11-26 15:05  338 MB  24 h     12394")
    narrow = table(rows, 80)
    assert max(map(len, narrow)) <= 80
    assert narrow[0].split() == ["id", "step", "state", "since", "pid"]


def test_one_that_is_ending_says_so(ran: Ran) -> None:
    with answering("late"):
        for asked in ("attach", "end"):
            code, _, err = ran(asked, "late")
            assert code == 2
            assert "late: it is ending" in err


def test_one_that_says_something_else(ran: Ran) -> None:
    with answering("odd", RunStatus("paused", 0, None, 0.0, 0)):
        assert "odd: it did not say hello first" in ran("end", "odd")[2]


def test_several_have_to_be_distinguished(ran: Ran) -> None:
    with answering("one"), answering("two"):
        code, _, err = ran("attach")
        assert code == 2
        assert "there are 2 live runs" in err
        assert "name one: one, two" in err
        assert "did you mean two?" in ran("attach", "twoo")[2]


def test_a_folder_that_is_not_safe_is_reported(runtime: Path, ran: Ran) -> None:
    (runtime / "elbo-tui").mkdir()
    (runtime / "elbo-tui").chmod(0o755)
    for words in (("runs",), ("attach",), ("end", "x"), ("serve", "no_theta")):
        code, out, err = ran(*words)
        assert (code, out) == (2, "")
        assert "is open to others (mode 755)" in err


@pytest.mark.slow
def test_serving_what_does_not_load_ends_with_1(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('no')")
    code, out, err = command.ran("serve", str(path))
    assert (code, out) == (1, "")
    assert "ValueError: no" in err
    assert runtime_dir.socket_paths() == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("30s", 30), ("1.5m", 90), ("24h", 86400), ("7d", 604800)]
)
def test_times(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["-1", "nan", "", "x", "1y", "1e9d"])
def test_what_is_no_time(text: str, ran: Ran) -> None:
    code, _, err = ran("serve", "no_theta", f"--linger={text}")
    assert code == 2
    assert "--linger" in err
